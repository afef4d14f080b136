# shellcheck shell=sh
## Step backup: dumps the database before its schema changes in a way that loses data. Only a person restores a dump.

# Facts for the dump, one per line: vendor; database service; database name; server identity; app user; size in bytes;
# client image. A dash stands for what is unknown or not there. Without service and image, the app's own client dumps.
read_backup() {
  IFS= read -r vendor
  read -r dumps
  IFS= read -r base
  read -r identity
  IFS= read -r owner
  read -r bytes
  read -r client_image
  part=.deploy/backups/$transaction.part complaints=.deploy/plans/$transaction/backup.err
}

backup_fact() { read_backup <".deploy/plans/$transaction/facts/backup"; }

dumpable() { # DIRECTORY TRANSACTION: fails if no backup is possible, before anything changes; the fact on stdin
  enter "$1"
  transaction=$2
  target=$(plan_fact target)
  project=$(release_fact "$target" project)
  read_backup
  measure
  if [ "$client_image" = - ]; then return; fi
  change_limit=120
  # A rollback needs a backup only if it unapplies, which the current release does.
  if [ "$target" = "$transaction" ]; then newer=$target; else newer=$(read_current); fi
  # Without the lock: another deployment may dump now, and ends the dumps of earlier ones.
  (run_client "$newer" logs-in "$(ask_login)") >/dev/null 2>"$complaints" ||
    die "$exit_backup_impossible" "in a container of $client_image: $(said_last)"
}

step_backup() {
  backup_fact
  end_dump
  mkdir -p .deploy/backups
  measure
  taken=$(date -u +%Y%m%dT%H%M%SZ)
  whole=.deploy/backups/$taken-$(release_fact "$target" version)-default
  watch_dump
  check_dump
  write_restore >"$part.restore"
  flush "$part" "$part.restore"
  mv "$part.restore" "$whole.restore"
  mv "$part" "$whole.dump"
  flush .deploy/backups
  size=$(($(wc -c <"$whole.dump"))) restore="sh $(quote "$directory/$whole.restore")"
  echo "backup: $(in_megabytes "$size"), $whole.dump"
  echo "to restore it, on the host: $restore"
  printf '{"deploy-django": 1, "verb": "backup", "file": "%s", "bytes": %s, "restore": "%s"}\n' \
    "$whole.dump" "$size" "$(printf '%s' "$restore" | sed 's/[\\"]/\\&/g')" >".deploy/journal/$transaction.backup.json"
}

undo_backup() { # keeps a complete backup
  backup_fact
  end_dump
  rm -f "$part" "$part.restore"
}

# If the database has a container, the dump runs there: its client matches the server's version and needs no network.
# The credentials are in that container's environment.
in_database_as() { # prints the shell code for access, which takes DATABASE and USER as its arguments
  case $vendor in
    postgresql)
      cat <<'END'
PGDATABASE=$1 PGUSER=$2 PGPASSWORD=${POSTGRES_PASSWORD:-${POSTGRESQL_PASSWORD:-}}
secret=${POSTGRES_PASSWORD_FILE:-${POSTGRESQL_PASSWORD_FILE:-}}
if [ -n "$secret" ]; then PGPASSWORD=$(cat "$secret"); fi
export PGDATABASE PGUSER PGPASSWORD PGAPPNAME=deploy-django
shift 2
END
      ;;
    mysql)
      cat <<'END'
first_of() { for each; do if command -v "$each"; then return; fi; done; echo "no $*" >&2; return 1; }
user=root MYSQL_PWD=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
secret=${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-}}
if [ -n "$secret" ]; then MYSQL_PWD=$(cat "$secret"); fi
if [ -z "$MYSQL_PWD" ] && [ -n "${MARIADB_USER:-${MYSQL_USER:-}}" ]; then
  user=${MARIADB_USER:-$MYSQL_USER} MYSQL_PWD=${MARIADB_PASSWORD:-${MYSQL_PASSWORD:-}}
fi
export MYSQL_PWD
END
      ;;
  esac
}

ask_size() { # prints the shell code that prints the size, the user who can dump, and the server's identity
  in_database_as
  case $vendor in
    postgresql)
      cat <<'END'
