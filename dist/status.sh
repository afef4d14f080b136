# shellcheck shell=sh
## Status: what is true now, for a person. Nothing is changed, no lock is kept; what cannot be asked is left out.

status() { # DIRECTORY: a word and its value a line
  echo "deploy-django status 1"
  if cd "$1" 2>/dev/null && [ -f .deploy/format ]; then
    directory=$(pwd -P)
    if [ -e .deploy/lock ] && ! flock -s -n .deploy/lock true; then echo "lock $(cat .deploy/lock)"; fi
    if is_registered; then echo "boot cron"; fi
    recent_deployments
    used_disk
    current=$(read_current)
    if [ -n "$current" ] && docker_answers; then running_release || true; fi
  fi
  echo end
}

recent_deployments() { # the last ten: "deployment BEGUN ID TARGET ENDED WORD STEP", a dash for what is not known
  find .deploy/journal -name '*[0-9]' -exec awk '
    function tell() { if (id) print "deployment", begun, id, target, ended, word, step }
    FNR == 1 { tell(); begun = $1; id = $3; target = $4; ended = word = step = "-" }
    $3 == "begin" || $3 == "fail" { if (ended == "-" && $2 !~ "^back" && $2 != "undo") step = $2 }
    $2 == "end" { ended = $1; word = $3 }
    END { tell() }' {} + | sort | tail -n 10 | while read -r line; do
    echo "$line"
    id=${line#* * }
    id=${id%% *}
    if ! is_ended "$id"; then echo "open $id $(if is_alive "$id"; then echo running; else echo interrupted; fi)"; fi
  done
}

used_disk() { # of the releases: our files in KiB, and the bytes of each image
  echo "files $(du -sk .deploy | first_word)"
  for image in $(for id in $(entries .deploy/releases); do release_list "$id" images; done | second_word | sort -u); do
    if size=$(ask image inspect -f '{{.Size}}' "$image" 2>/dev/null); then echo "image $image $size"; fi
  done
}

running_release() {
  project=$(release_fact "$current" project)
  survey
  template='container {{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}}'
  template=$template' {{with .State.Health}}{{.Status}}{{else}}-{{end}} {{.RestartCount}} {{.Config.Image}}'
  on "$(printf '%s\n' "$seen" | first_word)" ask inspect -f "$template" | sort
  left_over_ports | sed 's/^/port-left-over /'
  # What was adopted may serve although no transaction has committed; any probe can ask it.
  transaction=$(cat .deploy/transaction 2>/dev/null) || transaction=$(entries .deploy/plans | tail -n 1)
  target=$current asker=$(first_running "$(release_fact "$current" django)")
  if [ -z "$asker" ] || [ ! -f ".deploy/plans/$transaction/probe.py" ]; then return; fi
  # Where an entrypoint makes the settings, a container of its own would have to be asked.
  if ! needs_entrypoint; then
    set -- -e DEPLOY_DJANGO=plan -e "DEPLOY_DJANGO_KEEP=$(keeps "$current")"
    in_django "$current" ask exec "$@" "$asker" 2>/dev/null | document migrations
  fi
  checked_release=$current question=.deploy/plans/$transaction/http.json
  if [ ! -f .deploy/transaction ] || [ ! -f "$question" ]; then return; fi
  read -r python <".deploy/releases/$current/facts/manage"
  exec_http | document http
}

document() { grep '^{"deploy-django":' | tail -n 1 | sed "s/^/$1 /"; } # NAME: the last one of a probe
