"""What the image and its database say about migrations; how the app answers over HTTP.

Runs inside the app's container, as one argument of `manage.py shell -v 0 -c` (verbs list, plan, migrate,
verify, fit, collect) or of plain `python -c` (verbs static, http). The verb is in DEPLOY_DJANGO. The result is one line
of JSON, the last one on stdout, and an exit code; everything for people goes to stderr. Python 3.8 and later,
Django 3.2 and later, standard library only. Nothing is written to a database unless the verb is `migrate`.
"""
import ast
import filecmp
import hashlib
import http.client
import json
import os
import platform
import select
import shutil
import signal
import socket
import ssl
import sys
import threading
import time
import traceback
import urllib.parse
import zlib
from collections import Counter
from contextlib import contextmanager

PLANNED, PLAN_DIFFERS, LOCK_BUSY, DATABASE_DOWN, DATABASE_REFUSED, UNSOUND = 0, 10, 11, 12, 13, 14
OUT_OF_TIME, NO_GO, MIGRATION_FAILED, NOT_IMPORTABLE, NOT_MIGRATED, UNFIT, UNHEALTHY = 15, 16, 17, 18, 19, 20, 21
NOT_KEPT, NOT_COLLECTED = 22, 23
UNEXPECTED = 1

ALIAS = "default"
LOCK_NAMESPACE = zlib.crc32(b"deploy-django") & 0x7FFFFFFF
ACCEPT_MARK = b"# deploy-django: accept"


class Stop(Exception):
    """The verb ends here, with this exit code; `facts` become part of the result."""

    def __init__(self, code, kind, message, detail="", **facts):
        super().__init__(message)
        self.code = code
        self.result = dict(facts, error={"kind": kind, "message": message, "detail": detail})


# ---------------------------------------------------------------------------------------------- start and end


def main():
    out = claim_stdout()
    verb = os.environ.get("DEPLOY_DJANGO", "")
    try:
        if verb not in VERBS:
            raise Stop(2, "usage", "DEPLOY_DJANGO names no verb: %r" % verb, "one of " + " ".join(sorted(VERBS)))
        code, result = VERBS[verb](out)
    except Stop as stop:
        code, result = stop.code, stop.result
    except BaseException as error:
        stop = explain(error)
        code, result = stop.code, stop.result
    finish(out, verb, code, result)


