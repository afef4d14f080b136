# shellcheck shell=sh
## Look: the state of the host, from which the runner decides.

look() { # DIRECTORY [FILE|externals:…]: facts for the runner, one word and its value per line
  echo "deploy-django look $format"
  echo "home $(pwd -P)"
  for tool in docker flock setsid timeout tar awk; do
    command -v "$tool" >/dev/null 2>&1 || echo "missing $tool"
  done
  if command -v docker >/dev/null 2>&1; then
    if server=$(ask version --format '{{.Server.Version}} {{.Server.Arch}}' 2>&1); then
      echo "docker $server"
      # These two are slow. Each prints one line, and nothing else is printed until both end.
      orchestrator_version &
      look_disk &
      wait
      list_all_containers
      look_externals "$@"
    else
      printf 'docker-error %s\n' "$(printf '%s' "$server" | tr '\n' ' ')"
    fi
  fi
  is_writable "$1" || echo "unwritable $place"
  choose_session || echo "ends-with-login $(id -un)"
  look_files "$@"
  if cd "$1" 2>/dev/null; then
    # Compose records the path that it was called with, which may contain a link.
    printf 'folder %s\n' "$(pwd -L)" "$(pwd -P)"
    look_settings
    if [ -f .deploy/format ]; then look_releases; fi
  fi
  echo "end"
}

look_disk() { # free space where Docker keeps its images
  root=$(ask info --format '{{.DockerRootDir}}' 2>/dev/null) || root=/
  [ -d "$root" ] || root=/
  echo "disk $(free_space "$root")"
}

look_externals() { # [FILE|externals:|port:N…]: lists volumes and networks, and the holder of a port, if requested
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

is_writable() { # DIRECTORY: or the folder in which it would be created; sets `place`
  place=$1
  until [ -e "$place" ]; do
    case $place in */?*) place=${place%/*} ;; *) place=. ;; esac
    place=${place:-/}
  done
  # An unwritable `.deploy` is reported even if the directory is unwritable too: the same fix covers both.
  if [ -d "$place/.deploy" ] && { [ -w "$place" ] || [ ! -w "$place/.deploy" ]; }; then place=$place/.deploy; fi
  [ -d "$place" ] && [ -w "$place" ]
}

look_files() { # DIRECTORY [FILE…]: which of them exist; before the first deploy the directory does not
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

look_settings() { # names that .env sets, which of them have a value, its settings of Compose; folders in place of files
  for file in .env compose.yaml; do
    if [ -d "$file" ]; then echo "folder-at $file"; fi
  done
  if [ ! -f .env ] || [ ! -r .env ]; then return; fi
  start='^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}' equals='[[:space:]]*[=:]'
  sed -n "s/$start\([A-Za-z_][A-Za-z0-9_]*\)$equals.*/setting \2/p" .env
  nothing="[[:space:]]*['\"]\{0,2\}\([[:space:]]\{1,\}#.*\)\{0,1\}[[:space:]]*\$"
  sed -n "/$equals$nothing/!s/$start\([A-Za-z_][A-Za-z0-9_]*\)$equals.*/filled-setting \2/p" .env
  for name in $orchestrator_settings; do
    sed -n "s#$start$name${equals}[[:space:]]*[\"']\{0,1\}\([A-Za-z0-9_.,*/:;|@+-]*\).*#$name \2#p" .env | tail -n 1
  done
}

# What Docker could free, one kind per line. Volumes are data, not free space.
reclaimable() { ask system df --format '{{.Type}} {{.Reclaimable}}' | grep -v Volumes; }

look_database() { # what the last committed transaction reported about it
  answer=$(last_answer)
  if [ -n "$answer" ]; then printf 'database %s\n' "$answer"; fi
}

look_stop() { # how many milliseconds the app was down in the last committed deployment that stopped it
  find .deploy/journal -name '*[0-9]' -exec awk '
    function seconds(time, part) { split(substr(time, 12), part, ":"); return part[1] * 3600 + part[2] * 60 + part[3] }
    FNR == 1 { stop = answers = "" }
    $2 == "stop" && $3 == "begin" && !stop { stop = $1 }
    $2 == "health" && $3 == "end" { answers = $1 }
    $2 == "end" && $3 == "committed" && stop && answers {
      gap = seconds(answers) - seconds(stop)
      printf "%s %d\n", stop, (gap < 0 ? gap + 86400 : gap) * 1000
    }' {} + | sort | tail -n 1 | second_word | sed 's/^/stop /'
}

is_whole() { # RELEASE: all of its containers run
  project=$(release_fact "$1" project) || return 1
  (check_containers "$1" "$(services_of "$1")" "$(unstarted "$(last_committed)")") >/dev/null 2>&1
}

# Of the last committed transaction: how many containers its Compose file wants, which services should have none, and
# whether it went forward over a failed step, or failed to prune. And whether the env files of the host changed since.
look_last() {
  last=$(last_committed)
  fact_of "$last" counts | while read -r line; do echo "count $line"; done
  unstarted "$last" | while read -r service; do echo "unstarted $service"; done
  [ -f ".deploy/journal/$last" ] || return 0
  if says "$last" forward begin; then echo "forward yes"; fi
  known=.deploy/plans/$last/settings
  if [ -f "$known" ] && [ "$(cat "$known")" != "$(sum_settings "$current")" ]; then echo "settings-changed yes"; fi
  if says "$last" prune fail; then echo "unpruned $last"; fi
}

look_releases() {
  echo "format $(cat .deploy/format)"
  current=$(read_current)
  echo "current $current"
  commits | while read -r time _ _ id _; do if [ "$id" = "$current" ]; then echo "$time"; fi; done |
    tail -n 1 | sed 's/^/since /'
  if [ -n "$current" ] && is_whole "$current"; then
    echo "whole yes"
    list_containers && running | sort | uniq -c | while read -r count service; do echo "running $service=$count"; done
  fi
  look_last
  echo "previous $(previous_of "$current")"
  commits | while read -r _ _ _ id _; do echo "served $id"; done
  look_database
  look_stop
  for id in $(entries .deploy/releases); do
    echo "release $id"
    for name in $(entries ".deploy/releases/$id/facts"); do
      while IFS= read -r line; do
        printf 'fact %s %s %s\n' "$id" "$name" "$line"
      done <".deploy/releases/$id/facts/$name" || true # an old release may just be removed
    done
  done
  for id in $(entries .deploy/plans); do echo "plan $id"; done
}
