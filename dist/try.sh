# shellcheck shell=sh
## Step try: checks one container of the new release, without visitors, before any container of the site is replaced.

step_try() {
  end_trial # of an attempt that died
  django=$(release_fact "$target" django)
  look_into_serving
  obstacle=$(find_obstacle)
  if [ -n "$obstacle" ]; then
    echo "note: $django is not tried: $obstacle"
    return
  fi
  start_trial
  checked_release=$target question=.deploy/plans/$transaction/try.json answer_name=http
  only=$trial quiet_seconds=5 must_listen=$(if serving_listens; then echo yes; fi)
  until_healthy_release
  # If the app is stopped, Docker may have given its address to the trial container, and a proxy that remembers the
  # address sends visitors there. Their answers must not be cut off.
  if happened stop begin; then ask stop -t 3 "$trial" >/dev/null || true; fi
  ask rm -f -v "$trial" >/dev/null
}

undo_try() { end_trial; }

start_trial() {
  failed=0
  # It starts like its service: with the image's entrypoint and the service's command.
  run_one_off "$target" try -d --name "$trial" --label "deploy-django.tries=$project" "$django" >/dev/null || failed=$?
  [ "$failed" -eq 0 ] || return "$(code_of_orchestrator "$failed")"
}

# -v removes only the container's anonymous volumes.
end_trial() {
  tries=$(ask ps -aq --filter "label=deploy-django.tries=$project")
  on "$tries" ask rm -f -v >/dev/null
}

# One call for both facts: the sockets on which the current container listens, and its memory use. One of the last two
# files has the latter.
look_into_serving() { # sets `serving` and `known`
  list_containers
  serving=$(first_running "$django") known=
  if [ -z "$serving" ]; then return; fi
  known=$(ask exec "$serving" cat /proc/net/unix /proc/net/tcp /proc/net/tcp6 \
    /sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat 2>/dev/null) || true
}

# Whether the current container listens for others. If so, a trial container without a listener has not started yet:
# servers such as uvicorn listen only after they have imported the app.
serving_listens() {
  printf '%s\n' "$known" | while read -r _ address _ state _; do
    case $state\ $address in
      0A\ ????????:* | 0A\ ????????????????????????????????:*) ;;
      *) continue ;;
    esac
    # Loopback: 127.0.0.0/8 and ::1.
    case $address in *7F:* | 00000000000000000000000001000000:*) ;; *) echo yes ;; esac
  done | grep -q yes
}

find_obstacle() { # why the host rules out a trial; nothing if it is possible
  if [ ! -f ".deploy/releases/$target/run/try.yaml" ]; then
    echo "this version of the action did not deploy it, or it shares a network"
    return
  fi
  if is_listed "$django" "$(unstarted "$transaction")"; then
    echo "it is scaled to 0 containers"
    return
  fi
  if [ "$(plan_list compare)" = yes ] && may_change_cache; then
    echo "a service behind the app may change with it"
    return
  fi
  if [ -z "$serving" ]; then return; fi
  case $known in
    Num*) ;;
    *)
      echo "the container that serves cannot be inspected"
      return
      ;;
  esac
  socket=$(mounted_socket)
  if [ -n "$socket" ]; then
    echo "it would take over the socket $socket, through which visitors reach the app"
  elif lacks_memory; then
    echo "there is less memory left than the container that serves uses"
  fi
}

# By their definitions, and by the env files with their values.
may_change_cache() {
  caches=$(with_role "$target" cache | sed 's/.*/^& /')
  [ -n "$caches" ] || return 1
  [ "$(definitions_of "$target")" != "$(definitions_of "$current")" ] || [ -n "$(names_that_return "$target")" ]
}

definitions_of() { release_list "$1" behind | grep -e "$caches" || true; } # RELEASE

mounted_socket() { # a path on which the current container listens, and that the trial container would also have
  listens=$(printf '%s\n' "$known" | while read -r _ _ _ flags _ _ _ path; do
    case $flags\ $path in '00010000 '[!@]*) echo "$path" ;; esac
  done)
  if [ -z "$listens" ]; then return; fi
  places='{{range .Mounts}}{{if ne .Type "tmpfs"}}{{println .Destination}}{{end}}{{end}}'
  ask inspect -f "{{println .Config.WorkingDir}}$places" "$serving" | {
    read -r folder
    while read -r place; do
      if [ -z "$place" ]; then continue; fi
      for path in $listens; do
        case $path in /*) ;; *) path=${folder%/}/$path ;; esac
        case $path in "${place%/}"/*) echo "$path" ;; esac
      done
    done
  } | head -n 1
}

lacks_memory() {
  used=$(printf '%s\n' "$known" | sed -n 's/^anon //p; s/^total_rss //p' | head -n 1)
  left=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
  [ -n "$used" ] && [ -n "$left" ] && [ "$left" -lt $((used / 1024)) ]
}