def claim_stdout():
    """Keeps the real stdout for the result; what settings and apps print goes to stderr from now on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    sys.stdout.flush()  # what was printed before, and still waited in the buffer
    return out


def tell(out, line):
    # The newline in front ends whatever unfinished line was there before.
    out.write("\n" + line + "\n")
    out.flush()


def finish(out, verb, code, result):
    """The only way out."""
    # Letters as they are: the server looks for values of env files in it.
    line = json.dumps(dict({"deploy-django": 1, "verb": verb}, **result), default=str, ensure_ascii=False)
    try:
        tell(out, line)
    except OSError:
        pass  # nobody reads any more; the exit code still counts
    # A thread that an app started and never ends must not keep this process alive.
    last = threading.Timer(10, os._exit, (code,))
    last.daemon = True
    last.start()
    sys.exit(code)


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_traceback(error):
    """The way to the error for people. Of each message only the first line: the next ones carry values of rows."""
    text = ""
    while error:
        text = "".join(traceback.format_tb(error.__traceback__)) + last_line(error) + "\n" + text
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    say(text.rstrip())


def last_line(error):
    """`IntegrityError: what happened`, without the lines that carry values of rows."""
    first = (str(error).strip().splitlines() or [""])[0]
    return "%s: %s" % (type(error).__name__, first) if first else type(error).__name__


def explain(error):
    """Says what an exception that nobody expected means."""
    database = sys.modules.get("django.db.utils")
    if database and isinstance(error, (database.DatabaseError, database.InterfaceError)):
        return explain_database(error)
    say_traceback(error)
    core = sys.modules.get("django.core.exceptions")
    if isinstance(error, (ImportError, SyntaxError)) or (core and isinstance(error, core.ImproperlyConfigured)):
        return Stop(NOT_IMPORTABLE, "not-importable", "The settings or apps of this image do not import.", last_line(error))
    return Stop(UNEXPECTED, "unexpected", "The probe failed.", last_line(error))


# ---------------------------------------------------------------------------------------------- the database

REFUSALS = (
    "authentication failed", "no password supplied", "access denied", "permission denied", "not permitted to log in",
    "unknown database", "no pg_hba.conf entry", "ssl was required", "ssl connection is required",
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

    connections.close_all()  # apps may have opened one while they started
    for connection in connections.all():
        if connection.vendor == "postgresql":
            connection.settings_dict.setdefault("OPTIONS", {}).setdefault("connect_timeout", 10)
        if allow == "nothing":
            connection.connect = refuse_to_connect
        elif allow == "read":
            connection.init_connection_state = read_only(connection, connection.init_connection_state)


def refuse_to_connect():
    raise Stop(NOT_IMPORTABLE, "database-at-import", "A module of this image asks the database while it is imported; "
               "move the query into a function.")


def read_only(connection, init_connection_state):
    # Instead of the signal connection_created: receivers of the app would come before ours.
    statement = {
        "postgresql": "SET default_transaction_read_only = on",
        "mysql": "SET SESSION TRANSACTION READ ONLY",
        "sqlite": "PRAGMA query_only = 1",
    }.get(connection.vendor)

    def init(*arguments, **options):
        init_connection_state(*arguments, **options)
        if statement:
            with connection.cursor() as cursor:
                cursor.execute(statement)

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


# ---------------------------------------------------------------------------------------------- the migrations


class Survey:
    """What this image and the database say: taken once, compared with another one later."""

    def __init__(self, connection):
        from django.db.migrations.exceptions import InconsistentMigrationHistory
        from django.db.migrations.executor import MigrationExecutor

        self.rows = read_rows(connection)
        executor = load_migrations(lambda: MigrationExecutor(connection))
        self.loader = executor.loader
        self.replaces = {key: found.replaces for key, found in self.loader.disk_migrations.items() if found.replaces}
        known = set(self.loader.disk_migrations) | {part for key in self.replaces for part in self.expand(key)}
        self.unknown = sorted(set(self.rows) - known)
        self.duplicates = sorted(key for key, count in self.rows.items() if count > 1)
        self.conflicts = self.loader.detect_conflicts()
        self.inconsistent = None
        if connection:
            try:
                self.loader.check_consistent_history(connection)
            except InconsistentMigrationHistory as error:
                self.inconsistent = str(error)
        # migration_plan may reload the graph: it comes last.
        has_database = connection is not None or database_vendor() != "unknown"
        plan = executor.migration_plan(self.loader.graph.leaf_nodes()) if has_database else []
        self.pending = [migration for migration, _ in plan]

    def expand(self, key):
        """The migration and all that it replaces, and so on: the rows that applying it writes."""
        parts, rest = [], [key]
        while rest:
            part = rest.pop()
            if part not in parts:
                parts.append(part)
                rest.extend(tuple(replaced) for replaced in self.replaces.get(part, ()))
        return parts

    def facts(self):
        return {
            "applied": labels(sorted(self.rows)), "unknown": labels(self.unknown), "conflicts": self.conflicts,
            "inconsistent": self.inconsistent, "duplicates": labels(self.duplicates),
        }

    def trouble(self):
        """None, or why no one should migrate with this image on this database."""
        if self.conflicts:
            names = "; ".join("%s: %s" % (app, ", ".join(names)) for app, names in sorted(self.conflicts.items()))
            return ("conflict", "Two migrations follow the same one (%s): run `python manage.py makemigrations --merge` "
                    "and commit the result." % names)
        if self.inconsistent:
            return ("inconsistent", "A migration is applied although one that it depends on is not. " + self.inconsistent)
        if self.duplicates:
            return ("duplicates", "These migrations are recorded more than once, so two runners applied them at the same "
                    "time: %s. Check what they changed, then delete the surplus rows of django_migrations."
                    % ", ".join(labels(self.duplicates)))
        return None


def database_vendor():
    from django.db import connections

    return connections[ALIAS].vendor


def read_rows(connection):
    """How often each migration is recorded. (`applied_migrations()` is a dict and hides duplicates.)"""
    from django.db.migrations.recorder import MigrationRecorder

    if connection is None:
        return Counter()
    recorder = MigrationRecorder(connection)
    return Counter(recorder.migration_qs.values_list("app", "name")) if recorder.has_table() else Counter()


def load_migrations(load):
    from django.db import DatabaseError, InterfaceError

    try:
        return load()
    except (DatabaseError, InterfaceError, Stop):
        raise
    except Exception as error:
        say_traceback(error)
        raise Stop(NOT_IMPORTABLE, "migrations-broken", "The migrations of this image do not load.", last_line(error))


def labels(keys):
    return ["%s.%s" % tuple(key) for key in keys]


def read_source(loader, migration):
    """The bytes of the migration's file."""
    module, _ = loader.migrations_module(migration.app_label)
    with open(sys.modules["%s.%s" % (module, migration.name)].__file__, "rb") as file:
        return file.read()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def describe_migration(loader, migration):
    source = read_source(loader, migration)
    return {
        "app": migration.app_label, "name": migration.name, "source": digest(source),
        "accept": ACCEPT_MARK in source, "replaces": [list(key) for key in migration.replaces],
    }


def describe_pending(survey):
    """Each pending migration with its operations."""
    try:
        found = walk_operations(survey)
    except Exception:
        if not survey.trouble():
            raise
        found = {}  # an unsound history has no state of the models to walk along
    return [
        dict(describe_migration(survey.loader, each), atomic=bool(each.atomic), operations=found.get(each, []))
        for each in survey.pending
    ]


