# shellcheck shell=sh
## The probe (django/probe/*.py) inside an image or a container of the release.

# One word without spaces: it passes through any entrypoint, needs no mount and no standard input.
probe_word() { cat ".deploy/plans/$transaction/probe.py"; }

in_django() { # RELEASE COMMAND…: the command with the release's way to start Django and the probe behind it
  manage=.deploy/releases/$1/facts/manage
  shift
  while read -r word; do set -- "$@" "$word"; done <"$manage"
  "$@" shell -v 0 -c "$(probe_word)"
}

run_probe() { # RELEASE VERB COMPOSE-RUN-OPTIONS…: inside Django, in a one-off container of the release
  image_of=$1 asks=$2
  set -- "$@" -e "DEPLOY_DJANGO=$2" -e "DEPLOY_DJANGO_KEEP=$(keeps "$1")" -e PYTHONUNBUFFERED=1
  shift 2
  manage=.deploy/releases/$image_of/facts/manage skipped=yes
  if ! needs_entrypoint; then
    read -r program <"$manage"
    set -- "$@" --entrypoint "$program"
    skipped=
  elif [ "$asks" != migrate ]; then
    set -- "$@" -e 'PGOPTIONS=-c default_transaction_read_only=on'
  fi
  set -- "$@" "$(release_fact "$image_of" django)"
  while read -r word; do
    if [ -n "$skipped" ]; then set -- "$@" "$word"; fi
    skipped=yes
  done <"$manage"
  one_off "$image_of" "$asks" "$@" shell -v 0 -c "$(probe_word)"
}

# Whether the database has to outlive the containers; with `migrate: none` it is none of our business.
keeps() { if [ "$(release_list "$1" migrate)" = none ]; then echo no; else echo yes; fi; } # RELEASE

# Some entrypoints make the settings (DATABASE_URL out of its parts), others migrate. So an image is asked without its
# entrypoint first. When Django does not start so, or only on a SQLite file in the container, it is asked once more with
# it, and PostgreSQL takes no writes meanwhile. Whoever starts Django later in this transaction does it the same way.
ask_django() { # RELEASE VERB COMPOSE-RUN-OPTIONS…
  asked=0 again=0
  run_probe "$@" --rm || asked=$?
  if needs_entrypoint || ! may_lack_entrypoint "$asked"; then return "$asked"; fi
  if [ "$2" = list ]; then
    # Of a database that does not run yet, for which the entrypoint would wait.
    run_probe "$@" --rm -e DATABASE_URL=sqlite://:memory: || again=$?
  else
    : >".deploy/plans/$transaction/entrypoint"
    change_limit=120 # an entrypoint may wait for something that does not come
    run_probe "$@" --rm || again=$?
    rm ".deploy/plans/$transaction/entrypoint"
  fi
  # With an entrypoint that cannot run here alone, the first answer is the one to tell.
  if [ "$again" -eq 1 ] || [ "$again" -ge 30 ]; then return "$asked"; fi
  : >".deploy/plans/$transaction/entrypoint"
  return "$again"
}

# 1: Python ended before the probe began, mostly in the settings.
may_lack_entrypoint() { # EXIT-CODE
  case $1 in 1 | "$exit_not_importable" | "$exit_not_kept") ;; *) return 1 ;; esac
}
needs_entrypoint() { [ -e ".deploy/plans/$transaction/entrypoint" ]; }

report() { # NAME COMMAND…: keeps the JSON that a probe prints for the runner; the code is the probe's
  answer=.deploy/journal/$transaction.$1.json
  shift
  answered=0
  "$@" >"$answer.out" || answered=$?
  grep '^{"deploy-django":' "$answer.out" | tail -n 1 >"$answer"
  rm -f "$answer.out"
  return "$answered"
}
