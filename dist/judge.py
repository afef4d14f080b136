def judge(_out):
    """What a verdict needs to know of the new migrations, as if all others were applied. Queries no database.

    DEPLOY_DJANGO_NEW names their files, as `name=digest`.
    """
    protect_databases("nothing")
    assume_database()
    loader = load_offline()
    history = make_history(loader, find_new(loader))
    found = {alias: judge_database(Survey(alias, history)) for alias in known_aliases()}
    trouble = Survey(ALIAS, history).trouble()
    result = dict(
        versions(), drift=find_drift(loader), unmigrated=find_unmigrated(loader, None), digest=plan_digest(found),
        others=[dict(found[alias], alias=alias) for alias in found if alias != ALIAS], **found[ALIAS]
    )
    if trouble:
        raise Stop(UNSOUND, *trouble, **result)
    return PLANNED, result


def judge_database(survey):
    from django.db import connections

    pending = describe_pending(survey, None)
    if survey.alias == ALIAS and find_tenants() in TENANT_PACKAGES:
        for kind in tenant_kinds():
            with in_schema(connections[ALIAS], "tenant", kind):
                pending = unskipped(pending, describe_pending(survey, None))
    return dict(survey.facts(), vendor=database_vendor(survey.alias), pending=pending)


def find_new(loader):
    """Compares file contents: the place of a file in the repository does not show its app."""
    wanted = set(os.environ.get("DEPLOY_DJANGO_NEW", "").split())
    names = {each.split("=")[0] for each in wanted}
    return {
        key for key, migration in loader.disk_migrations.items()
        if key[1] in names and "%s=%s" % (key[1], digest(read_source(loader, migration))) in wanted
    }


def make_history(loader, new):
    """A database in memory in which all migrations are applied except the new ones."""
    from django.db import connections
    from django.db.migrations.recorder import MigrationRecorder
    from django.db.utils import ConnectionHandler

    memory = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    connection = connections[HISTORY] = ConnectionHandler({ALIAS: memory, HISTORY: memory})[HISTORY]
    recorder = MigrationRecorder(connection)
    recorder.ensure_schema()
    replaced = {tuple(part) for migration in loader.disk_migrations.values() for part in migration.replaces}
    for app, name in sorted((set(loader.disk_migrations) | replaced) - new):
        recorder.record_applied(app, name)
    return connection


HISTORY = "deploy-django-history"


def assume_database():
    """Makes types and checks known offline. Without DATABASES they are those of PostgreSQL, if the image has its driver."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connections
    from django.db.utils import ConnectionHandler

    if database_vendor() == "unknown":
        try:
            found = ConnectionHandler({ALIAS: {"ENGINE": "django.db.backends.postgresql", "NAME": "unknown"}})[ALIAS]
            found.connect = refuse_to_connect
            connections[ALIAS] = found
        except ImproperlyConfigured as error:
            say("PostgreSQL is assumed, and its types are not known: %s" % last_line(error))
    data = {"version": "10.11.0-MariaDB", "sql_mode": "STRICT_TRANS_TABLES", "default_storage_engine": "InnoDB",
            "lower_case_table_names": False, "has_zoneinfo_database": True}
    for alias in [each for each in known_aliases() if database_vendor(each) == "mysql"]:
        connections[alias].__dict__.update(mysql_server_data=data, mysql_server_info=data["version"])
