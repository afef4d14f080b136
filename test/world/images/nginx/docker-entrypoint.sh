#!/bin/sh
# Like the official entrypoint: scripts of /docker-entrypoint.d, then /etc/nginx/templates/*.template
# to /etc/nginx/conf.d with the variables of the environment filled in.
set -e
if [ "$1" = nginx ]; then
  for script in /docker-entrypoint.d/*.sh; do
    [ -x "$script" ] && "$script"
  done
  names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1}/p' | tr '\n' ' ')
  for template in /etc/nginx/templates/*.template; do
    [ -e "$template" ] || continue
    name=${template##*/}
    envsubst "$names" <"$template" >"/etc/nginx/conf.d/${name%.template}"
  done
fi
exec "$@"
