class Survey:
    """A snapshot of the migrations in this image and in the database, to compare with a later one."""

    def __init__(self, alias, connection):
        self.alias = alias
        self.read(connection)
        # Without a lock, another runner may apply a migration between two of these queries.
        while self.rows != read_rows(connection):
            self.read(connection)

    def read(self, connection):
        from django.db.migrations.exceptions import InconsistentMigrationHistory
        from django.db.migrations.executor import MigrationExecutor

        self.rows = read_rows(connection)
        executor = load_migrations(lambda: MigrationExecutor(connection))
        self.loader = executor.loader
        self.replaces = {key: found.replaces for key, found in self.loader.disk_migrations.items() if found.replaces}
        known = set(self.loader.disk_migrations) | {part for key in self.replaces for part in self.expand(key)}
        self.unknown = sorted(set(self.rows) - known)
        # `migrate` writes their rows. Without a row, a squash would be applied once its parts are gone from the code.
        self.unrecorded = sorted(
            key for key, parts in self.replaces.items() if key not in self.rows and all(tuple(part) in self.rows for part in parts)
        )
        bare = bare_apps(self.loader)
        self.hidden = sorted(bare & {app for app, _ in self.rows})
        self.duplicates = sorted(key for key, count in self.rows.items() if count > 1)
        self.conflicts = self.loader.detect_conflicts()
        self.inconsistent = None
        if connection:
            try:
                self.loader.check_consistent_history(connection)
            except InconsistentMigrationHistory as error:
                self.inconsistent = str(error)
        # Last, because migration_plan may reload the graph.
        has_database = connection is not None or database_vendor(self.alias) != "unknown"
        plan = executor.migration_plan(self.loader.graph.leaf_nodes()) if has_database else []
        self.pending = [migration for migration, _ in plan]

    def expand(self, key):
        """The migration and, recursively, all that it replaces: applying it records them all."""
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
            "unrecorded": labels(self.unrecorded),
        }

    def trouble(self):
        """None, or the reason not to migrate this database with this image."""
        if self.conflicts:
            names = "; ".join("%s: %s" % (app, ", ".join(names)) for app, names in sorted(self.conflicts.items()))
            return ("conflict", "Two migrations follow the same one (%s)." % names)
        if self.inconsistent:
            return ("inconsistent", "A migration is applied although one that it depends on is not. " + self.inconsistent)
        if self.hidden:
            return ("hidden", "The image lacks the migration files of %s, although the database has applied them. Without the files "
                    "Django cannot migrate these apps. Commit their `migrations` folders with the __init__.py in them, and "
                    "keep them out of .gitignore and .dockerignore." % ", ".join(self.hidden))
        if self.duplicates:
            return ("duplicates", "These migrations are recorded more than once, so two processes applied them at the same "
                    "time: %s. Check what they changed, then delete the surplus rows of django_migrations."
                    % ", ".join(labels(self.duplicates)))
        return None


def models_with_tables():
    from django.apps import apps

    return [model for model in apps.get_models() if model._meta.managed and not model._meta.proxy and not model._meta.swapped]


def bare_apps(loader):
    """Apps with tables of their own but without a migration in this image."""
    return {model._meta.app_label for model in models_with_tables()} - {app for app, _ in loader.disk_migrations}


def find_unmigrated(loader, connection):
    """Apps whose tables are never created: no migration in this image, no table in the database.

    Apps without migrations on purpose (MIGRATION_MODULES says None) and apps of another database are left out.
    """
    from django.apps import apps
    from django.db import router

    if database_vendor() == "unknown":
        return []
    tables = {fold(name, connection) for name in connection.introspection.table_names(include_views=True)} if connection else set()
    found = []
    for app in sorted(bare_apps(loader)):
        wanted = [model._meta.db_table for model in models_with_tables()
                  if model._meta.app_label == app and router.allow_migrate_model(ALIAS, model)]
        is_made = any('"' in table or fold(table, connection) in tables for table in wanted)
        if wanted and not is_made and loader.migrations_module(app)[0] is not None:
            config = apps.get_app_config(app)
            found.append({"app": app, "module": config.name, "installed": is_installed(config)})
    return found


def is_installed(config):
    """Whether the app comes from a package: the project does not write its migrations."""
    return not {"site-packages", "dist-packages"}.isdisjoint(config.path.split(os.sep))


def database_vendor(alias=ALIAS):
    from django.db import connections

    return connections[alias].vendor


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
        raise Stop(NOT_IMPORTABLE, "migrations-broken", "The migrations of this image cannot be loaded.", last_line(error))


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


def find_drift(loader):
    """What `makemigrations` would add. Needs no database, and never stops a deployment."""
    from django.apps import apps
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.questioner import MigrationQuestioner
    from django.db.migrations.state import ProjectState

    # The base class asks no questions; the one named NonInteractive may exit the process.
    questioner = MigrationQuestioner(defaults={"ask_initial": True}, dry_run=True)
    try:
        detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps), questioner)
        changes = detector.changes(graph=loader.graph)
    except Exception as error:
        return ["?: models and migrations cannot be compared: %s" % last_line(error)]
    return [
        "%s: %s" % (app, operation_text(operation))
        for app in sorted(changes) if not is_installed(apps.get_app_config(app))
        for migration in changes[app] for operation in migration.operations
    ]


def load_offline():
    from django.db.migrations.loader import MigrationLoader

    return load_migrations(lambda: MigrationLoader(None, ignore_no_migrations=True))


def versions():
    import django

    return {"django": django.get_version(), "python": platform.python_version()}
