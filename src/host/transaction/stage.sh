# shellcheck shell=sh
## Stage and plan: the work before a transaction, while the site is untouched.

stage() { # DIRECTORY TRANSACTION: moves the upload from .deploy/incoming into place, pulls the target's images
  enter "$1"
  transaction=$2 incoming=.deploy/incoming/$2
  if [ -f .deploy/format ] && [ "$(cat .deploy/format)" -gt "$format" ]; then
    die "$exit_newer_format" "the files on this host have format $(cat .deploy/format), this version knows $format"
  fi
  chmod 700 .deploy
  mkdir -p .deploy/releases .deploy/plans .deploy/journal .deploy/files
  [ -f .deploy/format ] || echo "$format" >.deploy/format
  if [ -e ".deploy/plans/$transaction" ] ||
    { [ -d "$incoming/release" ] && [ -e ".deploy/releases/$transaction" ]; }; then
    die "$exit_staged_before" "deployment $transaction was staged before"
  fi
  # The plan first: it protects its target from the prune of another transaction. Files that exist are touched, so that
  # a prune treats them as new.
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

pull() { # RELEASE; stdin has three lines per login: registry, username, password
  images=$(release_fact "$1" images | second_word | sort -u) beside=''
  # A wrong image name beside the app must fail now, not after the app was replaced. An older release may name images
  # that will never start.
  if [ "$1" = "$transaction" ]; then beside=$(release_list "$1" images-beside); fi
  login=''
  # A release that serves already has all of its images, so no registry is needed.
  if ! on "$images $beside" ask image inspect >/dev/null 2>&1; then log_in_everywhere; fi
  jobs='' failed=0 project=$(release_fact "$1" project)
  # No run builds a missing image of an older release again, so it has an exit code of its own.
  lacking=$(if [ "$1" != "$transaction" ]; then echo "$exit_old_image_gone"; fi)
  for image in $images; do
    keep_image "$image" "$lacking" &
    jobs="$jobs $!"
  done
  for image in $beside; do
    pull_image "$image" "$exit_named_image_refused" &
    jobs="$jobs $!"
  done
  for job in $jobs; do wait "$job" || failed=$?; done
  return "$failed"
}

log_in_everywhere() { # as standard input says
  while IFS= read -r registry && IFS= read -r username && IFS= read -r password; do
    if [ -z "$login" ]; then make_login; fi
    insist log_in ||
      die "$exit_login_refused" \
        "the registry $registry refused the login from this host: $(printf '%s\n' "$answer" | tail -n 1)"
  done
}

log_in() {
  printf '%s' "$password" |
    limited "$call_limit" --config "$login" login -u "$username" --password-stdin "$registry" 2>&1
}

make_login() { # for the logins of this pull only: in memory if possible, so that they reach no disk
  for memory in "${XDG_RUNTIME_DIR:-}" /dev/shm "$directory/.deploy"; do
    if [ -n "$memory" ] && [ -w "$memory" ]; then break; fi
  done
  login=$(mktemp -d "$memory/deploy-django.XXXXXX")
  trap 'rm -rf "$login"' EXIT
  trap 'exit 129' HUP INT TERM
  # --config also replaces the folder that defines the context of a rootless daemon.
  if socket=$(ask context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null); then
    export DOCKER_HOST="$socket"
  fi
}

keep_image() { # IMAGE CODE
  pull_image "$@"
  case $1 in *@*) ask tag "$1" "$(tag_of "$1")" ;; esac
}

pull_image() { # IMAGE CODE: CODE is the exit code if the registry refuses or lacks the image
  if ask image inspect "$1" >/dev/null 2>&1; then return; fi
  echo "pulling $1"
  insist pull_once "$1" || die "$(pull_failure "$answer" "$2")" "this host could not pull $1: $answer"
}

# `docker image prune` removes images without a tag. The tag is in the digest's repository. If an image has names in two
# repositories, `docker system prune -af` removes one of them: perhaps the digest that the running release uses.
tag_of() { # IMAGE
  printf '%s:deploy-django-%s-%.12s' "${1%@*}" "$project" "${1##*:}"
}

pull_once() { limited "$pull_limit" ${login:+--config "$login"} pull -q "$1" 2>&1 </dev/null; }

pull_failure() { # ANSWER CODE: the exit code for this failure
  if is_transient "$1"; then
    echo "$exit_registry_down"
  elif printf '%s' "$1" | grep -qiE 'denied|unauthorized|forbidden|authentication required|no basic auth'; then
    echo "${2:-$exit_pull_refused}"
  elif printf '%s' "$1" | grep -qiE 'manifest unknown|name unknown|not found'; then
    echo "${2:-$exit_image_gone}"
  else
    echo "$exit_not_pulled"
  fi
}

