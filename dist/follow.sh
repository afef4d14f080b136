# shellcheck shell=sh
## Commands beside the transaction: follow, abort.

follow() { # DIRECTORY TRANSACTION JOURNAL-LINES LOG-LINES: prints what comes after those lines, and "x …" at the end
  enter "$1"
  transaction=$2 seen_journal=$3 seen_log=$4
  while :; do
    # Checked before reading, so that no line is missed.
    if is_alive "$transaction" && ! is_settled; then over=; else over=yes; fi
    show_new j ".deploy/journal/$transaction" "$seen_journal"
    seen_journal=$total
    show_new l ".deploy/journal/$transaction.log" "$seen_log"
    seen_log=$total
    if [ -n "$over" ]; then break; fi
    pause 0.1
  done
  for name in $(entries .deploy/journal); do
    case $name in
      "$transaction".back-*.json) sed 's/^/b /' ".deploy/journal/$name" ;;
      "$transaction".*.json) sed 's/^/r /' ".deploy/journal/$name" ;;
    esac
  done
  if [ ! -f ".deploy/journal/$transaction" ]; then
    echo "x died"
  elif is_ended "$transaction"; then
    echo "x ended"
  elif is_on_show "$transaction"; then
    echo "x kept"
  elif is_alive "$transaction" && is_settled; then
    echo "x committed"
  else
    echo "x died"
  fi
}

# After the commit only old releases are removed, still under the lock. The runner does not wait for that.
is_settled() { [ -f ".deploy/journal/$transaction" ] && happened commit end && ! is_forward; }

show_new() { # MARK FILE SEEN: sets `total`
  total=$3
  if [ -f "$2" ]; then
    total=$(wc -l <"$2")
    if [ "$total" -gt "$3" ]; then sed -n "$(($3 + 1)),${total}s/^/$1 /p" "$2"; fi
  fi
}

abort() { # DIRECTORY TRANSACTION: reverts at the next safe point, never during a migration
  enter "$1"
  : >".deploy/journal/$2.abort"
}
