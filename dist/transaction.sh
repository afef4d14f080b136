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

format=1
# Limits in seconds for a docker call that may hang; a migration has none, it is only ever waited for.
call_limit=60 change_limit=900 pull_limit=1800

die() { # CODE TEXT…: the runner turns the code into an explanation (src/server/failure.ts)
  code=$1
  shift
  echo "deploy-django: $*" >&2
  exit "$code"
}

enter() { # the project's directory is the working directory of everything below
  cd "$1" 2>/dev/null || die 30 "no directory $1"
  directory=$(pwd -P)
}

now() {
  case ${clock:=$(date -u +%3N)} in
    *[!0-9]* | '') date -u +%Y-%m-%dT%H:%M:%SZ ;; # BusyBox has no fractions
    *) date -u +%Y-%m-%dT%H:%M:%S.%3NZ ;;
  esac
}

flush() { sync "$@" 2>/dev/null || sync; }

first_word() { while read -r word _; do printf '%s\n' "$word"; done; }
second_word() { while read -r _ word _; do printf '%s\n' "$word"; done; }

## Facts

release_fact() { cat ".deploy/releases/$1/facts/$2"; }
plan_fact() { cat ".deploy/plans/$transaction/facts/$1"; }
read_current() { if [ -s .deploy/current ]; then cat .deploy/current; fi; }

services_of() { if [ -n "$1" ]; then release_fact "$1" services | second_word; fi; }
is_listed() { printf '%s\n' "$2" | grep -qxF -- "$1"; }

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

ask() { timeout -k 5 "$call_limit" docker "$@" </dev/null; }

docker_answers() { ask version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# "ID SERVICE STATE NAME" of the project's containers, one-off ones left out.
containers() {
  ask ps -a --no-trunc --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False \
    --format '{{.ID}} {{.Label "com.docker.compose.service"}} {{.State}} {{.Names}}'
}

ids_of() { # SERVICES (a line each) [STATE]: ids of their containers
  containers | while read -r id service state _; do
    if is_listed "$service" "$1" && [ "${2:-$state}" = "$state" ]; then echo "$id"; fi
  done
}

## The probe

# The probe's text as one word without spaces: it passes through any entrypoint, needs no mount and no standard input.
probe_word() { printf "exec(__import__('base64').b64decode('%s'))" "$(base64 <".deploy/plans/$transaction/probe.py" | tr -d '\n')"; }

result_of() { grep '^{"deploy-django":' "$1" | tail -n 1 || true; }

run_probe() { # RELEASE VERB NAME-OR-EMPTY COMPOSE-RUN-OPTIONS…: inside Django, in a one-off container of the release
  release=$1 verb=$2
  shift 2
  set -- run --no-deps -T -e "DEPLOY_DJANGO=$verb" -e PYTHONUNBUFFERED=1 "$@"
  { read -r program && arguments=$(cat); } <".deploy/releases/$release/facts/manage"
  compose "$release" "$@" --entrypoint "$program" "$(release_fact "$release" django)" $arguments shell -v 0 -c "$(probe_word)"
}

exec_probe() { # CONTAINER VERB: inside Django, in a running container
  { read -r program && arguments=$(cat); } <".deploy/releases/$target/facts/manage"
  ask exec -e "DEPLOY_DJANGO=$2" "$1" "$program" $arguments shell -v 0 -c "$(probe_word)"
}

## Before the transaction: look, stage, plan

look() { # DIRECTORY: facts for the runner, a word and its value a line
  echo "deploy-django look $format"
  home=$(pwd -P)
  echo "home $home"
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
      echo "docker-error $(printf '%s' "$server" | tr '\n' ' ')"
    fi
  fi
  set +f
  for found in "${1%/*}"/*/.deploy; do
    if [ -d "$found" ]; then echo "project ${found%/.deploy}"; fi
  done
  if cd "$1" 2>/dev/null && [ -d .deploy ]; then look_releases; fi
  echo "end"
}

look_releases() {
  echo "format $(cat .deploy/format)"
  current=$(read_current)
  echo "current $current"
  echo "previous $(previous_of "$current")"
  for folder in .deploy/releases/*/; do
    [ -d "$folder" ] || continue
    id=$(basename "$folder")
    echo "release $id"
    for file in "$folder"facts/*; do
      name=${file##*/}
      if [ "$name" != migrations ]; then while read -r line; do echo "fact $id $name $line"; done <"$file"; fi
    done
  done
  for folder in .deploy/plans/*/; do
    [ -d "$folder" ] || continue
    id=$(basename "$folder")
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
  # The release first: what it names is then safe from another transaction's prune.
  if [ -d "$incoming/release" ]; then mv "$incoming/release" ".deploy/releases/$transaction"; fi
  if [ -d "$incoming/files" ]; then
    set +f
    for folder in "$incoming"/files/*; do
      name=${folder##*/}
      [ -e ".deploy/files/$name" ] || mv "$folder" .deploy/files/ 2>/dev/null || [ -e ".deploy/files/$name" ]
    done
    set -f
  fi
  mv "$incoming/plan" ".deploy/plans/$transaction"
  rm -rf "$incoming"
  pull "$(plan_fact target)"
}

