#!/bin/sh
# The server's side of Deploy Django: one transaction, from the plan to a committed release or back to the one before.
# Needs sh (dash and BusyBox do), docker with compose, coreutils, flock, setsid, tar. It never parses JSON, decides no
# policy, and never runs text that was sent to it: facts are files that are read line by line.
#
#   sh -s look DIRECTORY < transaction.sh                   what is here (the script itself may come on standard input)
#   sh transaction.sh stage|plan|begin|follow|abort|recover DIRECTORY …
#   sh transaction.sh step DIRECTORY TRANSACTION STEP       one step of a transaction, a process of its own
#
# Exit codes: 10-21 are the probe's (src/django/probe.py); ours are 30 and above, see `die`.
set -euf
umask 077
export LC_ALL=C
unset CDPATH

format=1
# Limits in seconds for a docker call that may hang; a migration has none, it is only ever waited for.
call_limit=60 change_limit=900 pull_limit=1800
# How long the daemon may be away, a data service may take to become healthy, the old containers to run again.
away_limit=600 data_limit=180 undo_limit=60
newline='
'

die() { # CODE TEXT…: the runner turns the code into an explanation (src/server/failure.ts)
  code=$1
  shift
  printf 'deploy-django: %s\n' "$*" >&2
  exit "$code"
}

enter() { # the project's directory is the working directory of everything below
  cd "$1" 2>/dev/null || die 30 "no directory $1"
  directory=$(pwd -P)
}

now() {
  stamp=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
  case $stamp in
    '' | *[!0-9TZ:.-]*) stamp=$(date -u +%Y-%m-%dT%H:%M:%SZ) ;; # BusyBox has no fractions
  esac
  echo "$stamp"
}

flush() { sync "$@" 2>/dev/null || sync; }
pause() { sleep "$1" 2>/dev/null || sleep 1; }
entries() { ls "$1" 2>/dev/null || true; }
first_word() { while read -r word _; do printf '%s\n' "$word"; done; }
second_word() { while read -r _ word _; do printf '%s\n' "$word"; done; }
is_listed() { case "$newline$2$newline" in *"$newline$1$newline"*) ;; *) return 1 ;; esac; }

only_in() { # LIST LIST: what the first has and the second has not
  printf '%s\n' "$1" | while read -r item; do
    if [ -n "$item" ] && ! is_listed "$item" "$2"; then printf '%s\n' "$item"; fi
  done
}

on() { # LIST COMMAND…: the command with the words of the list behind it; nothing when there are none
  list=$1
  shift
  given=$#
  for item in $list; do set -- "$@" "$item"; done
  if [ "$#" -gt "$given" ]; then "$@"; fi
}

## Facts

