# shellcheck shell=sh
## Journal: which steps began and ended, on disk before each change.

journal() { # STEP STATE DETAIL…: on disk before the change that it announces
  read_clock
  printf '%s %s\n' "$now" "$*" >>".deploy/journal/$transaction"
  flush ".deploy/journal/$transaction"
  # Printed between the log lines, so that a follower sees which lines belong to this step.
  echo "step $now $*"
}

says() { # TRANSACTION STEP [STATE]: whether its journal has such a line
  while read -r _ said state _; do
    if [ "$said" = "$2" ] && [ "${3:-$state}" = "$state" ]; then return; fi
  done <".deploy/journal/$1"
  return 1
}

happened() { says "$transaction" "$1" "$2"; }
is_ended() { says "$1" end; }
is_on_show() { says "$1" keep begin && ! says "$1" back begin; } # its containers were kept for inspection
is_aborted() { [ -f ".deploy/journal/$transaction.abort" ]; }

# Whether its engine lives. The lock is shared: at most it delays an engine that is just starting.
is_alive() { [ -e ".deploy/plans/$1/alive" ] && ! flock -s -n ".deploy/plans/$1/alive" true; }

commits() { # "TIME commit begin RELEASE after RELEASE-BEFORE", oldest first; only names of journals end in a digit
  if [ ! -d .deploy/journal ]; then return; fi
  find .deploy/journal -name '*[0-9]' -exec grep -h '^[^ ]* commit begin ' {} + | sort
}

previous_of() { # RELEASE: the release before its first commit, if it still exists
  commits | while read -r _ _ _ id _ before; do
    if [ "$id" = "$1" ]; then
      # No rollback target: the same release again, or a failed one that stayed because no revert was possible.
      if is_once_more "$1" "$before" || is_failed "$before"; then
        (previous_of "$before")
      elif [ -d ".deploy/releases/$before" ]; then echo "$before"; fi
      break
    fi
  done
}

is_failed() { [ -f ".deploy/journal/$1" ] && says "$1" end forward; } # RELEASE

is_once_more() { # RELEASE RELEASE-BEFORE: whether only their ids differ, so that a rollback would change nothing
  [ "$1" != "$2" ] && [ -s ".deploy/releases/$1/facts/fingerprint" ] &&
    [ "$(release_list "$1" fingerprint)" = "$(release_list "$2" fingerprint)" ]
}
