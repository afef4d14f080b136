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
  checked_release=$target question=.deploy/plans/$transaction/http.json answer_name=http
  until_healthy_release
}

until_healthy_release() { # of `checked_release`, asked with `question`; the probe's answer is kept under `answer_name`
  inspect_release "$checked_release"
  deadline='' quiet_since='' firm_since='' warned='' asked_at=$(date +%s) first_starts=
  while :; do
    if is_cancelled; then die "$exit_aborted" "aborted while waiting for health"; fi
    before=$app http=$exit_health_timeout
    if app_is_healthy && look_again && [ "$app" = "$before" ] && stays_up; then return; fi
    if [ -z "$deadline" ]; then
      limit=$(plan_fact health-timeout)
      deadline=$((asked_at + ${limit:-$(health_limit)}))
    fi
    if is_firm || [ "$(date +%s)" -ge "$deadline" ]; then
      show_unhealthy
      die "$http" "not healthy in time"
    fi
    # The first answers come within seconds; later ones are not worth a process of Python ten times a second.
    if [ "$(date +%s)" -lt $((asked_at + 5)) ]; then pause 0.1; else pause 1; fi
    inspect_release "$checked_release"
  done
}

is_cancelled() { is_aborted && ! happened back begin; }

# Waiting does not change a release that refuses for ten seconds, a health command without its program, or workers that
# end over and over while the process that starts them lives.
is_firm() {
  if [ "$http" -ne "$exit_refuses" ] && ! refuses_command && ! restarts_workers; then
    firm_since=
    return 1
  fi
  firm_since=${firm_since:-$(date +%s)}
  [ "$(date +%s)" -ge $((firm_since + 10)) ]
}

# A status that it does not accept, or a program or file that is not there. That nothing listens is only "not yet".
refuses_command() {
  case $unwell in
    *': not found'* | *'command not found'* | *'executable file not found'* | *"can't open file"*) return ;;
    *'No module named'*) return ;;
  esac
  [ -n "$unwell" ] && ! is_starting && printf '%s\n' "$unwell" |
    grep -E '(error|Error|status|HTTP/1\.[01])[: ]+(HTTP Error )?(4[0-9][0-9]|50[01])' >/dev/null
}

is_starting() { # within the start period of a health check
  [ "$(date +%s)" -lt $((asked_at + $(start_period))) ]
}

# What web servers print of a worker that ended, or was started: each is started once, more of them are new attempts.
restarts_workers() {
  if [ -z "$asker" ]; then return 1; fi
  web_log=$(ask logs --since 15m --tail 1000 "$asker" 2>&1) || return 1
  deaths=$(lines_with 'Worker .*exited with code|Worker failed to boot|Child process .* died|Respawned uWSGI worker')
  starts=$(lines_with 'Booting worker with pid')
  first_starts=${first_starts:-$starts}
  [ "$deaths" -ge 3 ] || [ "$starts" -ge $((first_starts + 3)) ] || return 1
  firm_since=${firm_since:-$asked_at}
}

lines_with() { printf '%s\n' "$web_log" | grep -cE "$1" || true; } # PATTERN

stays_up() { # services that nobody asks: one that lacks something starts, and ends some seconds later
  youngest=$(printf '%s\n' "$unasked" | sort | tail -n 1) tries=0
  # A clock that was set back is not waited for.
  until is_long_up "$youngest" || [ "$tries" -ge 60 ]; do
    tries=$((tries + 1))
    pause 0.2
    look_again
    if is_cancelled || [ "$app" != "$before" ]; then return 1; fi
  done
}

health_limit() { # start period + the larger of 30 s and four times what the release before needed
  needed=$(($(seconds_needed) * 4))
  if [ "$needed" -lt 30 ]; then needed=30; fi
  echo $(($(start_period) + needed))
}

start_period() { # the longest one of the health checks, in seconds
  on "$ids" ask inspect -f '{{with .Config.Healthcheck}}{{.StartPeriod.Nanoseconds}}{{end}}' | {
    longest=0
    while read -r nanoseconds; do
      seconds=$((${nanoseconds:-0} / 1000000000))
      if [ "$seconds" -gt "$longest" ]; then longest=$seconds; fi
    done
    echo "$longest"
  }
}

seconds_needed() { # from swap to health, by the journal of the transaction that committed last
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

app_is_healthy() {
  asker='' healthy=yes unwell='' unasked='' ill=''
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
      healthy=no ill=$ill$newline$id
      if [ -n "$complaint" ]; then
        unwell=$unwell$newline"the health command of $service says: $(printf '%s\n' "$complaint" | tail -n 1)"
      fi
    fi
    if [ "$checked" = NONE ] && ! is_asked "$service"; then unasked=$unasked$newline$started; fi
    if [ "$service" = "$(release_fact "$checked_release" django)" ]; then asker=$id; fi
  done <<END
$app
END
  [ "$healthy" = yes ] && ask_http
}

is_asked() { # SERVICE: over HTTP
  [ "$1" = "$(release_fact "$checked_release" django)" ] ||
    is_listed "$1" "$(release_list "$checked_release" fronts | first_word)"
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
  if [ ! -f "$question" ]; then return; fi
  [ -n "$asker" ] || return 1
  read -r python <".deploy/releases/$checked_release/facts/manage"
  http=0
  report "$answer_name" exec_http || http=$?
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
    *) set -- in_django "$checked_release" "$@" ;; # `uv run manage.py` names no Python
  esac
  "$@" <"$question" 2>/dev/null
}

show_unhealthy() { # what failed comes last: the error shows the end of the log
  failed=${ill:-$asker}
  printf '%s\n' "$app" | while read -r service state _ restarts _ _ _ id; do
    if ! is_listed "$id" "$failed"; then echo "$service is $state, $restarts restarts"; fi
  done
  for id in $failed; do show_last_lines "$id"; done
  if [ -n "$unwell" ]; then echo "${unwell#?}"; fi
}
