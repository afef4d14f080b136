# shellcheck shell=sh
## Steps that make ready: recover, fence, data.

step_recover() { recover_all replace; }

step_fence() {
  if [ ! -w . ] || [ ! -w .deploy ]; then die "$exit_no_directory" "no permission to write in $directory"; fi
  last=$(cat .deploy/transaction 2>/dev/null) || last=
  if [ -f ".deploy/plans/$last/facts/run" ] && [ "$(plan_fact force)" != yes ]; then
    served=$(cat ".deploy/plans/$last/facts/run")
    if [ "$(plan_fact run)" -lt "$served" ]; then
      die "$exit_newer_run" "run $(plan_fact run) is older than run $served, which deployed last"
    fi
  fi
  check_settings "$target"
}

# In order: one may need another to be well. Compose would start those again that run only once.
step_data() {
  survey
  for starting in $(absent "$target" data); do
    compose_up "$target" --no-recreate "$starting"
    survey
    until_healthy "$(ids_of "$starting")"
  done
}
