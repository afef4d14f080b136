# shellcheck shell=sh
## Journal: what was begun and what ended, on disk before the deed.

journal() { # STEP STATE DETAIL…: on disk before the deed that it announces
  read_clock
  printf '%s %s\n' "$now" "$*" >>".deploy/journal/$transaction"
  flush ".deploy/journal/$transaction"
}

says() { # TRANSACTION STEP [STATE]: one of its lines is about that
  while read -r _ said state _; do
    if [ "$said" = "$2" ] && [ "${3:-$state}" = "$state" ]; then return; fi
  done <".deploy/journal/$1"
  return 1
}

happened() { says "$transaction" "$1" "$2"; }
is_ended() { says "$1" end; }
is_on_show() { says "$1" keep begin && ! says "$1" back begin; } # its containers were kept for a look
is_aborted() { [ -f ".deploy/journal/$transaction.abort" ]; }

# Whether its engine lives. The lock is shared: it only holds back an engine that is just about to start.
is_alive() { [ -e ".deploy/plans/$1/alive" ] && ! flock -s -n ".deploy/plans/$1/alive" true; }

commits() { # "TIME commit begin RELEASE after RELEASE-BEFORE", the oldest first; ids end in a digit, other files do not
  if [ ! -d .deploy/journal ]; then return; fi
  find .deploy/journal -name '*[0-9]' -exec grep -h '^[^ ]* commit begin ' {} + | sort
}

previous_of() { # RELEASE: what served before RELEASE was committed for the first time, if it is still here
  commits | while read -r _ _ _ id _ before; do
    if [ "$id" = "$1" ]; then
      if is_once_more "$1" "$before"; then
        (previous_of "$before")
      elif [ -d ".deploy/releases/$before" ]; then echo "$before"; fi
      break
    fi
  done
}

is_once_more() { # RELEASE RELEASE-BEFORE: they differ in nothing but their id, so the one is no way back from the other
  [ "$1" != "$2" ] && [ -s ".deploy/releases/$1/facts/fingerprint" ] &&
    [ "$(release_list "$1" fingerprint)" = "$(release_list "$2" fingerprint)" ]
}
