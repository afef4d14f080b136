# shellcheck shell=sh
## Steps replan, migrate, unapply and jobs.

# The migration container starts here, plans again under the database's lock and waits for the go signal. So one start
# of Django serves replan, migrate (or unapply) and the check after it.
step_replan() {
  settle_migration
  if ! hears_go; then return; fi
  start_migration
  while :; do
    state=$(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$migration")
    case $state in
      'exited 0') return ;; # nothing was pending
      'exited '* | 'dead '*)
        if may_lack_entrypoint "${state#* }"; then # the plan was made before the database existed
          : >".deploy/plans/$transaction/entrypoint"
          settle_migration
          return
        fi
        show_last_lines "$migration"
        report migrate ask logs "$migration" 2>/dev/null
        if [ "${state#* }" -eq "$exit_database_down" ]; then blame_data; fi
        return "${state#* }"
        ;;
    esac
    if ask logs "$migration" 2>/dev/null | grep -q '^deploy-django: replanned'; then return; fi
    if is_aborted; then die "$exit_aborted" "aborted before the migration began"; fi
    pause 0.05
  done
}

start_migration() { # OPTIONS…
  rm -f ".deploy/plans/$transaction/collected"
  # A backup runs between the plan and the go signal, so the container must wait longer.
  if [ -f ".deploy/plans/$transaction/facts/backup" ]; then
    set -- "$@" -e "DEPLOY_DJANGO_GO_WAIT=$(($(plan_fact migrate-timeout) + 300))"
  fi
  # The same start of Django also collects the static files.
  if is_collecting_next; then
    set -- "$@" -e "DEPLOY_DJANGO_COLLECT=$(collect_choice "$target")"
  fi
  if is_reversing; then
    start_container "$current" unapply -e "DEPLOY_DJANGO_TARGET=$(show ".deploy/plans/$transaction/fit.json")" \
      -e "$(reverse_plan)" "$@"
  else
    start_container "$target" migrate -e "DEPLOY_DJANGO_APPROVED=$(plan_fact approved | tr '\n' ' ')" \
      -e "DEPLOY_DJANGO_TIMEOUT=$(plan_fact migrate-timeout)" "$@"
  fi
}

start_container() { # RELEASE VERB OPTIONS…
  migrator=$1 way=$2
  shift 2
  run_probe "$migrator" "$way" -d --name "$migration" --label "deploy-django.transaction=$transaction" \
    -e "DEPLOY_DJANGO_LOCK_TIMEOUT=$(plan_fact lock-timeout)" -e DEPLOY_DJANGO_LOCK_WAIT=600 "$@" >/dev/null
}

is_reversing() { grep -qx unapply ".deploy/plans/$transaction/steps"; }

# Only the newer release knows how to reverse its own migrations.
newer_release() { if is_reversing; then echo "$current"; else echo "$target"; fi; }

# The probe's answer, passed on unread.
reverse_plan() { echo "DEPLOY_DJANGO_REVERSE=$(show ".deploy/plans/$transaction/reverse.json")"; }

# A signal reaches Django only as the container's first process. Behind an entrypoint or `uv run` it may not be. Then
# plan and migration are one step, which cannot be stopped in between.
hears_go() {
  if needs_entrypoint; then return 1; fi
  read -r program <".deploy/releases/$(newer_release)/facts/manage"
  case ${program##*/} in python* | pypy*) ;; *) return 1 ;; esac
}

step_migrate() { let_go migrate; }
step_unapply() { let_go unapply; }

let_go() { # NAME-OF-REPORT
  if ! hears_go; then
    # Docker died before it started this container, so there is no result.
    case $(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$migration" 2>/dev/null) in
      created*) ask rm -f "$migration" >/dev/null ;;
    esac
    if [ -z "$(migration_container)" ]; then start_migration -e DEPLOY_DJANGO_GO=yes; fi
    await_migration "$1"
    return
  fi
  # The go signal. If nothing was pending, the container has already ended.
  signal_migration USR1 "$migration"
  await_migration "$1"
}

# Returns the exit code of the migration, nothing else; never kills its container.
await_migration() { # NAME-OF-REPORT
  # An undo may wait again for a migration whose log the step has already shown.
  if [ ! -s ".deploy/journal/$transaction.$1.json" ]; then
    # shellcheck disable=SC2086 # as in `limited`
    $through docker logs -f "$migration" 2>&1 >/dev/null </dev/null 9>&- &
  fi
  until result=$(limited 600 wait "$migration" </dev/null); do
    if docker_answers && ! ask inspect "$migration" >/dev/null 2>&1; then
      die "$exit_migration_lost" "the migration's container is gone"
    fi
    pause 0.2
  done
  said=$(logs_of "$migration")
  migrated=${said%%"${newline}deploy-django: collecting"*}
  report "$1" printf '%s\n' "$migrated"
  if [ "$migrated" = "$said" ]; then return "$result"; fi
  # The migration succeeded, and the rest is the result of the step `static`.
  report static printf '%s\n' "${said#"$migrated"}"
  echo "$result" >".deploy/plans/$transaction/collected"
}

logs_of() { # CONTAINER: its standard output; tries again if Docker was away
  if ask logs "$1" 2>/dev/null; then return; fi
  tries=0
  until docker_answers || [ "$tries" -ge 600 ]; do
    tries=$((tries + 1))
    pause 0.2
  done
  ask logs "$1" 2>/dev/null
}

# Removes a migration container that never got the go signal: it has changed nothing. Waits for any other one.
settle_migration() {
  found=$(migration_container)
  if [ -z "$found" ]; then return; fi
  give_up_waiting "${found%% *}"
  undoing=.deploy/plans/${found#* }/undoing
  if [ -f "$undoing" ]; then
    # The container belongs to an interrupted undo. The step's own report stays.
    (await_migration "$(show "$undoing")") || true
  elif [ ! -f ".deploy/journal/${found#* }" ] || says "${found#* }" migrate begin; then
    (await_migration migrate) || true
  elif says "${found#* }" unapply begin; then
    (await_migration unapply) || true
  fi
  ask rm -f "${found%% *}" >/dev/null
}

undo_replan() { settle_migration; }

# If the engine died before it sent the go signal, the signal never comes. The container gets SIGTERM. It ends at
# once if it waits; if it just got the signal, it ends between two migrations, never in one.
give_up_waiting() { # CONTAINER
  said=$(logs_of "$1") || return 0
  case $newline$said in
    *"${newline}deploy-django: going"*) ;;
    *"${newline}deploy-django: replanned"*) signal_migration TERM "$1" ;;
  esac
}

