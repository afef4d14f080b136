# shellcheck shell=sh
## Steps commit and prune.

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
# The way back without GitHub: sh .deploy/rollback [version]
cd "$(dirname "$0")/.." && exec sh ".deploy/plans/$(cat .deploy/transaction)/transaction.sh" rollback . "$@"
END
  flush .deploy/transaction.new .deploy/current.new .deploy/rollback.new
  mv .deploy/rollback.new .deploy/rollback
  mv .deploy/transaction.new .deploy/transaction
  mv .deploy/current.new .deploy/current
  flush . .deploy
}

place() { # FILE NAME: a copy under the stable name, whole or not at all
  cp "$1" "$2.new"
  flush "$2.new"
  mv "$2.new" "$2"
}

step_prune() {
  found=$(migration_container)
  on "${found%% *}" ask rm -f >/dev/null
  survey
  on "$(all_retired | first_word)" ask rm -f >/dev/null
  hold "$(previous_of "$target")"
  kept=$(
    echo "$target"
    previous_of "$target"
    recent "$(plan_fact keep)"
    awaited
  )
  for id in $(only_in "$(entries .deploy/releases)" "$kept"); do remove_release "$id"; done
  for id in $(entries .deploy/plans); do
    if [ -d ".deploy/releases/$(cat ".deploy/plans/$id/facts/target")" ]; then continue; fi
    rm -rf ".deploy/plans/$id"
    # The journal itself stays: it knows what served when.
    for name in $(entries .deploy/journal); do
      case $name in "$id".log | "$id".abort | "$id".*.json) rm -f ".deploy/journal/$name" ;; esac
    done
  done
  # A container that was not replaced may mount a file of a release that is gone; without it, it would not start again.
  mounted=$(on "$(printf '%s\n' "$seen" | first_word)" ask inspect -f '{{range .Mounts}}{{println .Source}}{{end}}')
  for name in $(cd .deploy && find files incoming -mindepth 1 -maxdepth 1 -mtime +0 2>/dev/null); do
    case $mounted in *"/.deploy/$name/"*) continue ;; esac
    if [ "${name%%/*}" = incoming ] || ! grep -rqF -- "${name#files/}/" .deploy/releases; then
      rm -rf ".deploy/$name"
    fi
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

awaited() { # the targets of other runs that are on their way: staged less than a day ago and not ended
  for id in $(cd .deploy/plans && find . -mindepth 1 -maxdepth 1 -mtime -1); do
    id=${id#./}
    if [ ! -f ".deploy/journal/$id" ] || ! is_ended "$id"; then cat ".deploy/plans/$id/facts/target"; fi
  done
}

# `docker system prune -af` removes each image that no running container has. So each one of the release to which a
# rollback goes, and that the new release does not run as well, has a container that sleeps.
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
        echo "note: who removes all images that nobody runs removes $image, to which a rollback goes"
    } &
  done
  wait
}

holder_of() { echo "deploy-django-holds-$project-${1##*:}"; } # IMAGE by digest, or by the tag of an adopted one

run_holder() { # IMAGE
  held=$1
  # A place that the image declares as a volume would get a volume with each holder.
  set --
  # shellcheck disable=SC2016 # the template's own variables
  for place in $(ask image inspect -f '{{range $place, $_ := .Config.Volumes}}{{$place}} {{end}}' "$held"); do
    set -- "$@" --tmpfs "$place"
  done
  # Compose labels the images that it builds as its project's, and a container has the labels of its image.
  ask run -d --name "$(holder_of "$held")" --label "deploy-django.holds=$project" \
    --label com.docker.compose.project= --label traefik.enable=false \
    --restart always --network none --read-only --cap-drop ALL --no-healthcheck --log-driver none "$@" \
    --entrypoint sleep "$held" 2147483647 >/dev/null 2>&1 && return
  ask rm -f "$(holder_of "$held")" >/dev/null 2>&1
  return 1
}

remove_release() { # RELEASE, its tags, and images that no other release has
  images=$(release_list "$1" images | second_word | sort -u)
  rm -rf ".deploy/releases/$1"
  for image in $images; do
    if grep -rqF -- "$image" .deploy/releases; then continue; fi
    ask rmi "$(tag_of "$image")" >/dev/null 2>&1 || true
    # Another project on this server may have the same image.
    if ask image inspect -f '{{.RepoTags}}' "$image" 2>/dev/null | grep -q ':deploy-django-'; then continue; fi
    ask rmi "$image" >/dev/null 2>&1 || true
  done
  for tag in $(ask image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=deploy-django/$project:$1.*"); do
    ask rmi "$tag" >/dev/null 2>&1 || echo "kept $tag: something uses it"
  done
}
