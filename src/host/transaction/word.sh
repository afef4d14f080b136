# shellcheck shell=sh
## Words of the script: output, input and lists. Facts are files, read line by line.

die() { # CODE TEXT…: the runner turns the code into an explanation (src/host/failure.ts)
  code=$1
  shift
  printf 'deploy-django: %s\n' "$*" >&2
  exit "$code"
}

# With debug logging, each Docker call is logged on descriptor 4: a caller may read or drop stdout and stderr.
# `set -x` would write into every answer that is read with `2>&1`.
open_trace() {
  if is_traced; then exec 4>&2; fi
}

is_traced() { [ -n "${DEPLOY_DJANGO_TRACE:-}" ]; }

trace() { # WORDS…
  if ! is_traced; then return; fi
  # One write, because several processes share the descriptor.
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

enter() { # DIRECTORY: becomes the working directory of everything below
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
# A host without `sleep` is shutting down: a loop that waits would only use its processor.
pause() { sleep "$1" 2>/dev/null || sleep 1 || exit 1; }
entries() { ls "$1" 2>/dev/null || true; }
first_word() { while read -r word _; do printf '%s\n' "$word"; done; }
second_word() { while read -r _ word _; do printf '%s\n' "$word"; done; }
is_listed() { # WORD LIST
  case "$newline$2$newline" in *"$newline$1$newline"*) ;; *) return 1 ;; esac
}

only_in() { # LIST LIST: items of the first that are not in the second
  printf '%s\n' "$1" | while read -r item; do
    if [ -n "$item" ] && ! is_listed "$item" "$2"; then printf '%s\n' "$item"; fi
  done
}

both_in() { only_in "$1" "$(only_in "$1" "$2")"; } # LIST LIST: items in both

is_there() { # FILE: whether it exists, or may exist in a folder that this user cannot enter, such as Docker's
  above=$1
  until [ -e "$above" ]; do
    case $above in */?*) above=${above%/*} ;; *) return 1 ;; esac
    above=${above:-/}
  done
  [ "$above" = "$1" ] || [ ! -x "$above" ]
}

free_space() { # FOLDER: KiB on its disk
  df -Pk "$1" | {
    read -r _
    read -r _ _ _ free _
    echo "$free"
  }
}

on() { # LIST COMMAND…: appends the words of the list; runs nothing if there are none
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

last_answer() { # what the last committed transaction reported about the database
  last=$(last_committed)
  for verb in verify migrate; do
    if [ -s ".deploy/journal/$last.$verb.json" ]; then
      show ".deploy/journal/$last.$verb.json"
      return
    fi
  done
}

resolve_home() { # PATH: as Compose resolves it: `~` is the home of the user that calls Docker
  case $1 in
    \~/*) home=${through:+/root} && printf '%s\n' "${home:-$HOME}/${1#??}" ;;
    *) printf '%s\n' "$1" ;;
  esac
}

with_role() { # RELEASE ROLE…: its services with one of these roles, in start order
  release_list "$1" services | {
    shift
    while read -r role _ service; do
      case " $* " in *" $role "*) echo "$service" ;; esac
    done
  }
}

services_of() { with_role "$1" app; }
behind_app() { with_role "$1" cache database one-time; }      # started before the app if absent
named() { with_role "$1" app front cache database one-time; } # all services that have containers while it serves
