# shellcheck shell=sh
## Step health, and its parts that the trial before the swap shares.

# `only`: the one container to check instead of the whole release. `quiet_seconds`: how long a container must run if it
# has no check and answers no HTTP. `must_listen`: it has to answer HTTP.
# `before_file`: what the current release answered before this deployment replaced it, to compare with.
only='' quiet_seconds=10 must_listen='' before_file=
# What programs log while they wait for a connection: Celery, redis-py, psycopg, kombu and resolvers.
no_connection='cannot connect|could not connect|connection refused|trying again in|name or service not known'
no_connection="$no_connection|name resolution|no route to host"

# Sets `app` to what inspect_containers prints about the release's containers.
inspect_release() { # RELEASE
  list_containers
  ids=$(ids_of "$(services_of "$1")")
  [ -n "$ids" ] || die "$exit_container_missing" "no container of the release exists"
  look_again
}

find_checked() { # sets `ids` and `app`
  if [ -z "$only" ]; then
    inspect_release "$checked_release"
    return
  fi
  ids=$only
  look_again || die "$exit_container_missing" "the container $only is gone"
}

look_again() { app=$(inspect_containers "$ids"); }

is_finished() { # STATE EXIT POLICY: whether the container ended as it should
  [ "$1 $2" = "exited 0" ] && is_listed "$3" "no${newline}on-failure"
}

is_steady() { # STATE RESTARTS STARTED: whether it runs and is not in a crash loop, in which it also runs for moments
  [ "$1" = running ] && { [ "$2" -eq 0 ] || is_long_up "$3"; }
}

is_long_up() { # STARTED: `quiet_seconds` ago, or earlier
  since=$(date -u -d "@$(($(date +%s) - quiet_seconds))" +%Y-%m-%dT%H:%M:%S)
  [ "$(printf '%s\n' "$1" "$since" | sort | head -n 1)" = "$1" ]
}

step_health() {
  checked_release=$target question=.deploy/plans/$transaction/http.json answer_name=http
  before_file=.deploy/journal/$transaction.before.json
  list_containers
  fronts=$(look_fronts)
  until_healthy_release
  check_fronts "$fronts"
  warn_of_unconnected
}

until_healthy_release() { # checks `checked_release` with `question`; keeps the probe's answer as `answer_name`
  find_checked
  deadline='' quiet_since='' firm_since='' warned='' asked_at=$(date +%s)
  while :; do
    if is_cancelled; then die "$exit_aborted" "aborted while waiting for health"; fi
    before=$app http=$exit_health_timeout
    if app_is_healthy && look_again && [ "$app" = "$before" ] && stays_up; then return; fi
    if [ -z "$deadline" ]; then
      limit=$(plan_list health-timeout)
      deadline=$((asked_at + ${limit:-$(health_limit)}))
    fi
    if is_firm || [ "$(date +%s)" -ge "$deadline" ]; then
      # It answered correctly but did not stay up.
      if [ "$http" -eq 0 ]; then http=$exit_health_timeout; fi
      # Something may have crashed only after the last check.
      if seen_now=$(inspect_containers "$ids"); then app=$seen_now; fi
      fronts=$(inspect_containers "$(needed_fronts)") || fronts=
      looping=$(list_down && crash_loops)
      show_unhealthy
      if [ "$http" -eq "$exit_health_timeout" ] && [ -n "$looping" ]; then die_of_crash; fi
      die "$http" "not healthy in time"
    fi
    # The first answers come within seconds. After that, ten Python processes a second would cost too much.
    if [ "$(date +%s)" -lt $((asked_at + 5)) ]; then pause 0.1; else pause 1; fi
    find_checked
  done
}

is_cancelled() { is_aborted && ! happened back begin && ! is_forward; }

# Whether more waiting is useless. For ten seconds, the release refused, the health command's program was missing, or
# workers kept ending while their parent process lived.
is_firm() {
  if [ "$http" -ne "$exit_refuses" ] && ! refuses_command && ! restarts_workers; then
    firm_since=
    return 1
  fi
  firm_since=${firm_since:-$(date +%s)}
  [ "$(date +%s)" -ge $((firm_since + 10)) ]
}

# An error status, or a missing program or file, is final. If nothing listens, that may only mean "not yet".
refuses_command() {
  case $refused in
    *': not found'* | *'command not found'* | *'executable file not found'* | *"can't open file"*) return ;;
    *'No module named'*) return ;;
  esac
  [ -n "$refused" ] && ! is_starting && printf '%s\n' "$refused" |
    grep -E '(error|Error|status|HTTP/1\.[01])[: ]+(HTTP Error )?(4[0-9][0-9]|50[01])' >/dev/null
}