show() { while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$1"; } # without starting a program
release_fact() { show ".deploy/releases/$1/facts/$2"; }
release_list() { if [ -f ".deploy/releases/$1/facts/$2" ]; then release_fact "$1" "$2"; fi; }
plan_fact() { show ".deploy/plans/$transaction/facts/$1"; }
read_current() { if [ -s .deploy/current ]; then show .deploy/current; fi; }
services_of() { release_list "$1" services | second_word; }

## Docker

# One door to Compose: a clean environment, so that nothing of the login shell gets into a container, and every file named.
compose() { # RELEASE ARGUMENTS…
  release=$1
  shift
  if [ -f ".deploy/releases/$release/env/.env" ]; then variables=.deploy/releases/$release/env/.env
  elif [ -f .env ]; then variables=.env
  else variables=/dev/null; fi
  env -i PATH="$PATH" HOME="$HOME" ${DOCKER_HOST:+"DOCKER_HOST=$DOCKER_HOST"} ${DOCKER_CONTEXT:+"DOCKER_CONTEXT=$DOCKER_CONTEXT"} \
    ${XDG_RUNTIME_DIR:+"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR"} timeout -k 10 "$change_limit" \
    docker compose --project-directory "$directory" -p "$(release_fact "$release" project)" --env-file "$variables" \
    -f ".deploy/releases/$release/compose.yaml" "$@" </dev/null
}

ask() { timeout -k 5 "$call_limit" docker "$@" </dev/null 8>&-; }
docker_answers() { timeout -k 1 10 docker version --format '{{.Server.Version}}' </dev/null >/dev/null 2>&1 8>&-; }

# Sets `seen`: "ID SERVICE STATE NAME" of the project's containers, one-off ones left out. A silent Docker ends the step:
# an empty list would mean that nothing is there.
survey() {
  seen=$(ask ps -a --no-trunc --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False \
    --format '{{.ID}} {{.Label "com.docker.compose.service"}} {{.State}} {{.Names}}')
}

ids_of() { # SERVICES [STATE]: ids of their containers, as seen
  printf '%s\n' "$seen" | while read -r id service state _; do
    if [ -n "$id" ] && is_listed "$service" "$1" && [ "${2:-$state}" = "$state" ]; then echo "$id"; fi
  done
}

running() { printf '%s\n' "$seen" | while read -r _ service state _; do if [ "$state" = running ]; then echo "$service"; fi; done; }

absent() { # RELEASE LIST: services of that list that have to be started; those that run once only when they never did
  up=$(running) existing=$(printf '%s\n' "$seen" | second_word) once=$(release_list "$1" once)
  release_list "$1" "$2" | while read -r service; do
    if is_listed "$service" "$up"; then continue; fi
    if is_listed "$service" "$once" && is_listed "$service" "$existing"; then continue; fi
    echo "$service"
  done
}

## The probe

# The probe's text as one word without spaces: it passes through any entrypoint, needs no mount and no standard input.
probe_word() { printf "exec(__import__('base64').b64decode('%s'))" "$(base64 <".deploy/plans/$transaction/probe.py" | tr -d '\n')"; }

in_django() { # RELEASE COMMAND…: the command with the release's way to start Django and the probe behind it
  manage=.deploy/releases/$1/facts/manage
  shift
  while read -r word; do set -- "$@" "$word"; done <"$manage"
  "$@" shell -v 0 -c "$(probe_word)"
}

run_probe() { # RELEASE VERB COMPOSE-RUN-OPTIONS…: inside Django, in a one-off container of the release
  image_of=$1 verb=$2
  shift 2
  read -r program <".deploy/releases/$image_of/facts/manage"
  set -- "$@" -e "DEPLOY_DJANGO=$verb" -e PYTHONUNBUFFERED=1 --entrypoint "$program" "$(release_fact "$image_of" django)"
  { read -r _ && while read -r word; do set -- "$@" "$word"; done; } <".deploy/releases/$image_of/facts/manage"
  compose "$image_of" run --no-deps -T "$@" shell -v 0 -c "$(probe_word)"
}

report() { # NAME COMMAND…: keeps the JSON that a probe prints for the runner; the code is the probe's
  answer=.deploy/journal/$transaction.$1.json
  shift
  answered=0
  "$@" >"$answer.out" || answered=$?
  grep '^{"deploy-django":' "$answer.out" | tail -n 1 >"$answer"
  rm -f "$answer.out"
  return "$answered"
}

## Before the transaction: look, stage, plan

look() { # DIRECTORY: facts for the runner, a word and its value a line
  echo "deploy-django look $format"
  echo "home $(pwd -P)"
  for tool in docker flock setsid timeout tar base64; do
    command -v "$tool" >/dev/null 2>&1 || echo "missing $tool"
  done
  if command -v docker >/dev/null 2>&1; then
    if server=$(ask version --format '{{.Server.Version}} {{.Server.Arch}}' 2>&1); then
      echo "docker $server"
      if compose_version=$(ask compose version --short 2>/dev/null); then echo "compose $compose_version"; fi
      root=$(ask info --format '{{.DockerRootDir}}' 2>/dev/null) || root=/
      [ -d "$root" ] || root=/
      echo "disk $(df -Pk "$root" | { read -r _; read -r _ _ _ free _; echo "$free"; })"
    else
      printf 'docker-error %s\n' "$(printf '%s' "$server" | tr '\n' ' ')"
    fi
  fi
  case $1 in */*) beside=${1%/*} ;; *) beside=. ;; esac
  for name in $(entries "$beside"); do
    if [ -d "$beside/$name/.deploy" ]; then echo "project $beside/$name"; fi
  done
  if cd "$1" 2>/dev/null && [ -f .deploy/format ]; then look_releases; fi
  echo "end"
}

is_whole() { # RELEASE: all of its containers run
  project=$(release_fact "$1" project) && (check_containers "$1" "$(services_of "$1")") >/dev/null 2>&1
}

look_releases() {
  echo "format $(cat .deploy/format)"
  current=$(read_current)
  echo "current $current"
  if [ -n "$current" ] && is_whole "$current"; then echo "whole yes"; fi
  echo "previous $(previous_of "$current")"
  commits | while read -r _ _ _ id _; do echo "served $id"; done
  for id in $(entries .deploy/releases); do
    echo "release $id"
    for name in $(entries ".deploy/releases/$id/facts"); do
      if [ "$name" = migrations ]; then continue; fi
      while IFS= read -r line; do printf 'fact %s %s %s\n' "$id" "$name" "$line"; done <".deploy/releases/$id/facts/$name"
    done
  done
  for id in $(entries .deploy/plans); do
    echo "plan $id"
    if [ -f ".deploy/journal/$id" ] && ! is_ended "$id"; then echo "open $id"; fi
  done
}

stage() { # DIRECTORY TRANSACTION: what was uploaded to .deploy/incoming is put in place, the target's images are pulled
  enter "$1"
  transaction=$2 incoming=.deploy/incoming/$2
  if [ -f .deploy/format ] && [ "$(cat .deploy/format)" -gt "$format" ]; then
    die 31 "this server's files have format $(cat .deploy/format), this version knows $format"
  fi
  chmod 700 .deploy
  mkdir -p .deploy/releases .deploy/plans .deploy/journal .deploy/files
  [ -f .deploy/format ] || echo "$format" >.deploy/format
  if [ -e ".deploy/plans/$transaction" ] || { [ -d "$incoming/release" ] && [ -e ".deploy/releases/$transaction" ]; }; then
    die 50 "transaction $transaction was staged before"
  fi
  # The plan first: it keeps another transaction's prune away from its target. Files that are there already become young.
  mv "$incoming/plan" ".deploy/plans/$transaction"
  for name in $(entries "$incoming/files"); do
    if [ -d ".deploy/files/$name" ]; then touch ".deploy/files/$name"; else mv "$incoming/files/$name" ".deploy/files/$name"; fi
  done
  if [ -d "$incoming/release" ]; then mv "$incoming/release" ".deploy/releases/$transaction"; fi
  rm -rf "$incoming"
  pull "$(plan_fact target)"
}

pull() { # RELEASE; on standard input three lines for each login: registry, username, password
  login=
  while read -r registry && read -r username && read -r password; do
    if [ -z "$login" ]; then make_login; fi
    printf '%s' "$password" | timeout -k 5 "$call_limit" docker --config "$login" login -u "$username" --password-stdin "$registry" >/dev/null 2>"$login/error" ||
      die 32 "the registry $registry refused the login from this server: $(tail -n 1 "$login/error")"
  done
  number=0 jobs='' failed=0
  for image in $(release_fact "$1" images | second_word | sort -u); do
    number=$((number + 1))
    pull_image "$image" "deploy-django/$(release_fact "$1" project):$1.$number" &
    jobs="$jobs $!"
  done
  for job in $jobs; do wait "$job" || failed=$?; done
  return "$failed"
}

make_login() { # a folder for logins that live for this pull: in memory, where the server has it, so they reach no disk
  for memory in "${XDG_RUNTIME_DIR:-}" /dev/shm "$directory/.deploy"; do
    if [ -n "$memory" ] && [ -w "$memory" ]; then break; fi
  done
  login=$(mktemp -d "$memory/deploy-django.XXXXXX")
  trap 'rm -rf "$login"' EXIT
  trap 'exit 129' HUP INT TERM
  # The named context of a rootless daemon is kept in the folder that --config replaces.
  if socket=$(ask context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null); then export DOCKER_HOST="$socket"; fi
}

pull_image() { # IMAGE TAG: the tag keeps a `docker image prune` from taking a release's image away
  if ! ask image inspect "$1" >/dev/null 2>&1; then
    echo "pulling $1"
    timeout -k 5 "$pull_limit" docker ${login:+--config "$login"} pull -q "$1" </dev/null >/dev/null || die 33 "this server could not pull $1"
  fi
  ask tag "$1" "$2"
}

check_settings() { # RELEASE: what the compose file wants from this server is here
  release_list "$1" env-files | while IFS= read -r file; do
    [ -e "$file" ] || die 34 "$file"
  done
  # Of an env file that it cannot read, Compose shows values.
  answer=$(compose "$1" config -q 2>&1) ||
    die 35 "$(printf '%s\n' "$answer" | grep -v level=warning | sed 's/\(unterminated quoted value\|in variable name\) .*/\1/' | tr '\n' ' ')"
  # A variable that is set nowhere would become an empty string: empty passwords are made this way.
  unset_names=$(printf '%s\n' "$answer" | sed -n 's/.*The \\*"\([A-Za-z0-9_]*\)\\*" variable is not set.*/\1/p' | sort -u)
  if [ -z "$unset_names" ]; then return; fi
  asked=$(for name in $unset_names; do
    if grep -qE "[$][{]?$name([^A-Za-z0-9_]|\$)" ".deploy/releases/$1/compose.yaml"; then printf '%s ' "$name"; fi
  done)
  [ -z "$asked" ] || die 36 "$asked"
  # The others are no variables but what stands behind a `$` in a value of an env file, so they are not shown.
  die 51 "a value in an env file has a dollar sign"
}

plan() { # DIRECTORY TRANSACTION VERB: the probe's answer of the target's image; nothing is changed
  enter "$1"
  transaction=$2 target=$(plan_fact target)
  project=$(release_fact "$target" project)
  check_settings "$target"
  survey
  # Before the first deploy there is no database to ask.
  if [ -z "$(read_current)" ] && [ -n "$(absent "$target" data)" ]; then set -- "$1" "$2" list; fi
  run_probe "$target" "$3" --rm
}

## Journal

journal() { # STEP STATE DETAIL…: on disk before the deed that it announces
  printf '%s %s\n' "$(now)" "$*" >>".deploy/journal/$transaction"
  flush ".deploy/journal/$transaction"
}

says() { # TRANSACTION STEP [STATE]: one of its lines is about that
  while read -r _ said state _; do
    if [ "$said" = "$2" ] && [ "${3:-$state}" = "$state" ]; then return; fi
  done <".deploy/journal/$1"
  return 1
}

happened() { says "$transaction" "$1" "$2"; }
is_ended() { says "$1" end; }
is_aborted() { [ -f ".deploy/journal/$transaction.abort" ]; }

# Whether its engine lives. The lock is shared: it only holds back an engine that is just about to start.
is_alive() { [ -e ".deploy/plans/$1/alive" ] && ! flock -s -n ".deploy/plans/$1/alive" true; }

commits() { # "TIME commit begin RELEASE after RELEASE-BEFORE", the oldest first; ids end in a digit, other files do not
  if [ -d .deploy/journal ]; then find .deploy/journal -name '*[0-9]' -exec grep -h '^[^ ]* commit begin ' {} + | sort; fi
}

previous_of() { # RELEASE: what served before RELEASE was committed for the first time, if it is still here
  commits | while read -r _ _ _ id _ before; do
    if [ "$id" = "$1" ]; then
      if is_once_more "$1" "$before"; then (previous_of "$before")
      elif [ -d ".deploy/releases/$before" ]; then echo "$before"; fi
      break
    fi
  done
}

is_once_more() { # RELEASE RELEASE-BEFORE: they differ in nothing but their id, so the one is no way back from the other
  [ "$1" != "$2" ] && [ -s ".deploy/releases/$1/facts/fingerprint" ] &&
    [ "$(release_list "$1" fingerprint)" = "$(release_list "$2" fingerprint)" ]
}

## Engine: lock, walk, back, recover

begin() { # DIRECTORY TRANSACTION: starts the engine, which outlives this session
  enter "$1"
  log=.deploy/journal/$2.log
  setsid sh ".deploy/plans/$2/transaction.sh" engine "$directory" "$2" </dev/null >>"$log" 2>&1 &
  tries=0
  until [ -s "$log" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || die 49 "the transaction did not start"
    pause 0.02
  done
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
    [ "$tries" -lt 20 ] || die 37 "transaction $transaction is already running"
    pause 0.05
  done
  echo "transaction $transaction"
  opening="begin $transaction $(plan_fact target) from"
  take_lock "$transaction $(plan_fact url)" || {
    serving=$(read_current)
    # In one breath: whoever has the lock must not find this transaction open.
    printf '%s\n' "$(now) $opening ${serving:--}" "$(now) end back $serving" >>".deploy/journal/$transaction"
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

# Descriptor 9 is the project's lock. Every child inherits it, so an orphan that still changes the server must end before
# anybody else begins.
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
    if is_aborted && ! happened verify end; then back aborted; return; fi
    result=0
    attempt "$step" || result=$?
    if [ "$result" -eq 0 ]; then continue; fi
    # A release that is committed stays so, whatever its prune says. Once `verify` has ended there is no way back but a
    # rollback: what is left is tried again by whoever comes next.
    if happened commit end; then break; fi
    if happened verify end; then exit "$result"; fi
    back "$step" "$result"
    return
  done 3<".deploy/plans/$transaction/steps"
  if happened commit end; then journal end committed "$(read_current)"; else journal end unchanged "$(read_current)"; fi
}

attempt() { # STEP: again when it failed because the daemon was away; what is unknown is no failure
  deadline=
  while :; do
    result=0
    perform "$1" || result=$?
    if [ "$result" -eq 0 ] || docker_answers; then break; fi
    echo "docker does not answer: waiting for it"
    deadline=${deadline:-$(($(date +%s) + away_limit))}
    until docker_answers || [ "$(date +%s)" -ge "$deadline" ]; do pause 0.2; done
    if [ "$(date +%s)" -ge "$deadline" ]; then result=38; break; fi
  done
  if [ "$result" -eq 0 ]; then journal "$1" end; else journal "$1" fail "$result"; fi
  return "$result"
}

perform() { # STEP: as a process of its own
  note=$(announce "$1") && journal "$1" "begin${note:+ $note}" &&
    sh ".deploy/plans/$transaction/transaction.sh" step "$directory" "$transaction" "$1" 3<&- 8>&-
}

announce() { # STEP: what its undo must know, which is on disk before the deed
  target=$(plan_fact target)
  current=$(read_current)
  case $1 in
    # In here `set -e` has no say.
    swap) project=$(release_fact "$target" project) && survey && count_running ;;
    commit) echo "$target after ${current:--}" ;;
  esac
}

back() { # REASON…: to the release that serves
  happened back begin || journal back begin "$@"
  echo "going back: $*"
  if happened swap begin || happened migrate begin || happened replan begin; then
    attempt undo || {
      journal back fail
      echo "going back failed: the next deploy, rollback or recovery tries again"
      exit 39
    }
  fi
  journal back end
  journal end back "$(read_current)"
}

resume() { # DIRECTORY TRANSACTION: finishes what died, under the caller's lock
  enter "$1"
  transaction=$2
  echo "finishing transaction $transaction, which was interrupted"
  # A power loss may have torn the last line.
  if [ -n "$(tail -c 1 ".deploy/journal/$transaction")" ]; then echo >>".deploy/journal/$transaction"; fi
  if happened back begin; then back
  elif happened verify end; then walk
  else back interrupted; fi
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
    script=.deploy/plans/$id/transaction.sh
    if [ -f "$script" ] && sh "$script" resume "$directory" "$id" 3<&-; then continue; fi
    if [ "${1:-}" = replace ] && docker_answers && { [ ! -f "$script" ] || says "$id" back begin; }; then
      echo "warning: transaction $id could not go back; this one replaces what it left"
      (transaction=$id && journal end failed "$(read_current)")
    else
      die 40 "transaction $id was interrupted and could not be finished"
    fi
  done
}

## Steps

step() { # DIRECTORY TRANSACTION STEP
  enter "$1"
  transaction=$2
  target=$(plan_fact target)
  project=$(release_fact "$target" project)
  current=$(read_current)
  migration=$project-migrate
  "step_$3"
}

step_recover() { recover_all replace; }

step_fence() {
  if [ ! -w . ] || [ ! -w .deploy ]; then die 30 "no permission to write in $directory"; fi
  last=$(cat .deploy/transaction 2>/dev/null) || last=
  if [ -f ".deploy/plans/$last/facts/run" ] && [ "$(plan_fact force)" != yes ]; then
    served=$(cat ".deploy/plans/$last/facts/run")
    if [ "$(plan_fact run)" -lt "$served" ]; then die 41 "run $(plan_fact run) is older than run $served, which deployed last"; fi
  fi
  check_settings "$target"
}

step_data() {
  survey
  starting=$(absent "$target" data)
  if [ -z "$starting" ]; then return; fi
  on "$starting" compose "$target" up -d --no-deps --no-recreate
  survey
  until_healthy "$(ids_of "$starting")"
}

until_healthy() { # CONTAINERS: those with a health check of their own succeed in it, the others run or ran to their end
  until=$(($(date +%s) + data_limit))
  for id in $1; do
    until docker_health "$id" || [ "$(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$id")" = "exited 0" ]; do
      if is_aborted; then die 42 "aborted while waiting for a data service"; fi
      [ "$(date +%s)" -lt "$until" ] || { show_last_lines "$id"; die 43 "a data service did not become healthy in $data_limit s"; }
      pause 0.2
    done
  done
}

docker_health() { # CONTAINER: its health command succeeds, whenever Docker's own interval is; without one, it runs
  asked=$1 separator=$(printf '\037')
  answer=$(ask inspect -f '{{.State.Running}}{{"\x1f"}}{{with .Config.Healthcheck}}{{range .Test}}{{.}}{{"\x1f"}}{{end}}{{end}}' "$asked") || return 1
  set --
  IFS=$separator
  for word in $answer; do set -- "$@" "$word"; done
  unset IFS
  [ "$1" = true ] || return 1
  case ${2:-} in
    CMD-SHELL) ask exec "$asked" /bin/sh -c "$3" >/dev/null 2>&1 ;;
    CMD)
      shift 2
      ask exec "$asked" "$@" >/dev/null 2>&1
      ;;
  esac
}

