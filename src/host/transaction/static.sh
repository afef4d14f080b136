# shellcheck shell=sh
## Step static: collects the static files.

# Before the swap: an app reads the manifest of its static files when it starts.
step_static() {
  # The migration's container may have collected them. One that was killed while it ran has not.
  if [ -f ".deploy/plans/$transaction/collected" ]; then
    result=$(show ".deploy/plans/$transaction/collected")
    case $result in 0 | "$exit_not_collected") return "$result" ;; esac
  fi
  end_collecting
  # A container keeps running after its client died, although another one has done its work.
  report static collect "$target" && end_collecting
}

# Whether the step follows the migration. A job between them may build what is collected.
is_collecting_next() { [ "$(sed -n '/^migrate$/{n;p;}' ".deploy/plans/$transaction/steps")" = static ]; }

collect_choice() { # RELEASE: auto, always or never
  choice=$(release_list "$1" collectstatic)
  echo "${choice:-auto}"
}

# A dead attempt may have left its container running. Ending it is safe: each file is replaced atomically.
end_collecting() { on "$(ask ps -aq --filter "label=deploy-django.collects=$project")" ask rm -f >/dev/null; }

collect() { # RELEASE: collects its static files if a volume hides those of the image
  choice=$(collect_choice "$1")
  if [ "$choice" = never ]; then return; fi
  ask_django "$1" collect --label "deploy-django.collects=$project" -e "DEPLOY_DJANGO_COLLECT=$choice"
}

within() { change_limit=$1 && shift && "$@"; } # SECONDS COMMAND…: only for a subshell, as it changes a limit

undo_static() { # before the old containers start; a failure does not keep them away
  end_collecting
  # The site may be down while this runs, so it has a short limit. It must not change the limits of later steps.
  if [ -z "$current" ]; then return; fi
  collected=0
  (within 120 collect "$current") >/dev/null || collected=$?
  end_collecting
  if [ "$collected" -eq 0 ]; then return; fi
  docker_answers || die "$exit_docker_away" "docker does not answer"
  echo "warning: the static files of $current were not collected again, those of $target stay"
}
