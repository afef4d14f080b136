# shellcheck shell=sh
## The probe (django/probe/*.py) inside an image or a container of the release.

# One word without spaces: it passes through any entrypoint and needs neither a mount nor standard input.
probe_word() { cat ".deploy/plans/$transaction/probe.py"; }

in_django() { # RELEASE COMMAND…: appends the release's words that start Django, and the probe
  manage=.deploy/releases/$1/facts/manage
  shift
  while read -r word; do set -- "$@" "$word"; done <"$manage"
  "$@" shell -v 0 -c "$(probe_word)"
}

run_probe() { # RELEASE VERB OPTIONS…: inside Django, in a one-off container of the release
  image_of=$1 asks=$2
  set -- "$@" -e "DEPLOY_DJANGO=$2" -e "DEPLOY_DJANGO_KEEP=$(keeps "$1")" -e PYTHONUNBUFFERED=1 \
    -e "DEPLOY_DJANGO_DATABASES=$(databases "$1")"
  case $2 in
    fit) set -- "$@" -e "DEPLOY_DJANGO_MIGRATED=$(both_databases)" ;;
    plan | list) set -- "$@" -e "DEPLOY_DJANGO_START=$(start_of "$1")" ;;
  esac
  shift 2
  manage=.deploy/releases/$image_of/facts/manage skipped=yes
  if ! needs_entrypoint; then
    read -r program <"$manage"
    set -- "$@" --entrypoint "$program"
    skipped=
  elif [ "$asks" != migrate ] && [ "$asks" != unapply ]; then
    set -- "$@" -e 'PGOPTIONS=-c default_transaction_read_only=on'
  fi
  set -- "$@" "$(release_fact "$image_of" django)"
  while read -r word; do
    if [ -n "$skipped" ]; then set -- "$@" "$word"; fi
    skipped=yes
  done <"$manage"
  run_one_off "$image_of" "$asks" "$@" shell -v 0 -c "$(probe_word)"
}

# Whether the database must outlive the containers. With `migrate: none` that does not matter.
keeps() { if [ "$(release_list "$1" migrate)" = none ]; then echo no; else echo yes; fi; } # RELEASE

databases() { release_list "$1" databases | tr '\n' ' '; } # RELEASE: those that it plans and migrates

start_of() { release_list "$1" start | tr '\n' ' '; } # RELEASE: what its start command says of the settings

# The code of one release must also fit what the other one migrates.
both_databases() { echo "$(databases "$target")$(databases "$current")"; }

# Some entrypoints set variables (DATABASE_URL from its parts), others migrate. So the first attempt skips the
# entrypoint. The second attempt runs it, if Django does not start without it or uses a SQLite file in the container.
# PostgreSQL refuses writes while it runs. Every later start of Django in this transaction does the same as the attempt
# that succeeded.
ask_django() { # RELEASE VERB OPTIONS…
  asked=0 again=0
  run_probe "$@" --rm || asked=$?
  if needs_entrypoint || ! may_lack_entrypoint "$asked"; then return "$asked"; fi
  if [ "$2" = list ]; then
    list_alone "$@" || again=$?
  else
    : >".deploy/plans/$transaction/entrypoint"
    change_limit=120 # an entrypoint may wait for something that never comes
    run_probe "$@" --rm || again=$?
    rm ".deploy/plans/$transaction/entrypoint"
  fi
  # If the entrypoint cannot run alone here, report the first answer.
  if [ "$again" -eq 1 ] || [ "$again" -ge 30 ]; then return "$asked"; fi
  : >".deploy/plans/$transaction/entrypoint"
  return "$again"
}

# Uses a running container of the target, which is faster than a one-off container.
ask_running() { # CONTAINER VERB OPTIONS…
  running=$1 asks=$2 asked=$exit_not_importable
  shift 2
  if ! needs_entrypoint; then
    asked=0
    in_django "$target" ask exec -e "DEPLOY_DJANGO=$asks" -e "DEPLOY_DJANGO_KEEP=$(keeps "$target")" \
      -e "DEPLOY_DJANGO_DATABASES=$(databases "$target")" "$@" "$running" || asked=$?
  fi
  # `exec` does not get the variables that an entrypoint sets.
  if ! may_lack_entrypoint "$asked"; then return "$asked"; fi
  ask_django "$target" "$asks" "$@"
}