pull() { # RELEASE; "registry username password" on three lines of standard input, or nothing
  login=
  if read -r registry && read -r username && read -r password; then
    # In memory where the server has it: the login lives for this pull and never reaches a disk.
    for memory in "${XDG_RUNTIME_DIR:-}" /dev/shm "$directory/.deploy"; do
      if [ -n "$memory" ] && [ -w "$memory" ]; then break; fi
    done
    login=$(mktemp -d "$memory/deploy-django.XXXXXX")
    trap 'rm -rf "$login"' EXIT
    trap 'exit 129' HUP INT TERM
    # The named context of a rootless daemon is kept in the folder that --config replaces.
    DOCKER_HOST=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) && export DOCKER_HOST
    printf '%s' "$password" | timeout -k 5 "$call_limit" docker --config "$login" login -u "$username" --password-stdin "$registry" >/dev/null 2>"$login/error" ||
      die 32 "the registry $registry refused the login from this server: $(tail -n 1 "$login/error")"
  fi
  number=0 jobs= failed=0
  for image in $(second_word <".deploy/releases/$1/facts/images" | sort -u); do
    number=$((number + 1))
    pull_image "$image" "$1" "$number" &
    jobs="$jobs $!"
  done
  for job in $jobs; do wait "$job" || failed=$?; done
  return "$failed"
}

pull_image() { # IMAGE RELEASE NUMBER: the tag keeps a `docker image prune` from taking a release's image away
  if ! ask image inspect "$1" >/dev/null 2>&1; then
    echo "pulling $1"
    timeout -k 5 "$pull_limit" docker ${login:+--config "$login"} pull -q "$1" </dev/null || die 33 "this server could not pull $1"
  fi
  ask tag "$1" "deploy-django/$(release_fact "$2" project):$2.$3"
}

check_settings() { # RELEASE: what the compose file wants from this server is here
  while read -r file; do
    [ -e "$file" ] || die 34 "$file"
  done <".deploy/releases/$1/facts/env-files"
  answer=$(compose "$1" config -q 2>&1) || die 35 "$answer"
  # A variable that is set nowhere would become an empty string: empty passwords are made this way.
  unset_names=$(printf '%s\n' "$answer" | sed -n 's/.*The \\*"\([A-Za-z0-9_]*\)\\*" variable is not set.*/\1/p' | sort -u | tr '\n' ' ')
  [ -z "$unset_names" ] || die 36 "$unset_names"
}

absent_data() { # RELEASE: data services without a running container
  running=$(containers | while read -r _ service state _; do if [ "$state" = running ]; then echo "$service"; fi; done)
  release_fact "$1" data | while read -r service; do
    is_listed "$service" "$running" || echo "$service"
  done
}

plan() { # DIRECTORY TRANSACTION VERB: the probe's answer of the target's image; nothing is changed
  enter "$1"
  transaction=$2 target=$(plan_fact target)
  project=$(release_fact "$target" project)
  check_settings "$target"
  if [ -z "$(read_current)" ] && [ -n "$(absent_data "$target")" ]; then
    echo '{"deploy-django": 1, "verb": "plan", "offline": true}'
  else
    run_probe "$target" "$3" --rm
  fi
}

## Journal

