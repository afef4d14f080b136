# Hides the secrets of env files in every line. File 7 has the env files, each after a line \034. Values are searched as
# they are, never as patterns, and appear in no argument. The rule is in src/inputs/secret.ts; a test compares both.
# A journal line has no output of an app. In a document only texts with a space are for people: other texts decide
# something and must arrive unchanged. The output of `run` has no exceptions: a person may print anything there.

function is_secret(name, value) {
  if (toupper(name) ~ "SECRET|PASS|PWD|TOKEN|KEY|CREDENTIAL|AUTH|SALT|DSN|PRIVATE") return 1
  return length(value) >= 16 && value ~ "[0-9]" && value ~ "[A-Za-z]" && value !~ "[ \t\n./,]"
}
function keep(text, place) {
  gsub("^[ \t]+|[ \t\r]+$", "", text)
  if (length(text) < 6 || (length(text) < 12 && text !~ "[^a-z]") || text in kept) return
  kept[text] = 1
  # Longest first: one secret may be a part of another.
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
    if (letter == "\\") {
      letter = substr(text, ++at, 1)
      if (letter == "n") letter = "\n"
      if (letter == "r") letter = "\r"
    }
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
function keep_password(address, password) {
  if (!match(address, "://[^ /:@]*:[^ @]+@")) return
  password = substr(address, RSTART + 3, RLENGTH - 4)
  keep_lines(substr(password, index(password, ":") + 1))
}
function take(name, value) {
  keep_password(value)
  if (is_secret(name, value)) keep_lines(value)
}
# An app makes line ends of a written \n.
function take_with_line_ends(name, value) {
  take(name, value)
  if (index(value, "\\n")) take_with_line_ends(name, unescaped(value))
}
# Members of JSON whose value is a text.
function take_members(text, member, name) {
  while (match(text, "\"[^\"\\\\]+\"[ \t\r\n]*:[ \t\r\n]*\"([^\"\\\\]|\\\\.)*\"")) {
    member = substr(text, RSTART + 1, RLENGTH - 2)
    text = substr(text, RSTART + RLENGTH)
    name = substr(member, 1, index(member, "\"") - 1)
    member = substr(member, length(name) + 2)
    sub("^[ \t\r\n]*:[ \t\r\n]*\"", "", member)
    take(name, unescaped(member))
  }
}
# PEM blocks. The headers of an encrypted key look like settings.
function take_blocks(lines, last, at, text, is_inside) {
  for (at = 1; at <= last; at++) {
    text = lines[at]
    gsub("^[ \t]+|[ \t\r]+$", "", text)
    if (text ~ "-----BEGIN ") is_inside = 1
    if (is_inside && is_long(text)) keep_lines(text)
    if (text ~ "-----END ") is_inside = 0
  }
}
function is_long(text) { return length(text) >= 8 && text !~ "[ \t]|^#" }
function is_setting(text) {
  sub("^export[ \t]+", "", text)
  return text ~ "^[A-Z_][A-Z0-9_]*[ \t]*=[ \t]*[^= \t]" || text ~ "^[A-Za-z_][A-Za-z0-9_.-]*[ \t]*:[ \t]+[^ \t]"
}
# A file without any setting is itself a secret.
function take_whole(lines, last, at, text, number, whole) {
  for (at = 1; at <= last; at++) {
    text = lines[at]
    gsub("^[ \t]+|[ \t\r]+$", "", text)
    if (is_setting(text)) return
    if (text != "") whole[++number] = text
  }
  for (at = 1; at <= number; at++) {
    if (number > 1 && !is_long(whole[at])) continue
    keep_lines(whole[at])
    keep_password(whole[at])
  }
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
        if (quote == "\"") value = unescaped(value)
        take_with_line_ends(name, value)
        take_members(value)
        at = end
        continue
      }
    }
    sub("^[\"\047]", "", text)
    sub("[ \t]#.*", "", text)
    sub("[ \t\r]+$", "", text)
    take_with_line_ends(name, text)
  }
}
function read_whole(lines, last, at, text) {
  read_file(lines, last)
  take_whole(lines, last)
  take_blocks(lines, last)
  for (at = 1; at <= last; at++) text = text lines[at] "\n"
  take_members(text)
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
    read_whole(lines, last)
    last = 0
  }
  read_whole(lines, last)
}
ENVIRON["command"] == "follow" && /^j / { print; fflush(); next }
ENVIRON["command"] != "run" && /^([a-z]+ )?[{]"deploy-django":/ { print hide_in_document($0); fflush(); next }
{ print hide($0); fflush() }