# Lists migrations before the database runs: the entrypoint would wait for it. Each variable that the settings miss gets
# a stand-in value, one per attempt. Such variables do not decide which migrations an image has.
list_alone() { # RELEASE VERB OPTIONS…
  listing=.deploy/plans/$transaction/list tries=0 first=
  set -- "$@" -e DATABASE_URL=sqlite://:memory:
  while :; do
    listed=0
    run_probe "$@" --rm >"$listing" 2>"$listing.error" || listed=$?
    if [ -z "$first" ]; then
      first=$listed
      cp "$listing" "$listing.first"
      cp "$listing.error" "$listing.first.error"
    fi
    if ! may_lack_entrypoint "$listed"; then break; fi
    name=$(missing_variable <"$listing.error") && [ -n "$name" ] || name=$(missing_variable <"$listing")
    tries=$((tries + 1))
    if [ -z "$name" ] || [ "$tries" -gt 12 ] || ! has_entrypoint "$1"; then
      listed=$first listing=$listing.first # a later error may only concern a stand-in value
      break
    fi
    set -- "$@" -e "$name=$(stand_in_for "$name")"
  done
  cat "$listing"
  cat "$listing.error" >&2
  return "$listed"
}

# How os.environ, django-environ, decouple, environs and ImproperlyConfigured name a missing variable.
missing_variable() {
  word='\([A-Za-z_][A-Za-z0-9_]*\)' capitals='\([A-Z][A-Z0-9_]*\)' quote="[\\\\\"'\`]*"
  sed -n -e "s/.*KeyError: '$word'.*/\1/p" -e "s/.*Set the $word environment variable.*/\1/p" \
    -e "s/.*UndefinedValueError: $word not found.*/\1/p" \
    -e "s/.*[Ee]nvironment variable $quote$capitals.*/\1/p" \
    -e "s/.*[ \"'\`]$capitals$quote environment variable.*/\1/p" | tail -n 1
}

stand_in_for() { # VARIABLE: a value of the kind that its name suggests; `1` is a number, a boolean and a text
  case $1 in
    *DATABASE*URL | DB_URL) echo sqlite://:memory: ;;
    *MAIL*URL) echo smtp://localhost ;;
    *DSN) echo http://key@localhost/1 ;;
    *URL | *URI | *BROKER*) echo redis://localhost:6379/0 ;;
    *HOST | *HOSTS) echo localhost ;;
    *) echo 1 ;;
  esac
}

image_of_django() { release_fact "$1" images | sed -n "s/^$(release_fact "$1" django) //p"; } # RELEASE

has_entrypoint() { # RELEASE: whether its image or its service has one
  words=$(ask image inspect -f '{{len .Config.Entrypoint}}' "$(image_of_django "$1")" 2>/dev/null) || words=0
  [ "$words" != 0 ] || grep -q '["[:space:]]entrypoint' ".deploy/releases/$1/run.yaml"
}

# 1: Python ended before the probe began, usually in the settings.
may_lack_entrypoint() { # EXIT-CODE
  case $1 in 1 | "$exit_not_importable" | "$exit_not_kept") ;; *) return 1 ;; esac
}
needs_entrypoint() { [ -e ".deploy/plans/$transaction/entrypoint" ]; }

report() { # NAME COMMAND…: keeps the probe's JSON for the runner; returns the probe's exit code
  about=$1
  shift
  keep_document ".deploy/journal/$transaction.$about.json" "$@"
}

keep_document() { # FILE COMMAND…: sets `answering_host`, if the probe names one
  answer=$1
  shift
  answered=0
  "$@" >"$answer.out" || answered=$?
  answering_host=$(sed -n 's/^answering-host //p' "$answer.out")
  grep '^{"deploy-django":' "$answer.out" | tail -n 1 >"$answer"
  rm -f "$answer.out"
  return "$answered"
}
