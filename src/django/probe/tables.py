class Known:
    """The tables and columns that a state of the models uses."""

    def __init__(self, state, connection):
        self.tables = {}
        for key, model in state.models.items():
            if model.options.get("proxy") or is_swapped(model.options, key):
                continue
            table = table_of(state, key, connection)
            columns = self.tables.setdefault(table, set())
            for name, field in dict(model.fields).items():
                if not field.many_to_many:
                    columns.add(column_of(field, name))
                elif not getattr(field.remote_field, "through", None):
                    self.tables.setdefault(link_table(table, name, field, connection), None)  # None: all of its columns

    def has_table(self, table):
        return table in self.tables

    def has_column(self, table, column):
        return table in self.tables and (self.tables[table] is None or column in self.tables[table])

    def columns(self, table):
        """None: all of its columns."""
        columns = self.tables.get(table, ())
        return columns if columns is None else sorted(columns)


class Tables:
    """The tables of the database, each read when it is first needed."""

    def __init__(self, connection):
        self.connection, self.all, self.read, self.measured = connection, None, {}, {}

    def names(self):
        if self.all is None:
            found = self.connection.introspection.table_names(include_views=True) if self.connection else ()
            self.all = {fold(name, self.connection): name for name in found}
        return self.all

    def exists(self, table):
        if table and is_quoted(table):
            return bool(self.columns(table))
        return bool(table) and fold(table, self.connection) in self.names()

    def columns(self, table):
        if table not in self.read:
            self.read[table] = []
            if is_quoted(table):
                self.read[table] = sorted(columns_of_quoted(table, self.connection))
            elif self.exists(table):
                with self.connection.cursor() as cursor:
                    described = self.connection.introspection.get_table_description(cursor, self.names()[fold(table, self.connection)])
                self.read[table] = sorted(each.name for each in described)
        return self.read[table]

    def has_column(self, table, column):
        return bool(column) and fold(column, self.connection) in {fold(name, self.connection) for name in self.columns(table)}

    def size(self, table):
        """{rows, bytes}; None if unknown. A large table is never counted."""
        from django.db import Error

        if table not in self.measured:
            try:
                self.measured[table] = self.measure(table) if self.exists(table) else (None, None)
            except Error:
                self.measured[table] = (None, None)
        return dict(zip(("rows", "bytes"), self.measured[table]))

    def measure(self, table):
        name = self.connection.ops.quote_name(table)
        with self.connection.cursor() as cursor:
            if self.connection.vendor == "postgresql":
                cursor.execute("SELECT reltuples::bigint, pg_total_relation_size(oid) FROM pg_class WHERE oid = %s::regclass", [name])
            elif self.connection.vendor == "mysql" and not is_quoted(table):
                cursor.execute("SELECT table_rows, data_length + index_length FROM information_schema.tables "
                               "WHERE table_schema = DATABASE() AND table_name = %s", [table])
            else:
                return None, None
            rows, size = (int(each or 0) for each in cursor.fetchone())
            if size < 32 * 1024 * 1024:  # the estimate for a small table may be missing or very old
                cursor.execute("SELECT count(*) FROM %s" % name)
                rows = cursor.fetchone()[0]
        return (rows if rows >= 0 else None), size


def is_quoted(table):
    """Whether the name has quotes in it: the usual way to name a table of another schema, such as `audit"."log`."""
    return '"' in table or "`" in table


def columns_of_quoted(table, connection):
    """The columns of such a table; none if it does not exist."""
    from django.db import Error

    if not connection:
        return []
    name = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # where an error would end the transaction
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is None:
                return []
        try:
            cursor.execute("SELECT * FROM %s WHERE 1 = 0" % name)
        except Error:
            return []
        return [each[0] for each in cursor.description]


def options_of(state, key):
    found = state.models.get(key) if key else None
    return found.options if found else {}


def is_swapped(options, key):
    from django.conf import settings

    chosen = getattr(settings, options.get("swappable") or "", None)
    return bool(chosen) and str(chosen).lower() != "%s.%s" % key


def table_of(state, key, connection):
    from django.db.backends.utils import truncate_name

    if not key or key not in state.models:
        return None
    return options_of(state, key).get("db_table") or truncate_name("%s_%s" % key, connection.ops.max_name_length())


def link_table(table, name, field, connection):
    from django.db.backends.utils import strip_quotes, truncate_name

    return field.db_table or truncate_name("%s_%s" % (strip_quotes(table), name), connection.ops.max_name_length())


def column_of(field, name):
    if field.many_to_many:
        return None
    named = field.clone()
    named.set_attributes_from_name(name)
    return named.column
