# shellcheck shell=sh
## Rollback by hand, without a runner:
## `sh .deploy/rollback [--reverse-migrations [--no-backup]] [version]`.

# Executes the plan that the runner left. A person chooses only the version, and whether to reverse migrations. The
# health check is the one of the target's own deployment.
rollback() { # DIRECTORY [--reverse-migrations [--no-backup]] [VERSION]
  enter "$1"
  shift
  reversing='' backing_up=yes
  if [ "${1:-}" = --reverse-migrations ]; then
    reversing=yes
    shift
    if [ "${1:-}" = --no-backup ]; then
      backing_up=
      shift
    fi
  fi
  case $#${1:-} in
    0 | 1[!-]*) ;;
    *)
      die "$exit_rollback_usage" \
        "usage: sh .deploy/rollback [--reverse-migrations [--no-backup]] [version]; $(restorable)"
      ;;
  esac
  [ -n "$(find .deploy -prune -user "$(id -u)")" ] ||
    die "$exit_other_user" "$directory/.deploy is not owned by $(id -un)"
  current=$(read_current) target=$(choose_release "${1:-}")
  [ -n "$target" ] ||
    die "$exit_no_such_release" \
      "${1:-there is no earlier release}${1:+ has not served here, or it is gone}; $(restorable)"
  version=$(release_fact "$target" version)
  if [ -n "$reversing" ] && [ "$target" = "$current" ]; then
    die "$exit_rollback_usage" "$version serves already, so there is nothing to unapply: leave --reverse-migrations out"
  fi
  transaction=rollback-$version-$(date -u +%Y%m%d%H%M%S)-1
  make_plan
  script=.deploy/plans/$transaction/transaction.sh
  echo "going back to $version ($target); it continues when the terminal closes"
  warn_of_return
  # Each runs as a process of its own: `set -e` has no effect in a condition.
  sh ".deploy/incoming/$transaction/plan/transaction.sh" stage "$directory" "$transaction" </dev/null || explain "$?"
  if [ -n "$reversing" ]; then plan_reversal; fi
  sh "$script" begin "$directory" "$transaction" || explain "$?"
  watch
  # The site is settled, but the removal of old releases still runs.
  while is_alive "$transaction"; do pause 0.2; done
  if ! is_ended "$transaction"; then
    sh "$script" recover "$directory" || explain "$?"
  fi
  conclude
}

warn_of_return() { # names the variables and secret files that get other values
  returned=$(names_that_return "$target")
  if [ -z "$returned" ]; then return; fi
  echo "warning: the rollback also restores the env files of $version"
  names=$(printf '%s\n' "$returned" | sed -n 's/^variable //p' | tr '\n' ' ')
  if [ -n "$names" ]; then echo "warning: these variables have other values in that release: $names"; fi
  files=$(printf '%s\n' "$returned" | sed -n 's/^file //p' | tr '\n' ' ')
  if [ -n "$files" ]; then echo "warning: these files have other contents in that release: $files"; fi
  echo "warning: if one was rotated, its old value is in use again; deploy the tag again for new ones"
}

choose_release() { # [VERSION]: the newest release of that version that has served; by default the previous release
  if [ -z "$1" ]; then
    previous_of "$current"
    return
  fi
  commits | while read -r _ _ _ id _; do
    if [ "$(release_list "$id" version)" = "$1" ]; then echo "$id"; fi
  done | tail -n 1
}

restorable() {
  versions=$(commits | while read -r _ _ _ id _; do release_list "$id" version; done | sort -u | tr '\n' ' ')
  echo "versions that can be restored: ${versions:-none}"
}

# From the runner's files for the last transaction and for the target, and the name of this user.
make_plan() {
  last=.deploy/plans/$(last_committed) plan=.deploy/incoming/$transaction/plan
  mkdir -p "$plan"
  cp -R "$last/transaction.sh" "$last/probe.py" "$last/rollback" "$last/rollback/facts" "$plan"
  cp "$last/facts/run" "$plan/facts"
  if [ -f "$last/facts/dump" ]; then cp "$last/facts/dump" "$plan/facts"; fi
  for name in http.json try.json facts/health-timeout facts/counts; do
    if [ -f ".deploy/plans/$target/$name" ]; then cp ".deploy/plans/$target/$name" "$plan/$name"; fi
  done
  echo "$target" >"$plan/facts/target"
  echo "by hand on the host, by $(id -un)" >"$plan/facts/url"
  choose_scale "$(last_committed)" "$target" >"$plan/facts/scale"
  if [ -z "$reversing" ]; then
    release_fact "$target" rollback-steps >"$plan/steps"
  elif [ -z "$backing_up" ]; then
    release_fact "$target" reversal-steps | grep -vx backup >"$plan/steps"
  else
    release_fact "$target" reversal-steps >"$plan/steps"
    if [ -f "$last/facts/dump" ]; then cp "$last/facts/dump" "$plan/facts/backup"; fi
  fi
}

plan_reversal() { # prints what will be unapplied and lost; exits if that is impossible
  sh "$script" plan "$directory" "$transaction" fit >/dev/null 2>&1 || case $? in
    "$exit_unfit") ;;
    *) explain "$?" ;;
  esac
  sh "$script" plan "$directory" "$transaction" reverse >/dev/null || explain "$?"
  if [ -z "$backing_up" ]; then return; fi
  way=.deploy/plans/$transaction/facts/backup
  if [ ! -f "$way" ]; then
    echo "the last deployment found no way to dump the database"
    explain "$exit_backup_impossible"
  fi
  sh "$script" dumpable "$directory" "$transaction" <"$way" || explain "$?"
}

watch() { # shows what the runner would show
  sh "$script" follow "$directory" "$transaction" 0 0 | while IFS= read -r line; do
    case $line in
      l\ step\ *) ;;
      l\ *) printf '  %s\n' "${line#??}" ;;
      j\ *) printf '%s\n' "${line#??}" ;;
    esac
  done
}

conclude() {
  read -r _ _ word serves <<END
$(grep '^[^ ]* end ' ".deploy/journal/$transaction" | tail -n 1)
END
  if [ "$word" = committed ]; then
    echo "$version serves"
    return
  fi
  if grep -q '^[^ ]* back_[a-z]* fail ' ".deploy/journal/$transaction"; then
    echo "$version was not restored; $serves runs again, but it is not healthy: the lines above say why"
  else
    echo "$version was not restored; ${serves:-nothing} serves"
  fi
  failures=$(sed -n '/^[^ ]* \(undo\|back[a-z_]*\|prune\) /!s/^[^ ]* [a-z]* fail //p' ".deploy/journal/$transaction")
  explain "$(printf '%s\n' "$failures" | head -n 1)"
}

explain() { # CODE: its meaning and its fix, in the runner's words
  means=$(sed -n "s/^$1 //p" ".deploy/plans/$transaction/facts/explanations" 2>/dev/null) || means=
  die "${1:-1}" "${means:-it failed with exit code ${1:-1}; see the lines above}"
}