journal() { # STEP STATE DETAIL…: on disk before the deed that it announces
  echo "$(now) $*" >>".deploy/journal/$transaction"
  flush ".deploy/journal/$transaction"
}

happened() { grep -q "^[^ ]* $1 $2" ".deploy/journal/$transaction"; }
is_ended() { grep -q '^[^ ]* end ' ".deploy/journal/$1"; }
is_aborted() { [ -f ".deploy/journal/$transaction.abort" ]; }

previous_of() { # RELEASE: what served before RELEASE was committed for the first time
  if [ -n "$1" ] && [ -d .deploy/journal ]; then
    grep -rhE "^[^ ]* commit begin $1 after " .deploy/journal | sort | head -n 1 | while read -r _ _ _ _ _ before; do
      if [ "$before" != - ]; then echo "$before"; fi
    done
  fi
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

pause() { sleep "$1" 2>/dev/null || sleep 1; }

engine() { # DIRECTORY TRANSACTION
  enter "$1"
  transaction=$2
  # Descriptor 8 says that this engine lives; its children do not have it. Descriptor 9 is the project's lock; they all
  # inherit that one, so an orphan that still changes the server must end before anybody else begins.
  exec 8>>".deploy/plans/$transaction/alive" 9>>.deploy/lock
  flock -n 8 || die 37 "transaction $transaction is already running"
  echo "transaction $transaction"
  trap '' HUP
  while ! flock -n 9; do
    if is_aborted; then
      journal begin "$transaction" "$(plan_fact target)" from "$(read_current)"
      journal end back "$(read_current)"
      exit 0
    fi
    if [ "${holder:-}" != "$(cat .deploy/lock)" ]; then
      holder=$(cat .deploy/lock)
      echo "waiting for the lock, held by $holder"
    fi
    pause 0.2
  done
  echo "$transaction $(plan_fact url)" >.deploy/lock
  from=$(read_current)
  journal begin "$transaction" "$(plan_fact target)" from "${from:--}"
  walk
}

walk() { # the steps that are not done yet, to the end or back
  while read -r step <&3; do
    if happened "$step" end; then continue; fi
    if is_aborted && ! happened verify end; then back aborted; return; fi
    # Once `verify` has ended there is no way back but a rollback: what is left is tried again by whoever comes next.
    attempt "$step" || { code=$?; if happened commit begin; then finish_late "$step" "$code"; else back "$step" "$code"; fi; return; }
  done 3<".deploy/plans/$transaction/steps"
  finish
}

finish() {
  if happened commit end; then journal end committed "$(read_current)"; else journal end unchanged "$(read_current)"; fi
}

finish_late() { # STEP CODE: a release that is committed stays so, whatever its prune says
  if happened commit end; then journal end committed "$(read_current)"; else exit "$2"; fi
}

attempt() { # STEP: as a process of its own; again when it failed because the daemon was away
  journal "$1" begin $(announce "$1")
  code=0
  sh "$0" step "$directory" "$transaction" "$1" 3<&- 8>&- || code=$?
  if [ "$code" -ne 0 ] && ! docker_answers; then
    echo "docker does not answer: waiting for it"
    tries=0
    until docker_answers; do
      tries=$((tries + 1))
      [ "$tries" -lt 600 ] || { journal "$1" fail 38; return 38; }
      pause 1
    done
    code=0
    journal "$1" begin again $(announce "$1")
    sh "$0" step "$directory" "$transaction" "$1" 3<&- 8>&- || code=$?
  fi
  if [ "$code" -eq 0 ]; then journal "$1" end; else journal "$1" fail "$code"; fi
  return "$code"
}

announce() { # STEP: what its undo must know is written before the deed
  case $1 in
    swap) project=$(release_fact "$(plan_fact target)" project) && counts ;;
    commit) current=$(read_current) && echo "$(plan_fact target)" after "${current:--}" ;;
  esac
}

back() { # REASON…: to the release that serves
  happened back begin || journal back begin "$@"
  if happened swap begin || happened migrate begin || happened replan begin; then
    attempt undo || { journal back fail; exit 39; }
  fi
  journal back end
  journal end back "$(read_current)"
}

