# shellcheck shell=sh
## Stage and plan: what comes before a transaction; the site is untouched.

stage() { # DIRECTORY TRANSACTION: what was uploaded to .deploy/incoming is put in place, the target's images are pulled
  enter "$1"
  transaction=$2 incoming=.deploy/incoming/$2
  if [ -f .deploy/format ] && [ "$(cat .deploy/format)" -gt "$format" ]; then
    die "$exit_newer_format" "this server's files have format $(cat .deploy/format), this version knows $format"
  fi
  chmod 700 .deploy
  mkdir -p .deploy/releases .deploy/plans .deploy/journal .deploy/files
  [ -f .deploy/format ] || echo "$format" >.deploy/format
  if [ -e ".deploy/plans/$transaction" ] ||
    { [ -d "$incoming/release" ] && [ -e ".deploy/releases/$transaction" ]; }; then
    die "$exit_staged_before" "transaction $transaction was staged before"
  fi
  # The plan first: it keeps another transaction's prune away from its target. Files that are there already become
  # young.
  mv "$incoming/plan" ".deploy/plans/$transaction"
  for name in $(entries "$incoming/files"); do
    if [ -d ".deploy/files/$name" ]; then
      touch ".deploy/files/$name"
    else
      mv "$incoming/files/$name" ".deploy/files/$name"
    fi
  done
  if [ -d "$incoming/release" ]; then mv "$incoming/release" ".deploy/releases/$transaction"; fi
  rm -rf "$incoming"
  pull "$(plan_fact target)"
}

pull() { # RELEASE; on standard input three lines for each login: registry, username, password
  login=
  while IFS= read -r registry && IFS= read -r username && IFS= read -r password; do
    if [ -z "$login" ]; then make_login; fi
    insist log_in ||
      die "$exit_login_refused" \
        "the registry $registry refused the login from this server: $(printf '%s\n' "$answer" | tail -n 1)"
  done
  jobs='' failed=0 project=$(release_fact "$1" project)
  # What an older release lacks no run builds and pushes again.
  lacking=$(if [ "$1" != "$transaction" ]; then echo "$exit_old_image_gone"; fi)
  for image in $(release_fact "$1" images | second_word | sort -u); do
    keep_image "$image" "$lacking" &
    jobs="$jobs $!"
  done
  # A wrong name beside the app is better said now than when the app has been replaced already. An older release may
  # name what nobody will start.
  if [ "$1" = "$transaction" ]; then
    for image in $(release_list "$1" images-beside); do
      pull_image "$image" "$exit_named_image_refused" &
      jobs="$jobs $!"
    done
  fi
  for job in $jobs; do wait "$job" || failed=$?; done
  return "$failed"
}

log_in() {
  printf '%s' "$password" |
    limited "$call_limit" --config "$login" login -u "$username" --password-stdin "$registry" 2>&1
}

make_login() { # a folder for logins that live for this pull: in memory, where the server has it, so they reach no disk
  for memory in "${XDG_RUNTIME_DIR:-}" /dev/shm "$directory/.deploy"; do
    if [ -n "$memory" ] && [ -w "$memory" ]; then break; fi
  done
  login=$(mktemp -d "$memory/deploy-django.XXXXXX")
  trap 'rm -rf "$login"' EXIT
  trap 'exit 129' HUP INT TERM
  # The named context of a rootless daemon is kept in the folder that --config replaces.
  if socket=$(ask context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null); then
    export DOCKER_HOST="$socket"
  fi
}

keep_image() { # IMAGE CODE
  pull_image "$@"
  case $1 in *@*) ask tag "$1" "$(tag_of "$1")" ;; esac
}

pull_image() { # IMAGE CODE: the exit code when the registry does not give it
  if ask image inspect "$1" >/dev/null 2>&1; then return; fi
  echo "pulling $1"
  insist pull_once "$1" || die "$(pull_failure "$answer" "$2")" "this server could not pull $1: $answer"
}

# An image without a tag is what `docker image prune` removes. The tag is in the repository of the digest: of an image
# that has names in two repositories `docker system prune -af` removes one, be it the digest by which the running
# release is known.
tag_of() { # IMAGE
  printf '%s:deploy-django-%s-%.12s' "${1%@*}" "$project" "${1##*:}"
}

pull_once() { limited "$pull_limit" ${login:+--config "$login"} pull -q "$1" 2>&1 </dev/null; }

pull_failure() { # ANSWER CODE: the exit code that says why
  if is_passing "$1"; then
    echo "$exit_registry_down"
  elif printf '%s' "$1" | grep -qiE 'denied|unauthorized|forbidden|authentication required|no basic auth'; then
    echo "${2:-$exit_pull_refused}"
  elif printf '%s' "$1" | grep -qiE 'manifest unknown|name unknown|not found'; then
    echo "${2:-$exit_image_gone}"
  else
    echo "$exit_not_pulled"
  fi
}

