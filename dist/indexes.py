def find_invalid_indexes(connection):
    """Leftovers of a failed CREATE INDEX CONCURRENTLY: unused by queries, updated by each write, with taken names."""
    from django.db import Error

    if connection is None or connection.vendor != "postgresql":
        return []
    is_made = "SELECT 1 FROM pg_stat_progress_create_index WHERE index_relid = indexrelid"
    question = """
        SELECT i.relname, nspname, pg_table_is_visible(i.oid), indrelid::regclass::text
        FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
        WHERE NOT indisvalid AND i.relkind = 'i' AND nspname <> 'pg_toast' %s ORDER BY 2, 1
    """ % ("AND NOT EXISTS (%s)" % is_made if connection.pg_version >= 120000 else "")
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            rows = cursor.fetchall()
    except Error as error:
        say("It is not known whether indexes are invalid: %s" % last_line(error))
        return []
    return [describe_invalid(name, schema, is_visible, table) for name, schema, is_visible, table in rows]


def describe_invalid(name, schema, is_visible, table):
    quoted = ".".join('"%s"' % part.replace('"', '""') for part in ([] if is_visible else [schema]) + [name])
    return {"name": name, "table": table, "fix": "DROP INDEX CONCURRENTLY IF EXISTS %s;" % quoted}
