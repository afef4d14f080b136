# shellcheck shell=sh
## Steps replan and migrate.

# The migration container starts here, plans again under the database's lock and waits for the word to go, so that one
# start of Django serves replan, migrate and the check after it.
step_replan() {
  settle_migration
  run_probe "$target" migrate -d --name "$migration" --label "deploy-django.transaction=$transaction" \
    -e "DEPLOY_DJANGO_APPROVED=$(plan_fact approved | tr '\n' ' ')" -e "DEPLOY_DJANGO_TIMEOUT=$(plan_fact migrate-timeout)" \
    -e "DEPLOY_DJANGO_LOCK_TIMEOUT=$(plan_fact lock-timeout)" -e DEPLOY_DJANGO_LOCK_WAIT=600 >/dev/null
  while :; do
    state=$(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$migration")
    case $state in
      'exited 0') return ;; # nothing was pending
      'exited '* | 'dead '*)
        show_last_lines "$migration"
        report migrate ask logs "$migration" 2>/dev/null
        return "${state#* }"
        ;;
    esac
    if ask logs "$migration" 2>/dev/null | grep -q '^deploy-django: replanned'; then return; fi
    if is_aborted; then die 42 "aborted before the migration began"; fi
    pause 0.05
  done
}

step_migrate() {
  # The word to go. Without a pending migration it ended by itself; a Docker that is away is asked again.
  tries=0
  until ask kill -s USR1 "$migration" >/dev/null 2>&1 || [ "$(ask inspect -f '{{.State.Running}}' "$migration" 2>/dev/null)" = false ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || break
    pause 0.2
  done
  await_migration
}

await_migration() { # its container's exit code is the result, nothing else; it is never killed
  docker logs -f "$migration" 2>&1 >/dev/null </dev/null 9>&- &
  until result=$(timeout -k 5 600 docker wait "$migration" </dev/null); do
    if docker_answers && ! ask inspect "$migration" >/dev/null 2>&1; then die 44 "the migration's container is gone"; fi
    pause 0.2
  done
  report migrate ask logs "$migration" 2>/dev/null
  return "$result"
}

# A migration container that never got its word to go has done nothing and is removed; another one is awaited.
settle_migration() {
  found=$(migration_container)
  if [ -z "$found" ]; then return; fi
  if [ ! -f ".deploy/journal/${found#* }" ] || says "${found#* }" migrate begin; then (await_migration) || true; fi
  ask rm -f "${found%% *}" >/dev/null
}

migration_container() { ask ps -a --no-trunc --filter "name=^$migration\$" --format '{{.ID}} {{.Label "deploy-django.transaction"}}'; }
