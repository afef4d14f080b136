#!/bin/sh
# Starts the app. Migrations are not its business: the deployment applies them, once.
set -e
python manage.py wait_for_db
python manage.py collectstatic --noinput
exec uwsgi --ini /scripts/uwsgi.ini
