# shellcheck shell=sh
## Step stop: stops the app, because its code cannot use the coming schema. The swap replaces it, or the undo starts it.

announce_stop() {
  project=$(release_fact "$target" project) && list_containers || return
  live_app | second_word | tr "\n" " " | sed "s/ $//"
}

step_stop() {
  list_containers
  note_answers
  began=$(date +%s)
  stop_app
  warn_of_killed "$began"
}

# Each container keeps its own grace period. After a reboot, Docker starts `restart: always` again. So an undo that
# needs a stopped app stops it once more.
stop_app() { on "$(live_app | first_word)" stop_containers; }

# A proxy keeps running, and answers visitors in the meantime.
live_app() { # "ID NAME" of the app's containers, old or new, that run or will run again
  app_services=$(only_in "$(services_of "$current" && services_of "$target")" \
    "$(release_list "$current" proxies && release_list "$target" proxies)")
  printf '%s\n' "$seen" | while read -r id service state name; do
    case $state in
      running | restarting | paused) if is_listed "$service" "$app_services"; then echo "$id $name"; fi ;;
    esac
  done
}

stopped() { # container names from live_app when this transaction began to stop the app, one per line
  sed -n 's/^[^ ]* stop begin *//p' ".deploy/journal/$transaction" | head -n 1 | tr ' ' '\n'
}

stopped_services() { # services of those containers, in `seen`
  names=$(stopped)
  printf '%s\n' "$seen" | while read -r _ service _ name; do
    if [ -n "$name" ] && is_listed "$name" "$names"; then echo "$service"; fi
  done
}

undo_last_stop() { start_again "$(stopped)"; }

start_again() { # NAMES of containers
  # The undo of the swap has already started them, as many as there were.
  if happened swap begin; then return; fi
  list_containers
  resting=$(printf '%s\n' "$seen" | while read -r id _ state name; do
    if [ "$state" != running ] && is_listed "$name" "$1"; then echo "$id"; fi
  done)
  on "$resting" start_containers
  # A restarted container may have a new address.
  step_proxy
}
