# shellcheck shell=sh
## Step adopt: turns containers that were started by hand into a release, so that the first deploy can be reverted.

step_adopt() {
  facts=.deploy/plans/$transaction/facts
  { read -r id && read -r expected; } <"$facts/adopt"
  # Already adopted, or another deployment was faster.
  if [ "${current:--}" != "$expected" ]; then return; fi
  making=.deploy/adopting
  rm -rf "$making"
  mkdir -p "$making/kept"
  cp -R ".deploy/plans/$transaction/adopted/facts" "$making/facts"
  while read -r service image; do ask tag "$image" "deploy-django/$project:$id.$service"; done <"$facts/adopt-images"
  write_adopted_model "$making/compose.yaml"
  # Keep the files that a commit overwrites.
  for name in compose.yaml .env; do
    if [ -f "$name" ]; then cp -p "$name" "$making/kept/$name"; fi
  done
  on "$(find "$making" -type f)" flush
  mv "$making" ".deploy/releases/$id"
  read_clock
  printf "$now %s\n" "begin $id $id from $expected" "commit begin $id after $expected" "commit end" \
    "end committed $id" >".deploy/journal/$id.new"
  echo "$id" >.deploy/current.new
  flush ".deploy/journal/$id.new" .deploy/current.new
  mv ".deploy/journal/$id.new" ".deploy/journal/$id"
  mv .deploy/current.new .deploy/current
  flush .deploy/journal .deploy
  echo "the running containers are now release $id"
}

put_back() { # RELEASE: restores the files that its adoption kept; .env only if a release has replaced it
  for name in compose.yaml .env; do
    was=.deploy/releases/$1/kept/$name
    if [ "$name" = .env ] && [ "$(release_list "$current" env)" != shipped ]; then continue; fi
    if [ ! -f "$was" ]; then continue; fi
    cp -p "$was" "$name.new"
    flush "$name.new"
    mv "$name.new" "$name"
  done
  if [ ! -f ".deploy/releases/$1/kept/compose.yaml" ]; then rm -f compose.yaml; fi
}