def walk_operations(survey):
    """{migration: operations}, each seen with the state of the models before and after it."""
    from django.db.migrations.state import ProjectState

    graph, state, created, found = survey.loader.graph, ProjectState(real_apps=survey.loader.unmigrated_apps), set(), {}
    for leaf in graph.leaf_nodes():
        for key in graph.forwards_plan(leaf):
            migration = graph.nodes[key]
            if migration in found:
                continue
            found[migration] = []
            if migration in survey.pending:
                for operation in migration.operations:
                    found[migration].append(describe_operation(migration.app_label, operation, state, created))
            elif key in survey.loader.applied_migrations:
                migration.mutate_state(state, preserve=False)
    return found


def describe_operation(app, operation, state, created):
    """What a judgement needs. `new`: this same plan makes the table, so no old code and no rows know it."""
    from django.db.migrations.operations.fields import FieldOperation
    from django.db.migrations.operations.models import ModelOperation

    facts = {"kind": kind_of(operation), "text": operation_text(operation)}
    if hasattr(operation, "database_operations"):
        inner = state.clone()
        facts["nested"] = [describe_operation(app, part, inner, created) for part in operation.database_operations]
    model = operation.name if isinstance(operation, ModelOperation) else getattr(operation, "model_name", None)
    key = (app, model.lower()) if model else None
    field = operation.name if isinstance(operation, FieldOperation) else None
    before = describe_field(state, key, field)
    operation.state_forwards(app, state)
    if facts["kind"] == "CreateModel":
        created.add(key)
    if key:
        facts.update(model="%s.%s" % key, new=key in created)
    if field:
        after = describe_field(state, key, getattr(operation, "new_name", field))
        facts.update(field=field, before=before, after=after)
    for reverse in ("reverse_code", "reverse_sql"):
        if hasattr(operation, reverse):
            facts["noop_reverse"] = getattr(operation, reverse) is getattr(type(operation), "noop", operation)
    facts["reversible"] = is_reversible(operation, before, facts.get("nested"))
    return facts


def kind_of(thing):
    """The class of Django that it is or derives from; the full name of one that is entirely its own."""
    for base in type(thing).__mro__:
        if base.__module__.startswith("django.") and base.__name__ not in ("Operation", "Field"):
            return base.__name__
    return "%s.%s" % (type(thing).__module__, type(thing).__qualname__)


def operation_text(operation):
    try:
        return str(operation.describe())
    except Exception:
        return type(operation).__name__


def describe_field(state, model, name):
    found = state.models.get(model) if name else None
    field = found.fields.get(name) if found else None
    if field is None:
        return None
    from django.db.models import NOT_PROVIDED

    return {
        "type": kind_of(field), "column": field.db_column, "null": bool(field.null), "default": field.has_default(),
        "db_default": getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED,
        "generated": bool(getattr(field, "generated", False)), "unique": bool(field.unique), "db_index": bool(field.db_index),
        "primary_key": bool(field.primary_key), "max_length": field.max_length, "relation": bool(field.remote_field),
        "many_to_many": bool(field.many_to_many), "blank_text": bool(field.blank and field.empty_strings_allowed),
    }


def is_reversible(operation, before, nested):
    """`operation.reversible` is not enough: it ignores nested operations and a column that cannot be filled again."""
    if nested is not None:
        return all(part["reversible"] for part in nested)
    if kind_of(operation) == "RemoveField" and before:
        fillable = ("null", "default", "db_default", "generated", "many_to_many", "blank_text", "primary_key")
        if not any(before[way] for way in fillable):
            return False  # NOT NULL without any default: the rows that exist have no value for it
    return bool(operation.reversible)


def find_drift(loader):
    """What `makemigrations` would add. Needs no database, and is no reason to stop."""
    from django.apps import apps
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.questioner import MigrationQuestioner
    from django.db.migrations.state import ProjectState

    # The base class asks nobody; the one named NonInteractive may exit the process.
    questioner = MigrationQuestioner(defaults={"ask_initial": True}, dry_run=True)
    try:
        detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps), questioner)
        changes = detector.changes(graph=loader.graph)
    except Exception as error:
        return ["?: models and migrations cannot be compared: %s" % last_line(error)]
    return [
        "%s: %s" % (app, operation_text(operation))
        for app in sorted(changes) for migration in changes[app] for operation in migration.operations
    ]


def load_offline():
    from django.db.migrations.loader import MigrationLoader

    return load_migrations(lambda: MigrationLoader(None, ignore_no_migrations=True))


def versions():
    import django

    return {"django": django.get_version(), "python": platform.python_version()}


# ---------------------------------------------------------------------------------------------- list, plan, verify


def list_migrations(_out):
    protect_databases("nothing")
    loader = load_offline()
    found = [describe_migration(loader, loader.disk_migrations[key]) for key in sorted(loader.disk_migrations)]
    return PLANNED, dict(
        versions(), settings=describe_settings(), migrations=found, models_drift=find_drift(loader),
        digest=plan_digest(found, [], []),
    )


