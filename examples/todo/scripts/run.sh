#!/bin/sh
# Starts the app. Migrations and static files are not its business: the deployment sees to both, once.
set -e
python manage.py wait_for_db
exec uwsgi --ini /scripts/uwsgi.ini
