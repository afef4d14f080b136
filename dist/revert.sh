# shellcheck shell=sh
## Step return: whether a revert is possible. Steps back_fit and back_health: whether the release that a revert restored
## can serve.

# Sets `return` to `containers`, `reverse` or `none`, by the worst migration that is really applied. A migration
# container that succeeded has applied the whole plan.
find_return() {
  return=$(plan_list return)
  if [ "${return:-containers}" = containers ] || ! happened migrate begin; then
    return=containers
  elif ! happened migrate end; then
    if [ ! -s ".deploy/plans/$transaction/return" ]; then
      attempt return || {
        journal back fail
        echo "it is not known which migrations are applied: the next deploy, rollback or recovery checks again"
        exit "$exit_revert_failed"
      }
    fi
    return=$(show ".deploy/plans/$transaction/return")
  fi
}

step_return() {
  found=$(migration_container)
  if [ -n "$found" ]; then give_up_waiting "${found%% *}"; fi
  # The container may have finished although its engine died.
  if [ "${found#* }" = "$transaction" ] && (await_migration migrate); then
    journal migrate end
    return=$(plan_fact return)
  else
    settle_migration
    ask_return
  fi
  echo "$return" >".deploy/plans/$transaction/return.new"
  flush ".deploy/plans/$transaction/return.new"
  mv ".deploy/plans/$transaction/return.new" ".deploy/plans/$transaction/return"
}

ask_return() { # sets `return`
  asked_return=0
  report return ask_django "$target" return -e "DEPLOY_DJANGO_BREAKING=$(plan_list breaking | tr '\n' ' ')" \
    -e "DEPLOY_DJANGO_LASTING=$(plan_list lasting | tr '\n' ' ')" || asked_return=$?
  case $asked_return in
    0) return=containers ;;
    "$exit_unfit") return=reverse ;;
    "$exit_irreversible") return=none ;;
    *) exit "$asked_return" ;;
  esac
}

# Going forward, a failed step is not repeated, and a trial decides nothing.
is_left_out() { # STEP
  case $1 in
    replan | backup | stop | migrate | try) return ;;
    jobs) happened jobs fail || ! happened migrate end ;;
    health | verify) happened commit end ;;
    *) return 1 ;;
  esac
}

may_have_changed_schema() {
  if [ -z "$(read_current)" ]; then return 1; fi
  target=$(plan_fact target)
  happened migrate begin || happened unapply begin || happened jobs begin ||
    { happened swap begin && [ "$(release_list "$target" migrate)" = external ]; }
}

touched_app() { happened stop begin || happened swap begin; }

step_back_fit() { # whether the current release's code is compatible with the present database
  django=$(release_list "$current" django)
  if [ -z "$django" ]; then return; fi
  list_containers
  id=$(first_running "$django")
  compatible=$exit_not_importable
  if [ -n "$id" ] && ! needs_entrypoint; then
    compatible=0
    set -- ask exec -e DEPLOY_DJANGO=fit -e "DEPLOY_DJANGO_KEEP=$(keeps "$current")" \
      -e "DEPLOY_DJANGO_DATABASES=$(databases "$current")" -e "DEPLOY_DJANGO_MIGRATED=$(both_databases)" "$id"
    report back-fit in_django "$current" "$@" || compatible=$?
  fi
  # The container is in a crash loop, or its entrypoint sets variables.
  if may_lack_entrypoint "$compatible"; then
    compatible=0
    report back-fit ask_django "$current" fit || compatible=$?
  fi
  return "$compatible"
}

step_back_health() { # with the health check of its own deployment
  if [ -z "$current" ]; then return; fi
  last=$(cat .deploy/transaction 2>/dev/null) || last=
  checked_release=$current question=.deploy/plans/${last:-$transaction}/http.json answer_name=back-http
  before_file=.deploy/journal/$transaction.before.json
  until_healthy_release
}
