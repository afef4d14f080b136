# shellcheck shell=sh
## Engine: lock, walk, back, recover.
## A step is a function `step_NAME`, with `announce_NAME` and `undo_NAME` where it needs them.

begin() { # DIRECTORY TRANSACTION: starts the engine, which outlives this session
  enter "$1"
  choose_session || die "$exit_logind" "logind ends what $(id -un) started at the end of this login"
  log=.deploy/journal/$2.log
  # shellcheck disable=SC2086 # words
  $outliving sh ".deploy/plans/$2/transaction.sh" engine "$directory" "$2" </dev/null >>"$log" 2>&1 4>&- &
  tries=0
  until [ -s "$log" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || die "$exit_not_started" "the transaction did not start"
    pause 0.02
  done
  register_boot >>"$log"
}

engine() { # DIRECTORY TRANSACTION
  enter "$1"
  transaction=$2
  trap '' HUP
  # Descriptor 8 says that this engine lives; its children do not have it.
  exec 8>>".deploy/plans/$transaction/alive"
  tries=0
  until flock -n 8; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || die "$exit_already_running" "transaction $transaction is already running"
    pause 0.05
  done
  echo "transaction $transaction"
  opening="begin $transaction $(plan_fact target) from"
  take_lock "$transaction $(plan_fact url)" || {
    serving=$(read_current)
    # In one breath: whoever has the lock must not find this transaction open.
    read_clock
    printf '%s\n' "$now $opening ${serving:--}" "$now end back $serving" >>".deploy/journal/$transaction"
    exit 0
  }
  if [ ! -f ".deploy/journal/$transaction" ]; then
    serving=$(read_current)
    journal "$opening" "${serving:--}"
    walk
  elif ! is_ended "$transaction"; then
    resume "$directory" "$transaction"
  fi
}

# Descriptor 9 is the project's lock. Every child inherits it, so an orphan that still changes the server must end
# before anybody else begins.
take_lock() { # NAME: waits, and says for whom; fails when this transaction is aborted meanwhile
  exec 9>>.deploy/lock
  holder=
  until flock -n 9; do
    if is_aborted; then return 1; fi
    if [ "$holder" != "$(cat .deploy/lock)" ]; then
      holder=$(cat .deploy/lock)
      echo "waiting for the lock, held by $holder"
    fi
    pause 0.2
  done
  echo "$1" >.deploy/lock
}

walk() { # the steps that are not done yet, to the end or back
  while read -r step <&3; do
    if happened "$step" end; then continue; fi
    if is_aborted && ! happened verify end; then
      back aborted
      return
    fi
    result=0
    attempt "$step" || result=$?
    if [ "$result" -eq 0 ]; then continue; fi
    # A release that is committed stays so, whatever its prune says. Once `verify` has ended there is no way back but a
    # rollback: the next deployment tries what is left again.
    if happened commit end; then break; fi
    if happened verify end; then exit "$result"; fi
    if shall_stay; then
      journal keep begin "$step" "$result"
      echo "keeping the new containers for a look (on-failure: keep); the next deploy or rollback goes back first"
      exit "$result"
    fi
    back "$step" "$result"
    return
  done 3<".deploy/plans/$transaction/steps"
  if happened commit end; then journal end committed "$(read_current)"; else journal end unchanged "$(read_current)"; fi
}

# What failed stays, for a look.
shall_stay() { [ "$(plan_list on-failure)" = keep ] && happened swap begin && ! is_aborted; }

attempt() { # STEP: again when it failed because the daemon was away; what is unknown is no failure
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
  # What its undo must know is on disk before the deed.
  note=$(if is_defined "announce_$1"; then "announce_$1"; fi) && journal "$1" "begin${note:+ $note}" &&
    sh ".deploy/plans/$transaction/transaction.sh" step "$directory" "$transaction" "$1" 3<&- 8>&-
}

back() { # REASON…: to the release that serves
  happened back begin || journal back begin "$@"
  echo "going back: $*"
  if [ -n "$(undoable)" ]; then
    attempt undo || {
      journal back fail
      echo "going back failed: the next deploy, rollback or recovery tries again"
      exit "$exit_revert_failed"
    }
  fi
  # What is wrong then is told, and no reason to try again: nothing better than the release before is here.
  if may_have_changed_schema; then attempt back_fit || true; fi
  if may_have_changed_schema || happened swap begin; then attempt back_health || true; fi
  journal back end
  journal end back "$(read_current)"
}

# A step that changes something has `undo_STEP` beside it. They run in the order of the plan: what a migration did is
# settled first, and the containers of the release that serves start last.
undoable() { # the steps that have begun and have an undo
  while read -r begun; do
    if happened "$begun" begin && is_defined "undo_$begun"; then echo "$begun"; fi
  done <".deploy/plans/$transaction/steps"
}

step_undo() {
  for undone in $(undoable); do "undo_$undone"; done
}

is_defined() { command -v "$1" >/dev/null; } # FUNCTION

resume() { # DIRECTORY TRANSACTION: finishes what died, under the caller's lock
  enter "$1"
  transaction=$2
  echo "finishing transaction $transaction, which was interrupted"
  # A power loss may have torn the last line.
  if [ -n "$(tail -c 1 ".deploy/journal/$transaction")" ]; then echo >>".deploy/journal/$transaction"; fi
  if happened back begin; then
    back
  elif happened verify end; then
    walk
  else
    back interrupted
  fi
}

recover() { # DIRECTORY: by itself, when no transaction follows
  enter "$1"
  transaction=
  take_lock recovery
  recover_all
}

recover_all() { # [replace]: a way back that cannot be finished does not hold up a release that replaces both sides
  for id in $(entries .deploy/journal); do
    case $id in *[0-9]) ;; *) continue ;; esac
    if [ "$id" = "$transaction" ] || is_ended "$id" || is_alive "$id"; then continue; fi
    if [ "${1:-}" != replace ] && is_on_show "$id"; then continue; fi
    script=.deploy/plans/$id/transaction.sh
    if [ -f "$script" ] && sh "$script" resume "$directory" "$id" 3<&-; then continue; fi
    if [ "${1:-}" = replace ] && docker_answers && { [ ! -f "$script" ] || says "$id" back begin; }; then
      echo "warning: transaction $id could not go back; this one replaces what it left"
      (transaction=$id && journal end failed "$(read_current)")
    else
      die "$exit_recovery_failed" "transaction $id was interrupted and could not be finished"
    fi
  done
}

step() { # DIRECTORY TRANSACTION STEP
  enter "$1"
  transaction=$2
  target=$(plan_fact target)
  project=$(release_fact "$target" project)
  current=$(read_current)
  migration=$project-migrate
  "step_$3"
}
