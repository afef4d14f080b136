# shellcheck shell=sh
## Lines: the part of a container's output that shows why it fails.

show_last_lines() { # CONTAINER
  echo "last lines of $(ask inspect -f '{{.Name}}' "$1"):"
  # A container that was not replaced may have older failures with other causes.
  said=$(ask logs --since 15m --tail 2000 "$1" 2>&1) || said=$(why_unreadable "$1" "$said")
  [ -n "$said" ] || said=$(ask logs --tail 100 "$1" 2>&1) || true
  printf '%s\n' "$said" | relevant_lines | sed 's/^/  | /'
}

why_unreadable() { # CONTAINER ANSWER
  case $2 in *'does not support reading'*) ;; *) echo "(its log cannot be read: $2)" && return ;; esac
  driver=$(ask inspect -f '{{.HostConfig.LogConfig.Type}}' "$1")
  echo "(its log cannot be read, because its log driver is $driver. To see why it fails, set"
  echo "\`logging: {driver: json-file}\` for this service in the Compose file and deploy again)"
}

# The first traceback: later ones are often only its consequence. Its last line names the fault. Without a traceback,
# the last lines; one that repeats is counted. Requests of health checks and uWSGI's complaints about them are left out:
# they come ten times a second.
relevant_lines() {
  # shellcheck disable=SC2016 # the program is awk's
  awk '
    function without_colours(text) {
      gsub(escape "\\[[0-9;?]*[A-Za-z]", "", text)
      gsub("\r", "", text)
      return length(text) > 400 ? substr(text, 1, 400) "…" : text
    }
    function is_ours(text) {
      if (text ~ "invalid request block size|uwsgi_proto_http_parser.. -> client closed connection") return 1
      if (text !~ "(GET|HEAD) /") return 0
      if (text ~ "\"deploy-django\"" || text ~ "^\\[[0-9]+/[A-Z][a-z]+/[0-9]+ [0-9:]+\\] \"(GET|HEAD) ") return 1
      return text ~ "^((INFO: *)?\\[?(127[.]0[.]0[.]1|::1)\\]?(:[0-9]+)? - |\\[pid: .*\\] (127[.]0[.]0[.]1|::1) \\()"
    }
    # A line without what differs when a program says the same again: time, process and number of the connection.
    function meaning(text) {
      gsub("[0-9]+[/-][0-9A-Za-z]+[/-][0-9]+", "", text)
      gsub("[0-9]+:[0-9]+:[0-9]+([.,][0-9]+)?", "", text)
      gsub("[0-9]+#[0-9]+: ([*][0-9]+ )?", "", text)
      gsub("\\[[0-9]+\\]", "", text)
      return text
    }
    function print_end(at, size, text, times) {
      for (at = 1; at <= count; at++) {
        if (size && meaning(lines[at]) == meaning(lines[at - 1])) times[size]++
        else times[++size] = 1
        text[size] = lines[at]
      }
      for (at = size > 15 ? size - 14 : 1; at <= size; at++) {
        print text[at] (times[at] > 1 ? " (" times[at] " times)" : "")
      }
    }
    function shape(text) {
      gsub("[0-9]", "0", text)
      return text
    }
    # Removes the prefix, usually a time, that a tool such as honcho writes before each line.
    function inner(text) {
      return mark != "" && index(shape(text), mark) == 1 ? substr(text, length(mark) + 1) : text
    }
    function print_traceback(from, each, text, ended, size) {
      mark = shape(substr(lines[from], 1, index(lines[from], opening) - 1))
      if (mark ~ "^[ \t]*$" || index(shape(lines[from + 1]), mark) != 1) mark = ""
      part[size = 1] = opening
      for (each = from + 1; each <= count; each++) {
        text = inner(lines[each])
        if (text ~ "^(During handling of the above exception|The above exception was)") ended = 0
        else if (index(text, opening) == 1) ended = 0
        else if (ended) break
        else if (text !~ "^[ \t]") ended = 1
        part[++size] = text
      }
      for (each = 1; each <= size; each++) {
        if (each == 2 && size > 14) { print "  …"; each = size - 11 }
        print part[each]
      }
    }
    BEGIN { escape = sprintf("%c", 27); opening = "Traceback (most recent call last):" }
    { text = without_colours($0); if (text !~ "^[ \t]*$" && !is_ours(text)) lines[++count] = text }
    END {
      for (at = 1; at <= count; at++) if (index(lines[at], opening)) { print_traceback(at); exit }
      if (count == 0) print "(nothing that says why)"
      print_end()
    }'
}
