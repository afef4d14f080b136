def describe_pending(survey, connection):
    """Each pending migration with the facts that a verdict needs about its operations."""
    try:
        found = Walk(survey, connection).all()
    except Exception as error:
        if not survey.trouble():
            raise
        say("The operations could not be inspected: %s" % last_line(error))
        found = {}  # an unsound history has no state of the models to follow
    return [
        dict(
            describe_migration(survey.loader, each), atomic=bool(each.atomic), operations=found.get(each, []),
            needs=needs_of(survey, each),
        )
        for each in survey.pending
    ]


def needs_of(survey, migration):
    """The pending migrations that must be applied before this one, and unapplied after it."""
    pending = {(each.app_label, each.name) for each in survey.pending}
    node = survey.loader.graph.node_map.get((migration.app_label, migration.name))
    return labels(sorted(parent.key for parent in node.parents if parent.key in pending)) if node else []


def unknown_to_serving(alias):
    """The applied migrations that the code that serves does not have."""
    answer = given("SERVES") if "DEPLOY_DJANGO_SERVES" in os.environ else {}
    answers = {each.get("alias", ALIAS): each for each in [answer] + answer.get("others", [])}
    return set(answers.get(alias, {}).get("unknown", ()))


class Walk:
    """Follows the pending migrations, with the state of the models before and after each operation.

    `old` is the state that the current release's code knows. After a rollback of the code alone, the database is ahead of
    it. DEPLOY_DJANGO_SERVES is what that code answered to `verify`; by default, it knows all applied migrations.
    """

    def __init__(self, survey, connection):
        from django.db import connections

        self.survey, self.loader = survey, survey.loader
        self.open = connection
        self.connection = connections[survey.alias]
        self.tables = Tables(connection)
        self.tables_before, self.columns_before = {}, {}  # {new name: old name} of what this plan renames
        ahead = unknown_to_serving(survey.alias)
        applied = [key for key in self.keys() if key in self.loader.applied_migrations]
        known = [key for key in applied if set(labels(survey.expand(key))) - ahead]
        self.state = self.state_of(applied)
        self.applied = self.state.clone()
        self.old = Known(self.applied if known == applied else self.state_of(known), self.connection)

    def keys(self):
        """Every migration, each after its dependencies."""
        found = {}  # a dictionary keeps the order
        for leaf in self.loader.graph.leaf_nodes():
            found.update(dict.fromkeys(self.loader.graph.forwards_plan(leaf)))
        return list(found)

    def state_of(self, keys):
        from django.db.migrations.state import ProjectState

        state = ProjectState(real_apps=self.loader.unmigrated_apps)
        for key in keys:
            self.loader.graph.nodes[key].mutate_state(state, preserve=False)
        return state

    def all(self):
        found = {}
        for migration in self.survey.pending:
            lines = operation_lines(self.loader, migration)
            found[migration] = [
                dict(self.one(migration.app_label, operation, self.state), line=lines[place] if lines else None)
                for place, operation in enumerate(migration.operations)
            ]
        self.forgive_moved(found)
        return found

    def forgive_moved(self, found):
        """Forgets what the code gives up in one operation and has again at the end, such as a model that moves to another app.

        Nothing is said about a table that RunSQL names later: it may rename the table, or drop its foreign key.
        """
        operations = [facts for each in found.values() for facts in each]
        if not any(facts.get("abandoned") or facts.get("enforced") for facts in operations):
            return
        (columns, links), later = self.kept(), []
        for facts in reversed(operations):
            if "abandoned" in facts:
                facts["abandoned"] = [
                    each for each in facts["abandoned"]
                    if not is_named(each["table"], later) and (self.first(each["table"]), each["column"]) not in columns
                ]
                facts["enforced"] = [
                    each for each in facts["enforced"]
                    if not is_named(each["table"], later) and (self.first(each["table"]), self.first(each["to"])) not in links
                ]
            for part in [facts] + facts.get("nested", []):
                if "sql" in part:
                    later += [part["sql"]["statements"]]

    def kept(self):
        """What the code knows at the end, by the names before this plan: (columns, foreign keys)."""
        columns, links = set(), set()
        for key, model in self.state.models.items():
            table = table_of(self.state, key, self.connection)
            for name, field in dict(model.fields).items():
                column = column_of(field, name)
                columns.add((self.first(table), self.columns_before.get((table, column), column)))
            for field in self.relations(self.state, key):
                links.update((self.first(each["table"]), self.first(each["to"])) for _, each in enforced_links(field, key, table))
        return columns, links

    def first(self, table):
        """The name of a table before this plan."""
        return self.tables_before.get(table, table)

    def one(self, app, operation, state):
        """One operation; moves `state` past it."""
        facts = {
            "kind": kind_of(operation), "text": operation_text(operation), "own": own_code(operation), "skipped": False,
            "reversible": False, "links": [], "referrers": [], "relations": [], "order": [None, None],
        }
        look = self.look(app, operation, state, facts)
        try:
            next(look)
        except Exception as error:
            look = unreadable(facts, error)
        operation.state_forwards(app, state)
        try:
            next(look, None)
        except Exception as error:
            next(unreadable(facts, error))
        return facts

    def look(self, app, operation, state, facts):
        """Fills the facts: first with the state before the operation, then with the state after it."""
        from django.db.migrations.operations.fields import FieldOperation

        if hasattr(operation, "database_operations"):
            inner = state.clone()
            facts["nested"] = [self.one(app, part, inner) for part in operation.database_operations]
            facts.update(self.given_up(app, operation, state))
        key, key_after = keys_of(app, operation)
        name = operation.name if isinstance(operation, FieldOperation) else None
        before, table = self.field(state, key, name), table_of(state, key, self.connection)
        options = dict(options_of(state, key))  # a copy: before Django 4.0 an operation changes them in place
        if facts["kind"] == "RenameModel":
            facts["links"] = [self.about(each) for each in self.links(state, key)]
        if facts["kind"] == "AlterField" and before["unique"]:
            facts["referrers"] = self.referrers(state, key, before)
        if facts["kind"] == "DeleteModel":
            facts["relations"] = self.relations(state, key)
        yield
        options_after, table_after = options_of(state, key_after), table_of(state, key_after, self.connection)
        if facts["kind"] == "CreateModel":
            facts["relations"] = self.relations(state, key)
        if key:
            facts["model"] = model_name(operation)
            facts["table"] = dict(self.about(table or table_after), after=table_after)
        if name:
            after = self.field(state, key, getattr(operation, "new_name", name), getattr(operation, "field", None))
            facts["field"] = dict(self.about_field(table, before or after), name=name, before=before, after=after)
            if before and after and before["column"] != after["column"]:
                self.columns_before[table, after["column"]] = self.columns_before.get((table, before["column"]), before["column"])
        if "nested" not in facts and table and table_after and table != table_after:
            self.tables_before[table_after] = self.tables_before.get(table, table)
        for option in ("unique_together", "index_together"):
            was, now = (set(map(tuple, each.get(option) or ())) for each in (options, options_after))
            added = [self.columns(state, key_after, names) for names in sorted(now - was)]
            facts[option] = {"added": added, "removed": len(was - now)}
        facts["order"] = [each.get("order_with_respect_to") for each in (options, options_after)]
        if hasattr(operation, "constraint"):
            facts["constraint"] = self.constraint(state, key, operation.constraint)
        if hasattr(operation, "index"):
            facts["index"] = code_of(operation.index)
        facts.update(self.free(operation))
        facts["skipped"] = is_skipped(app, operation, key, options or options_after, self.connection)
        facts["reversible"] = is_reversible(operation, (before, self.field(self.applied, key, name)), facts.get("nested"))

    def about(self, table):
        """`known`: the current release's code uses the table. `exists`: the table exists before this plan."""
        before = self.tables_before.get(table, table)
        exists = self.tables.exists(before) if self.open else self.old.has_table(before)
        return dict(self.tables.size(before), name=table, known=self.old.has_table(before), exists=exists)

    def about_field(self, table, field):
        links = field and (field["relation"] or {}).get("links")
        if not links:
            return self.about_column(table, field and field["column"])
        return {key: value for key, value in self.about(links).items() if key in ("known", "exists")}

    def about_column(self, table, column):
        table_before, before = self.tables_before.get(table, table), self.columns_before.get((table, column), column)
        exists = self.tables.has_column if self.open else self.old.has_column
        return {"known": self.old.has_column(table_before, before), "exists": exists(table_before, before)}

    def links(self, state, key):
        """The tables of the many-to-many fields from and to a model: their columns contain its name."""
        found = []
        for other, model in state.models.items():
            for name, field in dict(model.fields).items():
                if field.many_to_many and key in (other, related_key(field, other)) and not getattr(field.remote_field, "through", None):
                    found.append(link_table(table_of(state, other, self.connection), name, field, self.connection))
        return sorted(set(found))

    def referrers(self, state, key, field):
        """The tables whose foreign keys point to a field and get its type."""
        found = set(self.links(state, key) if field["primary_key"] else ())
        for other, model in state.models.items():
            for name, each in dict(model.fields).items():
                if each.remote_field and not each.many_to_many and related_key(each, other) == key:
                    target = target_field(state, other, each)
                    if target is dict(state.models[key].fields).get(field["name"]):
                        found.add(table_of(state, other, self.connection))
        return [self.about(table) for table in sorted(found)]

    def relations(self, state, key):
        """The foreign keys of a model: its rows prevent the deletion of the rows that they point to."""
        if key not in state.models:
            return []
        return [self.field(state, key, name) for name, field in dict(state.models[key].fields).items() if field.remote_field]

    def field(self, state, key, name, given=None):
        """`given` is the field in the operation itself: it has the default for existing rows."""
        found = state.models.get(key) if key and name else None
        field = dict(found.fields).get(name) if found else None
        if field is None:
            return None
        found = describe_field(state, key, name, given or field, self.connection)
        if found["relation"]:
            found["relation"]["exists"] = self.about(found["relation"]["table"])["exists"]
        return found

    def columns(self, state, key, names):
        """The columns of a model's fields, by the names in a constraint."""
        found = []
        for name in names:
            field = self.field(state, key, name.lstrip("-"))
            if field is None:
                return None
            known = self.about_column(table_of(state, key, self.connection), field["column"])["known"]
            found.append({"name": name, "known": known, "null": field["null"] and not field["db_default"]})
        return found

    def constraint(self, state, key, found):
        check = getattr(found, "condition", None) or getattr(found, "check", None)
        names = list(getattr(found, "fields", ()) or getattr(check, "referenced_base_fields", ()))
        return {
            "type": kind_of(found), "name": found.name, "code": code_of(found),
            "columns": self.columns(state, key, names) if names else None,
            # Then Django creates a unique index instead of a constraint.
            "indexed": any(getattr(found, each, None) for each in ("condition", "include", "opclasses", "expressions")),
            "nulls_distinct": getattr(found, "nulls_distinct", None) is not False,
        }

    def given_up(self, app, operation, state):
        """What the code drops but the database keeps: columns that an INSERT then has to fill, and foreign keys.

        The database refuses to delete the rows that these point to.
        """
        columns, links, inner = [], [], state.clone()
        for part in [] if operation.database_operations else operation.state_operations:
            key = keys_of(app, part)[0]
            table = table_of(inner, key, self.connection)
            kind, skipped = kind_of(part), is_skipped(app, part, key, options_of(inner, key), self.connection)
            field = self.field(inner, key, part.name) if kind == "RemoveField" and not skipped else None
            if field and field["column"] and not (field["null"] or field["db_default"] or field["generated"]):
                columns.append({"table": table, "column": field["column"], "code": field["code"]})
            gone = [field] if field else self.relations(inner, key) if kind == "DeleteModel" and not skipped else []
            links += [link for each in gone for link in enforced_links(each, key, table)]
            part.state_forwards(app, inner)
        return {"abandoned": columns, "enforced": [link for key, link in links if key in inner.models]}

    def free(self, operation):
        """For RunPython and RunSQL: how they are reversed, and the SQL. For an extension: whether the database has it."""
        facts = {}
        if kind_of(operation).endswith("Extension"):
            facts["extension"] = {"name": operation.name, "exists": self.has_extension(operation.name)}
        for way, reverse in (("code", "reverse_code"), ("sql", "reverse_sql")):
            if hasattr(operation, reverse) and hasattr(operation, way):
                noop, given = getattr(type(operation), "noop", None), getattr(operation, reverse)
                facts["noop"] = is_noop(getattr(operation, way), noop)
                facts["reverse"] = "none" if given is None else "noop" if is_noop(given, noop) else "given"
        if hasattr(operation, "reverse_sql"):
            statements = statements_of(operation.sql)
            words = set(re.findall(r"\w+", " ".join(statements or ()).lower()))
            names = [each for each in sorted(set(self.old.tables) | set(self.tables.names().values())) if each.lower() in words]
            facts["sql"] = {"statements": statements, "tables": [
                dict(self.about(name), columns=self.tables.columns(name), uses=self.old.columns(name)) for name in names
            ]}
        return facts


    def has_extension(self, name):
        if not self.open or self.open.vendor != "postgresql":
            return False
        with self.open.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_extension WHERE extname = %s", [name])
            return cursor.fetchone() is not None