resume() { # DIRECTORY TRANSACTION: finishes what died, under the caller's lock
  enter "$1"
  transaction=$2
  echo "finishing transaction $transaction, which was interrupted"
  if happened back begin; then back
  elif happened verify end; then walk
  else back interrupted; fi
}

recover() { # DIRECTORY: by itself, when no transaction follows
  enter "$1"
  exec 9>>.deploy/lock
  flock 9
  recover_all
}

recover_all() {
  set +f
  for file in .deploy/journal/*; do
    id=${file##*/}
    case $id in *.log | *.abort | *.json | "${transaction:-}" | '*') continue ;; esac
    if is_ended "$id"; then continue; fi
    [ -f ".deploy/plans/$id/transaction.sh" ] || die 40 "transaction $id was interrupted and its plan is gone"
    sh ".deploy/plans/$id/transaction.sh" resume "$directory" "$id" 3<&- || die 40 "transaction $id could not be finished"
  done
  set -f
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

step_recover() { recover_all; }

step_fence() {
  if [ "$(plan_fact force)" != yes ] && [ -s .deploy/transaction ]; then
    last=$(cat .deploy/transaction)
    served=$(cat ".deploy/plans/$last/facts/run")
    if [ "$(plan_fact run)" -lt "$served" ]; then die 41 "run $(plan_fact run) is older than run $served, which deployed last"; fi
  fi
  check_settings "$target"
}

step_data() {
  absent=$(absent_data "$target")
  if [ -z "$absent" ]; then return; fi
  compose "$target" up -d --no-deps --no-recreate $absent
  until_healthy "$absent" 180
}

until_healthy() { # SERVICES SECONDS: those with a health check of their own
  waited=0
  for id in $(ids_of "$1"); do
    until docker_health "$id"; do
      is_aborted && die 42 "aborted while waiting for a data service"
      pause 0.2
      waited=$((waited + 1))
      [ "$waited" -lt $(($2 * 5)) ] || { show_last_lines "$id"; die 43 "a data service did not become healthy in $2 s"; }
    done
  done
}

docker_health() { # CONTAINER: its health command succeeds, whenever Docker's own interval is; without one, it runs
  ask inspect -f '{{.State.Running}}' "$1" | grep -qx true || return 1
  check=$(ask inspect -f '{{with .Config.Healthcheck}}{{range .Test}}{{println .}}{{end}}{{end}}' "$1")
  command=$(printf '%s\n' "$check" | sed 1d)
  case $check in
    CMD-SHELL*) ask exec "$1" /bin/sh -c "$command" >/dev/null 2>&1 ;;
    CMD*)
      # One argument a line.
      IFS='
'
      set -- "$1" $command
      unset IFS
      ask exec "$@" >/dev/null 2>&1
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
  ask rm -f "$migration" >/dev/null 2>&1 || true
  run_probe "$target" migrate -d --name "$migration" --label "deploy-django.transaction=$transaction" \
    -e "DEPLOY_DJANGO_APPROVED=$(plan_fact approved | tr '\n' ' ')" -e "DEPLOY_DJANGO_TIMEOUT=$(plan_fact migrate-timeout)" \
    -e "DEPLOY_DJANGO_LOCK_TIMEOUT=$(plan_fact lock-timeout)" -e DEPLOY_DJANGO_LOCK_WAIT=600
  while :; do
    state=$(ask inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$migration")
    case $state in
      'exited '* | 'dead '*) collect; return "${state#* }" ;;
    esac
    if ask logs "$migration" 2>/dev/null | grep -q '^deploy-django: replanned'; then return 0; fi
    pause 0.05
  done
}

step_migrate() {
  ask kill -s USR1 "$migration" >/dev/null 2>&1 || true # it ended by itself when nothing was pending
  await_migration
}

await_migration() { # its container's exit code is the result, nothing else; it is never killed
  timeout "$change_limit" docker logs -f --since 0s "$migration" 2>&1 >/dev/null </dev/null 9>&- &
  until code=$(timeout 600 docker wait "$migration" </dev/null); do
    if docker_answers && ! ask inspect "$migration" >/dev/null 2>&1; then die 44 "the migration's container is gone"; fi
    pause 0.5
  done
  collect
  return "$code"
}

collect() { # the migration's own report
  report migrate migration_output || true
}

