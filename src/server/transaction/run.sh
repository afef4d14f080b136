# shellcheck shell=sh
## Run: what a person wants to run in a container, beside whatever else goes on. It takes no lock and changes no file.

run() { # DIRECTORY ID [SERVICE]: what was sent to .deploy/incoming/ID; its exit code is the last line on stderr
  enter "$1"
  given=$directory/.deploy/incoming/$2
  trap 'rm -rf "$given"' EXIT
  current=$(read_current)
  project=$(release_fact "$current" project)
  service=${3:-$(release_fact "$current" django)}
  survey
  id=$(ids_of "$service" running | head -n 1)
  [ -n "$id" ] || die 70 "$service; running: $(running | sort -u | tr '\n' ' ')"
  code=0
  # Docker reads the values from the file, the shell in the container its lines from standard input: none is in an argument.
  # shellcheck disable=SC2086 # as in `limited`
  $through docker exec -i --env-file "$given/env/given" -e PYTHONUNBUFFERED=1 "$id" sh <"$given/script" 2>&1 || code=$?
  echo "exit $code" >&2
}
