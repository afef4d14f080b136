# shellcheck shell=sh
## The probe: django/probe.py inside an image or a container of the release.

# The probe's text as one word without spaces: it passes through any entrypoint, needs no mount and no standard input.
probe_word() { printf "exec(__import__('base64').b64decode('%s'))" "$(base64 <".deploy/plans/$transaction/probe.py" | tr -d '\n')"; }

in_django() { # RELEASE COMMAND…: the command with the release's way to start Django and the probe behind it
  manage=.deploy/releases/$1/facts/manage
  shift
  while read -r word; do set -- "$@" "$word"; done <"$manage"
  "$@" shell -v 0 -c "$(probe_word)"
}

run_probe() { # RELEASE VERB COMPOSE-RUN-OPTIONS…: inside Django, in a one-off container of the release
  image_of=$1 verb=$2
  shift 2
  read -r program <".deploy/releases/$image_of/facts/manage"
  set -- "$@" -e "DEPLOY_DJANGO=$verb" -e PYTHONUNBUFFERED=1 --entrypoint "$program" "$(release_fact "$image_of" django)"
  { read -r _ && while read -r word; do set -- "$@" "$word"; done; } <".deploy/releases/$image_of/facts/manage"
  compose "$image_of" run --no-deps -T "$@" shell -v 0 -c "$(probe_word)"
}

report() { # NAME COMMAND…: keeps the JSON that a probe prints for the runner; the code is the probe's
  answer=.deploy/journal/$transaction.$1.json
  shift
  answered=0
  "$@" >"$answer.out" || answered=$?
  grep '^{"deploy-django":' "$answer.out" | tail -n 1 >"$answer"
  rm -f "$answer.out"
  return "$answered"
}
