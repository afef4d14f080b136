# shellcheck shell=sh
## Words of the script: what a step says and reads. Facts are files, read line by line.

die() { # CODE TEXT…: the runner turns the code into an explanation (src/server/failure.ts)
  code=$1
  shift
  printf 'deploy-django: %s\n' "$*" >&2
  exit "$code"
}

# Under debug logging each call of Docker is a line, on descriptor 4: a caller may read or drop the other two. For that
# reason it is not `set -x`, whose lines would get into each answer that is read with `2>&1`.
open_trace() {
  if is_traced; then exec 4>&2; fi
}

is_traced() { [ -n "${DEPLOY_DJANGO_TRACE:-}" ]; }

trace() { # WORDS…
  if ! is_traced; then return; fi
  # In one write, as several processes share the descriptor.
  printf 'trace:%s\n' "$(printf ' %.200s' "$@" | tr '\n' ' ')" >&4
}

traced() { # COMMAND…
  if ! is_traced; then
    "$@"
    return
  fi
  traced_since=$(date +%s) traced_code=0
  "$@" || traced_code=$?
  trace "$@" "-> exit $traced_code after $(($(date +%s) - traced_since)) s"
  return "$traced_code"
}

enter() { # the project's directory is the working directory of everything below
  cd "$1" 2>/dev/null || die "$exit_no_directory" "no directory $1"
  directory=$(pwd -P)
}

read_clock() { # sets `now`
  now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
  case $now in
    '' | *[!0-9TZ:.-]*) now=$(date -u +%Y-%m-%dT%H:%M:%SZ) ;; # BusyBox has no fractions
  esac
}

flush() { sync "$@" 2>/dev/null || sync; }
pause() { sleep "$1" 2>/dev/null || sleep 1; }
entries() { ls "$1" 2>/dev/null || true; }
first_word() { while read -r word _; do printf '%s\n' "$word"; done; }
second_word() { while read -r _ word _; do printf '%s\n' "$word"; done; }
is_listed() { # WORD LIST
  case "$newline$2$newline" in *"$newline$1$newline"*) ;; *) return 1 ;; esac
}

only_in() { # LIST LIST: what the first has and the second has not
  printf '%s\n' "$1" | while read -r item; do
    if [ -n "$item" ] && ! is_listed "$item" "$2"; then printf '%s\n' "$item"; fi
  done
}

both_in() { only_in "$1" "$(only_in "$1" "$2")"; } # LIST LIST: what is in both

is_there() { # FILE: or in a folder that only others may look into, such as Docker
  above=$1
  until [ -e "$above" ]; do
    case $above in */?*) above=${above%/*} ;; *) return 1 ;; esac
    above=${above:-/}
  done
  [ "$above" = "$1" ] || [ ! -x "$above" ]
}

on() { # LIST COMMAND…: the command with the words of the list behind it; nothing when there are none
  list=$1
  shift
  given=$#
  for item in $list; do set -- "$@" "$item"; done
  if [ "$#" -gt "$given" ]; then "$@"; fi
}

show() { while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$1"; } # without starting a program
release_fact() { show ".deploy/releases/$1/facts/$2"; }
release_list() { if [ -f ".deploy/releases/$1/facts/$2" ]; then release_fact "$1" "$2"; fi; }
plan_fact() { show ".deploy/plans/$transaction/facts/$1"; }
plan_list() { fact_of "$transaction" "$1"; }
fact_of() { if [ -f ".deploy/plans/$1/facts/$2" ]; then show ".deploy/plans/$1/facts/$2"; fi; } # TRANSACTION NAME
last_committed() { if [ -s .deploy/transaction ]; then show .deploy/transaction; fi; }
read_current() { if [ -s .deploy/current ]; then show .deploy/current; fi; }
services_of() { release_list "$1" services | second_word; }
named() { # RELEASE: the services that it deals with
  services_of "$1" && release_list "$1" data && release_list "$1" others
}
