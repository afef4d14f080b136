PART = 3 * 1024  # a multiple of 3: its base64 has no padding


def backup(out):
    """Writes the database to stdout as base64 between two marks, because the app may print at its start.

    The last mark has the SHA-256 of the data.
    """
    from django.db import connections

    protect_databases("read")
    connection = connections[ALIAS]
    try:
        parts = dump_sqlite(connection) if connection.vendor == "sqlite" else dump_postgresql(connection.settings_dict)
        checksum = hashlib.sha256()
        tell(out, "deploy-django: dump")
        for part in parts:
            checksum.update(part)
            out.write(base64.b64encode(part).decode() + "\n")
    except Exception as error:
        say(last_line(error))
        raise
    tell(out, "deploy-django: dumped %s" % checksum.hexdigest())
    return PLANNED, {}


def parts_of(file):
    return iter(lambda: file.read(PART), b"")


def dump_sqlite(connection):
    import sqlite3

    connection.ensure_connection()
    with temporary_file(os.path.dirname(sqlite_path(connection))) as file:
        copy = sqlite3.connect(file.name)
        connection.connection.backup(copy)  # all pages at once: writers wait for the copy, it waits for none
        try:
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.OperationalError:  # an index uses a function that only Django defines
            found = copy.execute("PRAGMA quick_check").fetchone()[0]
        copy.close()
        if found != "ok":
            raise Stop(UNEXPECTED, "not-dumped", "The copy of the database is damaged: %s" % found)
        for part in parts_of(file):
            yield part


def temporary_file(folder):
    """In `folder` if the container cannot write to its own file system."""
    try:
        return tempfile.NamedTemporaryFile()
    except OSError:
        return tempfile.NamedTemporaryFile(dir=folder)


def dump_postgresql(settings):
    """With the client in this image. Its credentials are in the environment, never in its arguments."""
    program = ["pg_dump", "-w", "-Fc", "--lock-wait-timeout=60000"]
    dumping = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=client_environment(settings))
    listing = subprocess.Popen(["pg_restore", "-l"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    is_listing = True
    for part in parts_of(dumping.stdout):
        if is_listing:
            try:
                listing.stdin.write(part)
            except BrokenPipeError:  # `pg_restore -l` stops reading after the list at the start
                is_listing = False
        yield part
    try:
        listing.stdin.close()
    except BrokenPipeError:
        pass
    failed = [name for name, process in (("pg_dump", dumping), ("pg_restore -l", listing)) if process.wait() != 0]
    if failed:
        raise Stop(UNEXPECTED, "not-dumped", "%s failed" % " and ".join(failed))


def client_environment(settings):
    options = settings.get("OPTIONS") or {}
    wanted = {
        "PGDATABASE": settings.get("NAME"), "PGUSER": settings.get("USER"), "PGPASSWORD": settings.get("PASSWORD"),
        "PGHOST": settings.get("HOST"), "PGPORT": settings.get("PORT"), "PGSERVICE": options.get("service"),
        "PGPASSFILE": options.get("passfile"), "PGSSLMODE": options.get("sslmode"), "PGSSLROOTCERT": options.get("sslrootcert"),
        "PGSSLCERT": options.get("sslcert"), "PGSSLKEY": options.get("sslkey"),
    }
    return dict(os.environ, **{name: str(value) for name, value in wanted.items() if value})


# The variables of a PostgreSQL client that name a file, with the file that it reads without them.
CLIENT_FILES = {
    "PGPASSFILE": "~/.pgpass", "PGSERVICEFILE": "~/.pg_service.conf", "PGSSLROOTCERT": "~/.postgresql/root.crt",
    "PGSSLCERT": "~/.postgresql/postgresql.crt", "PGSSLKEY": "~/.postgresql/postgresql.key",
}


def share_connection(out):
    """Writes to stdout how a PostgreSQL client in another container connects: its variables, and the files that they name.

    They are secret: the host passes them on to the client, and keeps no log of this container.
    """
    from django.db import connections

    protect_databases("nothing")
    environment = client_environment(connections[ALIAS].settings_dict)
    for name, path in CLIENT_FILES.items():
        if os.path.isfile(os.path.expanduser(path)):
            environment.setdefault(name, os.path.expanduser(path))
    for name, value in sorted(environment.items()):
        if not re.match("PG[A-Z]+$", name):
            continue
        kind, content = "variable", os.fsencode(value)
        if name in CLIENT_FILES and os.path.isfile(value):
            with open(value, "rb") as file:
                kind, content = "file", file.read()
        tell(out, "deploy-django: %s %s %s" % (kind, name, base64.b64encode(content).decode()))
    return PLANNED, {}


def describe_dump(connection):
    """The facts that a backup before the migrations needs."""
    if not connection:
        return {}
    user = connection.settings_dict.get("USER") or None
    if connection.vendor == "sqlite":
        path = sqlite_path(connection)
        return {"user": user, "bytes": path and os.path.getsize(path)}
    if connection.vendor == "postgresql":
        return {"user": user, "bytes": ask_size(connection), "server": connection.pg_version // 10000, "client": client_version(),
                "pooled": is_pooled(connection)}
    return {"user": user}


def ask_size(connection):
    from django.db import Error

    try:
        return ask(connection, "SELECT pg_database_size(current_database())")
    except Error:
        return None


def is_pooled(connection):
    """Whether a pooler answers: it hands the app the sessions in which pg_dump leaves its settings, such as search_path."""
    return ask(connection, "SELECT pg_backend_pid()") != pid_of(connection)


def client_version():
    """The major version of pg_dump in this image."""
    if not shutil.which("pg_dump") or not shutil.which("pg_restore"):
        return None
    said = subprocess.run(["pg_dump", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10).stdout
    found = re.search(br"\) (\d+)", said)
    return int(found.group(1)) if found else None
