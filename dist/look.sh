# shellcheck shell=sh
## Look: what is on the server, for the runner to decide by.

look() { # DIRECTORY [FILE|externals:…]: facts for the runner, a word and its value a line
  echo "deploy-django look $format"
  echo "home $(pwd -P)"
  for tool in docker flock setsid timeout tar awk; do
    command -v "$tool" >/dev/null 2>&1 || echo "missing $tool"
  done
  if command -v docker >/dev/null 2>&1; then
    if server=$(ask version --format '{{.Server.Version}} {{.Server.Arch}}' 2>&1); then
      echo "docker $server"
      if compose_version=$(ask compose version --short 2>/dev/null); then echo "compose $compose_version"; fi
      root=$(ask info --format '{{.DockerRootDir}}' 2>/dev/null) || root=/
      [ -d "$root" ] || root=/
      echo "disk $(df -Pk "$root" | {
        read -r _
        read -r _ _ _ free _
        echo "$free"
      })"
      look_containers
      look_externals "$@"
    else
      printf 'docker-error %s\n' "$(printf '%s' "$server" | tr '\n' ' ')"
    fi
  fi
  is_writable "$1" || echo "unwritable $place"
  choose_session || echo "ends-with-login $(id -un)"
  look_files "$@"
  if cd "$1" 2>/dev/null; then
    # Compose writes down the path that it was called in, which may lead through a link.
    printf 'folder %s\n' "$(pwd -L)" "$(pwd -P)"
    look_settings
    if [ -f .deploy/format ]; then look_releases; fi
  fi
  echo "end"
}

look_externals() { # [FILE|externals:|port:N…]: all that could be called external, and who holds a port, if asked
  for asked; do
    case $asked in
      externals:)
        ask volume ls --format 'external volume {{.Name}}'
        ask network ls --format 'external network {{.Name}}'
        ;;
      port:*)
        holder=$(port_holder "${asked#port:}")
        if [ -n "$holder" ]; then echo "port $holder"; fi
        ;;
    esac
  done
}

is_writable() { # DIRECTORY: it, or where it would be made; sets `place`
  place=$1
  until [ -e "$place" ]; do
    case $place in */?*) place=${place%/*} ;; *) place=. ;; esac
    place=${place:-/}
  done
  # What one command has to change is named in one go.
  if [ -d "$place/.deploy" ] && { [ -w "$place" ] || [ ! -w "$place/.deploy" ]; }; then place=$place/.deploy; fi
  [ -d "$place" ] && [ -w "$place" ]
}

look_files() { # DIRECTORY [FILE…]: which of them are here; before the first deploy the directory is not
  place=$(cd "$1" 2>/dev/null && pwd -P) || case $1 in /*) place=$1 ;; *) place=$(pwd -P)/$1 ;; esac
  shift
  for file; do
    from=$place path=$file
    while [ "$path" != "${path#../}" ]; do from=${from%/*} path=${path#../}; done
    case $path in /*) ;; *) path=$from/$path ;; esac
    if [ -d "$path" ]; then
      echo "folder-at $file"
    elif is_there "$path"; then
      echo "file $file"
    fi
  done
}

look_settings() { # which names .env sets; of its values only what says which project this is; folders in place of files
  for file in .env compose.yaml; do
    if [ -d "$file" ]; then echo "folder-at $file"; fi
  done
  if [ ! -f .env ] || [ ! -r .env ]; then return; fi
  start='^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}' equals='[[:space:]]*[=:]'
  sed -n "s/$start\([A-Za-z_][A-Za-z0-9_]*\)$equals.*/setting \2/p" .env
  for name in COMPOSE_PROFILES COMPOSE_PROJECT_NAME COMPOSE_FILE COMPOSE_PATH_SEPARATOR; do
    sed -n "s#$start$name${equals}[[:space:]]*[\"']\{0,1\}\([A-Za-z0-9_.,*/:;|@+-]*\).*#$name \2#p" .env | tail -n 1
  done
}

# What Docker could free, a line a kind; volumes are data, not room.
room() { ask system df --format '{{.Type}} {{.Reclaimable}}' | grep -v Volumes; }

look_containers() { # those of every Compose project here, a JSON array each, in the order of src/server/container.ts
  label='index .Config.Labels "com.docker.compose'
  containers=$(ask ps -aq --no-trunc \
    --filter label=com.docker.compose.project --filter label=com.docker.compose.oneoff=False)
  # One that is gone meanwhile is left out.
  on "$containers" ask inspect -f "container [{{json .Id}},{{json ($label.project\")}},{{json ($label.service\")}},\
{{json ($label.project.working_dir\")}},{{json ($label.project.config_files\")}},\
{{json ($label.project.environment_file\")}},{{json .State.Running}},{{json .Image}},{{json .Config.Image}},\
{{json .Mounts}},{{json .HostConfig.PortBindings}},\
[{{range \$name, \$_ := .NetworkSettings.Networks}}{{json \$name}},{{end}}null]]" 2>/dev/null || true
}

look_database() { # what the last transaction that committed reported about it
  last=$(cat .deploy/transaction 2>/dev/null) || return 0
  for verb in verify migrate; do
    if [ -s ".deploy/journal/$last.$verb.json" ]; then
      printf 'database %s\n' "$(cat ".deploy/journal/$last.$verb.json")"
      return
    fi
  done
}

is_whole() { # RELEASE: all of its containers run
  project=$(release_fact "$1" project) || return 1
  (check_containers "$1" "$(services_of "$1")" "$(unstarted "$(last_committed)")") >/dev/null 2>&1
}

# How many containers the Compose file of the last deployment wants, and which services were to have none.
look_counts() {
  last=$(last_committed)
  fact_of "$last" counts | while read -r line; do echo "count $line"; done
  unstarted "$last" | while read -r service; do echo "unstarted $service"; done
}

look_releases() {
  echo "format $(cat .deploy/format)"
  current=$(read_current)
  echo "current $current"
  if [ -n "$current" ] && is_whole "$current"; then
    echo "whole yes"
    survey && running | sort | uniq -c | while read -r count service; do echo "running $service=$count"; done
  fi
  look_counts
  echo "previous $(previous_of "$current")"
  commits | while read -r _ _ _ id _; do echo "served $id"; done
  look_database
  for id in $(entries .deploy/releases); do
    echo "release $id"
    for name in $(entries ".deploy/releases/$id/facts"); do
      while IFS= read -r line; do
        printf 'fact %s %s %s\n' "$id" "$name" "$line"
      done <".deploy/releases/$id/facts/$name"
    done
  done
  for id in $(entries .deploy/plans); do echo "plan $id"; done
}