show_last_lines() { # CONTAINER
  echo "last lines of $(ask inspect -f '{{.Name}}' "$1"):"
  ask logs --tail 30 "$1" 2>&1 | sed 's/^/  | /'
}

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

count_running() { # "SERVICE=N": how many containers of each service run now
  up=$(running)
  { services_of "$target"; release_list "$target" others; services_of "$current"; } | sort -u | while read -r service; do
    echo "$service=$(printf '%s\n' "$up" | grep -cxF -- "$service")"
  done | tr '\n' ' ' | sed 's/ $//'
}

counted() { # what count_running said when the swap began, a line each
  sed -n 's/^[^ ]* swap begin *//p' ".deploy/journal/$transaction" | head -n 1 | tr ' ' '\n'
}

bring_up() { # RELEASE OPTIONS…: its services, level by level, as many of each as ran when the swap began
  bringing=$1
  shift
  listed=$(release_fact "$bringing" services)
  for level in $(printf '%s\n' "$listed" | first_word | sort -un); do
    names=$(printf '%s\n' "$listed" | while read -r at service; do if [ "$at" = "$level" ]; then echo "$service"; fi; done)
    on "$(scales_of "$names") $names" compose "$bringing" up -d --no-deps --no-build --pull never "$@"
  done
}

bring_others() { # RELEASE SERVICES: what stands in front of the app, such as a proxy that is not built here; only what changed
  on "$(scales_of "$2") $2" compose "$1" up -d --no-deps --no-build
}

