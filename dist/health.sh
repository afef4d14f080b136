# shellcheck shell=sh
## Step health.

# Sets `app`: "SERVICE STATE EXIT RESTARTS POLICY STARTED IMAGE ID" of a release's containers, a line each.
inspect_release() { # RELEASE
  survey
  ids=$(ids_of "$(services_of "$1")")
  [ -n "$ids" ] || die "$exit_container_missing" "no container of the release exists"
  look_again
}

look_again() { app=$(inspect_run "$ids"); }

inspect_run() { # CONTAINERS: a line each, as in `app`
  template='{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}}'
  template=$template' {{.RestartCount}} {{or .HostConfig.RestartPolicy.Name "no"}} {{.State.StartedAt}}'
  template=$template' {{.Image}} {{.Id}}'
  on "$1" ask inspect -f "$template"
}

is_finished() { # STATE EXIT POLICY: a container that has run to its end, as it should
  [ "$1 $2" = "exited 0" ] && is_listed "$3" "no${newline}on-failure"
}

is_steady() { # STATE RESTARTS STARTED: between two crashes a container runs for a moment as well
  [ "$1" = running ] && { [ "$2" -eq 0 ] || is_long_up "$3"; }
}

is_long_up() { # STARTED: ten seconds ago, or earlier
  since=$(date -u -d "@$(($(date +%s) - 10))" +%Y-%m-%dT%H:%M:%S)
  [ "$(printf '%s\n' "$1" "$since" | sort | head -n 1)" = "$1" ]
}

step_health() {
  inspect_release "$target"
  deadline='' quiet_since='' firm_since='' warned=''
  while :; do
    if is_aborted; then die "$exit_aborted" "aborted while waiting for health"; fi
    before=$app http=$exit_health_timeout
    if app_is_healthy && look_again && [ "$app" = "$before" ] && stays_up; then return; fi
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

# Waiting does not change a release that refuses for ten seconds, nor a health command without its program.
is_firm() {
  if [ "$http" -ne "$exit_refuses" ] && ! lacks_program; then
    firm_since=
    return 1
  fi
  firm_since=${firm_since:-$(date +%s)}
  [ "$(date +%s)" -ge $((firm_since + 10)) ]
}

lacks_program() {
  case $unwell in
    *': not found'* | *'command not found'* | *'executable file not found'*) ;;
    *) return 1 ;;
  esac
}

stays_up() { # services that nobody asks: one that lacks something starts, and ends some seconds later
  youngest=$(printf '%s\n' "$unasked" | sort | tail -n 1) tries=0
  # A clock that was set back is not waited for.
  until is_long_up "$youngest" || [ "$tries" -ge 60 ]; do
    tries=$((tries + 1))
    pause 0.2
    look_again
    if is_aborted || [ "$app" != "$before" ]; then return 1; fi
  done
}

health_limit() { # start period + interval x retries of the slowest check, at least 60 s
  template='{{with .Config.Healthcheck}}{{.StartPeriod.Nanoseconds}} {{.Interval.Nanoseconds}} {{.Retries}}{{end}}'
  on "$ids" ask inspect -f "$template" | {
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
  asker='' healthy=yes unwell='' unasked=''
  while read -r service state exit restarts policy started image id; do
    if is_finished "$state" "$exit" "$policy"; then continue; fi
    steady=yes
    is_steady "$state" "$restarts" "$started" || steady=no
    if [ "$steady" = no ] &&
      { [ "$restarts" -ge 3 ] || [ "$state" = dead ] || [ "$state $policy" = "exited no" ]; }; then
      show_last_lines "$id"
      die "$exit_container_exited" "$service exit=$exit restarts=$restarts"
    fi
    complaint='' checked=''
    if [ "$steady" = no ] || { ! docker_health "$id" && ! inherits_check "$service" "$image" "$id"; }; then
      healthy=no
      if [ -n "$complaint" ]; then
        unwell=$unwell$newline"the health command of $service says: $(printf '%s\n' "$complaint" | tail -n 1)"
      fi
    fi
    if [ "$checked" = NONE ] && ! is_asked "$service"; then unasked=$unasked$newline$started; fi
    if [ "$service" = "$(release_fact "$target" django)" ]; then asker=$id; fi
  done <<END
$app
END
  [ "$healthy" = yes ] && ask_http
}

is_asked() { # SERVICE: over HTTP
  [ "$1" = "$(release_fact "$target" django)" ] || is_listed "$1" "$(release_list "$target" fronts | first_word)"
}

# A worker has the web image's HEALTHCHECK without meaning it.
inherits_check() { # SERVICE IMAGE CONTAINER
  if is_asked "$1"; then return 1; fi
  template='{{json .Config.Healthcheck}}'
  [ "$(ask image inspect -f "$template" "$2")" = "$(ask inspect -f "$template" "$3")" ] || return 1
  if ! is_listed "$1" "$warned"; then
    echo "warning: $1 has the health check of its image, which does not succeed there"
  fi
  warned=$warned$newline$1 checked=NONE
}

ask_http() { # by the app's own Python from inside its network; sets `http`
  if [ ! -f ".deploy/plans/$transaction/http.json" ]; then return; fi
  [ -n "$asker" ] || return 1
  read -r python <".deploy/releases/$target/facts/manage"
  http=0
  report http exec_http || http=$?
  if [ "$http" -eq 0 ]; then return; fi
  [ "$http" -eq "$exit_no_http" ] || return 1
  # Nothing speaks HTTP: it has to run quietly for ten seconds.
  http=$exit_health_timeout
  quiet_since=${quiet_since:-$(date +%s)}
  [ "$(date +%s)" -ge $((quiet_since + 10)) ]
}

exec_http() {
  set -- limited "$call_limit" exec -i -e DEPLOY_DJANGO=http "$asker"
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
  if [ -n "$unwell" ]; then echo "${unwell#?}"; fi
}
