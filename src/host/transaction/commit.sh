# shellcheck shell=sh
## Steps commit and prune: make the target the current release, and remove old releases.

announce_commit() { echo "$target after ${current:--}"; }

step_commit() {
  if [ -d ".deploy/releases/$target/kept" ]; then
    put_back "$target"
  else
    place ".deploy/releases/$target/compose.yaml" compose.yaml
    if [ -f ".deploy/releases/$target/env/.env" ]; then place ".deploy/releases/$target/env/.env" .env; fi
  fi
  echo "$transaction" >.deploy/transaction.new
  echo "$target" >.deploy/current.new
  cat >.deploy/rollback.new <<'END'
#!/bin/sh
# Rolls back without GitHub: sh .deploy/rollback [version]
cd "$(dirname "$0")/.." && exec sh ".deploy/plans/$(cat .deploy/transaction)/transaction.sh" rollback . "$@"
END
  flush .deploy/transaction.new .deploy/current.new .deploy/rollback.new
  mv .deploy/rollback.new .deploy/rollback
  mv .deploy/transaction.new .deploy/transaction
  mv .deploy/current.new .deploy/current
  flush . .deploy
}

place() { # FILE NAME: copies FILE to NAME atomically
  cp "$1" "$2.new"
  flush "$2.new"
  mv "$2.new" "$2"
}

step_prune() {
  found=$(migration_container)
  on "${found%% *}" ask rm -f >/dev/null
  on "$(list_unstarted)" ask rm >/dev/null 2>&1 || true
  list_containers
  remove_set_aside
  hold "$(previous_of "$target")"
  kept=$(
    echo "$target"
    previous_of "$target"
    recent "$(plan_fact keep)"
    awaited
  )
  for id in $(only_in "$(entries .deploy/releases)" "$kept"); do remove_release "$id"; done
  for id in $(entries .deploy/plans); do
    if may_go_on "$id"; then continue; fi
    if [ -d ".deploy/releases/$(cat ".deploy/plans/$id/facts/target")" ] && ! is_stale "$id"; then continue; fi
    rm -rf ".deploy/plans/$id"
    # The journal itself stays: it records which release served when.
    for name in $(entries .deploy/journal); do
      case $name in "$id".log | "$id".abort | "$id".*.json) rm -f ".deploy/journal/$name" ;; esac
    done
  done
  prune_backups
  # A container that was not replaced may mount a file of a removed release. It could not restart without that file.
  list_containers
  mounted=$(mounted_in "$(printf '%s\n' "$seen" | first_word)")
  for name in $(cd .deploy && find files incoming -mindepth 1 -maxdepth 1 -mtime +0 2>/dev/null); do
    case $mounted in *"/.deploy/$name/"*) continue ;; esac
    if [ "${name%%/*}" = incoming ] || ! grep -rqF -- "${name#files/}/" .deploy/releases; then
      rm -rf ".deploy/$name"
    fi
  done
}

is_stale() { # TRANSACTION: it ended a day ago or more, and committed nothing
  [ -f ".deploy/journal/$1" ] && is_ended "$1" && ! says "$1" commit begin &&
    [ -n "$(find ".deploy/plans/$1" -maxdepth 0 -mtime +0)" ]
}

mounted_in() { # CONTAINERS: their mounts; skips a removed container, fails if Docker does not answer
  mounts='{{range .Mounts}}{{println .Source}}{{end}}'
  if on "$1" ask inspect -f "$mounts" 2>/dev/null; then return; fi
  for container in $1; do
    if ask inspect -f "$mounts" "$container" 2>/dev/null; then continue; fi
    still=$(ask ps -aq --no-trunc --filter "id=$container") || return 1
    [ -z "$still" ] || return 1
  done
}

recent() { # NUMBER: the releases that were committed last
  commits | sort -r | {
    recently='' left=$1
    while [ "$left" -gt 0 ] && read -r _ _ _ id _; do
      if is_listed "$id" "$recently"; then continue; fi
      recently=$recently$newline$id left=$((left - 1))
      echo "$id"
    done
  }
}

awaited() { # the targets of other open runs, staged less than a day ago
  for id in $(cd .deploy/plans && find . -mindepth 1 -maxdepth 1 -mtime -1); do
    id=${id#./}
    if may_go_on "$id"; then cat ".deploy/plans/$id/facts/target"; fi
  done
}

# Whether it is open or may still begin. The fence refuses older runs, so an older run without a journal was refused.
# A plan younger than ten minutes may not have reached the fence yet.
may_go_on() { # TRANSACTION
  if [ -f ".deploy/journal/$1" ]; then
    if is_ended "$1"; then return 1; fi
    return
  fi
  is_alive "$1" || [ "$(fact_of "$1" force)" = yes ] || [ "$(fact_of "$1" run)" -ge "$(plan_fact run)" ] ||
    [ -n "$(find ".deploy/plans/$1" -maxdepth 0 -mmin -10)" ]
}

# `docker system prune -af` removes every image that no running container uses. So each image of the rollback target
# gets a sleeping container, unless the new release runs that image.
hold() { # RELEASE
  images=$(release_list "$1" images | second_word | sort -u)
  images=$(only_in "$images" "$(release_list "$target" images | second_word)")
  wanted=$(for image in $images; do holder_of "$image"; done)
  holders=$(ask ps -a --filter "label=deploy-django.holds=$project" --format '{{.Names}} {{.State}}')
  awake=$(printf '%s\n' "$holders" | sed -n 's/ running$//p')
  on "$(only_in "$(printf '%s\n' "$holders" | first_word)" "$(both_in "$awake" "$wanted")")" ask rm -f >/dev/null
  for image in $images; do
    if is_listed "$(holder_of "$image")" "$awake"; then continue; fi
    {
      run_holder "$image" ||
        echo "note: removing all unused images also removes $image, which a rollback needs"
    } &
  done
  wait
}

holder_of() { echo "deploy-django-holds-$project-${1##*:}"; } # IMAGE by digest, or by the tag of an adopted release

run_holder() { # IMAGE
  held=$1
  # Otherwise each holder would get an anonymous volume for every place that the image declares as a volume.
  set --
  # shellcheck disable=SC2016 # the template's own variables
  for place in $(ask image inspect -f '{{range $place, $_ := .Config.Volumes}}{{$place}} {{end}}' "$held"); do
    set -- "$@" --tmpfs "$place"
  done
  run_apart --name "$(holder_of "$held")" --label "deploy-django.holds=$project" --label traefik.enable=false \
    --restart always --network none --read-only --cap-drop ALL --no-healthcheck --log-driver none "$@" \
    --entrypoint sleep "$held" 2147483647 >/dev/null 2>&1 && return
  ask rm -f "$(holder_of "$held")" >/dev/null 2>&1
  return 1
}

remove_release() { # RELEASE: also its tags, and images that no other release uses
  images=$(release_list "$1" images | second_word | sort -u)
  rm -rf ".deploy/releases/$1"
  for image in $images; do
    if grep -rqF -- "$image" .deploy/releases; then continue; fi
    ask rmi "$(tag_of "$image")" >/dev/null 2>&1 || true
    # Another project on this host may use the same image.
    if ask image inspect -f '{{.RepoTags}}' "$image" 2>/dev/null | grep -q ':deploy-django-'; then continue; fi
    ask rmi "$image" >/dev/null 2>&1 || true
  done
  for tag in $(ask image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=deploy-django/$project:$1.*"); do
    ask rmi "$tag" >/dev/null 2>&1 || echo "kept $tag: it is in use"
  done
}
