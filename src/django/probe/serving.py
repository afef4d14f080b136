# Imports what a server imports, in a server's environment: without the variables that manage.py has set.
SERVE = """
import json, os, runpy, sys
sys.path.insert(0, os.getcwd())
import django.core.wsgi
out = os.dup(1)
os.dup2(2, 1)
def report(*_, **__):
    said = {"module": os.environ.get("DJANGO_SETTINGS_MODULE", "")}
    try:
        from django.conf import settings
        said["databases"] = [
            [str(settings.DATABASES.get(alias, {}).get(name, "")) for name in ("ENGINE", "NAME", "HOST", "PORT")]
            for alias in (os.environ.get("DEPLOY_DJANGO_DATABASES") or "default").split()
        ]
        said["apps"] = [str(app) for app in settings.INSTALLED_APPS]
    finally:
        os.write(out, json.dumps(said).encode())
        os._exit(0)
django.core.wsgi.get_wsgi_application = report
try:
    import django.core.asgi
    django.core.asgi.get_asgi_application = report
except ImportError:
    pass  # before Django 3.0
runpy.run_path(sys.argv[1])
"""
NAMES_SETTINGS = re.compile(r"""environ(?:\.setdefault\(|\[)\s*["']DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")


def find_serving():
    """The settings module that the site uses, if it differs from manage.py's; None if an entry file agrees or none is known."""
    used = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    start = dict(each.split("=", 1) for each in os.environ.get("DEPLOY_DJANGO_START", "").split())
    found = None
    for path in entry_files(used, start.get("module")):
        with open(path, "rb") as file:
            named = NAMES_SETTINGS.search(file.read().decode("utf-8", "replace"))
        module = start.get("settings") or (named and named.group(1))
        if not module:
            continue
        said = {"module": used} if module == used else serve(path, start.get("settings"))
        if said.get("module") == used:
            return None
        if said.get("module") and found is None:
            place = "the start command" if "settings" in start else os.path.relpath(path)
            found = {"manage": used, "module": said["module"], "file": place, "same": uses_the_same(said)}
    return found


def entry_files(used, module):
    """The module that the start command names, else wsgi.py and asgi.py beside the settings or in a package above them."""
    if module:
        path = os.path.join(os.getcwd(), *module.split(".")) + ".py"
        if os.path.isfile(path):
            return [path]
    files, parts = [], used.split(".")[:-1]
    while parts:
        files += [os.path.join(os.getcwd(), *(parts + [name])) for name in ("wsgi.py", "asgi.py")]
        parts = parts[:-1]
    return [path for path in files if os.path.isfile(path)]


def serve(path, settings):
    try:
        with open("/proc/self/environ", "rb") as file:
            given = dict(item.split(b"=", 1) for item in file.read().split(b"\0") if b"=" in item)
        if settings:
            given[b"DJANGO_SETTINGS_MODULE"] = settings.encode()
        done = subprocess.run([sys.executable, "-c", SERVE, path], env=given, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        return json.loads(done.stdout.decode())
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}


def uses_the_same(said):
    """Whether both use the same databases and the same apps: then either settings will do here."""
    from django.conf import settings

    try:
        databases = [settings.DATABASES.get(alias, {}) for alias in named_aliases()]
    except Exception:
        return False  # manage.py's settings do not import
    here = [[str(database.get(name, "")) for name in ("ENGINE", "NAME", "HOST", "PORT")] for database in databases]
    return said.get("databases") == here and said.get("apps") == [str(app) for app in settings.INSTALLED_APPS]
