# shellcheck shell=sh
## Steps that prepare: recover, fence, data.

step_recover() { recover_all replace; }

step_fence() {
  if [ ! -w . ] || [ ! -w .deploy ]; then die "$exit_no_directory" "no permission to write in $directory"; fi
  last=$(cat .deploy/transaction 2>/dev/null) || last=
  if [ -f ".deploy/plans/$last/facts/run" ] && [ "$(plan_fact force)" != yes ]; then
    served=$(cat ".deploy/plans/$last/facts/run")
    if [ "$(plan_fact run)" -lt "$served" ]; then
      die "$exit_newer_run" "run $(plan_fact run) is older than run $served, which deployed last"
    fi
  fi
  check_settings "$target"
}

announce_data() { # the services that now get their first container
  project=$(release_fact "$target" project) && list_containers &&
    only_in "$(absent "$target")" "$(printf '%s\n' "$seen" | second_word)" | tr '\n' ' ' | sed 's/ $//'
}

# In order: a service may need another one to be healthy. One at a time: otherwise Compose would rerun one-time
# services.
step_data() {
  list_containers
  renewed=$(renewable) missing=$(absent "$target")
  for starting in $(both_in "$(behind_app "$target")" "$missing$newline$renewed"); do
    if is_listed "$starting" "$renewed"; then
      update_services "$target" "$starting"
    else
      start_services "$target" "$starting"
    fi
    list_containers
    until_healthy "$(ids_of "$starting")"
  done
}

# A stateful service that ended right after its start: the app only sees that its address does not answer.
blame_data() {
  list_containers
  for blamed in $(behind_app "$target"); do
    for id in $(ids_of "$blamed"); do
      read -r _ condition code _ <<END
$(inspect_containers "$id")
END
      if [ "$condition" = running ] || [ "$code" -eq 0 ]; then continue; fi
      show_last_lines "$id"
      die "$exit_database_unhealthy" "$blamed exit=$code"
    done
  done
}

# Data services whose changed definition is applied: a failed deploy created them, and nothing was ever committed here.
# Compose keeps their volumes, also anonymous ones. A one-time service that succeeded does not run again.
renewable() {
  if [ -n "$current" ] || [ -n "$(commits)" ]; then return; fi
  ended=$(inspect_containers "$(ids_of "$(with_role "$target" one-time)")" | while read -r service state exit _; do
    if [ "$state $exit" = "exited 0" ]; then echo "$service"; fi
  done)
  brought=$(find .deploy/journal -name '*[0-9]' ! -name "$transaction" -exec sed -n 's/^[^ ]* data begin //p' {} + |
    tr ' ' '\n')
  only_in "$(both_in "$(behind_app "$target")" "$brought")" "$ended"
}