is_starting() { # whether this is within the start period of a health check
  [ "$(date +%s)" -lt $((asked_at + $(start_period))) ]
}

# Counts worker ends and starts in the web server's log. If more workers started than processes exist, some have ended,
# even if the log does not say so. On a slow host they end many seconds apart, so the time counts from the first check.
restarts_workers() {
  if [ -z "$asker" ]; then return 1; fi
  since=$(printf '%s\n' "$app" | awk -v "id=$asker" '$8 == id { print $6 }')
  web_log=$(ask logs --since "$since" --tail 1000 "$asker" 2>&1) || return 1
  deaths=$(lines_with 'Worker .*exited with code|Worker failed to boot|Child process .* died|Respawned uWSGI worker')
  starts=$(lines_with 'Booting worker with pid')
  if [ "$deaths" -lt 3 ]; then
    processes=$(ask top "$asker" 2>/dev/null) || return 1
    [ "$starts" -ge $(($(printf '%s\n' "$processes" | tail -n +2 | wc -l) + 3)) ] || return 1
  fi
  firm_since=${firm_since:-$asked_at}
}

lines_with() { printf '%s\n' "$web_log" | grep -cE "$1" || true; } # PATTERN

stays_up() { # waits for services without a check: one that lacks something starts, and ends seconds later
  youngest=$(printf '%s\n' "$unasked" | sort | tail -n 1) tries=0
  # The number of tries is limited, because the clock may have been set back.
  until is_long_up "$youngest" || [ "$tries" -ge 60 ]; do
    tries=$((tries + 1))
    pause 0.2
    look_again
    if is_cancelled || [ "$app" != "$before" ]; then return 1; fi
  done
}

health_limit() { # start period + the larger of 30 s and four times what the last deployment needed
  needed=$(($(seconds_needed) * 4))
  if [ "$needed" -lt 30 ]; then needed=30; fi
  echo $(($(start_period) + needed))
}

start_period() { # the longest start period of the health checks, in seconds
  on "$ids" ask inspect -f '{{with .Config.Healthcheck}}{{.StartPeriod.Nanoseconds}}{{end}}' | {
    longest=0
    while read -r nanoseconds; do
      seconds=$((${nanoseconds:-0} / 1000000000))
      if [ "$seconds" -gt "$longest" ]; then longest=$seconds; fi
    done
    echo "$longest"
  }
}

seconds_needed() { # duration of the step health in the last committed transaction
  last=$(cat .deploy/transaction 2>/dev/null) || last=
  if [ -z "$last" ] || [ ! -f ".deploy/journal/$last" ]; then
    echo 0
    return
  fi
  awk '
    function seconds(time, part) { split(substr(time, 12), part, ":"); return part[1] * 3600 + part[2] * 60 + part[3] }
    $2 == "health" && $3 == "begin" { begun = seconds($1) }
    $2 == "health" && $3 == "end" { needed = seconds($1) - begun }
    END { if (needed < 0) needed += 86400; print int(needed + 0.999) }' ".deploy/journal/$last"
}

needed_fronts() { # containers in front of the app without which no visitor reaches it
  if [ -n "$only" ]; then return; fi
  ids_of "$(only_in "$(with_role "$checked_release" front)" "$(release_list "$checked_release" optional)")"
}

look_fronts() { inspect_containers "$(ids_of "$(with_role "$target" front)")"; } # needs `seen`

# Without a proxy no visitor reaches the app. One that ends because it did not find the app has time to come back.
check_fronts() { # AS-SEEN: the services in front of the app must stay up
  first=$1 until=$(($(date +%s) + 30))
  while [ -n "$1" ]; do
    if is_cancelled; then die "$exit_aborted" "aborted while waiting for a service in front of the app"; fi
    fronts=$(look_fronts)
    down=$(list_down)
    if [ "$fronts" = "$1" ] && [ -z "$down" ]; then return; fi
    looping=$down
    if [ "$(date +%s)" -lt "$until" ]; then looping=$(list_lost); fi
    if [ -n "$looping" ]; then
      for id in $(printf '%s\n' "$looping" | first_word); do show_last_lines "$id"; done
      die_of_crash
    fi
    set -- "$fronts"
    pause 1
  done
}

