# shellcheck shell=sh
## Docker: every call to it, and what its containers are doing.

# Sets `through`: sudo, where only root may use Docker's socket and sudo asks for no password. What sudo starts gets no
# environment, so all that it needs is in its arguments.
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

# One door to Compose: a clean environment, so that nothing of the login shell gets into a container, and every file
# named.
# shellcheck disable=SC2086 # as above
compose_of() { # PROJECT ARGUMENTS…
  of=$1
  shift
  traced env -i PATH="$PATH" HOME="$HOME" PWD="$directory" \
    ${DOCKER_HOST:+"DOCKER_HOST=$DOCKER_HOST"} ${DOCKER_CONTEXT:+"DOCKER_CONTEXT=$DOCKER_CONTEXT"} \
    ${XDG_RUNTIME_DIR:+"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR"} timeout -k 10 "$change_limit" \
    $through docker compose --project-directory "$directory" -p "$of" "$@" </dev/null
}

compose() { # RELEASE ARGUMENTS…
  compose_with compose.yaml "$@"
}

compose_with() { # FILE RELEASE ARGUMENTS…: that file of the release
  file=$1 release=$2
  shift 2
  if [ -f ".deploy/releases/$release/env/.env" ]; then
    variables=.deploy/releases/$release/env/.env
  elif [ -f .env ]; then
    variables=.env
  else
    variables=/dev/null
  fi
  compose_of "$(release_fact "$release" project)" --env-file "$variables" -f ".deploy/releases/$release/$file" "$@"
}

# Compose has exit codes of its own, such as 18 for an image that it cannot pull, which would be read as the probe's.
compose_up() { # RELEASE ARGUMENTS…
  whose=$1 said=.deploy/plans/$transaction/up.out
  shift
  failed=0
  compose "$whose" up -d --no-deps "$@" >"$said" 2>&1 || failed=$?
  cat "$said"
  if [ "$failed" -eq 0 ]; then return; fi
  name_port_holder "$said"
  [ "$failed" -ge 30 ] || failed=1
  return "$failed"
}

ask() { limited "$call_limit" "$@" </dev/null 8>&-; }
docker_answers() { limited 10 version --format '{{.Server.Version}}' </dev/null >/dev/null 2>&1 8>&-; }

# Sets `seen`: "ID SERVICE STATE NAME" of the project's containers, one-off ones left out. A silent Docker ends the
# step: an empty list would mean that nothing is there.
survey() {
  seen=$(ask ps -a --no-trunc \
    --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False \
    --format '{{.ID}} {{.Label "com.docker.compose.service"}} {{.State}} {{.Names}}')
}

ids_of() { # SERVICES [STATE]: ids of their containers, as seen
  printf '%s\n' "$seen" | while read -r id service state _; do
    if [ -n "$id" ] && is_listed "$service" "$1" && [ "${2:-$state}" = "$state" ]; then echo "$id"; fi
  done
}

first_running() { ids_of "$1" running | head -n 1; } # SERVICES: a container of theirs

running() {
  printf '%s\n' "$seen" | while read -r _ service state _; do
    if [ "$state" = running ]; then echo "$service"; fi
  done
}

absent() { # RELEASE LIST: services of that list that have to be started; those that run once only when they never did
  up=$(running) existing=$(printf '%s\n' "$seen" | second_word) once=$(release_list "$1" once)
  release_list "$1" "$2" | while read -r service; do
    if is_listed "$service" "$up"; then continue; fi
    if is_listed "$service" "$once" && is_listed "$service" "$existing"; then continue; fi
    echo "$service"
  done
}

until_healthy() { # CONTAINERS: those with a health check of their own succeed in it, the others run or ran to their end
  until=$(($(date +%s) + data_limit))
  for id in $1; do
    until docker_health "$id" || has_ended "$id"; do
      if is_aborted && ! happened back begin; then die "$exit_aborted" "aborted while waiting for a data service"; fi
      [ "$(date +%s)" -lt "$until" ] || {
        show_last_lines "$id"
        die "$exit_database_unhealthy" "a data service did not become healthy in $data_limit s"
      }
      pause 0.2
    done
  done
}

has_ended() { # CONTAINER: it ran to its end, and with success unless nobody waits for it
  template='{{.State.Status}} {{.State.ExitCode}} {{or .HostConfig.RestartPolicy.Name "no"}}'
  ended=$(ask inspect -f "$template {{index .Config.Labels \"com.docker.compose.service\"}}" "$1") || return 1
  read -r state exit policy service <<END
$ended
END
  [ "$state" = exited ] || return 1
  if [ "$exit" -eq 0 ]; then return; fi
  [ "$policy" = no ] || return 1
  show_last_lines "$1"
  is_listed "$service" "$(release_list "$target" alone)" || die "$exit_database_unhealthy" "$service exit=$exit"
  echo "note: $service exit=$exit; no service waits for it"
}

# Whether its health command succeeds, whenever Docker's own interval is; without one, it runs. Sets `complaint`
# and `checked`, the kind of its command.
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
  # Without a limit of its own: a server that accepts and does not answer must not hold up the one who watches it.
  check_limit=$((${2:-0} / 1000000000)) checked=${3:-NONE}
  [ "$check_limit" -gt 0 ] || check_limit=10
  case $checked in
    CMD-SHELL) complaint=$(exec_check /bin/sh -c "$4" 2>&1) ;;
    CMD)
      shift 3
      complaint=$(exec_check "$@" 2>&1)
      ;;
  esac
}

exec_check() { limited "$check_limit" exec "$asked" "$@" </dev/null 8>&-; } # COMMAND…