# Retries after growing pauses while the failure is transient (registry or network). Sets `answer`.
insist() { # COMMAND…
  for wait in 1 4 10 no; do
    if answer=$("$@"); then return; fi
    if [ "$wait" = no ] || ! is_transient "$answer"; then return 1; fi
    echo "$(printf '%s\n' "$answer" | tail -n 1): trying again in $wait s"
    pause "$wait"
  done
}

is_transient() { # ANSWER: the same as isTransient in src/image/registry.ts
  passing='(HTTP status|status code|status):? 5[0-9][0-9]|(^|[^0-9])50[0-4] [A-Z]|too ?many ?requests'
  passing="$passing|connection (was )?reset|broken pipe|unexpected EOF|: EOF|connection refused"
  passing="$passing|TLS handshake timeout|i/o timeout|timeout exceeded|deadline exceeded"
  printf '%s' "$1" | grep -qiE "$passing"
}

check_settings() { # RELEASE: whether the host has the files and variables that its model needs
  { release_list "$1" env-files && release_list "$1" bound-files; } | while IFS= read -r file; do
    check_file "$(resolve_home "$file")"
  done
  # A commit moves files to these names. If one is a folder, they would silently move into it.
  for file in .env compose.yaml; do
    if [ -d "$file" ]; then check_file "$file"; fi
  done
  check_model "$1"
}

check() { # DIRECTORY TRANSACTION: checks the target's settings, and prints what its services would mount
  enter "$1"
  transaction=$2 target=$(plan_fact target)
  check_settings "$target"
  if [ ! -f ".deploy/releases/$target/mounts.yaml" ]; then return; fi
  model=$(resolve_mounts "$target")
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

# Reads what containers mount from this host, one per line: `file` or `folder`, and its path. Creates folders inside the
# directory, so that they belong to this user. Docker would create them as root.
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
    echo "created the folder $1 for containers, owned by user $(id -u)"
  else
    echo "note: $1 is missing and could not be created, so Docker creates it, owned by root"
  fi
}

# Prints the answer of the probe in the target's image. Changes nothing. The named services will have no container.
plan() { # DIRECTORY TRANSACTION VERB [SERVICE…]
  enter "$1"
  transaction=$2 target=$(plan_fact target) current=$(read_current) asks=$3
  shift 3
  project=$(release_fact "$target" project)
  case $asks in
    fit) keep_answer fit.json ask_django "$target" fit ;;
    # What the current release would unapply for the target. fit.json lists the migrations that the target knows.
    reverse)
      known=$(show ".deploy/plans/$transaction/fit.json")
      keep_answer reverse.json ask_django "$current" reverse -e "DEPLOY_DJANGO_TARGET=$known"
      ;;
    *) plan_migrations "$@" ;;
  esac
}

keep_answer() { # FILE COMMAND…: kept unchanged for a later start of the probe
  handed=.deploy/plans/$transaction/$1 kept=0
  shift
  keep_document "$handed" "$@" || kept=$?
  show "$handed"
  return "$kept"
}

plan_migrations() { # [SERVICE…]
  list_containers
  # Before the first deploy there is no database, or a failed deploy left one in a crash loop.
  lacking=$(only_in "$(absent "$target")" "$(on "$*" printf '%s\n')")
  if [ -z "$current" ]; then
    lacking=$lacking$(inspect_containers "$(ids_of "$(behind_app "$target")" running)" |
      while read -r service state _ restarts _ started _; do
        if ! is_steady "$state" "$restarts" "$started"; then echo "$service"; fi
      done)
  fi
  if [ -z "$current" ] && [ -n "$lacking" ]; then asks=list; fi
  set -- -e "DEPLOY_DJANGO_IMAGES=$(release_fact "$target" images | second_word | tr '\n' ' ')"
  # After a rollback, the database is ahead of the code that serves.
  serves=$(last_answer)
  if [ -n "$serves" ]; then set -- "$@" -e "DEPLOY_DJANGO_SERVES=$serves"; fi
  serving=$(if [ "$target" = "$current" ]; then first_running "$(release_fact "$target" django)"; fi)
  call_limit=$change_limit # a plan may read many schemas
  if [ -n "$serving" ]; then ask_running "$serving" "$asks" "$@"; else ask_django "$target" "$asks" "$@"; fi
}
