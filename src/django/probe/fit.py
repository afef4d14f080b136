def fit(_out):
    """Whether this code can read from and insert into the databases as they are.

    DEPLOY_DJANGO_MIGRATED names those that another release migrates. One that the settings of this code lack does not
    concern it.
    """
    protect_databases("read")
    found, surveys = {}, {}
    for alias in known_aliases(os.environ.get("DEPLOY_DJANGO_MIGRATED", "").split()):
        with about(alias):
            connection = open_database(alias)
            surveys[alias] = Survey(alias, connection)
            found[alias] = fit_database(surveys[alias], connection)
    own = found.pop(ALIAS)
    result = {"settings": describe_settings(), "others": list(found.values())}
    result.update(own)
    # An old Python must be able to parse this, so that it can be refused with a message: it knows no `**` in a display.
    result.update(known_migrations(load_offline(), surveys[ALIAS].expand))
    problems = [problem for each in [own] + result["others"] for problem in each["problems"]]
    if problems:
        message = "This code is not compatible with the database: %s" % " ".join(problem["text"] for problem in problems[:3])
        say(message)
        raise Stop(UNFIT, "unfit", message, **result)
    return PLANNED, result


def fit_database(survey, connection):
    alias = survey.alias
    return {
        "alias": alias, "database": describe_database(alias, connection, survey.rows), "ahead": labels(survey.unknown),
        "dump": describe_dump(connection), "problems": describe_misfits(alias, connection),
    }


def describe_misfits(alias, connection):
    """The misfits of the database, with those of tenants' schemas."""
    found = find_misfits(alias, connection) + Tenants(connection).misfits()
    return [dict(each, text=in_other(alias, "In the database %s: ") + each["text"]) for each in found]


def find_misfits(alias, connection):
    problems = []
    wanted, certain = ({}, set()) if database_vendor(alias) == "unknown" else model_columns(alias, connection)
    tables = read_columns(connection, [table for table in wanted if is_quoted(table)]) if connection else {}
    for table, known in sorted(wanted.items()):
        if connection and connection.vendor != "postgresql" and is_quoted(table):
            continue
        columns = tables.get(fold(table, connection))
        if columns is None and table not in certain:
            continue
        if columns is None:
            problems.append({"table": table, "column": None, "kind": "missing", "text": "The table %s is missing." % table})
            continue
        for column in sorted(known):
            if fold(column, connection) not in columns:
                problems.append({"table": table, "column": column, "kind": "missing", "text":
                                 "%s.%s is missing: every query of its model fails." % (table, column)})
        for column in sorted(set(columns) - {fold(name, connection) for name in known}):
            if columns[column]:
                problems.append({"table": table, "column": column, "kind": "required", "text":
                                 "%s.%s must have a value, has no default in the database and is unknown to this code: "
                                 "every INSERT fails." % (table, column)})
    return problems


def fold(name, connection):
    """Only PostgreSQL distinguishes `Name` from `name`."""
    return name if connection and connection.vendor == "postgresql" else name.lower()


def model_columns(alias, connection):
    """The columns that this code reads and writes in this database, by table, and the tables that must exist.

    Without a router's opinion, Django allows every model everywhere. In a database other than `default` it may have no
    table then, and in one that this code does not migrate, the code does not use it.
    """
    from django.apps import apps
    from django.db import router

    tables, certain = {}, set()
    recorded = {app for app, _ in read_rows(connection)} if alias != ALIAS else ()
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if not meta.managed or meta.proxy or meta.swapped or not router.allow_migrate_model(alias, model):
            continue
        is_certain = alias == ALIAS or meta.app_label in recorded and is_sent(alias, model)
        if is_certain or alias in named_aliases():
            known = tables.setdefault(meta.db_table, set())
            known.update(field.column for field in meta.local_concrete_fields if field.column)
            certain.update([meta.db_table] if is_certain else [])
    return tables, certain


def read_columns(connection, quoted):
    """{table: {column: whether an INSERT must name it}}, on PostgreSQL with the `quoted` names of tables in other schemas."""
    tables = {}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # atthasdef is also true for generated columns
            question = (
                "SELECT c.relname, a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' FROM pg_attribute a "
                "JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 "
                "AND NOT a.attisdropped AND "
            )
            cursor.execute(question + "pg_table_is_visible(c.oid)")
            for table, column, required in cursor.fetchall():
                tables.setdefault(table, {})[column] = required
            for name in quoted:
                cursor.execute(question + "c.oid = to_regclass(%s)", [connection.ops.quote_name(name)])
                for _, column, required in cursor.fetchall():
                    tables.setdefault(name, {})[column] = required
            return tables
        for table in connection.introspection.table_names(cursor, include_views=True):
            columns = tables.setdefault(fold(table, connection), {})
            for column in connection.introspection.get_table_description(cursor, table):
                made = getattr(column, "extra", "") or getattr(column, "is_autofield", False) or getattr(column, "pk", False)
                columns[fold(column.name, connection)] = not column.null_ok and column.default is None and not made
    return tables