list_down() { # "ID SERVICE EXIT RESTARTS STATE POLICY" of `fronts` that neither run nor have ended as they should
  printf '%s\n' "$fronts" | while read -r service state exit restarts policy started _ id; do
    if [ -z "$id" ] || is_steady "$state" "$restarts" "$started"; then continue; fi
    if is_finished "$state" "$exit" "$policy"; then continue; fi
    # A tool may fail, for example a certificate client while the domain does not point here yet.
    optional=$(release_list "$target" optional)
    if [ "$state $policy" = "exited no" ] && is_listed "$service" "$optional"; then continue; fi
    echo "$id $service $exit $restarts $state $policy"
  done
}

list_lost() { # those of `down` that will not come back: ended for good, or restarted three times since `first`
  printf '%s\n' "$down" | while read -r id service exit restarts state policy; do
    if [ -z "$id" ]; then continue; fi
    had=$(printf '%s\n' "$first" | awk -v "id=$id" '$8 == id { print $4 }')
    if [ "$state" = dead ] || [ "$state $policy" = "exited no" ] || [ "$restarts" -ge $((${had:-0} + 3)) ]; then
      echo "$id $service $exit $restarts"
    fi
  done
}

crash_loops() { # "ID SERVICE EXIT RESTARTS" of what has restarted and not run for long since
  printf '%s\n' "$app" | while read -r service state exit restarts policy started _ id; do
    if is_finished "$state" "$exit" "$policy"; then continue; fi
    if [ "$restarts" -gt 0 ] && ! is_steady "$state" "$restarts" "$started"; then
      echo "$id $service $exit $restarts"
    fi
  done
}

die_of_crash() { # names the last of `looping`, whose lines are shown last
  read -r id service exit restarts _ <<END
$(printf '%s\n' "$looping" | tail -n 1)
END
  die_exited "$service" "$exit" "$restarts" "$id"
}

die_exited() { # SERVICE EXIT RESTARTS CONTAINER
  exit=$2
  # Docker shows exit code 0 for a container that it has restarted.
  if [ "$exit" = 0 ] && [ "$3" -gt 0 ]; then exit=$(last_exit "$4"); fi
  die "$exit_container_exited" "$1 exit=$exit restarts=$3"
}

last_exit() { # CONTAINER: the exit code of its last death; 0 if Docker no longer knows it
  died=$(ask events --since "$(($(date +%s) - 900))" --until 0s --filter event=die --filter "container=$1" \
    --format '{{.Actor.Attributes.exitCode}}' | first_word | tail -n 1) || died=
  echo "${died:-0}"
}

app_is_healthy() {
  asker='' healthy=yes unwell='' refused='' unasked='' ill=''
  while read -r service state exit restarts policy started image id; do
    if [ -z "$only" ] && is_finished "$state" "$exit" "$policy"; then continue; fi
    steady=yes
    is_steady "$state" "$restarts" "$started" || steady=no
    if [ "$steady" = no ] &&
      { [ "$restarts" -ge 3 ] || [ "$state" = dead ] || [ "$state $policy" = "exited no" ]; }; then
      show_last_lines "$id"
      die_exited "$service" "$exit" "$restarts" "$id"
    fi
    complaint='' checked='' check_result=0
    if [ "$steady" = no ] || { ! docker_health "$id" && ! inherits_check "$service" "$image" "$id"; }; then
      healthy=no ill=$ill$newline$id
      if [ "$check_result" -ne 0 ]; then note_refusal; fi
    fi
    if [ "$checked" = NONE ] && ! { [ -f "$question" ] && is_asked "$service"; }; then
      unasked=$unasked$newline$started
    fi
    if [ "$service" = "$(release_fact "$checked_release" django)" ]; then asker=$id; fi
  done <<END
$app
END
  [ "$healthy" = yes ] && ask_http
}

# Adds to `unwell` why the health command of `service` failed, and to `refused` what may be a final answer. A command
# that `timeout` ended (124 or 137) has not answered yet.
note_refusal() {
  ran=$(printf '%s' "$check_command" | tr '\n' ' ' | cut -c 1-300)
  said=$(printf '%s\n' "$complaint" | tr '\r' '\n' | sed '/^[[:space:]]*$/d' | tail -n 1)
  case $check_result in
    124 | 137) unwell=$unwell$newline"the health command of $service did not end within $check_limit s: $ran" ;;
    *)
      unwell=$unwell$newline"the health command of $service ended with $check_result: $ran"
      refused=$refused$newline$said
      ;;
  esac
  if [ -n "$said" ]; then unwell=$unwell$newline"the health command of $service says: $said"; fi
}

is_asked() { # SERVICE: whether the probe checks it over HTTP
  [ "$1" = "$(release_fact "$checked_release" django)" ] ||
    is_listed "$1" "$(release_list "$checked_release" fronts | first_word)"
}

