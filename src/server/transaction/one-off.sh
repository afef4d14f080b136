# shellcheck shell=sh
## One-off containers, such as the one that migrates: no part of the site, whatever looks for its containers.

# They come from a model of their own (src/compose/one-off.ts) and join the networks that are there. One that only looks
# mounts the volumes that are there: what it created would stay behind, because no network or volume is ever removed.
one_off() { # RELEASE VERB COMPOSE-RUN-ARGUMENTS…
  owner=$1 does=$2 joined='' missing=''
  shift 2
  hide "$(image_marks "$owner")" "$@"
}

hide() { # MARKS COMPOSE-RUN-ARGUMENTS…: what the image says to a proxy; a label cannot be removed, only emptied
  marks=$1
  shift
  while read -r kind name; do
    case $kind\ $name in
      'label com.docker.compose.'* | 'label deploy-django.'* | 'label org.'* | 'label traefik.enable') ;;
      # Empty, caddy-docker-proxy would take it for settings of all sites.
      'label caddy' | 'label caddy_'[0-9] | 'label caddy_'[0-9][0-9])
        set -- --label "$name=http://deploy-django.invalid" "$@"
        ;;
      'label '*) set -- --label "$name=" "$@" ;;
      'variable VIRTUAL_HOST='* | 'variable VIRTUAL_HOST_MULTIPORTS='* | 'variable LETSENCRYPT_HOST='*)
        set -- -e "${name%%=*}=" "$@"
        ;;
    esac
  done <<END
$marks
END
  # Traefik takes each container of a service for one of its servers, registrator each one with a port.
  join_networks run --no-deps -T --label traefik.enable=false --label SERVICE_IGNORE=true "$@"
}

# shellcheck disable=SC2016 # the template's own variables
image_marks() { # RELEASE
  labels='{{range $name, $_ := .Config.Labels}}{{println "label" $name}}{{end}}'
  variables='{{range .Config.Env}}{{println "variable" .}}{{end}}'
  ask image inspect -f "$labels$variables" "$(image_of_django "$1")" 2>/dev/null || true
}

image_of_django() { release_fact "$1" images | sed -n "s/^$(release_fact "$1" django) //p"; } # RELEASE

join_networks() { # COMPOSE-ARGUMENTS…
  parts=.deploy/releases/$owner/run
  if [ ! -f "$parts.yaml" ]; then # a release of an older version of this action
    compose "$owner" "$@"
    return
  fi
  there=$(all_of network) || return 125
  while read -r key name; do
    if [ -z "$key" ]; then continue; fi
    if is_there_of "$key" "$name"; then
      set -- -f "$parts/network-$key.yaml" "$@"
      joined=yes
    else missing="$missing $key"; fi
  done <<END
$(release_list "$owner" networks)
END
  # A Docker with `"bridge": "none"` has no network of its own.
  if [ -z "$joined" ] && is_listed bridge "$there"; then
    if [ -f "$parts/no-network.yaml" ]; then set -- -f "$parts/no-network.yaml" "$@"; fi
  elif [ -z "$joined" ] || ! only_looks; then
    for key in $missing; do set -- -f "$parts/new-network-$key.yaml" "$@"; done
  fi
  mount_volumes "$@"
}

mount_volumes() { # COMPOSE-ARGUMENTS…
  if only_looks; then
    there=$(all_of volume) || return 125
    while read -r key name; do
      if [ -n "$key" ] && ! is_there_of "$key" "$name"; then set -- -f "$parts/no-volume-$key.yaml" "$@"; fi
    done <<END
$(release_list "$owner" volumes)
END
  fi
  compose_with run.yaml "$owner" "$@"
}

only_looks() { case $does in migrate | collect) return 1 ;; esac }

all_of() { # network|volume: names, and project/key of those that Compose has made
  ask "$1" ls --format "{{println .Name}}{{.Label \"com.docker.compose.project\"}}/{{.Label \"com.docker.compose.$1\"}}"
}

is_there_of() { is_listed "$2" "$there" || is_listed "$(release_fact "$owner" project)/$1" "$there"; } # KEY NAME