migration_output() { ask logs "$migration" 2>/dev/null; }

counts() { # "SERVICE=N": how many run now, where it is more than one
  running=$(containers | while read -r _ service state _; do if [ "$state" = running ]; then echo "$service"; fi; done)
  services_of "$(plan_fact target)" | while read -r service; do
    count=$(printf '%s\n' "$running" | grep -cxF -- "$service") || true
    if [ "$count" -gt 1 ]; then printf '%s=%s ' "$service" "$count"; fi
  done
}

bring_up() { # RELEASE OPTIONS…: its services, level by level, as many of each as ran when the swap began
  bringing=$1
  shift
  levels=$(release_fact "$bringing" services | first_word | sort -un)
  counted=$(sed -n 's/^[^ ]* swap begin\( again\)\{0,1\} *//p' ".deploy/journal/$transaction" | head -n 1)
  for level in $levels; do
    names=$(release_fact "$bringing" services | while read -r at service; do if [ "$at" = "$level" ]; then echo "$service"; fi; done)
    scales=
    for count in $counted; do
      if is_listed "${count%=*}" "$names"; then scales="$scales --scale $count"; fi
    done
    compose "$bringing" up -d --no-deps --no-build --pull never "$@" $scales $names
  done
}

remove_leftovers() { # an interrupted recreate leaves `<12 hex>_name`, and every later one would fail on it
  known=$(services_of "$target"; services_of "$current")
  containers | while read -r id service _ name; do
    case $name in
      [0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]_*)
        if is_listed "$service" "$known"; then ask rm -f "$id" >/dev/null; fi
        ;;
    esac
  done
}

only_in() { # SERVICES OTHERS: what the first list has and the second has not
  printf '%s\n' "$1" | while read -r service; do
    if [ -n "$service" ] && ! is_listed "$service" "$2"; then echo "$service"; fi
  done
}

step_swap() {
  remove_leftovers
  bring_up "$target" --force-recreate
  others=$(absent_data "$target"; absent_others "$target")
  if [ -n "$others" ]; then compose "$target" up -d --no-deps --no-recreate $others; fi
  retired=$(ids_of "$(only_in "$(services_of "$current")" "$(services_of "$target")")" running)
  if [ -n "$retired" ]; then timeout -k 10 "$change_limit" docker stop $retired </dev/null; fi
}

absent_others() { # RELEASE: services that stand behind the app, such as a proxy that is not built here
  existing=$(containers | second_word)
  release_fact "$1" others | while read -r service; do
    is_listed "$service" "$existing" || echo "$service"
  done
}

# nginx looks its upstream's name up once, when it reads its configuration.
step_proxy() {
  for id in $(ids_of "$(only_in "$(containers | second_word)" "$(release_fact "$target" django)")" running); do
    if ask top "$id" 2>/dev/null | grep -q 'nginx: master'; then
      ask exec "$id" nginx -s reload || echo "nginx in $id did not reload"
    fi
  done
}

inspect_app() { # "SERVICE STATE EXIT RESTARTS POLICY STARTED IMAGE ID" of the release's containers
  ids=$(ids_of "$(services_of "$target")")
  [ -n "$ids" ] || die 45 "no container of the release exists"
  ask inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{.HostConfig.RestartPolicy.Name}} {{.State.StartedAt}} {{.Image}} {{.Id}}' $ids
}

step_health() {
  limit=$(plan_fact health-timeout)
  deadline=$(($(date +%s) + ${limit:-$(health_limit)}))
  quiet_since=
  while :; do
    is_aborted && die 42 "aborted while waiting for health"
    states=$(inspect_app)
    notice_crashes "$states"
    if app_is_healthy "$states" && [ "$(inspect_app)" = "$states" ]; then break; fi
    [ "$(date +%s)" -lt "$deadline" ] || { show_unhealthy "$states"; die "${http:-46}" "not healthy in time"; }
    pause 0.1
  done
}

