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
        # `migrate` writes their rows, without which they would be applied once the replaced ones are gone from the code.
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
            "unrecorded": labels(self.unrecorded),
        }

    def trouble(self):
        """None, or why no one should migrate with this image on this database."""
        if self.conflicts:
            names = "; ".join("%s: %s" % (app, ", ".join(names)) for app, names in sorted(self.conflicts.items()))
            return ("conflict", "Two migrations follow the same one (%s): run `python manage.py makemigrations --merge` "
                    "and commit the result." % names)
        if self.inconsistent:
            return ("inconsistent", "A migration is applied although one that it depends on is not. " + self.inconsistent)
        if self.hidden:
            return ("hidden", "This image has no migrations for %s, and the database has rows of them: without the files Django "
                    "never migrates these apps again. Commit their folders of migrations with the __init__.py in them, and "
                    "leave them out of .gitignore and .dockerignore." % ", ".join(self.hidden))
        if self.duplicates:
            return ("duplicates", "These migrations are recorded more than once, so two runners applied them at the same "
                    "time: %s. Check what they changed, then delete the surplus rows of django_migrations."
                    % ", ".join(labels(self.duplicates)))
        return None


def models_with_tables():
    from django.apps import apps

    return [model for model in apps.get_models() if model._meta.managed and not model._meta.proxy and not model._meta.swapped]


def bare_apps(loader):
    """Apps with tables of their own and no migration in this image."""
    return {model._meta.app_label for model in models_with_tables()} - {app for app, _ in loader.disk_migrations}


def find_unmigrated(loader, connection):
    """Apps whose tables nobody makes: no migration in this image, and no table in the database.

    Left out are those without migrations on purpose (MIGRATION_MODULES says None) or of another database.
    """
    from django.apps import apps
    from django.db import router

    if database_vendor() == "unknown":
        return []
    tables = {fold(name) for name in connection.introspection.table_names(include_views=True)} if connection else set()
    found = []
    for app in sorted(bare_apps(loader)):
        wanted = [model._meta.db_table for model in models_with_tables()
                  if model._meta.app_label == app and router.allow_migrate_model(ALIAS, model)]
        is_made = any('"' in table or fold(table) in tables for table in wanted)
        if wanted and not is_made and loader.migrations_module(app)[0] is not None:
            config = apps.get_app_config(app)
            found.append({"app": app, "module": config.name, "installed": is_installed(config)})
    return found


def is_installed(config):
    """Whether the app came with a package: nobody of the project writes its migrations."""
    return not {"site-packages", "dist-packages"}.isdisjoint(config.path.split(os.sep))


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
        for app in sorted(changes) if not is_installed(apps.get_app_config(app))
        for migration in changes[app] for operation in migration.operations
    ]


def load_offline():
    from django.db.migrations.loader import MigrationLoader

    return load_migrations(lambda: MigrationLoader(None, ignore_no_migrations=True))


def versions():
    import django

    return {"django": django.get_version(), "python": platform.python_version()}
