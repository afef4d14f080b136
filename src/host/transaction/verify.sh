# shellcheck shell=sh
## Steps verify and fit: check the containers and migrations; check that the models are compatible with the database.

# Each service has containers of the release's image, and they run or have ended as they should. Optional services may
# have none.
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
  fronts=$(look_fronts)
  # Django starts slowly. The migration container has already checked the database, as the last one, after its own work.
  if ! happened migrate end && [ "$(plan_list migrated)" != yes ]; then verify_migrations; fi
  check_fronts "$fronts"
}

verify_migrations() {
  id=$(first_running "$(release_fact "$target" django)") verified=0
  [ -n "$id" ] || die "$exit_container_missing" "no container of the release runs Django"
  report verify ask_running "$id" verify || verified=$?
  if [ "$verified" -eq "$exit_not_migrated" ] && [ "$(release_list "$target" migrate)" = none ]; then
    echo "note: migrations are pending and are not applied (migrate: none)"
    verified=0
  fi
  if [ "$verified" -eq 0 ]; then return; fi
  show_last_lines "$id" # they show why an image that migrates at its start failed
  exit "$verified"
}

step_fit() { # whether the target's models are compatible with the present database
  compatible=0
  report fit ask_django "$target" fit || compatible=$?
  # The release's own settings may have an old password of the database.
  if [ "$compatible" -eq "$exit_database_refused" ]; then return "$exit_old_settings"; fi
  return "$compatible"
}
