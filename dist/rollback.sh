# shellcheck shell=sh
## Rollback by hand, for the day on which there is no runner: `sh .deploy/rollback [version]`.

# Makes the plan that the runner would make, of what the last commit and the target's own deploy left here, and shows
# how it is walked. The health question is the one that was asked when the target was deployed.
rollback() { # DIRECTORY [VERSION]
  enter "$1"
  shift
  case $#${1:-} in
    0 | 1[!-]*) ;;
    *) die "$exit_rollback_usage" "usage: sh .deploy/rollback [version]; $(restorable)" ;;
  esac
  [ -n "$(find .deploy -prune -user "$(id -u)")" ] ||
    die "$exit_other_user" "$directory belongs to another user than $(id -un)"
  current=$(read_current) target=$(choose_release "${1:-}")
  [ -n "$target" ] ||
    die "$exit_no_such_release" \
      "${1:-there is no earlier release}${1:+ has not served here, or it is gone}; $(restorable)"
  version=$(release_fact "$target" version)
  transaction=rollback-$version-$(date -u +%Y%m%d%H%M%S)-1
  make_plan
  script=.deploy/plans/$transaction/transaction.sh
  echo "going back to $version ($target); this goes on by itself when the terminal closes"
  names=$(names_that_return "$target" | tr '\n' ' ')
  if [ -n "$names" ]; then
    echo "warning: the env files of $version come back with it; these variables have other values there: $names"
    echo "warning: if one was rotated, its old value is in use again; deploy the tag again for new ones"
  fi
  # Each is a process of its own: in a condition `set -e` has no say.
  sh ".deploy/incoming/$transaction/plan/transaction.sh" stage "$directory" "$transaction" </dev/null || explain "$?"
  sh "$script" begin "$directory" "$transaction" || explain "$?"
  watch
  if ! is_ended "$transaction"; then
    sh "$script" recover "$directory" || explain "$?"
  fi
  conclude
}

choose_release() { # [VERSION]: the newest of that version that has served; without one, what served before
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

make_plan() {
  last=.deploy/plans/$(cat .deploy/transaction) plan=.deploy/incoming/$transaction/plan
  mkdir -p "$plan/facts"
  cp "$last/transaction.sh" "$last/probe.py" "$plan"
  for name in http.json facts/health-timeout; do
    if [ -f ".deploy/plans/$target/$name" ]; then cp ".deploy/plans/$target/$name" "$plan/$name"; fi
  done
  for name in run explanations; do cp "$last/facts/$name" "$plan/facts"; done
  echo "$target" >"$plan/facts/target"
  echo "by hand on the server, by $(id -un)" >"$plan/facts/url"
  echo no >"$plan/facts/force"
  echo 100 >"$plan/facts/keep"
  # The counts of the Compose file where they differ; else as many as there are, none included.
  if [ -f ".deploy/plans/$target/facts/counts" ]; then
    cp ".deploy/plans/$target/facts/counts" "$plan/facts/counts"
    project=$(release_fact "$target" project)
    survey
    {
      if [ -f "$last/facts/counts" ]; then
        only_in "$(show "$plan/facts/counts")" "$(show "$last/facts/counts")" | sed 's/=.*/=/'
      fi
      only_in "$(unstarted "$(last_committed)")" "$(running)" | sed 's/$/=0/'
    } >"$plan/facts/scale"
  fi
  jobs=$(if [ -n "$(release_list "$target" jobs)" ]; then echo jobs; fi)
  # Whether a volume hides them was decided when the target was deployed; of what was adopted the step itself finds out.
  steps=.deploy/plans/$target/steps
  static=$(if [ ! -f "$steps" ] || grep -qx static "$steps"; then echo static; fi)
  for step in recover fence data fit $jobs $static swap proxy health verify commit prune; do
    echo "$step"
  done >"$plan/steps"
}

watch() { # what the runner would show
  sh "$script" follow "$directory" "$transaction" 0 0 | while IFS= read -r line; do
    case $line in
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

explain() { # CODE: what it means and what to do, in the words of the runner
  means=$(sed -n "s/^$1 //p" ".deploy/plans/$transaction/facts/explanations" 2>/dev/null) || means=
  die "${1:-1}" "${means:-it failed with exit code ${1:-1}; see the lines above}"
}
