# shellcheck shell=sh
## Run: what a person wants to run in a container, beside whatever else goes on. It takes no lock and changes no file.

run() { # DIRECTORY ID [SERVICE]: what was sent to .deploy/incoming/ID; its exit code is the last line on stderr
  enter "$1"
  given=$directory/.deploy/incoming/$2
  trap 'rm -rf "$given"' EXIT
  choose_container "${3:-}"
  [ -n "$id" ] || die "$exit_service_missing" "$service; running: $(running | sort -u | tr '\n' ' ')"
  code=0
  # Docker reads the values from the file, the shell in the container its lines from standard input: none is in an
  # argument.
  # shellcheck disable=SC2086 # as in `limited`
  $through docker exec -i --env-file "$given/env/given" -e PYTHONUNBUFFERED=1 -e "DEPLOY_DJANGO_RUN=$2" "$id" \
    sh <"$given/script" 2>&1 || code=$?
  echo "exit $code" >&2
}

choose_container() { # SERVICE: sets `id`; empty when none of the service runs
  current=$(read_current)
  project=$(release_fact "$current" project)
  service=${1:-$(release_fact "$current" django)}
  survey
  id=$(first_running "$service")
}

# The client of Docker that is gone leaves running what it has started; it is found by what is in its environment.
quit() { # DIRECTORY ID [SERVICE]: asks all that `run` has started to end, and nothing else
  enter "$1"
  choose_container "${3:-}"
  tries=0
  # shellcheck disable=SC2016 # it is the container's shell that expands it
  until ask exec "$id" sh -c '
    found=$(grep -lsF "$1" /proc/[0-9]*/environ)
    for each in $found; do each=${each#/proc/} && kill "${each%/environ}"; done
    [ -n "$found" ]' sh "DEPLOY_DJANGO_RUN=$2"; do
    # It has ended by itself; or it is about to begin.
    if [ ! -d ".deploy/incoming/$2" ]; then return; fi
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || return 1
    pause 0.1
  done
}
