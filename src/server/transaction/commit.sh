# shellcheck shell=sh
## Steps commit and prune.

step_commit() {
  if [ -d ".deploy/releases/$target/kept" ]; then put_back "$target"
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
  kept=$(echo "$target"; previous_of "$target"; recent "$(plan_fact keep)"; awaited)
  for id in $(only_in "$(entries .deploy/releases)" "$kept"); do remove_release "$id"; done
  for id in $(entries .deploy/plans); do
    if [ -d ".deploy/releases/$(cat ".deploy/plans/$id/facts/target")" ]; then continue; fi
    rm -rf ".deploy/plans/$id"
    # The journal itself stays: it knows what served when.
    for name in $(entries .deploy/journal); do
      case $name in "$id".log | "$id".abort | "$id".*.json) rm -f ".deploy/journal/$name" ;; esac
    done
  done
  for name in $(cd .deploy && find files incoming -mindepth 1 -maxdepth 1 -mtime +0 2>/dev/null); do
    if [ "${name%%/*}" = incoming ] || ! grep -rqF -- "${name#files/}/" .deploy/releases; then rm -rf ".deploy/$name"; fi
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

remove_release() { # RELEASE, its tags, and images that no other release has
  images=$(release_list "$1" images | second_word | sort -u)
  rm -rf ".deploy/releases/$1"
  for image in $images; do
    grep -rqF -- "$image" .deploy/releases || ask rmi "$image" >/dev/null 2>&1 || true
  done
  for tag in $(ask image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=deploy-django/$project:$1.*"); do
    ask rmi "$tag" >/dev/null 2>&1 || echo "kept $tag: something uses it"
  done
}
