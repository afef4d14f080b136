# shellcheck shell=sh
## Redaction: what is secret in an env file does not leave the server.

env_files() { # DIRECTORY: by their names, by what the releases ship, and by what the releases want to be here
  find "$1" -maxdepth 2 ! -path "$1/.deploy/*" -type f '(' -name '.env*' -o -name '*.env' ')'
  find "$1/.deploy/releases" "$1/.deploy/incoming" -type f -path '*/env/*'
  find "$1/.deploy/files" -type f '(' -name '.env*' -o -name '*.env' ')'
  find "$1/.deploy/releases" -path '*/facts/env-files' -exec cat {} + | sort -u | while IFS= read -r file; do
    case $file in /*) ;; \~/*) file=${HOME:-}/${file#??} ;; *) file=$1/$file ;; esac
    if [ -f "$file" ]; then printf '%s\n' "$file"; fi
  done
}

# Read before the verb begins, which may move or remove such a file before a slow awk has seen it.
settings_in() { # DIRECTORY: the text of its env files, each behind a line that no text has
  env_files "$1" 2>/dev/null | while IFS= read -r file; do
    printf '\034\n'
    cat "$file" 2>/dev/null && echo
  done
}

# What an app or Compose may have said leaves the server through here. The verb runs in a shell of its own, where
# `set -e` means what it says, and without our pipes: what it leaves running must not keep them open.
redacted() { # VERB DIRECTORY ARGUMENTS…
  settings=$(settings_in "$2" || true)
  # It would wait for 4096 bytes before it looks at a line.
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

# The values are looked up as they are, never as patterns, and are in no argument. The rule is that of src/secret.ts,
# and a test asks both the same questions. A journal line has nothing of an app in it; of a document only texts with a
# space are for people: a name in it decides something and must arrive as it is. What a person runs may print anything.
redact() { # VERB: a line at a time, from the values in `settings`
  # shellcheck disable=SC2016 # the program is awk's
  verb=$1 awk ${is_mawk:+-W interactive} '
    function is_secret(name, value) {
      if (toupper(name) ~ "SECRET|PASS|PWD|TOKEN|KEY|CREDENTIAL|AUTH|SALT|DSN|PRIVATE") return 1
      return length(value) >= 16 && value ~ "[0-9]" && value ~ "[A-Za-z]" && value !~ "[ \t\n./,]"
    }
    function keep(text, place) {
      gsub("^[ \t]+|[ \t\r]+$", "", text)
      if (length(text) < 6 || (length(text) < 12 && text !~ "[^a-z]") || text in kept) return
      kept[text] = 1
      # The longer ones first: one may be a part of another.
      for (place = ++count; place > 1 && length(secrets[place - 1]) < length(text); place--)
        secrets[place] = secrets[place - 1]
      secrets[place] = text
    }
    function keep_lines(text, parts, number, each) {
      number = split(text, parts, "\n")
      for (each = 1; each <= number; each++) { keep(parts[each]); keep(escaped(parts[each])) }
    }
    function escaped(text, done, at, letter) {
      for (at = 1; at <= length(text); at++) {
        letter = substr(text, at, 1)
        done = done (letter == "\\" || letter == "\"" ? "\\" : "") letter
      }
      return done
    }
    function unescaped(text, done, at, letter) {
      for (at = 1; at <= length(text); at++) {
        letter = substr(text, at, 1)
        if (letter == "\\") { letter = substr(text, ++at, 1); if (letter == "n") letter = "\n" }
        done = done letter
      }
      return done
    }
    function closing(text, quote, at) {
      for (at = 1; at <= length(text); at++) {
        if (substr(text, at, 1) == quote) return at
        if (quote == "\"" && substr(text, at, 1) == "\\") at++
      }
      return 0
    }
    function take(name, value, password) {
      if (match(value, "://[^ /:@]*:[^ @]+@")) {
        password = substr(value, RSTART + 3, RLENGTH - 4)
        keep_lines(substr(password, index(password, ":") + 1))
      }
      if (is_secret(name, value)) keep_lines(value)
    }
    function read_file(lines, last, at, end, text, name, quote, value) {
      for (at = 1; at <= last; at++) {
        text = lines[at]
        sub("^[ \t]*(export[ \t]+)?", "", text)
        if (!match(text, "^[A-Za-z_][A-Za-z0-9_.-]*[ \t]*[=:][ \t]*")) continue
        name = text
        sub("[^A-Za-z0-9_.-].*", "", name)
        text = substr(text, RLENGTH + 1)
        take(name, text)
        quote = substr(text, 1, 1)
        if (quote == "\"" || quote == "\047") {
          value = substr(text, 2)
          for (end = at; !closing(value, quote) && end < last; ) value = value "\n" lines[++end]
          if (closing(value, quote)) {
            value = substr(value, 1, closing(value, quote) - 1)
            take(name, value)
            if (quote == "\"") take(name, unescaped(value))
            at = end
            continue
          }
        }
        sub("^[\"\047]", "", text)
        sub("[ \t]#.*", "", text)
        sub("[ \t\r]+$", "", text)
        take(name, text)
      }
    }
    function hide(text, each, at, done) {
      for (each = 1; each <= count; each++) {
        for (done = ""; (at = index(text, secrets[each])) > 0; text = substr(text, at + length(secrets[each])))
          done = done substr(text, 1, at - 1) "***"
        text = done text
      }
      return text
    }
    function hide_in_document(text, done, string) {
      while (match(text, "\"([^\"\\\\]|\\\\.)*\"")) {
        string = substr(text, RSTART, RLENGTH)
        done = done substr(text, 1, RSTART - 1) (index(string, " ") ? hide(string) : string)
        text = substr(text, RSTART + RLENGTH)
      }
      return done text
    }
    BEGIN {
      while ((getline text < "/dev/fd/7") > 0) {
        if (text != "\034") { lines[++last] = text; continue }
        read_file(lines, last)
        last = 0
      }
      read_file(lines, last)
    }
    ENVIRON["verb"] == "follow" && /^j / { print; fflush(); next }
    ENVIRON["verb"] != "run" && /^([a-z]+ )?[{]"deploy-django":/ { print hide_in_document($0); fflush(); next }
    { print hide($0); fflush() }' 7<<END
$settings
END
}
