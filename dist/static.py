def list_statically(_out):
    """The migrations as files, for an image whose settings cannot be imported here."""
    found = []
    for folder, names, files in os.walk(os.getcwd()):
        names[:] = sorted(name for name in names if name not in ("site-packages", "node_modules") and name[0] != ".")
        if os.path.basename(folder) == "migrations":
            for file in sorted(files):
                if file.endswith(".py") and file[0] not in "_~":
                    found.extend(read_statically(os.path.join(folder, file)))
    return PLANNED, {
        "confidence": "static", "django": installed_django(), "python": platform.python_version(), "migrations": found,
    }


def installed_django():
    from importlib import metadata

    try:
        return metadata.version("Django")
    except metadata.PackageNotFoundError:
        return None


def read_statically(path):
    with open(path, "rb") as file:
        source = file.read()
    for item in parse(source):
        if isinstance(item, ast.ClassDef) and item.name == "Migration":
            app = os.path.dirname(os.path.dirname(path))
            return [{
                "app": app_label(app), "name": os.path.basename(path)[:-3], "source": digest(source),
                "accept": ACCEPT_MARK in source, "replaces": [list(key) for key in literal(item.body, "replaces") or []],
            }]
    return []


def app_label(folder):
    try:
        with open(os.path.join(folder, "apps.py"), "rb") as file:
            classes = [item for item in parse(file.read()) if isinstance(item, ast.ClassDef)]
    except OSError:
        classes = []
    given = [literal(item.body, "label") for item in classes if literal(item.body, "label")]
    return given[0] if given else os.path.basename(folder)


def parse(source):
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError):
        return []


def literal(body, name):
    for item in body:
        if isinstance(item, ast.Assign) and any(getattr(target, "id", None) == name for target in item.targets):
            try:
                return ast.literal_eval(item.value)
            except ValueError:
                return None
    return None
