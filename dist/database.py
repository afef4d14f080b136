REFUSALS = (
    "authentication failed", "no password supplied", "access denied", "permission denied", "not permitted to log in",
    "is not allowed to connect", "unknown database", "no pg_hba.conf entry", "ssl was required", "ssl connection is required",
    "insecure transport are prohibited", "certificate verify failed", "certificate has expired",
    "unable to open database file", "not a database", "malformed",
    "unsupported startup parameter", "must be owner", "disk full", "is too old", "or later is required",
)
READ_ONLY = ("read-only transaction", "read only transaction", "readonly database", "read-only option")
REFUSAL_STATES = ("28", "3D", "42", "0A")  # authorization, unknown database, privilege, not supported


def explain_database(error, alias):
    """The Stop for this error: the database is not up (transient), or it refuses the connection (needs a change)."""
    from django.db import connections
    from django.db.utils import InterfaceError, OperationalError

    settings = connections[alias].settings_dict
    where = "%s%s at %s" % (in_other(alias, "%s: "), settings.get("NAME") or "?", settings.get("HOST") or "this machine")
    text = " ".join(str(error).split())  # one line per address of the host
    lower = text.lower()
    missing = "does not exist" in lower and ('database "' in lower or 'role "' in lower)
    refused = missing or any(word in lower for word in REFUSALS) or sql_state(error).startswith(REFUSAL_STATES)
    if any(word in lower for word in READ_ONLY):
        return Stop(DATABASE_REFUSED, "database-read-only", "The database %s refused a write. "
                    "If nothing was being migrated: a module of this image writes while it is imported. "
                    "During a migration: DATABASES points at a replica or at a read-only file." % where, text)
    if not refused and not isinstance(error, (OperationalError, InterfaceError)):
        say_traceback(error)
        return Stop(DATABASE_REFUSED, "database-error", "The database %s refused a statement." % where,
                    last_line(error))
    if "unable to open database file" in lower:
        return Stop(DATABASE_REFUSED, "database-refused", "The file %s cannot be opened: its folder is missing, or user %d of this "
                    "container may not write there. For a new volume, create the folder in the image with that owner. For a "
                    "volume with files, `chown` it once on the host." % (settings.get("NAME"), os.geteuid()), text)
    if refused:
        return Stop(DATABASE_REFUSED, "database-refused", "The database %s refused: check name, user, password, "
                    "rights and SSL of DATABASES in the environment of this service." % where, text)
    return Stop(DATABASE_DOWN, "database-not-up", "The database %s does not answer (yet): is its service up, "
                "and is it on a network of this service?" % where, text)


def sql_state(error):
    for cause in (error, error.__cause__):
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        if state:
            return state
    return ""


def protect_databases(allow):
    """Makes every connection of this process refuse to write (`read`) or to open at all (`nothing`)."""
    from django.db import connections

    forget_startup_options()
    connections.close_all()  # apps may have opened one while they started
    for connection in connections.all():
        if connection.vendor == "postgresql":
            connection.settings_dict.setdefault("OPTIONS", {}).setdefault("connect_timeout", 10)
        if allow == "nothing":
            connection.connect = refuse_to_connect
        elif allow == "read" and connection.vendor in ReadOnly.BEGIN:
            ReadOnly(connection)
        elif allow == "read" and connection.vendor == "sqlite":
            connection.init_connection_state = query_only(connection, connection.init_connection_state)


def forget_startup_options():
    """Removes the option against writes of an entrypoint: a pooler refuses it, and the probe has its own protection."""
    if os.environ.get("PGOPTIONS") == "-c default_transaction_read_only=on":
        del os.environ["PGOPTIONS"]


def refuse_to_connect():
    raise Stop(NOT_IMPORTABLE, "database-at-import", "A module of this image queries the database while it is imported; "
               "move the query into a function.")


class ReadOnly:
    """Gives each statement, or each block of `atomic`, a read-only transaction of its own.

    A setting of the session would outlive the probe: a pooler hands the session to the app, whose writes would fail.
    """

    BEGIN = {"postgresql": "BEGIN READ ONLY", "mysql": "START TRANSACTION READ ONLY"}

    def __init__(self, connection):
        self.connection, self.begun = connection, None
        set_autocommit = connection._set_autocommit
        # The driver must not begin a transaction of its own, which could write.
        connection._set_autocommit = lambda _autocommit: set_autocommit(True)
        connection._commit, connection._rollback = lambda: self.end("COMMIT"), lambda: self.end("ROLLBACK")
        connection.execute_wrappers.insert(0, self.run)

    def run(self, execute, sql, params, many, context):
        if self.begun is not self.connection.connection:  # no transaction is open, or its connection is closed
            self.send(self.BEGIN[self.connection.vendor])
            self.begun = self.connection.connection
        try:
            result = execute(sql, params, many, context)
        except Exception:
            if self.connection.autocommit:
                self.end("ROLLBACK")
            raise
        if self.connection.autocommit:
            self.end("COMMIT")
        return result

    def end(self, statement):
        if self.begun is not None and self.begun is self.connection.connection:
            self.begun = None
            try:
                self.send(statement)
            except Exception as error:
                say("A database connection was lost: %s" % last_line(error))

    def send(self, statement):
        with self.connection.wrap_database_errors:
            cursor = self.connection.connection.cursor()
            cursor.execute(statement)
            cursor.close()


