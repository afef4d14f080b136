def collect(_out):
    """What the project's own `collectstatic` makes; unasked only in a folder that outlives this container."""
    protect_databases("read")
    root = describe_static().get("root")
    if os.environ.get("DEPLOY_DJANGO_COLLECT") != "always":
        if not (root and is_mounted(root)):
            return PLANNED, {}
        # Nobody asked for it, so what cannot be done here is no failure: the volume has what it had.
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


def find_obstacle(root):
    """What speaks against collecting unasked."""
    from django.conf import settings

    folder = root
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK):
        return "user %d may not write in %s, which belongs to user %d" % (os.geteuid(), folder, os.stat(folder).st_uid)
    for entry in settings.STATICFILES_DIRS:
        source = entry[1] if isinstance(entry, (list, tuple)) else entry
        if not os.path.isdir(source):  # built in a stage of the image that is gone: the collected ones were copied alone
            return "%s of STATICFILES_DIRS is not in the image" % source
    return None


def run_collectstatic():
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0, stdout=sys.stderr)


def collect_into(root):
    """Each file comes whole and none goes, because pages that are open name those of older releases.

    The command alone leaves what is younger than the image's file, which is everything after a rollback, and removes a file
    before it writes it again.
    """
    from django.contrib.staticfiles.storage import staticfiles_storage

    os.makedirs(root, exist_ok=True)
    owner = os.stat(root)
    fresh = os.path.join(root, ".deploy-django")
    shutil.rmtree(fresh, ignore_errors=True)  # of one that was killed
    staticfiles_storage.location = fresh
    changed = 0
    try:
        run_collectstatic()
        for folder, _, names in os.walk(fresh, topdown=False):  # a manifest lies at the top: it comes after what it names
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
    """What root makes here an entrypoint that drops to another user may have to replace later."""
    if os.geteuid() == 0 and os.stat(path).st_uid == 0:
        os.chown(path, owner.st_uid, owner.st_gid)
