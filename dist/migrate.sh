# shellcheck shell=sh
## Steps replan, migrate and jobs.

# The migration container starts here, plans again under the database's lock and waits for the word to go, so that one
# start of Django serves replan, migrate and the check after it.
step_replan() {
  settle_migration
  if ! hears_go; then return; fi
  start_migration
  while :; do
    state=$(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$migration")
    case $state in
      'exited 0') return ;; # nothing was pending
      'exited '* | 'dead '*)
        if may_lack_entrypoint "${state#* }"; then # the plan was made before there was a database
          : >".deploy/plans/$transaction/entrypoint"
          settle_migration
          return
        fi
        show_last_lines "$migration"
        report migrate ask logs "$migration" 2>/dev/null
        return "${state#* }"
        ;;
    esac
    if ask logs "$migration" 2>/dev/null | grep -q '^deploy-django: replanned'; then return; fi
    if is_aborted; then die "$exit_aborted" "aborted before the migration began"; fi
    pause 0.05
  done
}

start_migration() { # COMPOSE-RUN-OPTIONS…
  run_probe "$target" migrate -d --name "$migration" --label "deploy-django.transaction=$transaction" \
    -e "DEPLOY_DJANGO_APPROVED=$(plan_fact approved | tr '\n' ' ')" \
    -e "DEPLOY_DJANGO_TIMEOUT=$(plan_fact migrate-timeout)" \
    -e "DEPLOY_DJANGO_LOCK_TIMEOUT=$(plan_fact lock-timeout)" -e DEPLOY_DJANGO_LOCK_WAIT=600 "$@" >/dev/null
}

# A signal reaches Django when it is the container's first process. Behind an entrypoint or `uv run` it may not be: then
# plan and migration are one step, which nobody can stop in between.
hears_go() {
  if needs_entrypoint; then return 1; fi
  read -r program <".deploy/releases/$target/facts/manage"
  case ${program##*/} in python* | pypy*) ;; *) return 1 ;; esac
}

step_migrate() {
  if ! hears_go; then
    # A container that Docker's death kept from its start has no result.
    case $(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$migration" 2>/dev/null) in
      created*) ask rm -f "$migration" >/dev/null ;;
    esac
    if [ -z "$(migration_container)" ]; then start_migration -e DEPLOY_DJANGO_GO=yes; fi
    await_migration
    return
  fi
  # The word to go. Without a pending migration it ended by itself; a Docker that is away is asked again.
  tries=0
  until ask kill -s USR1 "$migration" >/dev/null 2>&1 ||
    [ "$(ask inspect -f '{{.State.Running}}' "$migration" 2>/dev/null)" = false ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || break
    pause 0.2
  done
  await_migration
}

await_migration() { # its container's exit code is the result, nothing else; it is never killed
  # shellcheck disable=SC2086 # as in `limited`
  $through docker logs -f "$migration" 2>&1 >/dev/null </dev/null 9>&- &
  until result=$(limited 600 wait "$migration" </dev/null); do
    if docker_answers && ! ask inspect "$migration" >/dev/null 2>&1; then
      die "$exit_migration_lost" "the migration's container is gone"
    fi
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

undo_replan() { settle_migration; }
undo_migrate() { settle_migration; }

migration_container() {
  ask ps -a --no-trunc --filter "name=^$migration\$" --format '{{.ID}} {{.Label "deploy-django.transaction"}}'
}

# Services of the release that run to their end before the app that waits for them. Who knows what they do: none is ever
# stopped, not even by an attempt that found Docker away.
step_jobs() {
  for job in $(release_list "$target" jobs); do
    survey
    await_end "$(ids_of "$job" running)"
    compose_up "$target" --no-build --pull never --force-recreate "$job"
    survey
    await_end "$(ids_of "$job")"
    for id in $(ids_of "$job"); do
      result=$(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$id")
      if [ "$result" != "exited 0" ]; then
        show_last_lines "$id"
        die "$exit_container_exited" "$job is $result"
      fi
    done
  done
}

undo_jobs() { # what they did stays, as what a migration did
  survey
  ended=$(ids_of "$(release_list "$target" jobs)")
  await_end "$ended"
  on "$ended" ask rm -f >/dev/null
}

await_end() { # CONTAINERS
  for id in $1; do
    while [ "$(ask inspect -f '{{.State.Running}}' "$id")" = true ]; do
      limited 600 wait "$id" </dev/null >/dev/null || pause 0.2
    done
  done
}
