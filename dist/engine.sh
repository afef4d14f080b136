# shellcheck shell=sh
## Engine: runs the steps under the lock, reverts them, and recovers interrupted transactions.
## A step is a function `step_NAME`, with `announce_NAME` and `undo_NAME` where needed.

begin() { # DIRECTORY TRANSACTION: starts the engine, which outlives this session
  enter "$1"
  choose_session || die "$exit_logind" "logind ends the processes of $(id -un) when this login ends"
  log=.deploy/journal/$2.log
  # shellcheck disable=SC2086 # words
  $outliving sh ".deploy/plans/$2/transaction.sh" engine "$directory" "$2" </dev/null >>"$log" 2>&1 4>&- &
  tries=0
  until [ -s "$log" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || die "$exit_not_started" "the deployment did not start"
    pause 0.02
  done
  register_boot >>"$log"
}

engine() { # DIRECTORY TRANSACTION
  enter "$1"
  transaction=$2
  trap '' HUP
  # The lock on descriptor 8 shows that this engine lives. Its children close the descriptor.
  exec 8>>".deploy/plans/$transaction/alive"
  tries=0
  until flock -n 8; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || die "$exit_already_running" "deployment $transaction is already running"
    pause 0.05
  done
  echo "transaction $transaction"
  opening="begin $transaction $(plan_fact target) from"
  take_lock "$transaction $(plan_fact url)" || {
    serving=$(read_current)
    # One write: the holder of the lock must never see this transaction as open.
    read_clock
    printf '%s\n' "$now $opening ${serving:--}" "$now end back $serving" >>".deploy/journal/$transaction"
    exit 0
  }
  if [ ! -f ".deploy/journal/$transaction" ]; then
    serving=$(read_current)
    journal "$opening" "${serving:--}"
    run_steps
  elif ! is_ended "$transaction"; then
    resume "$directory" "$transaction"
  fi
}

# Descriptor 9 is the project's lock. Every child inherits it: while an orphan still changes the host, no other
# deployment can start.
take_lock() { # NAME: waits and prints the holder; fails if this transaction is aborted while it waits
  exec 9>>.deploy/lock
  holder=
  until flock -n 9; do
    if is_aborted; then return 1; fi
    if [ "$holder" != "$(cat .deploy/lock)" ]; then
      holder=$(cat .deploy/lock)
      echo "waiting for the lock, held by $holder"
      forget_migrated
    fi
    pause 0.2
  done
  echo "$1" >.deploy/lock
}

# Another deployment may have migrated after this one was planned.
forget_migrated() { rm -f ".deploy/plans/$transaction/facts/migrated"; }

run_steps() { # runs the remaining steps; a failure reverts them, or goes forward if no revert is possible
  while read -r step <&3; do
    if happened "$step" end; then continue; fi
    if is_aborted && ! is_forward && ! happened verify end; then
      find_return
      if [ "$return" != none ]; then
        back aborted
        return
      fi
      go_forward aborted
    fi
    if is_forward && is_left_out "$step"; then continue; fi
    result=0
    attempt "$step" || result=$?
    if [ "$result" -eq 0 ]; then continue; fi
    # A committed release stays committed, even if its prune fails.
    if happened commit end; then break; fi
    if is_forward && [ "$step" != commit ] && [ "$result" -ne "$exit_docker_away" ]; then continue; fi
    # After `verify` there is no revert: the next deployment repeats the remaining steps.
    if is_forward || happened verify end; then exit "$result"; fi
    failed=$result
    find_return
    if [ "$return" = none ]; then
      go_forward "$step" "$failed"
      continue
    fi
    if should_stay; then
      journal keep begin "$step" "$failed"
      echo "keeping the new containers for inspection (on-failure: keep); the next deploy or rollback reverts first"
      exit "$failed"
    fi
    back "$step" "$failed"
    return
  done 3<".deploy/plans/$transaction/steps"
  if ! happened commit end; then
    journal end unchanged "$(read_current)"
  elif is_forward && ! { happened health end && happened verify end; }; then
    journal end forward "$(read_current)"
  else
    journal end committed "$(read_current)"
  fi
}

# The old code cannot use the new schema, and unapplying it would lose data. So the new release starts and stays, even
# if it is unhealthy.
go_forward() { # REASON…
  journal forward begin "$@"
  echo "going forward: $*"
}

is_forward() { happened forward begin; }

# Keeps the failed containers for inspection. A trial container is kept only while the site serves.
should_stay() {
  if [ "$(plan_list on-failure)" != keep ] || is_aborted; then return 1; fi
  happened swap begin || { happened try begin && ! happened stop begin; }
}

attempt() { # STEP: repeats it if it failed while Docker was away, because its result is unknown then
  deadline=
  while :; do
    result=0
    perform "$1" || result=$?
    if [ "$result" -eq 0 ] || docker_answers; then break; fi
    echo "docker does not answer: waiting for it"
    deadline=${deadline:-$(($(date +%s) + away_limit))}
    until docker_answers || [ "$(date +%s)" -ge "$deadline" ]; do pause 0.2; done
    if [ "$(date +%s)" -ge "$deadline" ]; then
      result=$exit_docker_away
      break
    fi
  done
  if [ "$result" -eq 0 ]; then journal "$1" end; else journal "$1" fail "$result"; fi
  return "$result"
}

perform() { # STEP: as a process of its own
  target=$(plan_fact target) current=$(read_current)
  # The facts for its undo must be on disk before the step changes anything.
  note=$(if is_defined "announce_$1"; then "announce_$1"; fi) && journal "$1" "begin${note:+ $note}" &&
    sh ".deploy/plans/$transaction/transaction.sh" step "$directory" "$transaction" "$1" 3<&- 8>&-
}

back() { # REASON…: to the current release
  happened back begin || journal back begin "$@"
  echo "going back: $*"
  if [ -n "$(undos)" ]; then
    attempt undo || {
      journal back fail
      echo "the revert failed: the next deploy, rollback or recovery tries again"
      exit "$exit_revert_failed"
    }
  fi
  # Failures are reported and not retried: there is nothing better than the current release.
  if may_have_changed_schema; then attempt back_fit || true; fi
  if may_have_changed_schema || touched_app; then attempt back_health || true; fi
  journal back end
  journal end back "$(read_current)"
}

# A step that changes something has `undo_STEP`. Undos run in the order of the plan: first they settle the migration,
# last they start the current release's containers. `undo_last_STEP` is for an early step that must be undone after all
# others.
undos() { # the undos of the steps that have begun
  for kind in undo undo_last; do
    while read -r begun; do
      if happened "$begun" begin && is_defined "${kind}_$begun"; then echo "${kind}_$begun"; fi
    done <".deploy/plans/$transaction/steps"
  done
}

step_undo() {
  for undone in $(undos); do "$undone"; done
}

is_defined() { command -v "$1" >/dev/null; } # FUNCTION

resume() { # DIRECTORY TRANSACTION: finishes an interrupted transaction, under the caller's lock
  enter "$1"
  transaction=$2
  echo "finishing deployment $transaction, which was interrupted"
  forget_migrated
  # A power loss may have cut off the last line.
  if [ -n "$(tail -c 1 ".deploy/journal/$transaction")" ]; then echo >>".deploy/journal/$transaction"; fi
  if happened back begin; then
    back
  elif is_forward || happened verify end; then
    run_steps
  else
    find_return
    if [ "$return" = none ]; then
      if ! happened migrate end; then go_forward interrupted; fi
      run_steps
    else
      back interrupted
    fi
  fi
}

recover() { # DIRECTORY: recovery when no transaction follows
  enter "$1"
  transaction=
  take_lock recovery
  recover_all
}

recover_all() { # [replace]: gives up a revert that cannot be finished, because this deployment replaces both releases
  for id in $(entries .deploy/journal); do
    case $id in *[0-9]) ;; *) continue ;; esac
    if [ "$id" = "$transaction" ] || is_ended "$id" || is_alive "$id"; then continue; fi
    if [ "${1:-}" != replace ] && is_on_show "$id"; then continue; fi
    forget_migrated
    script=.deploy/plans/$id/transaction.sh
    if [ -f "$script" ] && sh "$script" resume "$directory" "$id" 3<&-; then continue; fi
    if [ "${1:-}" = replace ] && docker_answers &&
      { [ ! -f "$script" ] || says "$id" back begin || says "$id" return begin; }; then
      echo "warning: deployment $id could not be reverted; this one replaces what it left"
      (transaction=$id && journal end failed "$(read_current)")
    else
      die "$exit_recovery_failed" "deployment $id was interrupted and could not be finished"
    fi
  done
}

step() { # DIRECTORY TRANSACTION STEP
  enter "$1"
  transaction=$2
  target=$(plan_fact target)
  project=$(release_fact "$target" project)
  current=$(read_current)
  migration=$project-migrate trial=$project-try
  "step_$3"
}
