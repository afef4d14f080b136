# shellcheck shell=sh
## Status: the present state, for a person. It changes nothing and keeps no lock. It omits what does not answer.

status() { # DIRECTORY: a word and its value per line
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

recent_deployments() { # the last ten: "deployment BEGUN ID TARGET ENDED WORD STEP", a dash if unknown
  find .deploy/journal -name '*[0-9]' -exec awk '
    function tell() { if (id) print "deployment", begun, id, target, ended, word, step }
    FNR == 1 { tell(); begun = $1; id = $3; target = $4; ended = word = step = "-"; forward = 0 }
    $2 == "forward" { forward = 1 }
    $3 == "begin" || $3 == "fail" { if (ended == "-" && !forward && $2 !~ "^(back|return)" && $2 != "undo") step = $2 }
    $2 == "end" { ended = $1; word = $3 }
    END { tell() }' {} + | sort | tail -n 10 | while read -r line; do
    echo "$line"
    id=${line#* * }
    id=${id%% *}
    if ! is_ended "$id"; then echo "open $id $(if is_alive "$id"; then echo running; else echo interrupted; fi)"; fi
  done
}

used_disk() { # by the releases: our files in KiB, and each image in bytes
  echo "files $(du -sk .deploy | first_word)"
  for image in $(for id in $(entries .deploy/releases); do release_list "$id" images; done | second_word | sort -u); do
    if size=$(ask image inspect -f '{{.Size}}' "$image" 2>/dev/null); then echo "image $image $size"; fi
  done
}

running_release() {
  project=$(release_fact "$current" project)
  list_containers
  template="container $service_template {{.State.Status}}"
  template=$template' {{with .State.Health}}{{.Status}}{{else}}-{{end}} {{.RestartCount}} {{.Config.Image}}'
  on "$(printf '%s\n' "$seen" | first_word)" ask inspect -f "$template" | sort
  left_over_ports | sed 's/^/port-left-over /'
  # An adopted release may serve although no transaction has committed. Then any plan's probe can inspect it.
  transaction=$(cat .deploy/transaction 2>/dev/null) || transaction=$(entries .deploy/plans | tail -n 1)
  target=$current asker=$(first_running "$(release_fact "$current" django)")
  if [ -z "$asker" ] || [ ! -f ".deploy/plans/$transaction/probe.py" ]; then return; fi
  echo "command $(ask inspect -f '{{json .Path}} {{json .Args}}' "$asker")"
  if needs_entrypoint; then
    # `exec` does not get the variables that the entrypoint sets. PostgreSQL refuses writes of this container.
    change_limit=$call_limit
    run_probe "$current" plan --rm 2>/dev/null | document migrations
  else
    set -- -e DEPLOY_DJANGO=plan -e "DEPLOY_DJANGO_KEEP=$(keeps "$current")" \
      -e "DEPLOY_DJANGO_DATABASES=$(databases "$current")" -e "DEPLOY_DJANGO_START=$(start_of "$current")"
    in_django "$current" ask exec "$@" "$asker" 2>/dev/null | document migrations
  fi
  checked_release=$current question=.deploy/plans/$transaction/http.json
  if [ ! -f .deploy/transaction ] || [ ! -f "$question" ]; then return; fi
  read -r python <".deploy/releases/$current/facts/manage"
  exec_http | document http
}

document() { grep '^{"deploy-django":' | tail -n 1 | sed "s/^/$1 /"; } # NAME: the last document of a probe