command -v pg_dump >/dev/null && command -v pg_restore >/dev/null || { echo 'no pg_dump and pg_restore' >&2; exit 1; }
for user in "${POSTGRES_USER:-${POSTGRESQL_USERNAME:-postgres}}" "$PGUSER" postgres; do
  export PGUSER="$user"
  if size=$(psql -XAtw -c 'SELECT pg_database_size(current_database())'); then
    echo "$size" && echo "$user"
    psql -XAtw -c 'SELECT system_identifier FROM pg_control_system()' || echo -
    exit
  fi
done
exit 1
END
      ;;
    mysql)
      cat <<'END'
first_of mariadb-dump mysqldump >/dev/null && client=$(first_of mariadb mysql) || exit
"$client" -u "$user" -NB -e '
  SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = DATABASE()
' "$1" && echo "$user" && echo -
END
      ;;
  esac
}

ask_login() { echo "exec psql -Xqw -c 'SELECT 1' </dev/null"; } # prints the shell code that logs in

# Without this limit, pg_dump could queue behind a statement that itself waits for a lock.
dump_postgresql() { echo 'exec pg_dump -w -Fc --lock-wait-timeout=60000 </dev/null'; }

write_dump() {
  in_database_as
  case $vendor in
    postgresql) dump_postgresql ;;
    mysql)
      cat <<'END'
exec "$(first_of mariadb-dump mysqldump)" -u "$user" --single-transaction --quick --hex-blob --routines --triggers \
  --no-tablespaces --add-drop-database --databases "$1"
END
      ;;
  esac
}

measure() { # sets `id`, `owner` and `bytes`; fails if no backup is possible
  if [ "$dumps" != - ]; then look_into_database; fi
  if [ "$client_image" != - ]; then pull_client; fi
  if [ "$bytes" != - ]; then check_space; fi
}

look_into_database() {
  list_containers
  id=$(first_running "$dumps")
  [ -n "$id" ] || die "$exit_backup_impossible" "no container of $dumps is running"
  answer=$(ask exec "$id" sh -c "$(ask_size)" sh "$base" "$owner" 2>"$complaints") ||
    die "$exit_backup_impossible" "in the container of $dumps: $(said_last)"
  {
    read -r bytes
    IFS= read -r owner
    read -r found
  } <<END
$answer
END
  # The service may look like the database and still be another server.
  if [ "$identity" = - ] || [ "$found" = - ] || [ "$identity" = "$found" ]; then return; fi
  die "$exit_backup_impossible" "$dumps is a database server ($found) other than that of the settings ($identity)"
}

pull_client() {
  if ask image inspect "$client_image" >/dev/null 2>&1; then return; fi
  insist pull_once "$client_image" || die "$exit_backup_client" "$client_image: $(printf '%s\n' "$answer" | tail -n 1)"
}

said_last() { tail -n 3 "$complaints" | tr '\n' ' '; }

check_space() { # requires the database's size as free space: a dump is usually smaller
  folder=.deploy/backups
  [ -d "$folder" ] || folder=.deploy
  free=$(free_space "$folder")
  [ "$free" -gt "$((bytes / 1024))" ] ||
    die "$exit_backup_space" \
      "$(in_megabytes "$((free * 1024))") free in $directory/$folder, the database has $(in_megabytes "$bytes")"
}

in_megabytes() { # BYTES
  if [ "$1" -lt 1000000 ]; then
    echo "$((($1 + 999) / 1000)) kB"
  else
    echo "$(($1 / 1000000)).$(($1 / 100000 % 10)) MB"
  fi
}

# Dumps in the background: reports progress every ten seconds, and stops when the job is cancelled.
watch_dump() {
  limit=$(plan_fact migrate-timeout) since=$(date +%s) result=0
  told=$since
  dump >"$part" 2>"$complaints" &
  dumping=$!
  while kill -0 "$dumping" 2>/dev/null; do
    pause 0.1
    time=$(date +%s)
    if is_aborted; then
      end_dump
      wait "$dumping" || true
      die "$exit_aborted" "aborted during the backup"
    fi
    if [ "$((time - told))" -ge 10 ]; then
      told=$time
      echo "backup: $(in_megabytes "$(($(wc -c <"$part")))") so far, $((time - since)) s"
    fi
  done
  wait "$dumping" || result=$?
  if [ "$result" -eq 124 ]; then
    end_dump
    die "$exit_backup_failed" "it did not finish within $limit s (migrate-timeout)"
  fi
  [ "$result" -eq 0 ] || die "$exit_backup_failed" "$(said_last)"
}

