def collect(_out):
    """Runs the project's own `collectstatic`; with `auto`, only into a folder that outlives this container."""
    protect_databases("read")
    root = describe_static().get("root")
    if os.environ.get("DEPLOY_DJANGO_COLLECT") != "always":
        if not (root and is_mounted(root)):
            return PLANNED, {}
        # It was not requested, so an obstacle is not a failure: the volume keeps its files.
        obstacle = find_obstacle(root)
        if obstacle:
            say("warning: the static files in the volume stay as they are: %s (collectstatic: auto)" % obstacle)
            return PLANNED, {}
    try:
        if root:
            collect_into(root)
        else:
            run_collectstatic()
    except Exception as error:
        say_traceback(error)
        raise Stop(NOT_COLLECTED, "not-collected", "collectstatic failed.", last_line(error))
    return PLANNED, {}


def collect_next(out):
    """Collects after a migration, in its process. The host reads what follows the line as the result of `collect`."""
    tell(out, "deploy-django: collecting")
    limit = seconds_of("COLLECT_LIMIT", 900)
    late = Stop(NOT_COLLECTED, "not-collected", "collectstatic did not end within %d s." % limit)
    timer = threading.Timer(limit, finish, (out, "collect", late.code, late.result))
    timer.daemon = True
    timer.start()
    try:
        code, result = collect(out)
    except Stop as stop:
        code, result = stop.code, stop.result
    except BaseException as error:
        say_traceback(error)
        stop = Stop(NOT_COLLECTED, "not-collected", "collectstatic failed.", last_line(error))
        code, result = stop.code, stop.result
    finish(out, "collect", code, result)


def find_obstacle(root):
    """Why `collectstatic` cannot run with `auto`; None if it can."""
    from django.conf import settings

    folder = root
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK):
        return "user %d may not write in %s, which belongs to user %d" % (os.geteuid(), folder, os.stat(folder).st_uid)
    for entry in settings.STATICFILES_DIRS:
        source = entry[1] if isinstance(entry, (list, tuple)) else entry
        if not os.path.isdir(source):  # built in an earlier stage of the image: only the collected files were copied
            return "%s of STATICFILES_DIRS is not in the image" % source
    return None


def run_collectstatic():
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0, stdout=sys.stderr)


def collect_into(root):
    """Each file appears whole and none is removed, because open pages name files of older releases.

    `collectstatic` alone skips a file that is younger than the image's: after a rollback, all of them. It also removes a
    file before it writes it again.
    """
    from django.contrib.staticfiles.storage import staticfiles_storage

    os.makedirs(root, exist_ok=True)
    owner = os.stat(root)
    fresh = os.path.join(root, ".deploy-django")
    shutil.rmtree(fresh, ignore_errors=True)  # left by a run that was killed
    staticfiles_storage.location = fresh
    changed = 0
    try:
        run_collectstatic()
        for folder, _, names in os.walk(fresh, topdown=False):  # a manifest, at the top, follows the files that it names
            place = os.path.join(root, os.path.relpath(folder, fresh))
            os.makedirs(place, exist_ok=True)
            give(place, owner)
            for name in names:
                new, old = os.path.join(folder, name), os.path.join(place, name)
                if not os.path.isfile(old) or not filecmp.cmp(new, old, shallow=False):
                    give(new, owner)
                    os.replace(new, old)
                    changed += 1
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    say("Collected the static files into %s: %d are new or changed." % (root, changed))


def give(path, owner):
    """An entrypoint that drops to another user may have to replace files that root creates here."""
    if os.geteuid() == 0 and os.stat(path).st_uid == 0:
        os.chown(path, owner.st_uid, owner.st_gid)