health_limit() { # start period + interval x retries of the slowest check, at least 60 s
  ask inspect -f '{{with .Config.Healthcheck}}{{.StartPeriod.Nanoseconds}} {{.Interval.Nanoseconds}} {{.Retries}}{{end}}' $(ids_of "$(services_of "$target")") |
    { longest=60
      while read -r start interval retries; do
        if [ -n "$start" ]; then
          seconds=$(((start + (interval ? interval : 30000000000) * (retries ? retries : 3)) / 1000000000))
          if [ "$seconds" -gt "$longest" ]; then longest=$seconds; fi
        fi
      done
      echo "$longest"; }
}

notice_crashes() { # STATES
  printf '%s\n' "$1" | while read -r service state exit restarts policy _ _ id; do
    if [ "$state" = exited ] && [ "$exit" = 0 ] && [ "$policy" = no ]; then continue; fi
    if [ "$restarts" -ge 3 ] || { [ "$state" = exited ] && [ "$policy" = no ]; } || [ "$state" = dead ]; then
      show_last_lines "$id"
      die 47 "$service exit=$exit restarts=$restarts"
    fi
  done
}

app_is_healthy() { # STATES
  http=
  printf '%s\n' "$1" | while read -r service state exit _ policy _ image id; do
    if [ "$state" = exited ] && [ "$exit" = 0 ] && [ "$policy" = no ]; then continue; fi
    [ "$state" = running ] || exit 1
    docker_health "$id" || inherits_check "$service" "$image" "$id" || exit 1
  done || return 1
  ask_http "$1" || { http=$?; return 1; }
}

# A worker has the web image's HEALTHCHECK without meaning it.
inherits_check() { # SERVICE IMAGE CONTAINER
  if [ "$1" = "$(release_fact "$target" django)" ] || release_fact "$target" fronts | first_word | grep -qxF -- "$1"; then return 1; fi
  [ "$(ask image inspect -f '{{json .Config.Healthcheck}}' "$2")" = "$(ask inspect -f '{{json .Config.Healthcheck}}' "$3")" ] || return 1
  echo "warning: $1 has the health check of its image, which does not succeed there"
}

ask_http() { # STATES: by the app's own Python from inside its network
  if [ ! -f ".deploy/plans/$transaction/http.json" ]; then return 0; fi
  django=$(release_fact "$target" django)
  asker=$(printf '%s\n' "$1" | while read -r service state _ _ _ _ _ id; do
    if [ "$service" = "$django" ] && [ "$state" = running ]; then echo "$id"; fi
  done | head -n 1)
  [ -n "$asker" ] || return 46
  read -r python <".deploy/releases/$target/facts/manage"
  answer=.deploy/journal/$transaction.health.json
  code=0
  timeout -k 5 "$call_limit" docker exec -i -e DEPLOY_DJANGO=http "$asker" "$python" -c "$(probe_word)" \
    <".deploy/plans/$transaction/http.json" >"$answer" 2>/dev/null || code=$?
  if [ "$code" -ne 0 ]; then return "$code"; fi
  if ! grep -q '"nothing-speaks-http"' "$answer"; then return 0; fi
  # Nothing to ask: it has to run quietly for ten seconds.
  quiet_since=${quiet_since:-$(date +%s)}
  [ "$(date +%s)" -ge $((quiet_since + 10)) ] || return 46
}

show_unhealthy() { # STATES
  printf '%s\n' "$1" | while read -r service state _ restarts _ _ _ id; do
    echo "$service is $state, $restarts restarts"
    show_last_lines "$id"
  done
}

step_verify() {
  expected=
  while read -r service image; do
    expected="$expected$service $(ask image inspect -f '{{.Id}}' "$image")
"
  done <".deploy/releases/$target/facts/images"
  inspect_app | while read -r service state exit _ policy _ image id; do
    if ! printf '%s' "$expected" | grep -qxF -- "$service $image"; then die 48 "$service runs $image, not the release's image"; fi
    if [ "$state" != running ] && ! { [ "$state" = exited ] && [ "$exit" = 0 ] && [ "$policy" = no ]; }; then die 47 "$service exit=$exit"; fi
  done
  id=$(ids_of "$(release_fact "$target" django)" running | head -n 1)
  [ -n "$id" ] || die 45 "no container of the release runs Django"
  report verify exec_probe "$id" verify
}