scales_of() { # SERVICES: options for as many of each as ran when the swap began
  counted | while IFS='=' read -r service count; do
    if [ "${count:-0}" -gt 1 ] && is_listed "$service" "$1"; then echo "--scale $service=$count"; fi
  done
}

remove_leftovers() { # an interrupted recreate leaves `<12 hex>_name`, and every later one would fail on it
  known=$(services_of "$target" && services_of "$current" && release_list "$target" others)
  hex='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
  leftovers=$(printf '%s\n' "$seen" | while read -r id service _ name; do
    if is_listed "$service" "$known"; then echo "$id $name"; fi
  done | sed -n "s/^\([^ ]*\) $hex$hex${hex}_.*/\1/p")
  on "$leftovers" ask rm -f >/dev/null
}

step_swap() {
  began=$(date +%s)
  survey
  remove_leftovers
  bring_up "$target" --force-recreate
  bring_others "$target" "$(release_list "$target" others)"
  on "$(ids_of "$(only_in "$(services_of "$current")" "$(services_of "$target")")" running)" timeout -k 10 "$change_limit" docker stop >/dev/null
  ask events --since "$began" --until 0s --filter event=die --filter "label=com.docker.compose.project=$project" \
    --format '{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.name}}' | sort -u | while read -r result name; do
    if [ "$result" = 137 ]; then echo "warning: $name did not end by itself when it was asked to, Docker killed it"; fi
  done
}

