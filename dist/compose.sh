# shellcheck shell=sh
## The orchestrator: every call to Docker Compose. Another one, such as Docker Swarm or Nomad, would be another file
## with the same functions, chosen in src/host/assets.ts. It would run Docker's containers, too: calls for one container
## (exec, logs, wait, inspect) go to Docker itself and are not in this file.
##
##   what is there   orchestrator_version list_containers inspect_containers list_all_containers list_publishers
##                   list_ended
##   services        start_services update_services restore_services replace_services set_aside bring_back
##                   remove_set_aside settle_leftovers
##   containers      start_containers stop_containers run_one_off run_apart list_unstarted code_of_orchestrator
##   models          check_model resolve_mounts write_adopted_model

# The template for a container's service, Compose's label prefix, and settings of Compose that a .env may contain.
service_template='{{index .Config.Labels "com.docker.compose.service"}}'
orchestrator_labels=com.docker.compose.
orchestrator_settings='COMPOSE_PROFILES COMPOSE_PROJECT_NAME COMPOSE_FILE COMPOSE_PATH_SEPARATOR'

# The only call of Compose. It names every file. The clean environment keeps variables of the login shell out of
# containers.
# shellcheck disable=SC2086 # two words or none
compose_of() { # PROJECT ARGUMENTS…
  of=$1
  shift
  # Compose must not suggest removing the containers of removed services: they may hold data.
  traced env -i PATH="$PATH" HOME="$HOME" PWD="$directory" COMPOSE_IGNORE_ORPHANS=1 \
    ${DOCKER_HOST:+"DOCKER_HOST=$DOCKER_HOST"} ${DOCKER_CONTEXT:+"DOCKER_CONTEXT=$DOCKER_CONTEXT"} \
    ${XDG_RUNTIME_DIR:+"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR"} timeout -k 10 "$change_limit" \
    $through docker compose --project-directory "$directory" -p "$of" "$@" <"${one_off_input:-/dev/null}"
}

compose() { # RELEASE ARGUMENTS…
  compose_with compose.yaml "$@"
}

compose_with() { # FILE RELEASE ARGUMENTS…: with FILE of the release
  file=$1 release=$2
  shift 2
  if [ -f ".deploy/releases/$release/env/.env" ]; then
    variables=.deploy/releases/$release/env/.env
  elif [ -f .env ]; then
    variables=.env
  else
    variables=/dev/null
  fi
  compose_of "$(release_fact "$release" project)" --env-file "$variables" -f ".deploy/releases/$release/$file" "$@"
}

orchestrator_version() { # prints its name and version as a line of `look`
  if compose_version=$(ask compose version --short 2>/dev/null); then echo "compose $compose_version"; fi
}

# Sets `seen`: "ID SERVICE STATE NAME" of the project's containers, without one-off ones. The step fails if Docker does
# not answer: an empty list would mean that there are no containers.
list_containers() {
  seen=$(ask ps -a --no-trunc \
    --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False \
    --format '{{.ID}} {{.Label "com.docker.compose.service"}} {{.State}} {{.Names}}')
}

inspect_containers() { # CONTAINERS: "SERVICE STATE EXIT RESTARTS POLICY STARTED IMAGE ID", a line each
  template="$service_template {{.State.Status}} {{.State.ExitCode}}"
  template=$template' {{.RestartCount}} {{or .HostConfig.RestartPolicy.Name "no"}} {{.State.StartedAt}}'
  template=$template' {{.Image}} {{.Id}}'
  on "$1" ask inspect -f "$template"
}

list_all_containers() { # of every project here, one JSON array each, with the fields that src/host/container.ts lists
  label='index .Config.Labels "com.docker.compose'
  containers=$(ask ps -aq --no-trunc \
    --filter label=com.docker.compose.project --filter label=com.docker.compose.oneoff=False)
  # A container that was removed since then is left out.
  on "$containers" ask inspect -f "container [{{json .Id}},{{json ($label.project\")}},{{json ($label.service\")}},\
{{json ($label.project.working_dir\")}},{{json ($label.project.config_files\")}},\
{{json ($label.project.environment_file\")}},{{json .State.Running}},{{json .Image}},{{json .Config.Image}},\
{{json .Mounts}},{{json .HostConfig.PortBindings}},\
[{{range \$name, \$_ := .NetworkSettings.Networks}}{{json \$name}},{{end}}null]]" 2>/dev/null || true
}

