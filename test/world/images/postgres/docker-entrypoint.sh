#!/bin/bash
# Like the official entrypoint: a server without network initialises an empty data folder with POSTGRES_USER,
# POSTGRES_PASSWORD and POSTGRES_DB. It is stopped before the real one starts.
set -euo pipefail

# file_or_variable NAME sets NAME from the file that NAME_FILE names.
file_or_variable() {
  local file="${1}_FILE"
  if [ -n "${!file:-}" ]; then export "$1=$(cat "${!file}")"; fi
}

initialise() {
  # shellcheck disable=SC2086 # several arguments in one variable, as the official image takes them
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w start -o "-c listen_addresses='' -p 5432"
  local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER")
  if [ "$POSTGRES_DB" != postgres ]; then
    "${psql[@]}" --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) bash "$file" ;;
      *.sql) "${psql[@]}" --dbname "$POSTGRES_DB" <"$file" ;;
    esac
  done
  pg_ctl -m fast -w stop
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

if [ "${1#-}" != "$1" ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA"
    chmod 700 "$PGDATA"
    exec gosu postgres "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    file_or_variable POSTGRES_PASSWORD
    file_or_variable POSTGRES_USER
    file_or_variable POSTGRES_DB
    export POSTGRES_USER="${POSTGRES_USER:-postgres}"
    export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
      echo 'Error: Database is uninitialized and superuser password is not specified. Set POSTGRES_PASSWORD.' >&2
      exit 1
    fi
    initialise
  fi
  unset POSTGRES_PASSWORD
fi
exec "$@"