# nginx looks its upstream's name up once, when it reads its configuration.
step_proxy() {
  survey
  django=$(release_fact "$target" django)
  image=$(release_fact "$target" images | sed -n "s/^$django //p")
  not_proxies=$(release_list "$target" data && release_fact "$target" images | while read -r service of; do
    if [ "$of" = "$image" ]; then echo "$service"; fi
  done)
  for id in $(ids_of "$(only_in "$(running)" "$not_proxies")" running); do
    if ask top "$id" 2>/dev/null | grep -q 'nginx: master'; then
      ask exec "$id" nginx -s reload || echo "warning: nginx in $id did not reload"
    fi
  done
}

# Sets `app`: "SERVICE STATE EXIT RESTARTS POLICY STARTED IMAGE ID" of a release's containers, a line each.
inspect_release() { # RELEASE
  survey
  ids=$(ids_of "$(services_of "$1")")
  [ -n "$ids" ] || die 45 "no container of the release exists"
  look_again
}

look_again() {
  app=$(on "$ids" ask inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{or .HostConfig.RestartPolicy.Name "no"}} {{.State.StartedAt}} {{.Image}} {{.Id}}')
}

is_finished() { [ "$1 $2" = "exited 0" ] && is_listed "$3" "no${newline}on-failure"; } # STATE EXIT POLICY: a container that has run to its end, as it should

