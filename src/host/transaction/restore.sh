# shellcheck shell=sh
## The script beside a backup, with which a person restores it. It needs only sh and docker.

quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; } # TEXT: quoted as one shell word

write_restore() {
  list_containers
  docker=${through:+$through }docker
  version=$(release_fact "$target" version) before=$(release_list "$current" version)
  apps=$(names_of "$(services_of "$current" && services_of "$target")" | tr '\n' ' ') # they use the database
  app=$(names_of "$(release_list "${current:-$target}" django)" | head -n 1)          # it has Django's settings
  container=$(container_of_database) manage=$(manage_words)
  place=$(quote "$directory") quoted=$(quote "$base") user=$(quote "$owner") access=$(in_database_as)
  cat <<END
#!/bin/sh
# Brings the database back as it was at $taken, before $version:
#   sh $whole.restore
set -eu
cd $place
END
  case $vendor:$dumps:$client_image in
    postgresql:-:-) restore_postgresql_by_app ;;
    postgresql:-:*) restore_postgresql_by_client ;;
    postgresql*) restore_postgresql ;;
    mysql*) restore_mysql ;;
    sqlite*) restore_sqlite ;;
  esac
  # The dump has the migrations of that release.
  if [ -n "$before" ] && [ -f .deploy/rollback ]; then
    echo "sh .deploy/rollback $before"
  elif [ -n "$apps" ]; then
    echo "$docker start $apps"
  fi
}

container_of_database() {
  if [ "$dumps" != - ]; then printf '%s\n' "$seen" | sed -n "s/^$id [^ ]* [^ ]* //p"; fi
}

manage_words() {
  while read -r word; do printf ' %s' "$(quote "$word")"; done <".deploy/releases/$target/facts/manage"
}

# The present database is renamed, not dropped, so that it can come back if the restore fails. A rename needs a database
# without sessions.
# shellcheck disable=SC2016 # it is the container's shell that expands it
restore_postgresql() {
  client=$(quote "$access${newline}exec \"\$@\"")
  cat <<END
base=$quoted
beside=postgres # a database to be in meanwhile
[ "\$base" != postgres ] || beside=template1
kept=\$(printf '%.46s' "\$base")_\$(date -u +%Y%m%d%H%M%S)
in_database() {
  $docker exec -i $container sh -c $client sh "\$beside" $user "\$@"
}
rename() { # FROM TO
  in_database psql -Xqw -v ON_ERROR_STOP=1 -v from="\$1" -v to="\$2" <<'SQL'
ALTER DATABASE :"from" ALLOW_CONNECTIONS false;
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity WHERE datname = :'from';
ALTER DATABASE :"from" RENAME TO :"to";
ALTER DATABASE :"to" ALLOW_CONNECTIONS true;
SQL
}
give_up() {
  ${apps:+$docker start $apps}
  echo "The restore failed; the database is unchanged." >&2
  exit 1
}
${apps:+$docker stop $apps}
rename "\$base" "\$kept" || {
  echo 'ALTER DATABASE :"base" ALLOW_CONNECTIONS true;' | in_database psql -Xqw -v base="\$base" || true
  give_up
}
in_database pg_restore -w --create --exit-on-error -d "\$beside" <$whole.dump || {
  echo 'DROP DATABASE IF EXISTS :"base";' | in_database psql -Xqw -v base="\$base" || true
  rename "\$kept" "\$base"
  give_up
}
echo "The database is restored. Its previous content is in the database \$kept."
END
}

# For an external database server: the app's own client and Django's settings, in one transaction.
restore_postgresql_by_app() {
  cat <<END
$docker exec -i $app sh -c '
  { $(restoring_sql)
  } | "\$@" dbshell
' sh$manage <$whole.dump
END
}

# The same with the client image, on the network of the app. The probe reports to it how Django connects.
restore_postgresql_by_client() {
  code=$(quote "$(connect_as_django)
{ $(restoring_sql)
} | psql -Xqw >/dev/null")
  cat <<END
$docker start $app
{
  $docker exec -e DEPLOY_DJANGO=connection $app$manage shell -v 0 -c \\
    $(quote "$(probe_word)")
  cat $whole.dump
} | $docker run -i --rm --network container:$app --log-driver none --label traefik.enable=false \\
  --entrypoint sh $client_image \\
  -c $code
echo "The database is restored."
END
}

# Prints the shell code that turns a dump into one transaction. A dump that breaks off must not look like a success: its
# last line is no SQL.
restoring_sql() {
  cat <<'END'
echo "\\set ON_ERROR_STOP on" && echo "BEGIN;" && pg_restore --clean --if-exists -f - && echo "COMMIT;" ||
    echo "the dump is damaged;"
END
}

# shellcheck disable=SC2016 # it is the container's shell that expands it
restore_mysql() {
  client=$(quote "$access$newline"'exec "$(first_of mariadb mysql)" -u "$user"')
  cat <<END
${apps:+$docker stop $apps}
$docker exec -i $container sh -c $client sh <$whole.dump || {
  ${apps:+$docker start $apps}
  exit 1
}
END
}

# Through SQLite itself: an old write-ahead log does not come back, and the file keeps its owner.
restore_sqlite() {
  read -r python <".deploy/releases/$target/facts/manage"
  case ${python##*/} in python* | pypy*) ;; *) python=python ;; esac
  cat <<END
$docker start $app
$docker exec -i $app $python -c '
import os, sqlite3, sys, tempfile, time
path = sys.argv[1]
kept = path + time.strftime(".%Y%m%d%H%M%S", time.gmtime())
with tempfile.NamedTemporaryFile(dir=os.path.dirname(path)) as file:
    file.write(sys.stdin.buffer.read())
    file.flush()
    live = sqlite3.connect(path, timeout=60)
    live.backup(sqlite3.connect(kept))
    sqlite3.connect(file.name).backup(live)
print("The database is restored. Its previous content is in %s." % kept)
' $quoted <$whole.dump
END
}
