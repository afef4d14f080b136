"""What really happens: each row's migrations, the statements of the old models after them, and the way back.

One process for all rows; each row is an app with the migrations `old` (they make the old models) and `new` (those that are judged). Reads
the probe from the file PROBE, and writes one line of JSON: what the probe says of the pending migrations, and what was seen.
"""
import datetime
import decimal
import json
import os
import traceback
import uuid
from contextlib import nullcontext

import django

django.setup()

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, MinValueValidator
from django.db import connection, models, transaction
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

ROWS = json.loads(os.environ["ROWS"])
PARTS = ["read", "insert", "update", "delete"]
HEADER = {"MaxLengthValidator": MaxLengthValidator, "MinValueValidator": MinValueValidator, "uuid": uuid}


def main():
    loader = MigrationLoader(connection)
    recorder = MigrationRecorder(connection)
    recorder.ensure_schema()
    found, pending = {}, []
    for row in ROWS:
        try:
            found[row["app"]] = Row(row, loader)
            for name in row["old"]:
                recorder.record_applied(row["app"], name)
        except Exception as error:
            found[row["app"]] = {"error": "old: " + text_of(error)}
    pending = ask_probe()
    seen = {}
    for row in ROWS:
        made = found[row["app"]]
        try:
            seen[row["app"]] = made.experiment() if isinstance(made, Row) else made
        except Exception as error:
            seen[row["app"]] = {"error": text_of(error), "trace": traceback.format_exc()}
    print(json.dumps({"pending": pending, "seen": seen}))


def ask_probe():
    space = {"__name__": "probe"}
    with open(os.environ["PROBE"]) as file:
        exec(compile(file.read().rsplit("main()", 1)[0], "probe", "exec"), space)
    survey = space["Survey"](connection.alias, connection)
    return space["describe_pending"](survey, connection)


def text_of(error):
    return ("%s: %s" % (type(error).__name__, error)).splitlines()[0]


class Undo(Exception):
    """Ends a transaction without keeping it."""


class Models:
    """Stands for `models` in a part of models.py: keeps the classes, and makes no models of them."""

    def __init__(self, names):
        class Model:
            def __init_subclass__(cls):
                names[cls.__name__] = dict(vars(cls))

        self.Model = Model

    def __getattr__(self, name):
        return getattr(models, name)