step_health() {
  inspect_release "$target"
  deadline='' quiet_since='' firm_since='' warned=''
  while :; do
    if is_aborted; then die 42 "aborted while waiting for health"; fi
    before=$app http=46
    if app_is_healthy && look_again && [ "$app" = "$before" ]; then return; fi
    if [ -z "$deadline" ]; then
      limit=$(plan_fact health-timeout)
      deadline=$(($(date +%s) + ${limit:-$(health_limit)}))
    fi
    if is_firm || [ "$(date +%s)" -ge "$deadline" ]; then
      show_unhealthy
      die "$http" "not healthy in time"
    fi
    pause 0.1
    inspect_release "$target"
  done
}

# A release that has answered the same refusal for ten seconds will not mend itself; 502 to 504 are a proxy's "not yet".
is_firm() {
  answer=.deploy/journal/$transaction.http.json
  if ! grep -qsE '"reason": "(bad-request|https-redirect|status|server-error)"' "$answer" || grep -qE '"status": 50[234]' "$answer"; then
    firm_since=
    return 1
  fi
  firm_since=${firm_since:-$(date +%s)}
  [ "$(date +%s)" -ge $((firm_since + 10)) ]
}

health_limit() { # start period + interval x retries of the slowest check, at least 60 s
  on "$ids" ask inspect -f '{{with .Config.Healthcheck}}{{.StartPeriod.Nanoseconds}} {{.Interval.Nanoseconds}} {{.Retries}}{{end}}' | {
    longest=60
    while read -r start interval retries; do
      if [ -z "$start" ]; then continue; fi
      seconds=$(((start + (interval ? interval : 30000000000) * (retries ? retries : 3)) / 1000000000))
      if [ "$seconds" -gt "$longest" ]; then longest=$seconds; fi
    done
    echo "$longest"
  }
}

app_is_healthy() {
  asker='' healthy=yes
  while read -r service state exit restarts policy _ image id; do
    if is_finished "$state" "$exit" "$policy"; then continue; fi
    if [ "$restarts" -ge 3 ] || [ "$state" = dead ] || [ "$state $policy" = "exited no" ]; then
      show_last_lines "$id"
      die 47 "$service exit=$exit restarts=$restarts"
    fi
    if [ "$state" != running ] || { ! docker_health "$id" && ! inherits_check "$service" "$image" "$id"; }; then healthy=no; fi
    if [ "$service" = "$(release_fact "$target" django)" ]; then asker=$id; fi
  done <<END
$app
END
  [ "$healthy" = yes ] && ask_http
}

# A worker has the web image's HEALTHCHECK without meaning it.
inherits_check() { # SERVICE IMAGE CONTAINER
  if [ "$1" = "$(release_fact "$target" django)" ] || is_listed "$1" "$(release_list "$target" fronts | first_word)"; then return 1; fi
  [ "$(ask image inspect -f '{{json .Config.Healthcheck}}' "$2")" = "$(ask inspect -f '{{json .Config.Healthcheck}}' "$3")" ] || return 1
  if ! is_listed "$1" "$warned"; then echo "warning: $1 has the health check of its image, which does not succeed there"; fi
  warned=$warned$newline$1
}

