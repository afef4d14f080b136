class Parts:
    """The operations in the order of their reversal, each with the state of the models before and after it.

    `tables` and `columns` map a state's names to the present names in the database.
    """

    def __init__(self, way):
        self.way, self.connection = way, way.connection
        self.tables, self.columns, self.sizes = {}, {}, Tables(way.connection)

    def all(self):
        from django.db.migrations.state import ProjectState

        newer = set(self.way.migrations)
        state = ProjectState(real_apps=self.way.loader.unmigrated_apps)
        for key in self.way.order():
            node = self.way.loader.graph.nodes[key]
            if node not in newer and key in self.way.loader.applied_migrations:
                node.mutate_state(state, preserve=False)
        forward = []
        for migration in reversed(self.way.migrations):
            for operation in migration.operations:
                forward.extend(self.flatten(migration, operation, state))
        for part in reversed(forward):
            yield part
            self.rename(part)

    def flatten(self, migration, operation, state):
        """One operation, or the database operations of SeparateDatabaseAndState; moves `state` past it."""
        app, found = migration.app_label, []
        if hasattr(operation, "database_operations"):
            inner = state.clone()
            for each in operation.database_operations:
                found.extend(self.flatten(migration, each, inner))
            operation.state_forwards(app, state)
            return found
        before = state.clone()
        operation.state_forwards(app, state)
        return [Part(self, migration, operation, before, state.clone())]

    def rename(self, part):
        """Moves backwards past a part: from here on, tables and columns that it renamed have their older names."""
        key, key_after = keys_of(part.app, part.operation)
        table, now = table_of(part.before, key, self.connection), table_of(part.after, key_after, self.connection)
        if table and now and table != now:
            self.tables[table] = self.tables.get(now, now)
        name = getattr(part.operation, "name", None)
        if key and now and hasattr(part.operation, "model_name") and name:
            column = self.column_in(part.before, key, name)
            column_now = self.column_in(part.after, key_after, getattr(part.operation, "new_name", name))
            if column and column_now and column != column_now:
                place = self.tables.get(now, now)
                self.columns[place, column] = self.columns.get((place, column_now), column_now)

    def column_in(self, state, key, name):
        field = dict(state.models[key].fields).get(name) if key in state.models else None
        return column_of(field, name) if field else None

    def place(self, table, column=None):
        """The present name of a state's table or column in the database; None if it does not exist."""
        table = self.tables.get(table, table)
        if not table or not self.sizes.exists(table):
            return None
        if column is None:
            return table
        column = self.columns.get((table, column), column)
        return column if self.sizes.has_column(table, column) else None