list_publishers() { # PORT: "NAME PROJECT" of the containers that publish it
  ask ps --filter "publish=$1" --format '{{.Names}} {{.Label "com.docker.compose.project"}}'
}

list_ended() { # SINCE: in order, "signal N NAME" and "exit N NAME" of the project's containers since then
  what='{{with .Actor.Attributes.signal}}signal {{.}}{{else}}exit {{$.Actor.Attributes.exitCode}}{{end}}'
  ask events --since "$1" --until 0s --filter event=kill --filter event=die \
    --filter "label=com.docker.compose.project=$project" --format "$what {{.Actor.Attributes.name}}"
}

# Four ways to start services. Each takes service names. `SERVICE=N` also sets how many containers a service gets.
start_services() { compose_up --no-recreate "$@"; }               # RELEASE SERVICES…: missing ones
update_services() { compose_up --no-build "$@"; }                 # RELEASE SERVICES…: missing or changed ones
restore_services() { compose_up '--no-build --pull never' "$@"; } # RELEASE SERVICES…: the same without a pull
replace_services() {                                              # RELEASE SERVICES…: recreates every container
  compose_up '--no-build --pull never --force-recreate' "$@"
}

# shellcheck disable=SC2086 # words
compose_up() { # OPTIONS RELEASE SERVICES…
  how=$1 whose=$2 said=.deploy/plans/$transaction/up.out failed=0
  shift 2
  for word; do
    shift
    case $word in *=*) set -- "$@" --scale "$word" ;; *) set -- "$@" "$word" ;; esac
  done
  compose "$whose" up -d --no-deps $how "$@" >"$said" 2>&1 || failed=$?
  cat "$said"
  if [ "$failed" -eq 0 ]; then return; fi
  name_port_holder "$said"
  return "$(code_of_orchestrator "$failed")"
}

# Compose's own exit codes, such as 18 for an image that it cannot pull, would be read as the probe's.
code_of_orchestrator() { if [ "$1" -ge 30 ]; then echo "$1"; else echo 1; fi; } # EXIT-CODE

stop_containers() { limited "$change_limit" stop "$@" >/dev/null; }   # CONTAINERS…: each with its own grace period
start_containers() { limited "$change_limit" start "$@" >/dev/null; } # CONTAINERS…

# A service that the release no longer names frees its names and ports. Its containers can come back until the commit.
set_aside() { # SERVICES: stops and renames their containers
  on "$(ids_of "$1" running)" stop_containers
  printf '%s\n' "$seen" | while read -r id service _ name; do
    if [ -n "$id" ] && is_listed "$service" "$1" && [ "${name#"$retired"}" = "$name" ]; then
      ask rename "$id" "$retired$name"
    fi
  done
}

list_set_aside() { # "ID NAME"
  printf '%s\n' "$seen" | while read -r id _ _ name; do
    if [ "${name#"$retired"}" != "$name" ]; then echo "$id $name"; fi
  done
}

bring_back() { list_set_aside | while read -r id name; do ask rename "$id" "${name#"$retired"}"; done; } # by old name
remove_set_aside() { on "$(list_set_aside | first_word)" ask rm -f >/dev/null; }

# An interrupted recreate leaves `<12 hex>_name`, and every later recreate would fail on it. If the old container is
# gone, the leftover has its anonymous volumes, so it takes the old name.
settle_leftovers() { # SERVICES
  hex='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
  names=$(printf '%s\n' "$seen" | while read -r _ _ _ name; do echo "$name"; done)
  leftovers=$(printf '%s\n' "$seen" | while read -r leftover service _ name; do
    if is_listed "$service" "$1"; then echo "$leftover $name"; fi
  done | sed -n "s/^\([^ ]*\) $hex$hex${hex}_/\1 /p")
  if [ -z "$leftovers" ]; then return; fi
  printf '%s\n' "$leftovers" | while read -r leftover name; do
    if is_listed "$name" "$names"; then ask rm -f "$leftover" >/dev/null; else ask rename "$leftover" "$name"; fi
  done
  list_containers
}