def is_named(table, sql):
    """Whether one of these lists of statements has the table's name; a list of None is too long to be read."""
    return any(each is None or re.search(r"\b%s\b" % re.escape(table), " ".join(each), re.I) for each in sql)


def unreadable(facts, error):
    """The facts of an operation that the probe could not read."""
    say_traceback(error)
    facts["unreadable"] = last_line(error)
    yield


def kind_of(thing):
    """Its class in Django, or the nearest Django class above it; the full name if there is neither."""
    for base in type(thing).__mro__:
        if base.__module__.startswith("django.") and base.__name__ not in ABSTRACT:
            return base.__name__
    return "%s.%s" % (type(thing).__module__, type(thing).__qualname__)


ABSTRACT = ("Operation", "Field", "FieldOperation", "ModelOperation", "ModelOptionOperation", "IndexOperation",
            "AlterTogetherOptionOperation", "CollationOperation", "NotInTransactionMixin", "BaseConstraint")


def own_code(operation):
    """The class, if it overrides what its Django class does to the database."""
    for base in type(operation).__mro__:
        if "database_forwards" in vars(base) or "database_backwards" in vars(base):
            if base.__module__.startswith("django."):
                return None
            return "%s.%s" % (type(operation).__module__, type(operation).__qualname__)
    return None


