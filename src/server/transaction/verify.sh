# shellcheck shell=sh
## Steps verify and fit.

# Each service is there, of the release's image, and runs; the optional ones may be absent.
check_containers() { # RELEASE SERVICES [OPTIONAL]
  inspect_release "$1"
  images=$(release_fact "$1" images | second_word | sort -u)
  image_ids=$(on "$images" ask image inspect -f '{{.Id}}')
  missing=$(only_in "$2" "$(printf '%s\n' "$app" | first_word && printf '%s\n' "${3:-}")" | tr '\n' ' ')
  [ -z "$missing" ] || die "$exit_container_missing" "no container of $missing"
  while read -r service state exit _ policy _ image id; do
    if ! is_listed "$service" "$2"; then continue; fi
    is_listed "$image" "$image_ids" || die "$exit_other_image" "$service runs $image, not the release's image"
    [ "$state" = running ] || is_finished "$state" "$exit" "$policy" || {
      show_last_lines "$id"
      die "$exit_container_exited" "$service is $state exit=$exit"
    }
  done <<END
$app
END
}

step_verify() {
  check_containers "$target" "$(services_of "$target")" "$(unstarted "$transaction")"
  beside=$(look_others)
  # Django starts slowly, and the migration container was the last to read the database, after its own work.
  if ! happened migrate end; then verify_migrations; fi
  if [ -n "$beside" ]; then check_others "$beside"; fi
}

verify_migrations() {
  id=$(first_running "$(release_fact "$target" django)")
  [ -n "$id" ] || die "$exit_container_missing" "no container of the release runs Django"
  verified=$exit_not_importable
  if ! needs_entrypoint; then
    verified=0
    set -- -e DEPLOY_DJANGO=verify -e "DEPLOY_DJANGO_KEEP=$(keeps "$target")"
    report verify in_django "$target" ask exec "$@" "$id" || verified=$?
  fi
  # What an entrypoint has set is not there for `exec`.
  if may_lack_entrypoint "$verified"; then
    verified=0
    report verify ask_django "$target" verify || verified=$?
  fi
  if [ "$verified" -eq "$exit_not_migrated" ] && [ "$(release_list "$target" migrate)" = none ]; then
    echo "note: migrations are pending, and nobody applies them (migrate: none)"
    verified=0
  fi
  if [ "$verified" -eq 0 ]; then return; fi
  show_last_lines "$id" # of an image that migrates by itself they say why
  exit "$verified"
}

look_others() { inspect_run "$(ids_of "$(release_list "$target" others)")"; }

check_others() { # AS-SEEN: a proxy that is not built here came along in the swap; without it nobody reaches the app
  until=$(($(date +%s) + 30))
  while :; do
    beside=$(look_others)
    down=$(printf '%s\n' "$beside" | while read -r tool state exit restarts policy started _ id; do
      if is_steady "$state" "$restarts" "$started" || is_finished "$state" "$exit" "$policy"; then continue; fi
      # A tool, such as one that asks for a certificate and is told that the name does not lead here yet.
      if [ "$state $policy" = "exited no" ] && is_listed "$tool" "$(release_list "$target" alone)"; then continue; fi
      echo "$id"
    done)
    if [ "$beside" = "$1" ] && [ -z "$down" ]; then return; fi
    if [ "$(date +%s)" -ge "$until" ]; then
      for id in ${down:-$(printf '%s\n' "$beside" | first_word)}; do show_last_lines "$id"; done
      die "$exit_container_exited" "a service in front of the app does not stay up"
    fi
    set -- "$beside"
    pause 1
  done
}

step_fit() { # the target's models on the database as it is now
  compatible=0
  report fit ask_django "$target" fit || compatible=$?
  # Its own settings may be older than the password of the database.
  if [ "$compatible" -eq "$exit_database_refused" ]; then return "$exit_old_settings"; fi
  return "$compatible"
}