ask_http() { # by the app's own Python from inside its network; sets `http`
  if [ ! -f ".deploy/plans/$transaction/http.json" ]; then return; fi
  [ -n "$asker" ] || return 1
  read -r python <".deploy/releases/$target/facts/manage"
  http=0
  report http exec_http || http=$?
  if [ "$http" -ne 0 ]; then return 1; fi
  if ! grep -q '"nothing-speaks-http"' ".deploy/journal/$transaction.http.json"; then return; fi
  # Nothing to ask: it has to run quietly for ten seconds.
  http=46
  quiet_since=${quiet_since:-$(date +%s)}
  [ "$(date +%s)" -ge $((quiet_since + 10)) ]
}

exec_http() {
  set -- timeout -k 5 "$call_limit" docker exec -i -e DEPLOY_DJANGO=http "$asker"
  case ${python##*/} in
    python* | pypy*) set -- "$@" "$python" -c "$(probe_word)" ;;
    *) set -- in_django "$target" "$@" ;; # `uv run manage.py` names no Python
  esac
  "$@" <".deploy/plans/$transaction/http.json" 2>/dev/null
}

show_unhealthy() {
  printf '%s\n' "$app" | while read -r service state _ restarts _ _ _ id; do
    echo "$service is $state, $restarts restarts"
    show_last_lines "$id"
  done
}

check_containers() { # RELEASE SERVICES: each of these services is there, of the release's image, and runs
  inspect_release "$1"
  images=$(release_fact "$1" images | second_word | sort -u)
  image_ids=$(on "$images" ask image inspect -f '{{.Id}}')
  missing=$(only_in "$2" "$(printf '%s\n' "$app" | first_word)" | tr '\n' ' ')
  [ -z "$missing" ] || die 45 "no container of $missing"
  while read -r service state exit _ policy _ image id; do
    if ! is_listed "$service" "$2"; then continue; fi
    is_listed "$image" "$image_ids" || die 48 "$service runs $image, not the release's image"
    [ "$state" = running ] || is_finished "$state" "$exit" "$policy" || { show_last_lines "$id"; die 47 "$service is $state exit=$exit"; }
  done <<END
$app
END
}

step_verify() {
  check_containers "$target" "$(services_of "$target")"
  beside=$(look_others)
  id=$(ids_of "$(release_fact "$target" django)" running | head -n 1)
  [ -n "$id" ] || die 45 "no container of the release runs Django"
  verified=0
  report verify in_django "$target" ask exec -e DEPLOY_DJANGO=verify "$id" || verified=$?
  if [ "$verified" -eq 19 ] && [ "$(release_list "$target" migrate)" = none ]; then
    echo "warning: migrations are pending, and nobody applies them (migrate: none)"
    verified=0
  fi
  [ "$verified" -eq 0 ] || return "$verified"
  if [ -n "$beside" ]; then check_others "$beside"; fi
}

look_others() { on "$(ids_of "$(release_list "$target" others)")" ask inspect -f '{{.Id}} {{.State.StartedAt}} {{.State.Status}} {{.State.ExitCode}} {{or .HostConfig.RestartPolicy.Name "no"}}'; }

check_others() { # AS-SEEN: a proxy that is not built here came along in the swap; without it nobody reaches the app
  until=$(($(date +%s) + 20))
  while :; do
    beside=$(look_others)
    down=$(printf '%s\n' "$beside" | while read -r id _ state exit policy; do
      if [ "$state" = running ] || is_finished "$state" "$exit" "$policy"; then continue; fi
      echo "$id"
    done)
    if [ "$beside" = "$1" ] && [ -z "$down" ]; then return; fi
    if [ "$(date +%s)" -ge "$until" ]; then
      for id in ${down:-$(printf '%s\n' "$beside" | first_word)}; do show_last_lines "$id"; done
      die 47 "a service in front of the app does not stay up"
    fi
    set -- "$beside"
    pause 1
  done
}

step_fit() { # the target's models on the database as it is now
  report fit run_probe "$target" fit --rm
}

step_commit() {
  place ".deploy/releases/$target/compose.yaml" compose.yaml
  if [ -f ".deploy/releases/$target/env/.env" ]; then place ".deploy/releases/$target/env/.env" .env; fi
  echo "$transaction" >.deploy/transaction.new
  echo "$target" >.deploy/current.new
  flush .deploy/transaction.new .deploy/current.new
  mv .deploy/transaction.new .deploy/transaction
  mv .deploy/current.new .deploy/current
  flush . .deploy
}

place() { # FILE NAME: a copy under the stable name, whole or not at all
  cp "$1" "$2.new"
  flush "$2.new"
  mv "$2.new" "$2"
}

