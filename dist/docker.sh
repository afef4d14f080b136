# shellcheck shell=sh
## Docker: every call to it, and the state of containers.

# Sets `through` to sudo if only root may use Docker's socket and sudo needs no password. sudo passes no environment on,
# so the arguments carry everything.
choose_way() {
  through=
  if [ ! -S /var/run/docker.sock ] || [ -w /var/run/docker.sock ] || docker_answers; then return; fi
  through='sudo -n'
  docker_answers || through=
}

# shellcheck disable=SC2086 # two words or none
limited() { # SECONDS ARGUMENTS…: docker, stopped when it hangs
  allowed=$1
  shift
  traced timeout -k 5 "$allowed" $through docker "$@"
}

ask() { limited "$call_limit" "$@" </dev/null 8>&-; }
docker_answers() { limited 10 version --format '{{.Server.Version}}' </dev/null >/dev/null 2>&1 8>&-; }

ids_of() { # SERVICES [STATE]: ids of their containers in `seen`
  printf '%s\n' "$seen" | while read -r id service state _; do
    if [ -n "$id" ] && is_listed "$service" "$1" && [ "${2:-$state}" = "$state" ]; then echo "$id"; fi
  done
}

names_of() { # SERVICES: names of their containers in `seen`
  printf '%s\n' "$seen" | while read -r _ service _ name; do
    if [ -n "$name" ] && is_listed "$service" "$1"; then echo "$name"; fi
  done
}

first_running() { ids_of "$1" running | head -n 1; } # SERVICES: one of their running containers

running() {
  printf '%s\n' "$seen" | while read -r _ service state _; do
    if [ "$state" = running ]; then echo "$service"; fi
  done
}

absent() { # RELEASE: services behind its app that must start; one-time services only if they never ran
  up=$(running) existing=$(printf '%s\n' "$seen" | second_word) once=$(with_role "$1" one-time)
  behind_app "$1" | while read -r service; do
    if is_listed "$service" "$up"; then continue; fi
    if is_listed "$service" "$once" && is_listed "$service" "$existing"; then continue; fi
    echo "$service"
  done
}

until_healthy() { # CONTAINERS: waits for their health checks; one without a check must run, or have ended
  until=$(($(date +%s) + data_limit))
  for id in $1; do
    until { keeps_up "$id" && docker_health "$id"; } || has_ended "$id"; do
      if is_cancelled; then die "$exit_aborted" "aborted while waiting for a stateful service"; fi
      [ "$(date +%s)" -lt "$until" ] || {
        show_last_lines "$id"
        die "$exit_database_unhealthy" "a stateful service did not become healthy in $data_limit s"
      }
      pause 0.2
    done
  done
}

keeps_up() { # CONTAINER: whether it runs and is not in a crash loop, in which it also runs for moments
  read -r service state exit restarts _ started _ <<END
$(inspect_containers "$1")
END
  if is_steady "$state" "$restarts" "$started"; then return; fi
  if [ "$state" = restarting ] && [ "$restarts" -ge 3 ]; then
    show_last_lines "$1"
    die "$exit_database_unhealthy" "$service exit=$exit restarts=$restarts"
  fi
  return 1
}

has_ended() { # CONTAINER: whether it ran to its end; it may fail if no service waits for it
  ended=$(inspect_containers "$1") || return 1
  read -r service state exit _ policy _ <<END
$ended
END
  [ "$state" = exited ] || return 1
  if [ "$exit" -eq 0 ]; then return; fi
  [ "$policy" = no ] || return 1
  show_last_lines "$1"
  is_listed "$service" "$(release_list "$target" optional)" || die "$exit_database_unhealthy" "$service exit=$exit"
  echo "note: $service exit=$exit; no service waits for it"
}

# Runs the health command now, whatever Docker's interval is. Without a health check, a running container is healthy.
# Sets `checked` (the kind of the command), `check_command`, `check_result` (its exit code) and `complaint` (its
# output).
docker_health() { # CONTAINER
  asked=$1 separator=$(printf '\037')
  template='{{.State.Running}}{{"\x1f"}}{{with .Config.Healthcheck}}{{.Timeout.Nanoseconds}}{{"\x1f"}}'
  template=$template'{{range .Test}}{{.}}{{"\x1f"}}{{end}}{{end}}'
  answer=$(ask inspect -f "$template" "$asked") || return 1
  set --
  IFS=$separator
  for word in $answer; do set -- "$@" "$word"; done
  unset IFS
  [ "$1" = true ] || return 1
  # The default limit: a server that accepts connections and never answers must not block the deployment.
  check_limit=$((${2:-0} / 1000000000)) checked=${3:-NONE} check_result=0
  [ "$check_limit" -gt 0 ] || check_limit=10
  case $checked in
    CMD-SHELL)
      check_command=$4
      complaint=$(exec_check /bin/sh -c "$4" 2>&1) || check_result=$?
      ;;
    CMD)
      shift 3
      check_command=$*
      complaint=$(exec_check "$@" 2>&1) || check_result=$?
      ;;
  esac
  return "$check_result"
}

exec_check() { limited "$check_limit" exec "$asked" "$@" </dev/null 8>&-; } # COMMAND…