# A worker inherits the web image's HEALTHCHECK, which does not fit it.
inherits_check() { # SERVICE IMAGE CONTAINER
  if is_asked "$1"; then return 1; fi
  template='{{json .Config.Healthcheck}}'
  [ "$(ask image inspect -f "$template" "$2")" = "$(ask inspect -f "$template" "$3")" ] || return 1
  if ! is_listed "$1" "$warned"; then
    echo "warning: $1 inherits the health check of its image, which fails in this service"
  fi
  warned=$warned$newline$1 checked=NONE
}

ask_http() { # with the app's own Python, inside its network; sets `http`
  if [ ! -f "$question" ]; then return; fi
  [ -n "$asker" ] || return 1
  read -r python <".deploy/releases/$checked_release/facts/manage"
  http=0 asking_since=$(date +%s)
  report "$answer_name" exec_http || http=$?
  if [ "$http" -eq 0 ]; then return; fi
  if [ "$http" -ne "$exit_no_http" ] || [ -n "$must_listen" ]; then return 1; fi
  # Nothing speaks HTTP: the container has to run for a while without a crash.
  http=$exit_health_timeout
  quiet_since=${quiet_since:-$asking_since}
  [ "$(date +%s)" -ge $((quiet_since + quiet_seconds)) ]
}

exec_http() { # [VERB]
  set -- limited "$call_limit" exec -i -e "DEPLOY_DJANGO=${1:-http}" -e "DEPLOY_DJANGO_LISTEN_WAIT=${only:+1}"
  if [ -n "$before_file" ] && [ -s "$before_file" ]; then
    set -- "$@" -e "DEPLOY_DJANGO_BEFORE=$(cat "$before_file")"
  fi
  set -- "$@" "$asker"
  case ${python##*/} in
    python* | pypy*) set -- "$@" "$python" -c "$(probe_word)" ;;
    *) set -- in_django "$checked_release" "$@" ;; # `uv run manage.py` names no Python
  esac
  "$@" <"$question" 2>/dev/null
}

# Keeps what the current release answers, while it still serves. A step that runs again would find the new release.
note_answers() { # needs `seen`
  question=.deploy/plans/$transaction/http.json
  manage=.deploy/releases/$current/facts/manage
  if [ -e ".deploy/journal/$transaction.before.json" ] || [ ! -f "$question" ] || [ ! -f "$manage" ]; then return; fi
  asker=$(first_running "$(release_list "$current" django)") checked_release=$current
  if [ -z "$asker" ] || ! read -r python <"$manage"; then return; fi
  report before exec_http answers || true # it may be broken, which the new release repairs
}

# A worker runs while it only tries again and again to connect, for example to a broker with a mistyped name.
warn_of_unconnected() {
  printf '%s\n' "$app" | while read -r service state _ _ _ _ _ id; do
    if [ "$state" != running ] || is_asked "$service"; then continue; fi
    last=$(ask logs --tail 5 "$id" 2>&1 | relevant_lines | tail -n 1 | cut -c 1-300) || continue
    if printf '%s\n' "$last" | grep -qiE "$no_connection"; then
      echo "warning: $service runs, but it seems to have no connection. The last line of its log: $last"
    fi
  done
}

# The service that gave the answer that the health check refuses. A host name that no service has, such as a domain,
# leads to the service in front.
find_answering() {
  if [ -n "$only" ]; then return; fi
  case $http in "$exit_unhealthy" | "$exit_refuses" | "$exit_front_fails") ;; *) return ;; esac
  if is_listed "$answering_host" "$(named "$checked_release")"; then
    echo "$answering_host"
  elif [ "$http" -eq "$exit_front_fails" ]; then
    release_list "$checked_release" fronts | first_word
  fi
}

show_unhealthy() { # failed containers come last: the error shows the end of the log
  crashed=$(printf '%s\n' "$looping" | first_word)
  failed=$(only_in "$ill" "$crashed")
  if [ -z "$failed$crashed" ]; then failed=$asker; fi
  answering=$(ids_of "$(find_answering)")
  failed=$(only_in "$failed" "$answering")$newline$answering
  failed=$failed$newline$crashed
  printf '%s\n' "$app" | while read -r service state _ restarts _ _ _ id; do
    if ! is_listed "$id" "$failed"; then echo "$service is $state, $restarts restarts"; fi
  done
  for id in $failed; do show_last_lines "$id"; done
  if [ -n "$unwell" ]; then echo "${unwell#?}"; fi
}
