def fit(_out):
    """Can this code read and insert into the database as it is?"""
    protect_databases("read")
    connection = open_database()
    survey = Survey(connection)
    problems = find_misfits(connection)
    result = {
        "settings": describe_settings(), "database": describe_database(connection, survey.rows), "problems": problems,
        "ahead": labels(survey.unknown),
    }
    if problems:
        message = "This code does not fit the database: %s" % " ".join(problem["text"] for problem in problems[:3])
        say(message)
        raise Stop(UNFIT, "unfit", message, **result)
    return PLANNED, result


def find_misfits(connection):
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
    return problems


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
