# shellcheck shell=sh
## Step adopt: what runs and was started by hand becomes a release, so that even the first deploy has a way back.

step_adopt() {
  facts=.deploy/plans/$transaction/facts
  { read -r id && read -r expected; } <"$facts/adopt"
  # Done already, or another deploy was faster.
  if [ "${current:--}" != "$expected" ]; then return; fi
  making=.deploy/adopting
  rm -rf "$making"
  mkdir -p "$making/kept"
  cp -R ".deploy/plans/$transaction/adopted/facts" "$making/facts"
  while read -r service image; do ask tag "$image" "deploy-django/$project:$id.$service"; done <"$facts/adopt-images"
  write_model "$making/compose.yaml"
  # What a commit overwrites.
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
  echo "what runs is kept as release $id"
}

# One file without variables, env files and build folders: what they say is in it, and later changes of theirs are not.
write_model() { # FILE
  model=$1
  set --
  while IFS= read -r file; do set -- "$@" --env-file "$file"; done <"$facts/adopt-env-files"
  while IFS= read -r file; do
    [ -f "$file" ] || die "$exit_adopted_file_missing" "$file"
    set -- "$@" -f "$file"
  done <"$facts/adopt-files"
  # The pins alone would make a service of any name.
  on "$(second_word <"$making/facts/services")" compose_of "$project" "$@" config -q 2>"$model.error" ||
    die "$exit_adopted_file_invalid" "$(said_by_compose <"$model.error")"
  if grep -q 'variable is not set' "$model.error"; then
    echo "warning: what runs was started with variables that are set nowhere now; going back to it leaves them empty"
  fi
  set -- "$@" -f ".deploy/plans/$transaction/adopted/pins.yaml"
  on "$(first_word <"$facts/adopt-images")" compose_of "$project" "$@" config 2>"$model.error" >"$model" ||
    die "$exit_adopted_file_invalid" "$(said_by_compose <"$model.error")"
  write_one_off_model "$@"
  rm -f "$model.error"
}

write_one_off_model() { # COMPOSE-FILES…: the same for its one-off containers, see src/compose/one-off.ts
  adopted=.deploy/plans/$transaction/adopted
  for file in pins run-without run-with; do set -- "$@" -f "$adopted/$file.yaml"; done
  django=$(show "$making/facts/django")
  if compose_of "$project" "$@" config "$django" >"$making/run.yaml" 2>"$model.error"; then return; fi
  rm "$making/run.yaml"
  echo "warning: Compose on this host cannot remove labels (2.24 can): a proxy may find one-off containers of $id"
}

put_back() { # RELEASE: what lay in the directory when it was adopted; an env file only where a release has replaced it
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
