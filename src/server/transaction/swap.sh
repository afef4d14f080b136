# shellcheck shell=sh
## Steps swap and proxy, and undo, which takes back what they did.

count_running() { # "SERVICE=N": how many containers of each service run now
  up=$(running)
  { services_of "$target"; release_list "$target" others; services_of "$current"; } | sort -u | while read -r service; do
    echo "$service=$(printf '%s\n' "$up" | grep -cxF -- "$service")"
  done | tr '\n' ' ' | sed 's/ $//'
}

counted() { # what count_running said when the swap began, a line each
  sed -n 's/^[^ ]* swap begin *//p' ".deploy/journal/$transaction" | head -n 1 | tr ' ' '\n'
}

bring_up() { # RELEASE OPTIONS…: its services, level by level, as many of each as ran when the swap began
  bringing=$1
  shift
  listed=$(release_fact "$bringing" services)
  for level in $(printf '%s\n' "$listed" | first_word | sort -un); do
    names=$(printf '%s\n' "$listed" | while read -r at service; do if [ "$at" = "$level" ]; then echo "$service"; fi; done)
    on "$(scales_of "$names") $names" compose "$bringing" up -d --no-deps --no-build --pull never "$@"
  done
}

bring_others() { # RELEASE SERVICES: what stands in front of the app, such as a proxy that is not built here; only what changed
  on "$(scales_of "$2") $2" compose "$1" up -d --no-deps --no-build
}

scales_of() { # SERVICES: options for as many of each as ran when the swap began
  counted | while IFS='=' read -r service count; do
    if [ "${count:-0}" -gt 1 ] && is_listed "$service" "$1"; then echo "--scale $service=$count"; fi
  done
}

remove_leftovers() { # an interrupted recreate leaves `<12 hex>_name`, and every later one would fail on it
  known=$(services_of "$target" && services_of "$current" && release_list "$target" others)
  hex='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
  leftovers=$(printf '%s\n' "$seen" | while read -r id service _ name; do
    if is_listed "$service" "$known"; then echo "$id $name"; fi
  done | sed -n "s/^\([^ ]*\) $hex$hex${hex}_.*/\1/p")
  on "$leftovers" ask rm -f >/dev/null
}

step_swap() {
  began=$(date +%s)
  survey
  remove_leftovers
  bring_up "$target" --force-recreate
  bring_others "$target" "$(release_list "$target" others)"
  on "$(ids_of "$(only_in "$(services_of "$current")" "$(services_of "$target")")" running)" limited "$change_limit" stop >/dev/null
  ask events --since "$began" --until 0s --filter event=die --filter "label=com.docker.compose.project=$project" \
    --format '{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.name}}' | sort -u | while read -r result name; do
    if [ "$result" = 137 ]; then echo "warning: $name did not end by itself when it was asked to, Docker killed it"; fi
  done
}

# nginx looks its upstream's name up once, when it reads its configuration.
step_proxy() {
  survey
  django=$(release_fact "$target" django)
  image=$(release_fact "$target" images | sed -n "s/^$django //p")
  not_proxies=$(release_list "$target" data && release_fact "$target" images | while read -r service of; do
    if [ "$of" = "$image" ]; then echo "$service"; fi
  done)
  for id in $(ids_of "$(only_in "$(running)" "$not_proxies")" running); do
    if is_nginx "$id"; then
      ask exec "$id" nginx -s reload || echo "warning: nginx in $id did not reload"
    fi
  done
}

# A rootless Docker without cgroups lists no processes; there the first one is looked at.
is_nginx() { { ask top "$1" || ask exec "$1" cat /proc/1/cmdline; } 2>/dev/null | grep -q 'nginx: master'; }

# Going back: what a migration did is awaited, what the swap did is taken back, and what ran before runs again.
step_undo() {
  settle_migration
  remove_jobs
  if ! happened swap begin; then return; fi
  survey
  remove_leftovers
  survey
  stopped=$(counted | sed -n 's/=0$//p')
  on "$(ids_of "$(only_in "$(services_of "$target")" "$(services_of "$current")")")" ask rm -f >/dev/null
  if [ -z "$current" ]; then
    # A proxy that this first deploy brought is of no use alone, and would stand in the way of a corrected one.
    ran=$(counted | sed -n 's/=[1-9][0-9]*$//p')
    on "$(ids_of "$(only_in "$(release_list "$target" others)" "$ran")")" ask rm -f >/dev/null
    return
  fi
  bring_up "$current"
  bring_others "$current" "$(only_in "$(release_list "$current" others)" "$stopped")"
  step_proxy
  until=$(($(date +%s) + undo_limit))
  until trouble=$(check_containers "$current" "$(only_in "$(services_of "$current")" "$stopped")" 2>&1); do
    [ "$(date +%s)" -lt "$until" ] || { printf '%s\n' "$trouble"; exit 45; }
    pause 0.2
  done
}
