# shellcheck shell=sh
## Proxies: what the script knows about each kind. The facts say which service is a proxy (src/compose/role.ts).

# nginx resolves the name of its upstream only once, when it reads its configuration.
step_proxy() {
  list_containers
  image=$(image_of_django "$target")
  not_proxies=$(behind_app "$target" && release_fact "$target" images | while read -r service of; do
    if [ "$of" = "$image" ]; then echo "$service"; fi
  done)
  for id in $(ids_of "$(only_in "$(running)" "$not_proxies")" running); do
    if is_nginx "$id"; then
      ask exec "$id" nginx -s reload ||
        echo "warning: nginx in $id did not reload, so it may still use the addresses of the old containers;" \
          "on the host: docker exec $id nginx -s reload"
    fi
  done
}

# A rootless Docker without cgroups lists no processes, so the first process is checked instead.
is_nginx() { { ask top "$1" || ask exec "$1" cat /proc/1/cmdline; } 2>/dev/null | grep -q 'nginx: master'; }

# Empties the image's labels and variables for proxies in a one-off container: a label cannot be removed.
hide_from_proxies() { # MARKS COMMAND OPTIONS…: runs COMMAND with the emptied marks, then OPTIONS
  marks=$1 hidden=$2
  shift 2
  while read -r kind name; do
    case $kind\ $name in
      "label $orchestrator_labels"* | 'label deploy-django.'* | 'label org.'* | 'label traefik.enable') ;;
      # caddy-docker-proxy would read an empty value as settings for all sites.
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
  # Traefik treats every container of a service as a server of it, and registrator every container with a port.
  "$hidden" --label traefik.enable=false --label SERVICE_IGNORE=true "$@"
}