dump() { # on stdout
  if [ "$dumps" != - ]; then
    dump_in_container
  elif [ "$client_image" != - ]; then
    (change_limit=$limit && run_client "$(newer_release)" dumps "$(dump_postgresql)")
  else
    dump_in_one_off
  fi
}

dump_in_container() {
  set -- -e "DEPLOY_DJANGO_RUN=$transaction" "$id" sh -c "$(write_dump)" sh "$base" "$owner"
  limited "$limit" exec "$@" </dev/null
}

# The app may print before the first mark. The last mark has the checksum of all bytes between the marks.
dump_in_one_off() {
  (
    change_limit=$limit
    run_probe "$(newer_release)" backup --rm --label "deploy-django.dumps=$project"
  ) | awk -v sum="$part.sum" '
    /^deploy-django: dumped / { print $3 >sum; inside = 0 }
    inside { print }
    /^deploy-django: dump$/ { inside = 1 }' | base64 -d
}

# The client reaches what the app reaches. Django's credentials come to it through a pipe: they are in no argument, and
# neither container has a log (`write_overlay`).
run_client() { # RELEASE LABEL CODE: shell code for the container
  run_probe "$1" connection --rm --label "deploy-django.$2=$project" | {
    one_off_input=/dev/stdin
    run_one_off "$1" client --rm --label "deploy-django.$2=$project" --entrypoint sh \
      "$(release_fact "$1" django)" -c "$(connect_as_django)$newline$3"
  }
}

# Prints the shell code for access. On stdin it reads the answer of the probe (share_connection), and nothing after it.
connect_as_django() {
  cat <<'END'
umask 077
files=$(mktemp -d /dev/shm/connection.XXXXXX) || exit
answer=
while [ -z "$answer" ] && read -r mark kind name value; do
  case "$mark $kind" in
    'deploy-django: variable') value=$(echo "$value" | base64 -d) ;;
    'deploy-django: file') echo "$value" | base64 -d >"$files/$name" && value=$files/$name ;;
    '{"deploy-django": 1,') answer=$value && continue ;;
    *) continue ;;
  esac
  export "$name=$value"
done
[ "$answer" = '"connection"}' ] || { echo 'Django did not say how it connects to the database' >&2; exit 1; }
export PGAPPNAME=deploy-django
END
}

check_dump() { # without restoring it: by checksum, table of contents or last line
  case $vendor:$dumps:$client_image in
    *:-:-)
      sum=$(cat "$part.sum" 2>/dev/null) || sum=
      rm -f "$part.sum"
      [ -n "$sum" ] && [ "$(sha256sum "$part" | first_word)" = "$sum" ]
      ;;
    *:-:*)
      limited "$call_limit" run -i --rm --network none --log-driver none --label traefik.enable=false \
        --label "deploy-django.dumps=$project" --entrypoint pg_restore "$client_image" -l \
        <"$part" >/dev/null 2>"$complaints"
      ;;
    postgresql*) limited "$call_limit" exec -i "$id" pg_restore -l <"$part" >/dev/null 2>"$complaints" ;;
    mysql*) tail -c 200 "$part" | grep -q '^-- Dump completed' ;;
  esac || die "$exit_backup_failed" "the dump is incomplete: $(said_last)"
}

end_dump() { # an attempt that died may have left its dump running, with locks
  on "$(ask ps -aq --filter "label=deploy-django.dumps=$project")" ask rm -f -v >/dev/null
  if [ "$dumps" = - ]; then return; fi
  list_containers
  for id in $(ids_of "$dumps" running); do end_marked "$id" "DEPLOY_DJANGO_RUN=$transaction" || true; done
}

prune_backups() { # keeps the newest five and all of the last week
  dumped=$(entries .deploy/backups | sed -n 's/\.dump$//p')
  for alone in $(only_in "$(entries .deploy/backups | sed -n 's/\.restore$//p')" "$dumped"); do
    rm -f ".deploy/backups/$alone.restore" # left by an attempt that died before its dump was named
  done
  for old in $(printf '%s\n' "$dumped" | sort -r | tail -n +6); do
    if [ -n "$(find ".deploy/backups/$old.dump" -mtime +6)" ]; then
      rm -f ".deploy/backups/$old.dump" ".deploy/backups/$old.restore"
    fi
  done
}
