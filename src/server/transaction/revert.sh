# shellcheck shell=sh
## Steps back_fit and back_health: whether the release that a revert brought back can serve.

may_have_changed_schema() {
  if [ -z "$(read_current)" ]; then return 1; fi
  target=$(plan_fact target)
  happened migrate begin || happened jobs begin ||
    { happened swap begin && [ "$(release_list "$target" migrate)" = external ]; }
}

step_back_fit() { # its code on the database as it is now
  django=$(release_list "$current" django)
  if [ -z "$django" ]; then return; fi
  survey
  id=$(first_running "$django")
  compatible=$exit_not_importable
  if [ -n "$id" ] && ! needs_entrypoint; then
    compatible=0
    set -- ask exec -e DEPLOY_DJANGO=fit -e "DEPLOY_DJANGO_KEEP=$(keeps "$current")" "$id"
    report back-fit in_django "$current" "$@" || compatible=$?
  fi
  # It crashes, or its entrypoint makes the settings.
  if may_lack_entrypoint "$compatible"; then
    compatible=0
    report back-fit ask_django "$current" fit || compatible=$?
  fi
  return "$compatible"
}

step_back_health() { # asked as its own deployment was
  if [ -z "$current" ]; then return; fi
  last=$(cat .deploy/transaction 2>/dev/null) || last=
  checked_release=$current question=.deploy/plans/${last:-$transaction}/http.json answer_name=back-http
  until_healthy_release
}