def operation_text(operation):
    try:
        return str(operation.describe())
    except Exception:
        return type(operation).__name__


def operation_lines(loader, migration):
    """The line of each operation in the file; None if the file has no plain list of them."""
    try:
        for item in ast.parse(read_source(loader, migration)).body:
            for line in item.body if isinstance(item, ast.ClassDef) and item.name == "Migration" else ():
                named = isinstance(line, ast.Assign) and any(getattr(target, "id", None) == "operations" for target in line.targets)
                if named and isinstance(line.value, ast.List) and len(line.value.elts) == len(migration.operations):
                    return [each.lineno for each in line.value.elts]
    except (SyntaxError, ValueError):
        pass
    return None


def enforced_links(field, key, table):
    """(key of a model, its table and the table that points to it) as long as the database enforces the field."""
    relation = field["relation"]
    if not relation or not relation["constraint"] or relation["on_delete"] == "DO_NOTHING":
        return
    to = tuple(relation["to"].split("."))
    if relation["links"]:
        yield key, {"table": relation["links"], "to": table}
    if relation["links"] or field["column"]:
        yield to, {"table": relation["links"] or table, "to": relation["table"]}


def keys_of(app, operation):
    """The keys of the operation's model, before and after it; None twice if it has no model."""
    from django.db.migrations.operations.models import ModelOperation

    name = model_name(operation)
    if not name:
        return None, None
    now = getattr(operation, "new_name", name) if isinstance(operation, ModelOperation) else name
    return (app, name.lower()), (app, now.lower())