class Part:
    """One operation to reverse."""

    def __init__(self, parts, migration, operation, before, after):
        self.parts, self.migration, self.operation, self.before, self.after = parts, migration, operation, before, after
        self.app, self.connection = migration.app_label, parts.connection

    def look(self):
        """Yields (irreversible|blocked|losses, text)."""
        from django.db.migrations.operations.base import Operation

        operation, text = self.operation, operation_text(self.operation)
        if not operation.reversible or type(operation).database_backwards is Operation.database_backwards:
            yield "irreversible", "%s has no reverse" % self.described(text)
            return
        key, key_after = keys_of(self.app, operation)
        if is_skipped(self.app, operation, key, options_of(self.before, key) or options_of(self.after, key_after), self.connection):
            return
        look = getattr(self, "look_" + kind_of(operation), None)
        if look:
            for part in look(key, key_after):
                yield part

    def described(self, text):
        code = getattr(self.operation, "code", None)
        return "%s (%s)" % (text, code.__name__) if hasattr(code, "__name__") else text

    def look_RunPython(self, _key, _key_after):
        noop = type(self.operation).noop
        if is_noop(self.operation.reverse_code, noop) and not is_noop(self.operation.code, noop):
            yield "losses", "what %s changed stays as it is" % self.described(operation_text(self.operation))

    def look_RunSQL(self, _key, _key_after):
        noop = type(self.operation).noop
        if is_noop(self.operation.reverse_sql, noop) and not is_noop(self.operation.sql, noop):
            yield "losses", "what its SQL changed stays as it is"

    def look_CreateModel(self, key, _key_after):
        table = table_of(self.after, key, self.connection)
        names = [table] + [self.links(key, name) for name, field in dict(self.after.models[key].fields).items() if field.many_to_many]
        for name in names:
            if name:
                for part in from_rows("losses", "the table %s (%%s)" % name, self.rows(name)):
                    yield part

    def look_DeleteModel(self, key, _key_after):
        yield "losses", "the table %s comes back empty" % table_of(self.before, key, self.connection)

    def look_AddField(self, key, key_after):
        field = self.field(self.after, key_after)
        table = table_of(self.after, key_after, self.connection)
        if field["many_to_many"]:
            links = self.links(key_after, self.operation.name)
            if links:
                for part in from_rows("losses", "the table %s (%%s)" % links, self.rows(links)):
                    yield part
        elif field["column"] and not field["generated"]:
            place, column = self.parts.place(table), self.parts.place(table, field["column"])
            where = "%s IS NOT NULL" if field["null"] else "%s <> ''" if field["blank_text"] else "1 = 1"
            rows = self.count(place, where.replace("%s", self.quote(column))) if column else None
            for part in from_rows("losses", "the values in %s.%s (%%s)" % (table, field["column"]), rows):
                yield part

    def look_RemoveField(self, key, _key_after):
        field, table = self.field(self.before, key), table_of(self.before, key, self.connection)
        if field["many_to_many"]:
            links = (field["relation"] or {}).get("links")
            if links:
                yield "losses", "the table %s comes back empty" % links
            return
        if not field["column"]:
            return
        place = self.parts.place(table)
        rows = self.count(place, "1 = 1") if place else 0
        if rows and not self.is_fillable(field):
            yield "blocked", "%s.%s must have a value again and has no default; rows: %s" % (table, field["column"], number(rows))
        elif rows and rows > 1 and (field["unique"] or field["primary_key"]) and not (field["null"] or field["auto"] or field["db_default"]):
            yield "blocked", "%s.%s is unique and would get the same default everywhere; rows: %s" % (table, field["column"], number(rows))
        elif rows and not field["generated"]:
            yield "losses", "%s.%s comes back %s" % (table, field["column"], "empty" if field["null"] else "with its default in every row")

    def look_AlterField(self, key, key_after):
        was, now = self.field(self.before, key), self.field(self.after, key_after)
        table = table_of(self.after, key_after, self.connection)
        place, column = self.parts.place(table), now["column"] and self.parts.place(table, now["column"])
        if not was["column"] or not column:
            return
        name, quoted = "%s.%s" % (table, was["column"]), self.quote(column)
        if now["null"] and not was["null"]:
            rows = self.count(place, "%s IS NULL" % quoted)
            if rows and self.is_fillable(was):
                yield "losses", "%s gets its default where it has no value (%s)" % (name, count_text(rows))
            elif rows:
                yield "blocked", "%s must have a value again; rows without one: %s" % (name, number(rows))
        where = self.narrower(was, now, quoted)
        rows = where and self.count(place, where)
        if rows:
            yield "blocked", "%s becomes %s again; rows that do not fit: %s" % (name, was["db_type"], number(rows))
        if was["unique"] and not now["unique"]:
            for part in self.repeated(name, place, [column]):
                yield part

    def look_AlterUniqueTogether(self, key, key_after):
        was, now = (set(map(tuple, options_of(state, each).get("unique_together") or ())) for state, each in
                    ((self.before, key), (self.after, key_after)))
        for names in sorted(was - now):
            for part in self.unique_again(key, names):
                yield part

    def look_RemoveConstraint(self, key, _key_after):
        found = [each for each in options_of(self.before, key).get("constraints") or () if each.name == self.operation.name]
        for constraint in found:
            fields = getattr(constraint, "fields", ())
            check = getattr(constraint, "_get_check_sql", None)
            if fields and not getattr(constraint, "condition", None):
                for part in self.unique_again(key, fields):
                    yield part
            elif check:
                place = self.parts.place(table_of(self.before, key, self.connection))
                model = self.before.clone().apps.get_model(*key)
                with self.connection.schema_editor(collect_sql=True, atomic=False) as editor:
                    sql = check(model, editor)
                rows = self.count(place, "NOT (%s)" % sql) if place else 0
                if rows:
                    yield "blocked", "the constraint %s comes back; rows that break it: %s" % (constraint.name, number(rows))

    def unique_again(self, key, names):
        table = table_of(self.before, key, self.connection)
        columns = [self.parts.place(table, self.parts.column_in(self.before, key, name)) for name in names]
        if all(columns):
            for part in self.repeated("(%s) of %s" % (", ".join(names), table), self.parts.place(table), columns):
                yield part

    def repeated(self, name, table, columns):
        values = self.duplicates(table, columns)
        if values:
            yield "blocked", "%s becomes unique again; values that occur more than once: %s" % (name, number(values))

    def links(self, key, name):
        """The table that a many-to-many field has of its own, if any."""
        return (self.field(self.after, key, name)["relation"] or {}).get("links")

    def field(self, state, key, name=None):
        name = name or self.operation.name
        return describe_field(state, key, name, dict(state.models[key].fields)[name], self.connection)

    def is_fillable(self, field):
        return any(field[each] for each in ("null", "default", "blank_text", "auto_now", "db_default", "generated", "auto"))

    def narrower(self, was, now, column):
        """A condition for the rows that do not fit the old type; None if all fit, or if the kinds of types differ."""
        if self.connection.vendor == "sqlite" or was["db_type"] == now["db_type"]:
            return None  # SQLite accepts any length
        if was["max_length"] and now["internal"] in TEXTS and was["internal"] in TEXTS:
            length = "char_length" if self.connection.vendor == "mysql" else "length"
            return "%s(%s) > %d" % (length, column, was["max_length"])
        if was["internal"] == now["internal"] == "DecimalField":
            return "abs(%s) >= %d" % (column, 10 ** (was["max_digits"] - was["decimal_places"]))
        if now["internal"].endswith(("IntegerField", "AutoField")) and was["internal"].endswith(("IntegerField", "AutoField")):
            low, high = self.connection.ops.integer_field_range(was["internal"].replace("AutoField", "IntegerField"))
            return "%s < %d OR %s > %d" % (column, low, column, high)
        return None

    def rows(self, table):
        place = self.parts.place(table)
        return self.count(place, "1 = 1") if place else None

    def count(self, table, where):
        """Counts up to a limit, so that a large table is not read to its end."""
        return self.ask("SELECT count(*) FROM (SELECT 1 AS one FROM %s WHERE %s LIMIT %d) AS found" % (self.quote(table), where, MANY))

    def duplicates(self, table, columns):
        names = [self.quote(each) for each in columns]
        present = " AND ".join("%s IS NOT NULL" % each for each in names)
        return self.ask("SELECT count(*) FROM (SELECT 1 AS one FROM %s WHERE %s GROUP BY %s HAVING count(*) > 1 LIMIT %d) AS found"
                        % (self.quote(table), present, ", ".join(names), MANY))

    def ask(self, question):
        with self.connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0]

    def quote(self, name):
        return self.connection.ops.quote_name(name)


MANY = 1000
TEXTS = ("CharField", "SlugField", "TextField", "EmailField", "URLField", "FilePathField", "FileField")


def from_rows(kind, text, rows):
    """Reports nothing if there are no rows. Rows that could not be counted are reported."""
    if rows != 0:
        yield kind, text % count_text(rows)


def count_text(rows):
    return "rows" if rows is None else "%s row%s" % (number(rows), "" if rows == 1 else "s")


def number(rows):
    return "%s%d" % ("at least " if rows >= MANY else "", rows)