# A registry that has trouble of its own, or a network that breaks off, is asked again after growing pauses. Sets
# `answer`.
insist() { # COMMAND…
  for wait in 1 4 10 no; do
    if answer=$("$@"); then return; fi
    if [ "$wait" = no ] || ! is_passing "$answer"; then return 1; fi
    echo "$(printf '%s\n' "$answer" | tail -n 1): trying again in $wait s"
    pause "$wait"
  done
}

is_passing() { # ANSWER: the same as isPassing in src/image/registry.ts
  passing='(HTTP status|status code|status):? 5[0-9][0-9]|(^|[^0-9])50[0-4] [A-Z]|too ?many ?requests'
  passing="$passing|connection (was )?reset|broken pipe|unexpected EOF|: EOF|connection refused"
  passing="$passing|TLS handshake timeout|i/o timeout|timeout exceeded|deadline exceeded"
  printf '%s' "$1" | grep -qiE "$passing"
}

check_settings() { # RELEASE: what the compose file wants from this server is here
  { release_list "$1" env-files && release_list "$1" bound-files; } | while IFS= read -r file; do
    # As Compose reads it: the home of who calls Docker.
    case $file in \~/*) home=${through:+/root} file=${home:-$HOME}/${file#??} ;; esac
    check_file "$file"
  done
  # A release is put in their place; into a folder they would go without a word.
  for file in .env compose.yaml; do
    if [ -d "$file" ]; then check_file "$file"; fi
  done
  answer=$(compose "$1" config -q 2>&1) || die "$exit_compose_invalid" "$(printf '%s\n' "$answer" | said_by_compose)"
  # A variable that is set nowhere would become an empty string: empty passwords are made this way.
  unset_names=$(printf '%s\n' "$answer" |
    sed -n 's/.*The \\*"\([A-Za-z0-9_]*\)\\*" variable is not set.*/\1/p' | sort -u)
  if [ -z "$unset_names" ]; then return; fi
  asked=$(for name in $unset_names; do
    if grep -qE "[$][{]?$name([^A-Za-z0-9_]|\$)" ".deploy/releases/$1/compose.yaml"; then printf '%s ' "$name"; fi
  done)
  [ -z "$asked" ] || die "$exit_variable_missing" "$asked"
  # The others are no variables but what stands behind a `$` in a value of an env file, so they are not shown.
  die "$exit_dollar_sign" "a value in an env file has a dollar sign"
}

# Of an env file that it cannot read, Compose shows values.
said_by_compose() {
  grep -v level=warning | sed 's/\(unterminated quoted value\|in variable name\) .*/\1/' | tr '\n' ' '
}

check() { # DIRECTORY TRANSACTION: whether the target's settings are whole, and what its services would mount
  enter "$1"
  transaction=$2 target=$(plan_fact target)
  check_settings "$target"
  if [ ! -f ".deploy/releases/$target/mounts.yaml" ]; then return; fi
  model=$(compose_with mounts.yaml "$target" config --format json)
  printf '{"deploy-django": 1, "verb": "mounts", "model": %s}\n' "$(printf '%s' "$model" | tr '\n' ' ')"
}

check_file() { # FILE
  is_there "$1" || die "$exit_file_missing" "$1"
  if [ ! -d "$1" ]; then return; fi
  case $1 in
    /*) die "$exit_file_is_folder" "$1" ;;
    *) die "$exit_file_is_folder" "$directory/$1" ;;
  esac
}

# What containers mount from this host, a line each: `file` or `folder`, and its path. A folder inside the directory is
# made, so that it belongs to this user; Docker would make it for root.
prepare() { # DIRECTORY TRANSACTION
  enter "$1"
  while read -r kind path; do
    if [ "$kind" = file ]; then
      check_file "$path"
    elif ! is_there "$path"; then
      make_folder "$path"
    fi
  done
}

make_folder() { # FOLDER
  case $1 in "$directory"/?*) ;; *) return ;; esac
  if (umask 022 && mkdir -p "$1"); then
    echo "made the folder $1 for containers"
  else
    echo "note: $1 is missing and could not be made, so Docker makes it for root"
  fi
}

# The probe's answer of the target's image; nothing is changed. The services named will have no container.
plan() { # DIRECTORY TRANSACTION VERB [SERVICE…]
  enter "$1"
  transaction=$2 target=$(plan_fact target) asks=$3
  shift 3
  project=$(release_fact "$target" project)
  survey
  # Before the first deploy there is no database to ask.
  lacking=$(only_in "$(absent "$target" data)" "$(on "$*" printf '%s\n')")
  if [ -z "$(read_current)" ] && [ -n "$lacking" ]; then asks=list; fi
  ask_django "$target" "$asks" -e "DEPLOY_DJANGO_IMAGES=$(release_fact "$target" images | second_word | tr '\n' ' ')"
}
