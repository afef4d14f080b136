REFUSALS = (
    "authentication failed", "no password supplied", "access denied", "permission denied", "not permitted to log in",
    "is not allowed to connect", "unknown database", "no pg_hba.conf entry", "ssl was required", "ssl connection is required",
    "insecure transport are prohibited", "certificate verify failed", "certificate has expired",
    "unable to open database file", "not a database", "malformed",
    "unsupported startup parameter", "must be owner", "disk full", "is too old", "or later is required",
)
READ_ONLY = ("read-only transaction", "read only transaction", "readonly database")
REFUSAL_STATES = ("28", "3D", "42", "0A")  # authorization, unknown database, privilege, not supported


def explain_database(error):
    """Not up (asking again makes sense) or refused (a human has to change something)."""
    from django.db import DEFAULT_DB_ALIAS, connections
    from django.db.utils import InterfaceError, OperationalError

    settings = connections[DEFAULT_DB_ALIAS].settings_dict
    where = "%s at %s" % (settings.get("NAME") or "?", settings.get("HOST") or "this machine")
    text = " ".join(str(error).split())  # a line for each address of the host
    lower = text.lower()
    missing = "does not exist" in lower and ('database "' in lower or 'role "' in lower)
    refused = missing or any(word in lower for word in REFUSALS) or sql_state(error).startswith(REFUSAL_STATES)
    if any(word in lower for word in READ_ONLY):
        return Stop(DATABASE_REFUSED, "database-read-only", "Something writes to the database %s, which takes no writes now. "
                    "The probe only reads unless it migrates: then a module of this image writes while it is imported. "
                    "When it migrates, DATABASES points at a replica or at a file that is read-only." % where, text)
    if not refused and not isinstance(error, (OperationalError, InterfaceError)):
        say_traceback(error)
        return Stop(DATABASE_REFUSED, "database-error", "The database %s did not do what it was asked to." % where,
                    last_line(error))
    if "unable to open database file" in lower:
        return Stop(DATABASE_REFUSED, "database-refused", "The file %s cannot be opened: its folder is not there, or user %d of this "
                    "container may not write in it. A volume that is empty takes the owner of that folder in the image, so make "
                    "it there; one with files needs one `chown` on the server." % (settings.get("NAME"), os.geteuid()), text)
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
    """What keeps an entrypoint from writing: a pooler refuses it, and the probe has its own way."""
    if os.environ.get("PGOPTIONS") == "-c default_transaction_read_only=on":
        del os.environ["PGOPTIONS"]


def refuse_to_connect():
    raise Stop(NOT_IMPORTABLE, "database-at-import", "A module of this image asks the database while it is imported; "
               "move the query into a function.")


class ReadOnly:
    """Gives each statement, or each block of `atomic`, a read-only transaction of its own.

    A setting of the session would outlive the probe: a pooler hands the session to the app, whose writes would fail.
    """

    BEGIN = {"postgresql": "BEGIN READ ONLY", "mysql": "START TRANSACTION READ ONLY"}

    def __init__(self, connection):
        self.connection, self.begun = connection, None
        set_autocommit = connection._set_autocommit
        # The driver begins no transaction of its own, which could write.
        connection._set_autocommit = lambda _autocommit: set_autocommit(True)
        connection._commit, connection._rollback = lambda: self.end("COMMIT"), lambda: self.end("ROLLBACK")
        connection.execute_wrappers.insert(0, self.run)

    def run(self, execute, sql, params, many, context):
        if self.begun is not self.connection.connection:  # nothing is begun, or it was on a connection that is closed
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
                say("A connection is gone: %s" % last_line(error))

    def send(self, statement):
        with self.connection.wrap_database_errors:
            cursor = self.connection.connection.cursor()
            cursor.execute(statement)
            cursor.close()


def query_only(connection, init_connection_state):
    # Instead of the signal connection_created: receivers of the app would come before ours.
    def init(*arguments, **options):
        init_connection_state(*arguments, **options)
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = 1")

    return init


def open_database():
    """The connection, open; None when there is nothing to connect to: no file (SQLite), no DATABASES."""
    from django.db import connections

    connection = connections[ALIAS]
    check_kept(connection)
    if connection.vendor == "unknown" or (connection.vendor == "sqlite" and not sqlite_file_exists(connection)):
        return None  # SQLite would make the file
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


def check_kept(connection):
    """Settings without their environment often fall back to a SQLite file, which would go with its container."""
    if os.environ.get("DEPLOY_DJANGO_KEEP") != "yes" or connection.vendor != "sqlite":
        return
    path = sqlite_path(connection)
    if path is None or not is_mounted(os.path.dirname(path)):
        raise Stop(NOT_KEPT, "not-kept", "The database is SQLite %s: its rows would be lost with the container."
                   % ("in memory" if path is None else "at %s, which is in no volume" % path))


def is_mounted(folder):
    """Whether it lies in something that was mounted into this container and outlives it."""
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


def describe_database(connection, rows):
    from django.db import connections

    settings = connections[ALIAS].settings_dict
    vendor = connections[ALIAS].vendor
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
        "alias": ALIAS, "vendor": vendor, "system": system, "host": host.rstrip(":"), "name": name, "empty": empty,
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
        return None  # managed databases keep it from ordinary users


def ask(connection, question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]
