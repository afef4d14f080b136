#!/bin/sh
# Before every command of this image: waits for the database and migrates it. A failure of either ends the container.
set -e
python manage.py wait_for_db
python manage.py migrate --noinput
exec "$@"