def plan(_out):
    protect_databases("read")
    connection = open_database()
    survey = Survey(connection)
    pending = describe_pending(survey)
    result = dict(
        versions(), settings=describe_settings(), database=describe_database(connection, survey.rows), pending=pending,
        drift=find_drift(load_offline()), digest=plan_digest(pending, labels(sorted(survey.rows)), labels(survey.unknown)),
        **survey.facts()
    )
    trouble = survey.trouble()
    if trouble:
        raise Stop(UNSOUND, *trouble, **result)
    return PLANNED, result


def plan_digest(pending, applied, unknown):
    """Identifies what decides a deployment; the images are those of the release, which the caller knows."""
    decides = {
        "images": sorted(os.environ.get("DEPLOY_DJANGO_IMAGES", "").split()), "applied": applied, "unknown": unknown,
        "pending": [["%s.%s" % (each["app"], each["name"]), each["source"]] for each in pending],
    }
    return digest(json.dumps(decides, sort_keys=True, separators=(",", ":")).encode())


def describe_settings():
    from django.conf import settings

    header = settings.SECURE_PROXY_SSL_HEADER
    return {
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS], "ssl_redirect": bool(settings.SECURE_SSL_REDIRECT),
        "proxy_ssl_header": [str(part) for part in header] if header else None, "debug": bool(settings.DEBUG),
        "static": describe_static(), "media_root": str(settings.MEDIA_ROOT) if settings.MEDIA_ROOT else None,
    }


def describe_static():
    """Where collectstatic writes."""
    from django.apps import apps
    from django.contrib.staticfiles.storage import staticfiles_storage

    if not apps.is_installed("django.contrib.staticfiles"):
        return {"kind": "none", "why": "django.contrib.staticfiles is not in INSTALLED_APPS"}
    try:
        return {"kind": "folder", "root": os.path.abspath(staticfiles_storage.path(""))}
    except NotImplementedError:
        return {"kind": "elsewhere"}
    except Exception as error:
        return {"kind": "none", "why": last_line(error)}


def verify(_out):
    protect_databases("read")
    connection = open_database()
    survey = Survey(connection)
    pending = labels((each.app_label, each.name) for each in survey.pending)
    result = {
        "database": describe_database(connection, survey.rows), "pending": pending, "unknown": labels(survey.unknown), "duplicates": labels(survey.duplicates),
        "rows": sum(survey.rows.values()),
    }
    trouble = survey.trouble()
    if trouble:
        raise Stop(UNSOUND, *trouble, **result)
    if pending:
        raise Stop(NOT_MIGRATED, "pending", "Not applied: %s." % ", ".join(pending), **result)
    return PLANNED, result


# ---------------------------------------------------------------------------------------------- fit


def fit(_out):
    """Can this code read and insert into the database as it is?"""
    protect_databases("read")
    connection = open_database()
    survey = Survey(connection)
    problems, tables = [], read_columns(connection) if connection else {}
    wanted = {} if database_vendor() == "unknown" else model_columns()
    for table, known in sorted(wanted.items()):
        if connection and '"' in table:  # the old trick for tables in another schema
            continue
        columns = tables.get(fold(table))
        if columns is None:
            problems.append({"table": table, "column": None, "kind": "missing", "text": "The table %s is missing." % table})
            continue
        for column in sorted(known):
            if fold(column) not in columns:
                problems.append({"table": table, "column": column, "kind": "missing", "text":
                                 "%s.%s is missing: every query of its model fails." % (table, column)})
        for column in sorted(set(columns) - {fold(name) for name in known}):
            if columns[column]:
                problems.append({"table": table, "column": column, "kind": "required", "text":
                                 "%s.%s must have a value, has no default in the database and is unknown to this code: "
                                 "every INSERT fails." % (table, column)})
    result = {
        "settings": describe_settings(), "database": describe_database(connection, survey.rows), "problems": problems,
        "ahead": labels(survey.unknown),
    }
    if problems:
        message = "This code does not fit the database: %s" % " ".join(problem["text"] for problem in problems[:3])
        say(message)
        raise Stop(UNFIT, "unfit", message, **result)
    return PLANNED, result


def fold(name):
    """Only PostgreSQL tells `Name` from `name`."""
    return name if database_vendor() == "postgresql" else name.lower()


def model_columns():
    """The columns that this code reads and writes, by table."""
    from django.apps import apps
    from django.db import router

    tables = {}
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.managed and not meta.proxy and not meta.swapped and router.allow_migrate_model(ALIAS, model):
            known = tables.setdefault(meta.db_table, set())
            known.update(field.column for field in meta.local_concrete_fields if field.column)
    return tables


def read_columns(connection):
    """{table: {column: must an INSERT name it?}}"""
    tables = {}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # atthasdef is also true for generated columns
            cursor.execute(
                "SELECT c.relname, a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' FROM pg_attribute a "
                "JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 "
                "AND NOT a.attisdropped AND pg_table_is_visible(c.oid)"
            )
            for table, column, required in cursor.fetchall():
                tables.setdefault(table, {})[column] = required
            return tables
        for table in connection.introspection.table_names(cursor, include_views=True):
            columns = tables.setdefault(fold(table), {})
            for column in connection.introspection.get_table_description(cursor, table):
                made = getattr(column, "extra", "") or getattr(column, "is_autofield", False) or getattr(column, "pk", False)
                columns[fold(column.name)] = not column.null_ok and column.default is None and not made
    return tables


