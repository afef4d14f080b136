# shellcheck shell=sh
## Redaction: the secrets in env files do not leave the host.

env_files() { # DIRECTORY: found by name, among what releases ship, and among what releases expect on the host
  find "$1" -maxdepth 2 ! -path "$1/.deploy/*" -type f '(' -name '.env*' -o -name '*.env' ')'
  find "$1/.deploy/releases" "$1/.deploy/incoming" -type f -path '*/env/*'
  find "$1/.deploy/files" -type f '(' -name '.env*' -o -name '*.env' ')'
  find "$1/.deploy/releases" '(' -path '*/facts/env-files' -o -path '*/facts/optional-env-files' ')' \
    -exec cat {} + | sort -u | while IFS= read -r file; do
    case $file in /*) ;; \~/*) file=${HOME:-}/${file#??} ;; *) file=$1/$file ;; esac
    if [ -f "$file" ]; then printf '%s\n' "$file"; fi
  done
}

# Read before the command begins: the command may move or remove such a file before a slow awk has read it.
settings_in() { # DIRECTORY: the text of its env files, each after a line that no text contains
  env_files "$1" 2>/dev/null | while IFS= read -r file; do
    printf '\034\n'
    cat "$file" 2>/dev/null && echo
  done
}

# All output that may quote an app or Compose leaves the host through here. The command runs in its own shell, where
# `set -e` works. It does not get our pipes: processes that it leaves running must not keep them open.
redacted() { # COMMAND DIRECTORY ARGUMENTS…
  settings=$(settings_in "$2" || true)
  # By default, mawk waits for 4096 bytes before it reads a line.
  case $(awk -W version 2>&1 </dev/null) in mawk*) is_mawk=yes ;; *) is_mawk= ;; esac
  exec 5>&1 6>&2
  result=$({
    {
      {
        set +e
        (
          set -e
          open_trace
          "$@"
        ) 2>&4 3>&- 4>&- 5>&- 6>&-
        echo $? >&3
      } | redact "$1" >&5
    } 4>&1 | redact "$1" >&6
  } 3>&1)
  exit "${result:-1}"
}

redact() { # COMMAND: line by line, with the values in `settings`, by redaction.awk
  command=$1 awk ${is_mawk:+-W interactive} "$redaction_program" 7<<END
$settings
END
}
