# shellcheck shell=sh
## Settings: variables and files that differ in another release. Only their names leave the host.

returning() { # DIRECTORY TRANSACTION: one name per line, for the runner
  enter "$1"
  transaction=$2 current=$(read_current)
  names_that_return "$(plan_fact target)" | sed 's/^/returning /'
}

names_that_return() { # RELEASE: `variable NAME` and `file PATH` where its env files differ from those in use
  { shipped_by "$1" && kept_by "$1" && left_by "$1"; } | while IFS= read -r path; do
    reader=$1 old=.deploy/releases/$1/env/$path
    [ -f "$old" ] || old=.deploy/releases/$1/kept/$path
    [ -f "$old" ] || { old=$path reader=$current; }
    new=$(file_in_use "$path")
    if ! sets_variables "$reader" "$path"; then
      # A line of a secret may look like a variable: its name would leak part of the secret.
      if [ -n "$new" ] && ! cmp -s "$old" "$new"; then printf 'file %s\n' "$path"; fi
    else
      # If the file is gone, its names may be in .env now.
      names_that_differ "$old" "${new:-.env}" | sed 's/^/variable /'
    fi
  done | sort -u
}

# A checksum of the env files on the host that its containers read. It stays on the host.
sum_settings() { # RELEASE
  {
    if [ "$(release_list "$1" env)" != shipped ]; then echo .env; fi
    release_list "$1" env-files
    release_list "$1" optional-env-files
  } | sort | while IFS= read -r path; do
    path=$(resolve_home "$path")
    if [ -f "$path" ]; then sha256sum <"$path"; fi
  done | sha256sum
}

sets_variables() { # RELEASE PATH: whether PATH is an env file, not a secret, a config or a mounted file
  [ "$2" = .env ] || is_listed "$2" "$(release_list "$1" variable-files)"
}

shipped_by() { # RELEASE: paths of its env files
  if [ -d ".deploy/releases/$1/env" ]; then (cd ".deploy/releases/$1/env" && find . -type f | sed 's/^..//'); fi
}

# An adopted release keeps its .env only to restore it after a later release has replaced it.
kept_by() {
  if [ -f ".deploy/releases/$1/kept/.env" ] && [ "$(release_list "$current" env)" = shipped ]; then echo .env; fi
}

# The files on the host that this release reads and that the current one ships instead.
left_by() { # RELEASE
  release_list "$1" env-files | while IFS= read -r path; do
    if [ -f "$path" ] && [ -f ".deploy/releases/$current/env/$path" ]; then echo "$path"; fi
  done
}

file_in_use() { # PATH: the file that the current release reads
  if [ -f ".deploy/releases/$current/env/$1" ]; then
    echo ".deploy/releases/$current/env/$1"
  elif [ -f "$1" ]; then
    echo "$1"
  fi
}

names_that_differ() { # OLD-FILE NEW-FILE: a quoted value may span several lines
  awk '
    function closes(text, quote, at) {
      for (at = 1; at <= length(text); at++) {
        if (substr(text, at, 1) == quote) return at
        if (quote == "\"" && substr(text, at, 1) == "\\") at++
      }
      return 0
    }
    function read_file(path, values, text, name, value, quote, more) {
      while ((getline text < path) > 0) {
        sub("^[ \t]*(export[ \t]+)?", "", text)
        if (!match(text, "^[A-Za-z_][A-Za-z0-9_.-]*[ \t]*[=:][ \t]*")) continue
        name = text
        sub("[^A-Za-z0-9_.-].*", "", name)
        value = substr(text, RLENGTH + 1)
        quote = substr(value, 1, 1)
        if (quote == "\"" || quote == "\047") {
          value = substr(value, 2)
          while (!closes(value, quote) && (getline more < path) > 0) value = value "\n" more
          if (closes(value, quote)) value = substr(value, 1, closes(value, quote) - 1)
        } else {
          sub("[ \t]+#.*", "", value)
          sub("[ \t\r]+$", "", value)
        }
        values[name] = value
      }
      close(path)
    }
    BEGIN {
      read_file(ARGV[1], old)
      read_file(ARGV[2], new)
      for (name in old) if (!(name in new) || old[name] != new[name]) print name
    }' "$1" "$2"
}