# ---------------------------------------------------------------------------------------------- collect


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


# ---------------------------------------------------------------------------------------------- migrate


class Signals:
    """SIGUSR1 means go. The others ask to end; a running migration is ended first."""

    def __init__(self):
        self.received = set()
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(writer, False)
        # The pipe wakes `wait` whichever thread the signal reached, also before `wait` began.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self.received.add(int(number)))

    def wait(self, seconds, go=False):
        """Waits so long, or until asked to end (or to go)."""
        end = time.monotonic() + seconds
        while not self.stopped and not (go and self.go) and time.monotonic() < end:
            if select.select([self.reader], [], [], max(0, end - time.monotonic()))[0]:
                self.received.update(os.read(self.reader, 512))

    @property
    def go(self):
        return int(signal.SIGUSR1) in self.received

    @property
    def stopped(self):
        return bool(self.received - {int(signal.SIGUSR1)})


def migrate(out):
    if database_vendor() == "unknown":
        return PLANNED, {"applied": [], "already": [], "foreign": [], "failed": None, "rows": []}
    from django.db import connections

    signals = Signals()
    check_kept(connections[ALIAS])
    approved = dict(item.split("=", 1) for item in os.environ.get("DEPLOY_DJANGO_APPROVED", "").split())
    protect_databases("write")
    with take_turn(signals) as (connection, before):
        pending = {"%s.%s" % (each.app_label, each.name): each for each in before.pending}
        already = [label for label in approved if tuple(label.split(".", 1)) in before.rows]
        trouble = before.trouble()
        if trouble:
            raise Stop(UNSOUND, *trouble, **nothing_done(before, already))
        different = [
            label for label, each in pending.items()
            if approved.get(label) != digest(read_source(before.loader, each))
        ]
        if different:
            raise Stop(PLAN_DIFFERS, "plan-differs", "Pending, but not approved in this form: %s. Somebody changed the "
                       "database or the image after the plan was made." % ", ".join(different), **nothing_done(before, already))
        if pending and os.environ.get("DEPLOY_DJANGO_GO") != "yes":
            tell(out, "deploy-django: replanned")
            signals.wait(seconds_of("GO_WAIT", 120), go=True)
            if signals.stopped or not signals.go:
                raise Stop(NO_GO, "no-go", "No go signal (SIGUSR1) came; nothing was migrated.", **nothing_done(before, already))
        run = Run(connection, signals)
        error = run.all()
        return conclude(connection, before, run, error, already)


def nothing_done(survey, already):
    return {"applied": [], "already": already, "foreign": [], "failed": None, "rows": labels(sorted(survey.rows))}


def seconds_of(name, default):
    return float(os.environ.get("DEPLOY_DJANGO_" + name) or default)


@contextmanager
def take_turn(signals):
    """Waits for the database, then for the lock; gives what is known then. The lock is held until the end."""
    from django.db import connections

    end = time.monotonic() + seconds_of("DATABASE_WAIT", 60)
    while True:
        turn = Turn(connections[ALIAS])
        try:
            connections[ALIAS].ensure_connection()
            turn.take(signals)
            survey = Survey(connections[ALIAS])
            break
        except Exception as error:
            turn.end()
            stop = error if isinstance(error, Stop) else explain(error)
            if stop.code != DATABASE_DOWN or time.monotonic() >= end:
                raise stop
            say("Waiting for the database: %s" % stop.result["error"]["detail"])
            connections[ALIAS].close()
            signals.wait(1)
            if signals.stopped:
                raise Stop(NO_GO, "stopped", "Asked to end while waiting for the database; nothing was migrated.")
    try:
        yield connections[ALIAS], survey
    finally:
        turn.end()


class Turn:
    """One runner at a time: a lock that the database lets go when this process dies.

    It is polled: whoever waits inside a statement holds a snapshot, for which CREATE INDEX CONCURRENTLY waits.
    It has a connection of its own, because code in migrations may close the other one.
    """

    def __init__(self, connection):
        self.connection = connection.copy()
        self.connection.settings_dict.get("OPTIONS", {}).pop("pool", None)  # a pool may hold but one connection

    def take(self, signals):
        attempt = {"postgresql": self.try_postgresql, "mysql": self.try_mysql}.get(self.connection.vendor)
        end = time.monotonic() + seconds_of("LOCK_WAIT", 60)
        while attempt and not attempt():
            if time.monotonic() >= end:
                raise Stop(LOCK_BUSY, "lock-busy", "Another runner is migrating this database.")
            say("Another runner is migrating this database; waiting.")
            signals.wait(min(1, max(0.05, end - time.monotonic())))
            if signals.stopped:
                raise Stop(NO_GO, "stopped", "Asked to end while waiting for the lock; nothing was migrated.")

    def try_postgresql(self):
        self.connection.set_autocommit(False)
        with self.connection.cursor() as cursor:
            # A stricter level would keep the snapshot of the first statement.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SELECT set_config(name, '0', true) FROM pg_settings "
                           "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')")
            # The server's own name of the database: a pooler may give it another one.
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(current_database()))", [LOCK_NAMESPACE])
            taken = cursor.fetchone()[0]
        if not taken:
            self.connection.rollback()
        return taken

    def try_mysql(self):
        # These locks belong to the whole server, hence the name of the database; 64 characters at most.
        return ask(self.connection, "SELECT GET_LOCK(CONCAT('deploy-django:', MD5(DATABASE())), 0)") == 1

    def end(self):
        try:
            self.connection.close()
        except Exception as error:
            say("The lock's connection is gone already (%s)." % last_line(error))