step_prune() {
  found=$(migration_container)
  on "${found%% *}" ask rm -f >/dev/null
  read -r _ _ _ _ _ from <".deploy/journal/$transaction"
  retired=$(only_in "$(services_of "$from")" "$(services_of "$target")")
  if [ -n "$retired" ]; then
    survey
    on "$(ids_of "$retired")" ask rm -f >/dev/null
  fi
  kept=$(echo "$target"; previous_of "$target"; recent "$(plan_fact keep)"; awaited)
  for id in $(only_in "$(entries .deploy/releases)" "$kept"); do remove_release "$id"; done
  for id in $(entries .deploy/plans); do
    if [ -d ".deploy/releases/$(cat ".deploy/plans/$id/facts/target")" ]; then continue; fi
    rm -rf ".deploy/plans/$id"
    # The journal itself stays: it knows what served when.
    for name in $(entries .deploy/journal); do
      case $name in "$id".log | "$id".abort | "$id".*.json) rm -f ".deploy/journal/$name" ;; esac
    done
  done
  for name in $(cd .deploy && find files incoming -mindepth 1 -maxdepth 1 -mtime +0 2>/dev/null); do
    if [ "${name%%/*}" = incoming ] || ! grep -rqF -- "${name#files/}/" .deploy/releases; then rm -rf ".deploy/$name"; fi
  done
}

recent() { # NUMBER: the releases that were committed last
  commits | sort -r | {
    recently='' left=$1
    while [ "$left" -gt 0 ] && read -r _ _ _ id _; do
      if is_listed "$id" "$recently"; then continue; fi
      recently=$recently$newline$id left=$((left - 1))
      echo "$id"
    done
  }
}

awaited() { # the targets of other runs that are on their way: staged less than a day ago and not ended
  for id in $(cd .deploy/plans && find . -mindepth 1 -maxdepth 1 -mtime -1); do
    id=${id#./}
    if [ ! -f ".deploy/journal/$id" ] || ! is_ended "$id"; then cat ".deploy/plans/$id/facts/target"; fi
  done
}

remove_release() { # RELEASE, its tags, and images that no other release has
  images=$(release_list "$1" images | second_word | sort -u)
  rm -rf ".deploy/releases/$1"
  for image in $images; do
    grep -rqF -- "$image" .deploy/releases || ask rmi "$image" >/dev/null 2>&1 || true
  done
  for tag in $(ask image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=deploy-django/$project:$1.*"); do
    ask rmi "$tag" >/dev/null 2>&1 || echo "kept $tag: something uses it"
  done
}

# Going back: what a migration did is awaited, what the swap did is taken back, and what ran before runs again.
step_undo() {
  settle_migration
  if ! happened swap begin; then return; fi
  survey
  remove_leftovers
  survey
  stopped=$(counted | sed -n 's/=0$//p')
  on "$(ids_of "$(only_in "$(services_of "$target")" "$(services_of "$current")")")" ask rm -f >/dev/null
  if [ -z "$current" ]; then
    # A proxy that this first deploy brought is of no use alone, and would stand in the way of a corrected one.
    ran=$(counted | sed -n 's/=[1-9][0-9]*$//p')
    on "$(ids_of "$(only_in "$(release_list "$target" others)" "$ran")")" ask rm -f >/dev/null
    return
  fi
  bring_up "$current"
  bring_others "$current" "$(only_in "$(release_list "$current" others)" "$stopped")"
  step_proxy
  until=$(($(date +%s) + undo_limit))
  until trouble=$(check_containers "$current" "$(only_in "$(services_of "$current")" "$stopped")" 2>&1); do
    [ "$(date +%s)" -lt "$until" ] || { printf '%s\n' "$trouble"; exit 45; }
    pause 0.2
  done
}

## Beside the transaction

follow() { # DIRECTORY TRANSACTION JOURNAL-LINES LOG-LINES: what comes after those lines, until the end ("x …")
  enter "$1"
  transaction=$2 seen_journal=$3 seen_log=$4
  while :; do
    # Asked before reading: then nothing that was written can be missed.
    if is_alive "$transaction"; then over=; else over=yes; fi
    show_new j ".deploy/journal/$transaction" "$seen_journal"
    seen_journal=$total
    show_new l ".deploy/journal/$transaction.log" "$seen_log"
    seen_log=$total
    if [ -n "$over" ]; then break; fi
    pause 0.1
  done
  for name in $(entries .deploy/journal); do
    case $name in "$transaction".*.json) sed 's/^/r /' ".deploy/journal/$name" ;; esac
  done
  if [ -f ".deploy/journal/$transaction" ] && is_ended "$transaction"; then echo "x ended"; else echo "x died"; fi
}

show_new() { # MARK FILE SEEN: sets `total`
  total=$3
  if [ -f "$2" ]; then
    total=$(wc -l <"$2")
    if [ "$total" -gt "$3" ]; then sed -n "$(($3 + 1)),${total}s/^/$1 /p" "$2"; fi
  fi
}

abort() { # DIRECTORY TRANSACTION: turns back at the next safe point, never in a running migration
  enter "$1"
  : >".deploy/journal/$2.abort"
}

verb=$1
shift
case $verb in
  look | stage | plan | begin | engine | resume | recover | step | follow | abort) "$verb" "$@" ;;
  *) die 64 "unknown verb $verb" ;;
esac
