# What a server imports, run as a server runs it: without what manage.py has set.
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
        database = settings.DATABASES.get("default", {})
        said["database"] = [str(database.get(name, "")) for name in ("ENGINE", "NAME", "HOST", "PORT")]
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
    """The settings of the site itself, where wsgi.py and asgi.py use others than manage.py; None where one agrees or
    nobody knows."""
    used = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    found = None
    for path in entry_files(used):
        with open(path, "rb") as file:
            named = NAMES_SETTINGS.search(file.read().decode("utf-8", "replace"))
        if not named:
            continue
        said = {"module": used} if named.group(1) == used else serve(path)
        if said.get("module") == used:
            return None
        if said.get("module") and found is None:
            found = {"manage": used, "module": said["module"], "file": os.path.relpath(path), "same": uses_the_same(said)}
    return found


def entry_files(used):
    """wsgi.py and asgi.py beside the settings, or in a package around them."""
    files, parts = [], used.split(".")[:-1]
    while parts:
        files += [os.path.join(os.getcwd(), *(parts + [name])) for name in ("wsgi.py", "asgi.py")]
        parts = parts[:-1]
    return [path for path in files if os.path.isfile(path)]


def serve(path):
    try:
        with open("/proc/self/environ", "rb") as file:
            given = dict(item.split(b"=", 1) for item in file.read().split(b"\0") if b"=" in item)
        done = subprocess.run([sys.executable, "-c", SERVE, path], env=given, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        return json.loads(done.stdout.decode())
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}


def uses_the_same(said):
    """Whether both lead to the same database with the same apps: then it does not matter here which are asked."""
    from django.conf import settings

    try:
        database = settings.DATABASES.get("default", {})
    except Exception:
        return False  # those of manage.py do not import
    here = [str(database.get(name, "")) for name in ("ENGINE", "NAME", "HOST", "PORT")]
    return said.get("database") == here and said.get("apps") == [str(app) for app in settings.INSTALLED_APPS]