class Run:
    """Runs the project's own `migrate` command with an executor that watches each migration.

    The command keeps what differs between Django's versions (signals, states, squash bookkeeping); the executor is
    the one place through which every migration passes: deadline, end on request, lock timeout and time are there.
    """

    def __init__(self, connection, signals):
        self.connection, self.signals = connection, signals
        self.deadline = time.monotonic() + seconds_of("TIMEOUT", 3600)
        self.lock_timeout = int(seconds_of("LOCK_TIMEOUT", 5000))
        self.applied, self.failed = [], None

    def all(self):
        """None, or the exception that ended it."""
        from django.core.management import call_command
        from django.core.management.commands import migrate as command

        run = self

        class Executor(command.MigrationExecutor):
            def apply_migration(self, state, migration, **options):
                return run.one(migration, lambda: super(Executor, self).apply_migration(state.clone(), migration, **options))

        command.MigrationExecutor = Executor
        try:
            call_command("migrate", database=ALIAS, interactive=False, verbosity=0, skip_checks=True, stdout=sys.stderr)
            return None
        except BaseException as error:
            return error

    def one(self, migration, apply):
        from django.db import OperationalError

        label, pause = "%s.%s" % (migration.app_label, migration.name), 0.5
        while True:
            self.check_time(label)
            if (migration.app_label, migration.name) in read_rows(self.connection):
                raise Stop(NOT_MIGRATED, "foreign-migrate", "Another runner, one without the lock, applied %s just now. "
                           "Does an entrypoint or a second pipeline run `migrate`?" % label)
            started = time.monotonic()
            try:
                with self.session(migration):
                    state = apply()
            except BaseException as error:
                if isinstance(error, OperationalError) and migration.atomic and sql_state(error) == "55P03":
                    say("Waiting for locks: %s was undone, again in %.1f s (%s)" % (label, pause, last_line(error)))
                    self.failed = {"app": migration.app_label, "name": migration.name, "error": last_line(error)}
                    self.signals.wait(min(pause, max(0, self.deadline - time.monotonic())))
                    pause = min(pause * 2, 30)
                    continue
                say("Applying %s ... failed after %.2f s" % (label, time.monotonic() - started))
                self.failed = {"app": migration.app_label, "name": migration.name, "error": last_line(error)}
                raise
            seconds = time.monotonic() - started
            say("Applying %s ... %.2f s" % (label, seconds))
            self.applied.append({"app": migration.app_label, "name": migration.name, "milliseconds": round(seconds * 1000)})
            self.failed = None
            return state

    def check_time(self, label):
        if self.signals.stopped:
            raise Stop(OUT_OF_TIME, "stopped", "Asked to end before %s; what came before it is applied." % label)
        if time.monotonic() >= self.deadline:
            raise Stop(OUT_OF_TIME, "out-of-time", "The time for migrations ran out before %s was applied; what came before "
                       "it is applied. Give more with migrate-timeout." % label)

    @contextmanager
    def session(self, migration):
        """On PostgreSQL an atomic migration and its row become one transaction, and do not wait long for locks.

        Django writes the row after the commit when statements were deferred; dying between would apply it twice.
        Backends that are not Django's own may work without transactions: they are left alone.
        """
        from django.db import transaction

        if self.connection.vendor != "postgresql" or not migration.atomic:
            yield  # CREATE INDEX CONCURRENTLY leaves an invalid index when it gives up
            return
        own = type(self.connection).__module__.startswith("django.")
        with self.connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = %d" % self.lock_timeout)
        try:
            if own:
                with transaction.atomic(using=self.connection.alias):
                    yield
            else:
                yield
        finally:
            if self.connection.is_usable():
                with self.connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")