# A one-off container, such as the migration, must not look like a part of the site, for example to a proxy. It has its
# own model (src/compose/one-off.ts) and joins networks that exist. A verb that only reads also mounts only volumes that
# exist: a new one would stay forever, because networks and named volumes are never removed.
# The options are those of `docker run`: -d --rm --name --label -e --entrypoint.
run_one_off() { # RELEASE VERB OPTIONS… SERVICE COMMAND…
  owner=$1 does=$2 joined='' missing=''
  shift 2
  hide_from_proxies "$(image_marks "$owner")" run_hidden "$@"
}

run_hidden() { join_networks run --no-deps -T "$@"; } # OPTIONS… SERVICE COMMAND…

# shellcheck disable=SC2016 # the template's own variables
image_marks() { # RELEASE: "label NAME" and "variable NAME=VALUE" of the image of Django
  labels='{{range $name, $_ := .Config.Labels}}{{println "label" $name}}{{end}}'
  variables='{{range .Config.Env}}{{println "variable" .}}{{end}}'
  ask image inspect -f "$labels$variables" "$(image_of_django "$1")" 2>/dev/null || true
}

join_networks() { # COMPOSE-ARGUMENTS…
  write_overlay
  if [ -n "$overlay" ]; then set -- -f "$overlay" "$@"; fi
  parts=.deploy/releases/$owner/run
  if [ ! -f "$parts.yaml" ]; then # adopted by a Compose that cannot remove labels
    compose "$owner" "$@"
    return
  fi
  there=$(all_of network) || return 125
  while read -r key name; do
    if [ -z "$key" ]; then continue; fi
    if is_there_of "$key" "$name"; then
      set -- -f "$parts/network-$key.yaml" "$@"
      joined=yes
    else missing="$missing $key"; fi
  done <<END
$(release_list "$owner" networks)
END
  # A Docker with `"bridge": "none"` has no default network.
  if [ -z "$joined" ] && is_listed bridge "$there"; then
    if [ -f "$parts/no-network.yaml" ]; then set -- -f "$parts/no-network.yaml" "$@"; fi
  elif [ -z "$joined" ] || ! only_looks; then
    for key in $missing; do set -- -f "$parts/new-network-$key.yaml" "$@"; done
  fi
  mount_volumes "$@"
}

mount_volumes() { # COMPOSE-ARGUMENTS…
  if only_looks; then
    there=$(all_of volume) || return 125
    while read -r key name; do
      if [ -n "$key" ] && ! is_there_of "$key" "$name"; then set -- -f "$parts/no-volume-$key.yaml" "$@"; fi
    done <<END
$(release_list "$owner" volumes)
END
  fi
  # The trial gets the service's health check. The service's names lead to itself there, not to the current release.
  if [ "$does" = try ]; then set -- -f "$parts/try.yaml" "$@"; fi
  compose_with run.yaml "$owner" "$@"
}

# Sets `overlay`: an overlay for a container that handles secrets, or that runs another image in the place of the app.
# The output of both goes to their caller only: a log would keep credentials, or all rows, on the disk.
write_overlay() {
  case $does in
    connection | backup) changes='' ;;
    client)
      changes="\"image\": \"$client_image\", \"pull_policy\": \"never\", \"user\": \"0\", \"working_dir\": \"/\","
      changes="$changes \"ipc\": \"private\", "
      ;;
    *)
      overlay=
      return
      ;;
  esac
  overlay=.deploy/plans/$transaction/$does.yaml
  changes="$changes\"logging\": {\"driver\": \"none\"}"
  printf '{"services": {"%s": {%s}}}\n' "$(release_fact "$owner" django)" "$changes" >"$overlay"
}

only_looks() { case $does in migrate | unapply | collect) return 1 ;; esac }

