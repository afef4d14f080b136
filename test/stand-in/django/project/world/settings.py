"""Settings that print, as many do. Which database is used comes from the environment."""
import atexit
import os
import sys

print("settings: loaded")
sys.stdout.write("settings: a line without an end")
atexit.register(print, "settings: the last word")

SECRET_KEY = "not a secret"
ALLOWED_HOSTS = ["shop.example.com", ".example.org"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop", "blog"]
STATIC_ROOT = "/srv/static"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if os.environ["DATABASE"] == "none":
    DATABASES = {}
elif os.environ["DATABASE"].endswith(".sqlite3"):
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
elif "MYSQL_PORT" in os.environ:
    import pymysql

    pymysql.version_info = (2, 2, 8, "final", 0)  # Django looks for mysqlclient
    pymysql.install_as_MySQLdb()
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "NAME": os.environ["DATABASE"],
            "USER": os.environ.get("MYSQL_USER", "test"),
            "HOST": os.environ["MYSQL_HOST"],
            "PORT": os.environ["MYSQL_PORT"],
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["DATABASE"],
            "USER": os.environ["PGUSER"],
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
        }
    }
