# shellcheck shell=sh
## Run: a person's command in a container, beside any deployment. It takes no lock and changes no file.

run() { # DIRECTORY ID [SERVICE]: runs what was sent to .deploy/incoming/ID; the last line on stderr is its exit code
  enter "$1"
  given=$directory/.deploy/incoming/$2
  trap 'rm -rf "$given"' EXIT
  choose_container "${3:-}"
  [ -n "$id" ] || die "$exit_service_missing" "$service; running: $(running | sort -u | tr '\n' ' ')"
  code=0
  # Docker reads the values from a file. The shell in the container reads its lines from standard input. So no argument
  # contains them.
  # shellcheck disable=SC2086 # as in `limited`
  $through docker exec -i --env-file "$given/env/given" -e PYTHONUNBUFFERED=1 -e "DEPLOY_DJANGO_RUN=$2" "$id" \
    sh <"$given/script" 2>&1 || code=$?
  echo "exit $code" >&2
}

choose_container() { # SERVICE: sets `id`; empty if none of its containers runs
  current=$(read_current)
  project=$(release_fact "$current" project)
  service=${1:-$(release_fact "$current" django)}
  list_containers
  id=$(first_running "$service")
}

# A Docker client that dies leaves its processes running. The mark in their environment finds them.
quit() { # DIRECTORY ID [SERVICE]: sends SIGTERM to the processes of that `run`, and to no others
  enter "$1"
  choose_container "${3:-}"
  tries=0
  until end_marked "$id" "DEPLOY_DJANGO_RUN=$2"; do
    # Without the folder, `run` has ended. With it, the processes may not have started yet.
    if [ ! -d ".deploy/incoming/$2" ]; then return; fi
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || return 1
    pause 0.1
  done
}

# shellcheck disable=SC2016 # it is the container's shell that expands it
end_marked() { # CONTAINER MARK: sends SIGTERM to the processes with the mark in their environment; fails without one
  ask exec "$1" sh -c '
    found=$(grep -lsF "$1" /proc/[0-9]*/environ)
    for each in $found; do each=${each#/proc/} && kill "${each%/environ}"; done
    [ -n "$found" ]' sh "$2"
}