report() { # NAME COMMAND…: keeps the JSON that a probe prints for the runner; the code is the probe's
  answer=.deploy/journal/$transaction.$1.json
  shift
  code=0
  "$@" >"$answer.out" || code=$?
  result_of "$answer.out" >"$answer"
  rm -f "$answer.out"
  return "$code"
}

step_fit() { # the target's models on the database as it is now
  report fit run_probe "$target" fit --rm
}

place() { # FILE NAME: a copy under the stable name, whole or not at all
  cp "$1" "$2.new"
  flush "$2.new"
  mv "$2.new" "$2"
}

step_commit() {
  place ".deploy/releases/$target/compose.yaml" compose.yaml
  if [ -f ".deploy/releases/$target/env/.env" ]; then place ".deploy/releases/$target/env/.env" .env; fi
  echo "$transaction" >.deploy/transaction.new
  echo "$target" >.deploy/current.new
  flush .deploy/transaction.new .deploy/current.new
  mv .deploy/transaction.new .deploy/transaction
  mv .deploy/current.new .deploy/current
  flush
}

step_prune() {
  ask rm -f "$migration" >/dev/null 2>&1 || true
  retired=$(ids_of "$(only_in "$(services_of "$(previous_of "$target")")" "$(services_of "$target")")")
  if [ -n "$retired" ]; then ask rm -f $retired >/dev/null; fi
  prune_releases "$(plan_fact keep)"
}

prune_releases() { # NUMBER: keeps that many, and always what serves and its way back
  kept=$(printf '%s\n' "$target" "$(previous_of "$target")"
    grep -rhE '^[^ ]* commit begin ' .deploy/journal | sort -r | while read -r _ _ _ id _; do echo "$id"; done | awk '!seen[$0]++' | head -n "$1")
  set +f
  for folder in .deploy/releases/*/; do
    id=$(basename "$folder")
    if is_listed "$id" "$kept"; then continue; fi
    # A release that nobody began yet may be another run's, which is on its way.
    if [ ! -f ".deploy/journal/$id" ] && [ -z "$(find "$folder" -maxdepth 0 -mtime +0)" ]; then continue; fi
    images=$(second_word <"$folder/facts/images" | sort -u)
    rm -rf "$folder"
    for image in $images; do
      if ! grep -qF -- "$image" .deploy/releases/*/facts/images; then ask rmi "$image" >/dev/null 2>&1 || true; fi
    done
    for tag in $(ask image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=deploy-django/$project:$id.*"); do
      ask rmi "$tag" >/dev/null 2>&1 || echo "kept $tag: something uses it"
    done
  done
  for folder in .deploy/files/*/; do
    [ -d "$folder" ] || continue
    grep -qF -- "$(basename "$folder")" .deploy/releases/*/compose.yaml || rm -rf "$folder"
  done
  set -f
}

# Going back: what a migration did is awaited, what the swap did is taken back.
step_undo() {
  if ask inspect "$migration" >/dev/null 2>&1; then
    if happened migrate begin; then await_migration || true; fi # without the word to go it has done nothing
    ask rm -f "$migration" >/dev/null
  fi
  if ! happened swap begin; then return 0; fi
  remove_leftovers
  made=$(only_in "$(services_of "$target")" "$(services_of "$current")")
  extra=$(ids_of "$made")
  if [ -n "$extra" ]; then ask rm -f $extra >/dev/null; fi
  if [ -n "$current" ]; then
    bring_up "$current"
    step_proxy
  fi
}

## After and beside the transaction

follow() { # DIRECTORY TRANSACTION JOURNAL-LINES LOG-LINES: what comes after those lines, until the end ("x …")
  enter "$1"
  transaction=$2 seen_journal=$3 seen_log=$4
  while :; do
    # Asked before reading: then nothing that was written can be missed.
    if flock -n ".deploy/plans/$transaction/alive" true; then over=yes; else over=; fi
    show_new j ".deploy/journal/$transaction" "$seen_journal"
    seen_journal=$total
    show_new l ".deploy/journal/$transaction.log" "$seen_log"
    seen_log=$total
    if [ -n "$over" ]; then break; fi
    pause 0.05
  done
  set +f
  for file in ".deploy/journal/$transaction".*.json; do
    if [ -s "$file" ]; then sed 's/^/r /' "$file"; fi
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
exit 0