def conclude(connection, before, run, error, already):
    """Reads the database again: what it says counts, not what was meant to happen."""
    try:
        connection.close()
        after = Survey(connection)
    except Exception as lost:
        say_traceback(error or lost)
        raise Stop(MIGRATION_FAILED, "database-lost", "The database is gone after migrating; what was applied is as far as "
                   "this process knows.", last_line(lost), applied=run.applied, already=already, failed=run.failed, rows=None)
    applied = [each for each in run.applied if (each["app"], each["name"]) in after.rows]
    ours = {(each["app"], each["name"]) for each in applied}
    planned = [(each.app_label, each.name) for each in before.pending]
    foreign = labels(key for key in planned if key in after.rows and key not in ours)
    if foreign:
        say("Applied by a runner without the lock while this one waited: %s" % ", ".join(foreign))
    result = {
        "applied": applied, "already": already, "foreign": foreign, "failed": run.failed, "rows": labels(sorted(after.rows)),
        "database": describe_database(connection, after.rows),
    }
    if isinstance(error, Stop):
        error.result.update(result)
        raise error
    if error:
        say_traceback(error)
        where = "%(app)s.%(name)s" % run.failed if run.failed else "a receiver of pre_migrate or post_migrate"
        raise Stop(MIGRATION_FAILED, "migration-failed", "%s failed." % where, last_line(error), **result)
    changes = unexpected_changes(before, after)
    if changes:
        raise Stop(NOT_MIGRATED, "rows-changed", "The recorded migrations are not what this run leaves behind: %s."
                   % "; ".join(changes), **result)
    return PLANNED, result


def unexpected_changes(before, after):
    planned = {part for each in before.pending for part in before.expand((each.app_label, each.name))}
    bookkeeping = set(after.replaces)
    pending = [(each.app_label, each.name) for each in after.pending]
    kinds = (
        ("still pending", pending),
        ("not recorded exactly once", [key for key in sorted(planned - set(pending)) if after.rows[key] != 1]),
        ("gone", sorted(set(before.rows) - set(after.rows))),
        ("recorded by somebody else", sorted(set(after.rows) - set(before.rows) - planned - bookkeeping)),
        ("recorded again", [key for key in sorted(before.rows) if after.rows[key] > before.rows[key]]),
    )
    return ["%s: %s" % (kind, ", ".join(labels(keys))) for kind, keys in kinds if keys]


# ---------------------------------------------------------------------------------------------- static


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


# ---------------------------------------------------------------------------------------------- http


class Answer:
    """One request: a status, or why there is none."""

    def __init__(self, url, status=None, reason=None, location="", said="", closed=False):
        self.url, self.status, self.reason, self.location, self.said = url, status, reason, location, said
        self.closed = closed  # the host is there, the port is not


def check_http(_out):
    order = json.load(sys.stdin)
    headers = {str(name): str(value) for name, value in order.get("headers", {}).items()}
    if order.get("urls"):
        wanted = order.get("status") or ["2xx", "3xx"]
        for url in order["urls"]:
            last, reason = ask_three_times(url, headers, lambda answer: judge_given(answer, wanted))
            if reason:
                break
    else:
        outside, inside = candidates(order.get("fronts", []))
        last, reason = ask_around(outside, headers)
        if last is None:
            last, reason = ask_around(inside, headers)
    if last is None:
        return PLANNED, {"url": None, "status": None, "answers": 0, "reason": "nothing-speaks-http", "text":
                         "No port of this service, and no service in front of it, speaks HTTP."}
    return (UNHEALTHY if reason else PLANNED), {
        "url": last.url, "status": last.status, "answers": 0 if reason else 3,
        "reason": "not-http" if reason == "silent" else reason, "text": explain_answer(last, reason, headers),
    }


def ask_around(urls, headers):
    """The first that speaks HTTP decides; one that only redirects to https leaves the word to the next."""
    undecided = closed = None
    for url in urls:
        answer = request(url, headers)
        if answer.closed:
            closed = answer  # a published port that nobody listens on yet
        if answer.reason in ("refused", "not-http"):
            continue
        if answer.reason or judge_any(answer) == "https-redirect":
            undecided = undecided or answer
            continue
        return ask_three_times(url, headers, judge_any)
    last = undecided or closed
    return last, last and (last.reason or judge_any(last))


def ask_three_times(url, headers, judge):
    for turn in range(3):
        if turn:
            time.sleep(0.1)
        answer = request(url, headers)
        reason = answer.reason or judge(answer)
        if reason:
            break
    return answer, reason


def judge_any(answer):
    if redirects_to_https(answer):
        return "https-redirect"
    if answer.status == 400:
        return "bad-request"
    return "server-error" if answer.status >= 500 else None


def judge_given(answer, wanted):
    if redirects_to_https(answer):
        return "https-redirect"
    status = str(answer.status)
    if any(status == one or (one.lower().endswith("xx") and status[0] == one[0]) for one in wanted):
        return None
    return judge_any(answer) or "status"


def redirects_to_https(answer):
    asked, target = urllib.parse.urlsplit(answer.url), urllib.parse.urlsplit(answer.location)
    return (300 <= answer.status < 400 and asked.scheme == "http" and target.scheme == "https"
            and (target.path or "/") == (asked.path or "/"))


