# shellcheck shell=sh
## Ports of the host: who holds one.

port_holder() { # PORT: "PORT container NAME PROJECT", "PORT docker" (for no container), "PORT program" or nothing
  publisher=$(list_publishers "$1") || return 0
  if [ -n "$publisher" ]; then
    echo "$1 container $(printf '%s\n' "$publisher" | head -n 1)"
  elif is_listed "$1" "$(proxied_ports)"; then
    echo "$1 docker"
  elif is_listened_on "$1"; then
    echo "$1 program"
  fi
}

proxied_ports() { # the ports on which a docker-proxy listens
  find /proc -maxdepth 2 -path '/proc/[0-9]*/cmdline' -exec grep -ls docker-proxy {} + 2>/dev/null |
    while read -r file; do
      { tr '\000' ' ' <"$file" && echo; } 2>/dev/null
    done | sed -n 's/.*docker-proxy .*-host-port \([0-9]*\) .*/\1/p' || true
}

is_listened_on() { # PORT: over TCP, by any program; 0A is LISTEN
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v "port=$(printf ':%04X' "$1")" '
      $4 == "0A" && substr($2, length($2) - 4) == port { found = 1 }
      END { exit !found }'
}

# After a crash while a container starts, Docker may hold its port although no container publishes it.
name_port_holder() { # FILE: Docker's output when it could not start a container
  said_of_port='s/.* (for|port|tcp|tcp4|tcp6) (\[[^]]*\]|[0-9.]+):([0-9]+).*already (allocated|in use).*/\3/p'
  ports=$(sed -nE "$said_of_port" "$1" | sort -u)
  for port in $ports; do
    publisher=$(list_publishers "$port" | first_word | head -n 1)
    if [ -n "$publisher" ]; then
      echo "port $port is published by the container $publisher" >&2
    elif grep -q "$port.*port is already allocated" "$1" || is_listed "$port" "$(proxied_ports)"; then
      echo "Docker holds port $port for no container" >&2
    fi
  done
}

left_over_ports() { # published ports of the project that Docker holds although no container uses them
  template='{{range .HostConfig.PortBindings}}{{range .}}{{println .HostPort}}{{end}}{{end}}'
  for port in $(on "$(printf '%s\n' "$seen" | first_word)" ask inspect -f "$template" | sort -un); do
    case $(port_holder "$port") in *' docker') echo "$port" ;; esac
  done
}