def model_name(operation):
    from django.db.migrations.operations.models import ModelOperation

    return operation.name if isinstance(operation, ModelOperation) else getattr(operation, "model_name", None)


def is_skipped(app, operation, key, options, connection):
    """Whether it does not touch this database: a router excludes it, or the model has no table of its own here."""
    from django.db import router

    if not key:
        return not hasattr(operation, "database_operations") and not router.allow_migrate(
            connection.alias, app, **(getattr(operation, "hints", None) or {})
        )
    vendor = options.get("required_db_vendor") or connection.vendor
    if options.get("managed") is False or options.get("proxy") or is_swapped(options, key) or vendor != connection.vendor:
        return True
    return not router.allow_migrate(connection.alias, app, model_name=key[1])


def is_noop(given, noop):
    return noop is not None and (given is noop or given == noop or given == [])


def statements_of(sql):
    """The texts of RunSQL, without parameters; None if they are too long to be sent."""
    if isinstance(sql, (list, tuple)):
        texts = [each if isinstance(each, str) else each[0] for each in sql]
    else:
        texts = [sql]
    return texts if sum(map(len, texts)) <= 20000 else None


def is_reversible(operation, fields, nested):
    """`operation.reversible` is not enough: it ignores nested operations and columns that cannot be filled again."""
    if nested is not None:
        return all(part["reversible"] for part in nested)
    if kind_of(operation) == "RemoveField":
        fillable = ("null", "default", "blank_text", "auto_now", "db_default", "generated", "many_to_many", "primary_key")
        if not all(any(field[way] for way in fillable) for field in fields if field):
            return False  # NOT NULL without any default: existing rows would have no value for it
    return bool(operation.reversible)
