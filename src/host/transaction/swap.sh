# shellcheck shell=sh
## Step swap: replaces the app's containers; its undo starts the current release again.

count_running() { # "SERVICE=N": how many containers each service has; 0 if none of them ran
  up=$(running && stopped_services)
  { touched && with_role "$current" app front; } | sort -u | while read -r service; do
    count=0
    if is_listed "$service" "$up"; then count=$(ids_of "$service" | wc -l); fi
    echo "$service=$((count))"
  done | tr '\n' ' ' | sed 's/ $//'
}

touched() { # the services that the swap may change
  with_role "$target" app front cache && plan_list update
}

counted() { # what count_running printed when the swap began, one per line
  sed -n 's/^[^ ]* swap begin *//p' ".deploy/journal/$transaction" | head -n 1 | tr ' ' '\n'
}

bring_up() { # FUNCTION RELEASE: starts its services level by level, in the numbers of counts_of
  bringing=$2
  listed=$(release_list "$bringing" services | sed -n 's/^app //p')
  for level in $(printf '%s\n' "$listed" | first_word | sort -un); do
    names=$(printf '%s\n' "$listed" | while read -r at service; do
      if [ "$at" = "$level" ]; then echo "$service"; fi
    done)
    on "$(counts_of "$names") $names" "$1" "$bringing"
  done
}

bring_others() { # RELEASE SERVICES: starts or recreates missing or changed services that are not built here
  on "$(counts_of "$2") $2" update_services "$1"
}

# Recreates changed services behind the app, and waits until they are healthy: the app needs them.
bring_backing() { # RELEASE SERVICES
  if [ -z "$2" ]; then return; fi
  before=$(printf '%s\n' "$seen" | first_word)
  bring_others "$1" "$2"
  list_containers
  until_healthy "$(only_in "$(ids_of "$2")" "$before")"
}

counts_of() { # SERVICES: "SERVICE=N" as requested, else as many as when the swap began
  {
    # A revert ignores the request. `SERVICE=` without a number means the number in the Compose file.
    if ! happened back begin; then plan_list scale; fi
    # 0 may mean that the service was only stopped, so it is dropped: the service starts again.
    counted | sed '/=0$/d'
    if happened back begin; then unstarted "$(last_committed)" | sed 's/$/=0/'; fi
  } | {
    told=
    while IFS='=' read -r service count; do
      if ! is_listed "$service" "$1" || is_listed "$service" "$told"; then continue; fi
      told=$told$newline$service
      if [ -n "$count" ]; then echo "$service=$count"; fi
    done
  }
}

# Services for which a deployment wants no container, by `scale` or else by the count in the Compose file.
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

# A service gets the number in the target's Compose file if the last deployment had another number there. It gets none
# if the last deployment wanted none and none runs. Otherwise the number of its containers stays.
choose_scale() { # TRANSACTION RELEASE: the fact `scale` if no runner chooses it
  if [ ! -f ".deploy/plans/$2/facts/counts" ]; then return; fi
  project=$(release_fact "$2" project)
  list_containers
  if [ -f ".deploy/plans/$1/facts/counts" ]; then
    only_in "$(fact_of "$2" counts)" "$(fact_of "$1" counts)" | sed 's/=.*/=/'
  fi
  only_in "$(unstarted "$1")" "$(running)" | sed 's/$/=0/'
}

# App and front services that the target no longer names stop before the new ones start, and lose their names: a new
# service may publish the same port or have the same container_name.
retire() { set_aside "$(only_in "$(with_role "$current" app front)" "$(named "$target")")"; }

announce_swap() { project=$(release_fact "$target" project) && list_containers && count_running; }

step_swap() {
  if is_forward; then end_trial; fi # of the trial that failed
  list_containers
  note_answers
  began=$(date +%s)
  settle_leftovers "$(named "$target" && named "$current")"
  retire
  sum_settings "$target" >".deploy/plans/$transaction/settings"
  bring_backing "$target" "$(with_role "$target" cache && plan_list update)"
  bring_up replace_services "$target"
  bring_others "$target" "$(with_role "$target" front)"
  warn_of_killed "$began"
}

# Warns of programs that exceeded their grace period. One whose stop signal is 9, or that memory killed, was not told to
# stop. The trial container has no such period.
warn_of_killed() { # SINCE
  list_ended "$1" | awk -v "trial=$trial" '
    $1 == "signal" && $2 != 9 { told[$3] = 1 }
    $1 == "exit" && $2 == 137 && told[$3] && $3 != trial {
      print "warning: " $3 " did not stop within its grace period, so Docker killed it"
      told[$3] = 0
    }'
}

undo_swap() { # starts again what ran before
  list_containers
  settle_leftovers "$(named "$target" && named "$current")"
  stopped=$(counted | sed -n 's/=0$//p')
  # A front service that this deploy started is useless alone, and would obstruct a corrected one.
  ran=$(counted | sed -n 's/=[1-9][0-9]*$//p')
  kept=$(named "$current")
  brought=$(only_in "$(services_of "$target")" "$kept" &&
    only_in "$(with_role "$target" front)" "$kept$newline$ran")
  on "$(ids_of "$brought")" ask rm -f >/dev/null
  if [ -z "$current" ]; then return; fi
  bring_back
  bring_backing "$current" "$(both_in "$(touched)" "$(behind_app "$current")")"
  bring_up restore_services "$current"
  bring_others "$current" "$(only_in "$(with_role "$current" front)" "$stopped")"
  step_proxy
  until=$(($(date +%s) + undo_limit))
  until trouble=$(check_containers "$current" "$(only_in "$(services_of "$current")" "$stopped")" 2>&1); do
    # The containers exist. `back_health` reports why they do not stay up. Starting them again would not help.
    if [ "$?" -eq "$exit_container_exited" ]; then break; fi
    [ "$(date +%s)" -lt "$until" ] || {
      printf '%s\n' "$trouble"
      exit "$exit_container_missing"
    }
    pause 0.2
  done
}