signal_migration() { # SIGNAL CONTAINER: retries while Docker is away
  tries=0
  until ask kill -s "$1" "$2" >/dev/null 2>&1 ||
    [ "$(ask inspect -f '{{.State.Running}}' "$2" 2>/dev/null)" = false ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || break
    pause 0.2
  done
}

# If the old code cannot use the new schema, the new image unapplies it while no container of the app runs.
undo_migrate() {
  settle_migration
  if [ -f ".deploy/plans/$transaction/collected" ] && ! happened static begin; then undo_static; fi
  find_return
  if [ "$return" != reverse ]; then return; fi
  list_containers
  live_app | second_word >>".deploy/plans/$transaction/stopped"
  stop_app
  told=.deploy/journal/$transaction.migrate.json
  run_undo back-unapply "$target" unapply \
    -e "DEPLOY_DJANGO_REPORT=$(if [ -f "$told" ]; then show "$told"; fi)" \
    -e "DEPLOY_DJANGO_APPROVED=$(plan_fact approved | tr '\n' ' ')"
  [ "$undone_with" -eq 0 ] ||
    echo "warning: the migrations of $target could not be unapplied: ${current:-nothing} may not work with them"
}

undo_last_migrate() {
  if [ -f ".deploy/plans/$transaction/stopped" ]; then start_again "$(show ".deploy/plans/$transaction/stopped")"; fi
}

# A half-reversed schema fits neither release. So the current release applies again what it has unapplied. Lost rows
# stay lost. A failure does not stop the revert: the compatibility check follows.
undo_unapply() {
  settle_migration
  run_undo back-migrate "$current" migrate -e "$(reverse_plan)"
  [ "$undone_with" -eq 0 ] ||
    echo "warning: migrations of $current are unapplied and could not be applied again: deploy it again"
}

# Sets `undone_with` to its exit code. If Docker is away, the result is unknown, so the step fails.
run_undo() { # NAME-OF-REPORT RELEASE VERB OPTIONS…
  reported=$1 undone_with=0
  shift
  echo "$reported" >".deploy/plans/$transaction/undoing"
  start_container "$@" -e DEPLOY_DJANGO_GO=yes || undone_with=$?
  if [ "$undone_with" -eq 0 ]; then (await_migration "$reported") || undone_with=$?; fi
  docker_answers || die "$exit_docker_away" "docker does not answer"
  ask rm -f "$migration" >/dev/null 2>&1 || true
}

migration_container() {
  ask ps -a --no-trunc --filter "name=^$migration\$" --format '{{.ID}} {{.Label "deploy-django.transaction"}}'
}

# Services that run to their end before the app, which waits for them. Their effect is unknown, so none is ever stopped,
# not even by an attempt that found Docker away.
step_jobs() {
  for job in $(with_role "$target" job); do
    list_containers
    await_end "$(ids_of "$job" running)"
    replace_services "$target" "$job"
    list_containers
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

undo_jobs() { # keeps what the jobs changed, like an applied migration
  list_containers
  ended=$(ids_of "$(with_role "$target" job)")
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