class Row:
    def __init__(self, row, loader):
        self.row, self.app = row, row["app"]
        self.old, self.new = ([loader.disk_migrations[self.app, name] for name in row[key]] for key in ("old", "new"))
        self.before = ProjectState()
        for migration in self.old:
            with connection.schema_editor(atomic=migration.atomic) as editor:
                self.before = migration.apply(self.before, editor)
        self.after = self.before.clone()
        self.models = [each for each in self.before.apps.get_models() if each._meta.app_label == self.app]
        self.models = [each for each in self.models if each._meta.managed and not each._meta.proxy]
        self.fill()

    def fill(self):
        """Two rows of each model: different everywhere, and NULL in the second where that may be."""
        # MariaDB checks each statement; the rows that are pointed to may come later.
        with connection.constraint_checks_disabled() if connection.vendor == "mysql" else nullcontext(), transaction.atomic():
            for model in self.models:
                for number in (1, 2):
                    made = model(pk=number, **self.values(model, number, null=number == 2 and self.row["nulls"]))
                    made.save(force_insert=True)
                    for field in self.links(model):
                        getattr(made, field.name).add(number)
            with connection.cursor() as cursor:
                if self.row["set_up"]:
                    cursor.execute(self.row["set_up"])
                if connection.vendor == "postgresql":
                    cursor.execute("SELECT sequencename FROM pg_sequences WHERE sequencename LIKE %s", [self.app + "%"])
                    for (name,) in cursor.fetchall():
                        cursor.execute("SELECT setval('\"%s\"', 1000)" % name)
        # As the old code has them: what the database has made is in them.
        self.rows = {model: {each.pk: each for each in model._default_manager.all()} for model in self.models}

    def values(self, model, number, null=False, largest=False, like=None, loose=False):
        """What the old code may write, by the kinds of the fields."""
        values = {}
        for field in model._meta.local_concrete_fields:
            if field.primary_key or getattr(field, "generated", False) or field.name in self.row["leaves"]:
                continue
            if field.name in self.row["values"] and number < 3:
                values[field.attname] = self.row["values"][field.name][number - 1]
            elif null and field.null:
                values[field.attname] = None
            elif like is not None and not field.unique:
                values[field.attname] = getattr(like, field.attname)
            elif field.remote_field and loose and not field.db_constraint:
                values[field.attname] = 77
            elif field.remote_field and number == 6:
                values[field.attname] = self.target(field).pk
            else:
                values[field.attname] = value_of(field, number, largest)
        return values

    def target(self, field):
        """A new row for a foreign key to point to."""
        model = field.remote_field.model
        made = model(pk=9, **self.values(model, 5))
        made.save()
        return made

    def experiment(self):
        self.was = self.contents()
        seen = self.forwards()
        if "error" not in seen:
            failed = list(self.statements())
            seen["breaks"] = sorted({part for part, _ in failed}, key=PARTS.index)
            seen["errors"] = sorted({"%s: %s" % each for each in failed})
            if self.row["models"] is not None:
                seen["drift"] = list(self.drift())
                seen["newCode"] = list(self.new_statements())
            seen.update(self.backwards())
        return seen

    def forwards(self):
        before, files = self.tables(), self.files()
        locks = {}
        try:
            for migration in self.new:
                with connection.schema_editor(atomic=migration.atomic) as editor:
                    self.after = migration.apply(self.after, editor)
                    for statement in editor.deferred_sql:
                        editor.execute(statement, None)
                    editor.deferred_sql = []
                    if migration.atomic:
                        locks.update(self.locks())
        except Exception as error:
            return {"error": "forwards: " + text_of(error), "trace": traceback.format_exc()}
        now = self.files()
        return {
            "locks": {before[table]: mode for table, mode in locks.items() if table in before},
            "rewritten": sorted(before[table] for table in files if now.get(table, files[table]) != files[table]),
        }

    def tables(self):
        """{its number in the database: name}"""
        return dict(self.ask("SELECT oid, relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s", self.app + "\\_%"))

    def files(self):
        return dict(self.ask("SELECT oid, relfilenode FROM pg_class WHERE relkind = 'r' AND relname LIKE %s", self.app + "\\_%"))

    def locks(self):
        """The strongest lock that this transaction has of each table."""
        order = ["ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "AccessExclusiveLock"]
        found = {}
        for table, mode in self.ask("SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND relation IS NOT NULL"):
            if mode in order and order.index(mode) >= order.index(found.get(table, order[0])):
                found[table] = mode
        return found

    def ask(self, question, *parameters):
        """Of PostgreSQL; the others have no such answers."""
        if connection.vendor != "postgresql":
            return []
        with connection.cursor() as cursor:
            cursor.execute(question, parameters or None)
            return cursor.fetchall()

    def statements(self):
        """(part, error) of each statement of the old models that fails, or whose answer is not of the old kind."""
        for model in self.models:
            rows = self.rows[model]
            yield from self.attempt("read", lambda: self.read(model))
            for number, variant in ((5, {}), (5, {"null": True}), (7, {"largest": True}), (5, {"like": rows[1]}), (5, {"loose": True}), (6, {})):
                yield from self.attempt("insert", lambda: self.insert(model, self.values(model, number, **variant)))
                yield from self.attempt("update", lambda: self.update(rows[2], self.values(model, number, **variant)))
            for field in self.links(model):
                yield from self.attempt("insert", lambda: getattr(rows[1], field.name).add(2))
            for pk in (1, 2):
                yield from self.attempt("delete", lambda: model(pk=pk).delete())

    def links(self, model):
        return [each for each in model._meta.local_many_to_many if each.remote_field.through._meta.auto_created]

    def read(self, model):
        for found in list(model._default_manager.all()):
            was = self.rows[model][found.pk]
            for field in model._meta.local_concrete_fields:
                value, before = getattr(found, field.attname), getattr(was, field.attname)
                if value is not None and before is not None and type(value) is not type(before):
                    raise TypeError("%s is %r instead of %r" % (field.attname, value, before))
            for field in self.links(model):
                list(getattr(found, field.name).all())

    def insert(self, model, values):
        if self.is_written(model, values):
            model(**values).save(force_insert=True)

    def is_written(self, model, values, **row):
        """Whether the code writes this. Code that is `careful` writes only what the new models accept."""
        if not self.row["careful"]:
            return True
        new = self.after.apps.get_model(self.app, model._meta.object_name)
        names = {field.attname for field in new._meta.concrete_fields}
        made = new(**{name: value for name, value in dict(row, **values).items() if name in names})
        made._state.adding = not row
        try:
            made.full_clean()
        except ValidationError:
            return False
        return True

    def new_statements(self):
        """What fails for the new models: they read, insert what they know of, and delete."""
        for model in self.after.apps.get_models():
            if model._meta.app_label == self.app and not model._meta.auto_created:
                yield from ("%s: %s" % each for each in self.attempt("read", lambda: list(model._default_manager.all())))

                def made(model=model):
                    return model(**self.values(model, 3)).save(force_insert=True)

                yield from ("%s: %s" % each for each in self.attempt("insert", made))
                for pk in (1, 2):
                    yield from ("%s: %s" % each for each in self.attempt("delete", lambda: model(pk=pk).delete()))

    def drift(self):
        """What the documented models say and the migrations do not: parts of models, as Python."""
        for text in self.row["models"]:
            names = {}
            exec(text, {**HEADER, "models": Models(names)})
            for name, parts in names.items():
                state = self.after.models[self.app, name.lower()]
                for key, field in parts.items():
                    if isinstance(field, models.Field):
                        wanted, found = field.deconstruct()[1:], dict(state.fields)[key].deconstruct()[1:]
                        if wanted != found:
                            yield "%s.%s is %r in the migrations, not %r" % (name, key, found, wanted)
                for key, value in vars(parts.get("Meta", object)).items():
                    if not key.startswith("_") and state.options.get(key) != value:
                        yield "%s.Meta.%s is %r in the migrations" % (name, key, state.options.get(key))

    def update(self, row, values):
        fields = [each for each in row._meta.local_concrete_fields if not getattr(each, "generated", False)]
        changed = type(row)(**dict({each.attname: getattr(row, each.attname) for each in fields}, **values))
        changed._state.adding = False
        if not self.is_written(type(row), values, **{each.attname: getattr(row, each.attname) for each in fields}):
            return
        changed.save(force_update=True)

    def attempt(self, part, work):
        try:
            with transaction.atomic():
                work()
                if connection.vendor == "postgresql":
                    self.check_now()
                elif connection.vendor == "sqlite":  # MariaDB checks each statement
                    connection.check_constraints()
                raise Undo
        except Undo:
            pass
        except Exception as error:
            yield part, text_of(error)

    def check_now(self):
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def contents(self):
        """{table: {id: {column: value}}}, whatever the models know of it."""
        found = {}
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                if table.startswith(self.app + "_"):
                    cursor.execute("SELECT * FROM %s" % connection.ops.quote_name(table))
                    names = [each[0] for each in cursor.description]
                    rows = [dict(zip(names, row)) for row in cursor.fetchall()]
                    found[table] = {row["id"]: row for row in rows}
        return found

    def backwards(self):
        states = [self.before.clone()]
        for migration in self.new:
            states.append(migration.mutate_state(states[-1]))
        try:
            for migration, state in reversed(list(zip(self.new, states))):
                with connection.schema_editor(atomic=migration.atomic) as editor:
                    migration.unapply(state.clone(), editor)
        except (IrreversibleError, NotImplementedError) as error:
            return {"reverses": "no", "reversing": text_of(error)}
        except Exception as error:
            return {"reverses": "fails", "reversing": text_of(error)}
        lost = difference(self.was, self.contents())
        return {"reverses": "loses" if lost else "fully", "reversing": lost}


def difference(was, now):
    for table in sorted(set(was) | set(now)):
        for row in sorted(set(was.get(table, ())) | set(now.get(table, ()))):
            before, after = was.get(table, {}).get(row), now.get(table, {}).get(row)
            if before != after:
                return "%s %s: %s instead of %s" % (table, row, after, before)
    return ""


def value_of(field, number, largest):
    """Different for each number; `largest` is what the column only just takes."""
    kind = field.get_internal_type()
    if field.remote_field:
        return 1 if number > 2 else number
    if kind in ("CharField", "SlugField", "FilePathField", "FileField"):
        length = field.max_length or 200
        return ("%d" % number) * length if largest else ("value%d" % number)[-length:]
    if kind == "TextField":
        return "%d" % number * 1000 if largest else "value%d" % number
    if kind in ("IntegerField", "BigIntegerField", "SmallIntegerField"):
        most = {"IntegerField": 2**31 - 1, "BigIntegerField": 2**63 - 1, "SmallIntegerField": 2**15 - 1}[kind]
        return most if largest else -number * 10 if number == 5 else number * 10
    if kind.startswith("Positive"):
        most = {"PositiveIntegerField": 2**31 - 1, "PositiveBigIntegerField": 2**63 - 1, "PositiveSmallIntegerField": 2**15 - 1}[kind]
        return most if largest else number * 10
    if kind == "DecimalField":
        places = decimal.Decimal(1).scaleb(-field.decimal_places)
        return decimal.Decimal(10) ** (field.max_digits - field.decimal_places) - places if largest else number * 3 + places
    if kind == "FloatField":
        return 1e300 if largest else number + 0.25
    if kind == "BooleanField":
        return number % 2 == 0
    if kind == "DateField":
        return datetime.date(2020, 1, number)
    if kind == "DateTimeField":
        return datetime.datetime(2020, 1, number, 13, 14, 15, 160000, tzinfo=datetime.timezone.utc)
    if kind == "TimeField":
        return datetime.time(number, 10)
    if kind == "DurationField":
        return datetime.timedelta(hours=number)
    if kind == "UUIDField":
        return uuid.UUID(int=number)
    if kind == "JSONField":
        return {"number": number}
    if kind == "BinaryField":
        return b"%d" % number
    if kind == "GenericIPAddressField":
        return "10.0.0.%d" % number
    if kind == "OrderWrt":
        return number
    if kind in ("IntegerRangeField", "BigIntegerRangeField"):
        return [number, 2**31 - 1 if kind == "IntegerRangeField" or not largest else 2**63 - 1]
    if kind == "SearchVectorField":
        return "value%d" % number
    if kind == "ArrayField":
        return [value_of(field.base_field, number, largest)]
    raise NotImplementedError(kind)


main()
