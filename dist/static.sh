# shellcheck shell=sh
## Step static.

# Before the swap: an app reads the manifest of its files when it starts.
step_static() {
  end_collecting
  report static collect "$target"
}

# Of an attempt that died, its container may go on. To end it is safe: each file is put in place whole.
end_collecting() { on "$(ask ps -aq --filter "label=deploy-django.collects=$project")" ask rm -f >/dev/null; }

collect() { # RELEASE: its static files, where a volume hides those of the image
  choice=$(release_list "$1" collectstatic)
  if [ "$choice" = never ]; then return; fi
  ask_django "$1" collect --label "deploy-django.collects=$project" -e "DEPLOY_DJANGO_COLLECT=${choice:-auto}"
}

within() { change_limit=$1 && shift && "$@"; } # SECONDS COMMAND…: in a subshell

undo_static() { # before the old containers start. What their image cannot do does not keep them away.
  end_collecting
  # The site may be down meanwhile, and limits of this are not those of what comes after it.
  if [ -z "$current" ] || (within 120 collect "$current") >/dev/null; then return; fi
  docker_answers || die "$exit_docker_away" "docker does not answer"
  echo "warning: the static files of $current were not collected again, those of $target stay"
}
