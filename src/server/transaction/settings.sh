# shellcheck shell=sh
## Settings: which variables another release brings back with other values. Names only; no value leaves the server.

returning() { # DIRECTORY TRANSACTION: for the runner, a name a line
  enter "$1"
  transaction=$2 current=$(read_current)
  names_that_return "$(plan_fact target)" | sed 's/^/returning /'
}

names_that_return() { # RELEASE: what its own env files set in another way than those in use
  { shipped_by "$1" && kept_by "$1"; } | while IFS= read -r path; do
    old=.deploy/releases/$1/env/$path
    [ -f "$old" ] || old=.deploy/releases/$1/kept/$path
    new=$(file_in_use "$path")
    if [ -n "$new" ]; then
      names_that_differ "$old" "$new"
    else
      # It has no counterpart: the same names may be in another file now.
      names_that_differ "$old" .env
    fi
  done | sort -u
}

shipped_by() { # RELEASE: paths of its env files
  if [ -d ".deploy/releases/$1/env" ]; then (cd ".deploy/releases/$1/env" && find . -type f | sed 's/^..//'); fi
}

# What was adopted has an .env only to put it back where a release has replaced it.
kept_by() {
  if [ -f ".deploy/releases/$1/kept/.env" ] && [ "$(release_list "$current" env)" = shipped ]; then echo .env; fi
}

file_in_use() { # PATH: as the release that serves reads it
  if [ -f ".deploy/releases/$current/env/$1" ]; then
    echo ".deploy/releases/$current/env/$1"
  elif [ -f "$1" ]; then
    echo "$1"
  fi
}

names_that_differ() { # OLD-FILE NEW-FILE: a value may go over several lines, in quotes
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