def query_only(connection, init_connection_state):
    # Not with the signal connection_created: the app's receivers would run before ours.
    def init(*arguments, **options):
        init_connection_state(*arguments, **options)
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = 1")

    return init


def open_database(alias=ALIAS):
    """The open connection; None if there is nothing to connect to: no file (SQLite) or no DATABASES."""
    from django.db import connections

    connection = connections[alias]
    check_kept(connection)
    if connection.vendor == "unknown" or (connection.vendor == "sqlite" and not sqlite_file_exists(connection)):
        return None  # SQLite would create the file
    connection.ensure_connection()
    return connection


def sqlite_file_exists(connection):
    path = sqlite_path(connection)
    return path is None or os.path.exists(path)


def sqlite_path(connection):
    """None for a database in memory."""
    name = str(connection.settings_dict["NAME"])
    if ":memory:" in name or "mode=memory" in name:
        return None
    return os.path.abspath(name.split("?")[0].replace("file:", "", 1))


def make_sqlite_file(connection):
    """Makes a new file for the owner of its folder.

    The server may run as that user, after an entrypoint that gives up root, and could not write to a file of root.
    """
    path = connection.vendor == "sqlite" and sqlite_path(connection)
    folder = path and os.path.dirname(path)
    if not path or os.geteuid() != 0 or os.path.exists(path) or not os.path.isdir(folder):
        return
    try:
        owner = os.stat(folder)
        os.close(os.open(path, os.O_CREAT, 0o644))
        os.chown(path, owner.st_uid, owner.st_gid)
    except OSError as error:  # root without its capabilities; SQLite reports what it cannot open
        say("The file %s does not belong to the owner of its folder: %s" % (path, error.strerror))


def check_kept(connection):
    """Settings without their environment often fall back to a SQLite file, which would vanish with its container."""
    if os.environ.get("DEPLOY_DJANGO_KEEP") != "yes" or connection.vendor != "sqlite":
        return
    path = sqlite_path(connection)
    if path is None or not is_mounted(os.path.dirname(path)):
        raise Stop(NOT_KEPT, "not-kept", "The database is SQLite %s: its rows would be lost with the container."
                   % ("in memory" if path is None else "at %s, which is in no volume" % path))


def is_mounted(folder):
    """Whether a mount that outlives this container contains it."""
    mounts = {}
    with open("/proc/self/mountinfo") as file:
        for line in file:
            words = line.split()
            point = words[4].encode().decode("unicode_escape")  # a space is \\040
            mounts[point] = words[words.index("-") + 1]
    folder = os.path.realpath(folder)
    while folder not in mounts:
        folder = os.path.dirname(folder)
    return folder != "/" and mounts[folder] != "tmpfs"


def describe_database(alias, connection, rows):
    from django.db import connections

    settings = connections[alias].settings_dict
    vendor = connections[alias].vendor
    host = "%s:%s" % (settings.get("HOST") or "", settings.get("PORT") or "")
    name = str(settings.get("NAME") or "")
    system, empty = None, True
    if vendor == "sqlite":
        host, name = "", os.path.abspath(name)
    if connection:
        system = ask_identity(connection)
        tables = set(connection.introspection.table_names())
        empty = not rows and not tables - {"django_migrations", "spatial_ref_sys"}
        if vendor == "postgresql":
            name = ask(connection, "SELECT current_database()")
    return {
        "alias": alias, "vendor": vendor, "system": system, "host": host.rstrip(":"), "name": name, "empty": empty,
    }


def ask_identity(connection):
    from django.db import Error

    question = {
        "postgresql": "SELECT system_identifier::text FROM pg_control_system()",
        "mysql": "SELECT @@server_uuid",  # MariaDB has none
    }.get(connection.vendor)
    try:
        return question and ask(connection, question)
    except Error:
        return None  # managed databases hide it from ordinary users


def ask(connection, question):
    return ask_rows(connection, question)[0][0]


def ask_rows(connection, question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchall()