all_of() { # network|volume: their names, and PROJECT/KEY of those that Compose created
  ask "$1" ls --format "{{println .Name}}{{.Label \"com.docker.compose.project\"}}/{{.Label \"com.docker.compose.$1\"}}"
}

is_there_of() { is_listed "$2" "$there" || is_listed "$(release_fact "$owner" project)/$1" "$there"; } # KEY NAME

list_unstarted() { # one-off containers that Docker could not start: Compose does not remove them
  ask ps -aq --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=True \
    --filter status=created
}

# Compose labels the images that it builds with its project, and containers inherit the labels of their image.
run_apart() { # OPTIONS… IMAGE COMMAND…: a container that is not a part of the project
  ask run -d --label com.docker.compose.project= "$@"
}

check_model() { # RELEASE: fails if its model is invalid or uses a variable that is set nowhere
  answer=$(compose "$1" config -q 2>&1) || die "$exit_compose_invalid" "$(printf '%s\n' "$answer" | said_by_compose)"
  # Compose turns a variable that is set nowhere into an empty string, such as an empty password.
  unset_names=$(printf '%s\n' "$answer" |
    sed -n 's/.*The \\*"\([A-Za-z0-9_]*\)\\*" variable is not set.*/\1/p' | sort -u)
  if [ -z "$unset_names" ]; then return; fi
  asked=$(for name in $unset_names; do
    if grep -qE "[$][{]?$name([^A-Za-z0-9_]|\$)" ".deploy/releases/$1/compose.yaml"; then printf '%s ' "$name"; fi
  done)
  [ -z "$asked" ] || die "$exit_variable_missing" "$asked"
  # The other names are text after a `$` in a value of an env file. They may be parts of secrets, so they are not shown.
  die "$exit_dollar_sign" "a value in an env file has a dollar sign"
}

# For an env file that it cannot parse, Compose prints values.
said_by_compose() {
  grep -v level=warning | sed 's/\(unterminated quoted value\|in variable name\) .*/\1/' | tr '\n' ' '
}

resolve_mounts() { # RELEASE: its model as JSON, with the mounts that its services would get on this host
  compose_with mounts.yaml "$1" config --format json
}

# One file in which variables, env files and build folders are resolved: later changes to them have no effect.
write_adopted_model() { # FILE: for step adopt
  model=$1
  set --
  while IFS= read -r file; do set -- "$@" --env-file "$file"; done <"$facts/adopt-env-files"
  while IFS= read -r file; do
    [ -f "$file" ] || die "$exit_adopted_file_missing" "$file"
    set -- "$@" -f "$file"
  done <"$facts/adopt-files"
  # This check leaves the pins out: with them, a service of any name would be valid.
  on "$(sed -n 's/^app [0-9]* //p' "$making/facts/services")" compose_of "$project" "$@" config -q 2>"$model.error" ||
    die "$exit_adopted_file_invalid" "$(said_by_compose <"$model.error")"
  if grep -q 'variable is not set' "$model.error"; then
    echo "warning: the running stack has variables that are set nowhere now; a rollback to it leaves them empty"
  fi
  set -- "$@" -f ".deploy/plans/$transaction/adopted/pins.yaml"
  on "$(first_word <"$facts/adopt-images")" compose_of "$project" "$@" config 2>"$model.error" >"$model" ||
    die "$exit_adopted_file_invalid" "$(said_by_compose <"$model.error")"
  write_one_off_model "$@"
  rm -f "$model.error"
}

write_one_off_model() { # COMPOSE-FILES…: the same for its one-off containers, see src/compose/one-off.ts
  adopted=.deploy/plans/$transaction/adopted
  for file in pins run-without run-with; do set -- "$@" -f "$adopted/$file.yaml"; done
  django=$(show "$making/facts/django")
  if compose_of "$project" "$@" config "$django" >"$making/run.yaml" 2>"$model.error"; then return; fi
  rm "$making/run.yaml"
  echo "warning: Compose on this host cannot remove labels (2.24 can): a proxy may use its one-off containers"
}