def request(url, headers):
    parts = urllib.parse.urlsplit(url)
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    sent = dict({"User-Agent": "deploy-django", "Accept": "*/*", "Connection": "close"}, **headers)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), timeout=5)
    try:
        connection.connect()
        if parts.scheme == "https":
            # The name asked for is one of the app's network: no certificate could carry it.
            context = ssl._create_unverified_context()
            name = next((value for key, value in headers.items() if key.lower() == "host"), parts.hostname)
            connection.sock = context.wrap_socket(connection.sock, server_hostname=name.split(":")[0])
        connection.request("GET", path, headers=sent)
        response = connection.getresponse()
        said = response.read(4096).decode("utf-8", "replace") if response.status == 400 else ""
        if "HTTP request" in said and "HTTPS" in said and parts.scheme == "http":
            return Answer(url, reason="not-http", said="it speaks TLS")
        return Answer(url, response.status, None, response.getheader("Location") or "", said)
    except socket.timeout:
        return Answer(url, reason="timeout")
    except http.client.RemoteDisconnected:
        return Answer(url, reason="silent", said="it closed the connection without a word")
    except (http.client.HTTPException, ssl.SSLError) as error:
        return Answer(url, reason="not-http", said=last_line(error)[:80])
    except (ConnectionResetError, BrokenPipeError):
        return Answer(url, reason="silent", said="it closed the connection without a word")
    except OSError as error:
        return Answer(url, reason="refused", said=str(error), closed=isinstance(error, ConnectionRefusedError))
    finally:
        connection.close()


def candidates(fronts):
    """Where others reach this container or a service in front of it; then what listens for this container alone.

    An app that listens on 127.0.0.1 answers here and to nobody else, so it only counts where no front can be asked: the
    front may share this network.
    """
    outside, inside = [], []
    for address, port in listening():
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        url = "http://%s:%d/" % ("[%s]" % host if ":" in host else host, port)
        (inside if address == "::1" or address.startswith("127.") else outside).append(url)
    for service, port in fronts:
        scheme = "https" if int(port) in (443, 8443) else "http"
        outside.append("%s://%s:%d/" % (scheme, service, int(port)))
    return outside, inside


def listening():
    """(address, port) of what this container's processes listen on; those for everyone first."""
    sockets = {}
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path) as file:
                lines = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        for line in lines:
            address, port = line[1].split(":")
            if line[3] == "0A" and read_address(address) != "127.0.0.11":  # Docker's name server
                sockets[line[9]] = (read_address(address), int(port, 16))
    # With `network_mode: host` these are all sockets of the server, and most are none of our business.
    own, complete = own_sockets()
    found = {sockets[inode] for inode in sockets if inode in own}
    if not found and not complete:
        found = set(sockets.values())
    return sorted(found, key=lambda each: (each[0] not in ("0.0.0.0", "::"), each[1]))


def own_sockets():
    """Inodes of the sockets of the processes seen here, and whether all could be looked at."""
    inodes, complete = set(), True
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                for descriptor in os.listdir("/proc/%s/fd" % name):
                    link = os.readlink("/proc/%s/fd/%s" % (name, descriptor))
                    if link.startswith("socket:["):
                        inodes.add(link[8:-1])
            except PermissionError:
                complete = False
            except OSError:
                continue  # ended meanwhile
    return inodes, complete


def read_address(text):
    """/proc writes each group of four bytes in the machine's order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[i:i + 4][::-1] for i in range(0, len(raw), 4))
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        raw = raw[12:]
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def explain_answer(answer, reason, headers):
    """What it means and what to change."""
    host = next((value for name, value in headers.items() if name.lower() == "host"), "the name in the address")
    seen = "%s answered %s" % (answer.url, answer.status)
    not_http = ("%s does not speak HTTP (%s). Name an address that does in `health-url`, or set `health-url: none`."
                % (answer.url, answer.said))
    return {
        None: "%s, three times." % seen,
        "refused": "%s cannot be reached (%s). Does the server listen, on 0.0.0.0 and on this port, or did it stop while "
                   "starting? Its log says why." % (answer.url, answer.said),
        "timeout": "%s accepts connections, but does not answer within 5 s: its workers are still starting, are busy, or "
                   "wait for something. If it is no web server, set `health-url: none`." % answer.url,
        "not-http": not_http, "silent": not_http,
        "bad-request": "%s. Django says 400 when the Host header is not allowed: add %s to ALLOWED_HOSTS, or send a host "
                       "that is in it with `health-headers: \"Host: …\"`." % (seen, json.dumps(host)),
        "https-redirect": "%s, a redirect to %s: only a redirect was seen, not the app (SECURE_SSL_REDIRECT). Send the header "
                          "that the proxy sends, `health-headers: \"X-Forwarded-Proto: https\"`, and set "
                          "SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")." % (seen, answer.location),
        "server-error": "%s: the app, or what it needs (database, cache, static manifest), fails. 502 to 504 come from a proxy "
                        "that does not reach the app. The log of the service says why." % seen,
        "status": "%s, which `health-status` does not list. Change the address in `health-url` or the list in "
                  "`health-status`." % seen,
    }[reason]


VERBS = {
    "list": list_migrations, "static": list_statically, "plan": plan, "migrate": migrate, "verify": verify, "fit": fit,
    "collect": collect, "http": check_http,
}

main()
