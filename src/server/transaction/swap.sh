# shellcheck shell=sh
## Steps swap and proxy.

count_running() { # "SERVICE=N": as how many containers each service exists now; 0 when none of them runs
  up=$(running)
  { touched && services_of "$current" && release_list "$current" others; } | sort -u | while read -r service; do
    count=0
    if is_listed "$service" "$up"; then count=$(ids_of "$service" | wc -l); fi
    echo "$service=$((count))"
  done | tr '\n' ' ' | sed 's/ $//'
}

touched() { # the services to which the swap may do something
  services_of "$target" && release_list "$target" others && release_list "$target" backing && plan_list update
}

counted() { # what count_running said when the swap began, a line each
  sed -n 's/^[^ ]* swap begin *//p' ".deploy/journal/$transaction" | head -n 1 | tr ' ' '\n'
}

bring_up() { # RELEASE OPTIONS…: its services, level by level, as many of each as ran when the swap began
  bringing=$1
  shift
  listed=$(release_fact "$bringing" services)
  for level in $(printf '%s\n' "$listed" | first_word | sort -un); do
    names=$(printf '%s\n' "$listed" | while read -r at service; do
      if [ "$at" = "$level" ]; then echo "$service"; fi
    done)
    on "$(scales_of "$names") $names" compose_up "$bringing" --no-build --pull never "$@"
  done
}

bring_others() { # RELEASE SERVICES: what is not built here; only what changed
  on "$(scales_of "$2") $2" compose_up "$1" --no-build
}

# What stands behind the app and takes a changed definition; the app waits until it is well.
bring_backing() { # RELEASE SERVICES
  if [ -z "$2" ]; then return; fi
  before=$(printf '%s\n' "$seen" | first_word)
  bring_others "$1" "$2"
  survey
  until_healthy "$(only_in "$(ids_of "$2")" "$before")"
}

scales_of() { # SERVICES: options for as many of each as were asked for, else as there were when the swap began
  {
    # Going back, what was asked for has no say. Without a number it is the number in the Compose file.
    if ! happened back begin; then plan_list scale; fi
    # None may as well be a service that was stopped: it is started again.
    counted | sed '/=0$/d'
    if happened back begin; then unstarted "$(last_committed)" | sed 's/$/=0/'; fi
  } | {
    told=
    while IFS='=' read -r service count; do
      if ! is_listed "$service" "$1" || is_listed "$service" "$told"; then continue; fi
      told=$told$newline$service
      if [ -n "$count" ]; then echo "--scale $service=$count"; fi
    done
  }
}

# Services for which a deployment wants no container: `scale` says so, else the count in the Compose file.
unstarted() { # TRANSACTION
  { fact_of "$1" scale && fact_of "$1" counts; } | {
    told=
    while IFS='=' read -r service count; do
      if [ -z "$count" ] || is_listed "$service" "$told"; then continue; fi
      told=$told$newline$service
      if [ "$count" -eq 0 ]; then echo "$service"; fi
    done
  }
}

# App services, and what stands in front of them, that the target does not name any more stop before the new ones come
# up, and give their names away: a new one may publish the same port or have the same container_name.
retire() {
  gone=$(only_in "$(services_of "$current" && release_list "$current" others)" "$(named "$target")")
  on "$(ids_of "$gone" running)" limited "$change_limit" stop >/dev/null
  printf '%s\n' "$seen" | while read -r id service _ name; do
    if [ -n "$id" ] && is_listed "$service" "$gone" && [ "${name#"$retired"}" = "$name" ]; then
      ask rename "$id" "$retired$name"
    fi
  done
}

all_retired() {
  printf '%s\n' "$seen" | while read -r id _ _ name; do
    if [ "${name#"$retired"}" != "$name" ]; then echo "$id $name"; fi
  done
}

# An interrupted recreate leaves `<12 hex>_name`, and every later one would fail on it. When the old container is gone
# already, its anonymous volumes are with the leftover, which then takes its place.
settle_leftovers() {
  known=$(named "$target" && named "$current")
  hex='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
  names=$(printf '%s\n' "$seen" | while read -r _ _ _ name; do echo "$name"; done)
  leftovers=$(printf '%s\n' "$seen" | while read -r id service _ name; do
    if is_listed "$service" "$known"; then echo "$id $name"; fi
  done | sed -n "s/^\([^ ]*\) $hex$hex${hex}_/\1 /p")
  if [ -z "$leftovers" ]; then return; fi
  printf '%s\n' "$leftovers" | while read -r id name; do
    if is_listed "$name" "$names"; then ask rm -f "$id" >/dev/null; else ask rename "$id" "$name"; fi
  done
  survey
}

announce_swap() { project=$(release_fact "$target" project) && survey && count_running; }

step_swap() {
  began=$(date +%s)
  survey
  settle_leftovers
  retire
  bring_backing "$target" "$(release_list "$target" backing && plan_list update)"
  bring_up "$target" --force-recreate
  bring_others "$target" "$(release_list "$target" others)"
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

undo_swap() { # what ran before runs again
  survey
  settle_leftovers
  stopped=$(counted | sed -n 's/=0$//p')
  # A proxy that this deploy brought is of no use alone, and would stand in the way of a corrected one.
  ran=$(counted | sed -n 's/=[1-9][0-9]*$//p')
  kept=$(named "$current")
  brought=$(only_in "$(services_of "$target")" "$kept" &&
    only_in "$(release_list "$target" others)" "$kept$newline$ran")
  on "$(ids_of "$brought")" ask rm -f >/dev/null
  if [ -z "$current" ]; then return; fi
  all_retired | while read -r id name; do ask rename "$id" "${name#"$retired"}"; done
  bring_backing "$current" "$(both_in "$(touched)" "$(release_list "$current" data)")"
  bring_up "$current"
  bring_others "$current" "$(only_in "$(release_list "$current" others)" "$stopped")"
  step_proxy
  until=$(($(date +%s) + undo_limit))
  until trouble=$(check_containers "$current" "$(only_in "$(services_of "$current")" "$stopped")" 2>&1); do
    # They are there; why they do not stay up is found by back_health, and starting them again would not help.
    if [ "$?" -eq "$exit_container_exited" ]; then break; fi
    [ "$(date +%s)" -lt "$until" ] || {
      printf '%s\n' "$trouble"
      exit "$exit_container_missing"
    }
    pause 0.2
  done
}
