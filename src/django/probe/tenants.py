TENANT_PACKAGES = ("django_tenants", "tenant_schemas")


def find_tenants():
    """The package that gives each tenant a schema with its own tables and migration rows; None without one."""
    from django.apps import apps
    from django.db import connections

    if not hasattr(connections[ALIAS], "set_schema"):
        return None
    return next((name for name in TENANT_PACKAGES if apps.is_installed(name)), "another")


class Tenants:
    """The migrations in the tenants' schemas, beside the public one. Equal histories are surveyed once."""

    def __init__(self, connection):
        self.connection, self.package = connection, find_tenants() if connection else None
        self.schemas, self.surveys, known = [], {}, {}
        for schema, kind in self.read() if self.package in TENANT_PACKAGES else ():
            self.schemas.append(schema)
            with in_schema(connection, schema, kind):
                rows = read_rows(connection)
                key = kind, tuple(sorted(rows.items()))
                if key not in known:
                    known[key] = Survey(ALIAS, connection)
                self.surveys[schema] = kind, known[key]

    def read(self):
        """(schema, kind) of each tenant. If there are kinds of tenants, each kind has its own apps."""
        from django.apps import apps
        from django.conf import settings

        model = apps.get_model(settings.TENANT_MODEL)
        if model._meta.db_table not in self.connection.introspection.table_names():
            return []
        kind = getattr(settings, "MULTI_TYPE_DATABASE_FIELD", "") if getattr(settings, "HAS_MULTI_TYPE_TENANTS", False) else ""
        found = model._base_manager.exclude(schema_name=self.connection.schema_name).order_by("schema_name")
        return found.values_list("schema_name", kind) if kind else [(name, None) for name in found.values_list("schema_name", flat=True)]

    def behind(self):
        """{schema: migrations} of the schemas that lack some."""
        found = {schema: labels((each.app_label, each.name) for each in survey.pending) for schema, (_, survey) in self.surveys.items()}
        return {schema: names for schema, names in found.items() if names}

    def pending(self):
        """{label: migration} of all migrations that a schema lacks."""
        return {"%s.%s" % (each.app_label, each.name): each for _, survey in self.surveys.values() for each in survey.pending}

    def trouble(self):
        for schema, (_, survey) in self.surveys.items():
            trouble = survey.trouble()
            if trouble:
                return (trouble[0], "In the schema %s: %s" % (schema, trouble[1])) + tuple(trouble[2:])
        return None

    def describe(self, described):
        """The pending migrations, with those of tenants."""
        found, looked = list(described), set()
        for schema, (kind, survey) in self.surveys.items():
            if (kind, survey) in looked or not survey.pending:
                continue
            looked.add((kind, survey))
            with in_schema(self.connection, schema, kind):
                found = unskipped(found, describe_pending(survey, self.connection))
        order = {key: place for place, key in enumerate(self.order())} if looked else {}
        return sorted(found, key=lambda each: order.get((each["app"], each["name"]), 0))

    def order(self):
        graph = load_offline().graph
        found = {}  # a dictionary keeps the order
        for leaf in graph.leaf_nodes():
            found.update(dict.fromkeys(graph.forwards_plan(leaf)))
        return list(found)

    def misfits(self):
        for schema, (kind, _) in self.surveys.items():
            with in_schema(self.connection, schema, kind):
                problems = find_misfits(ALIAS, self.connection)
            if problems:
                return [dict(each, text="In the schema %s: %s" % (schema, each["text"])) for each in problems]
        return []

    def facts(self):
        behind = self.behind()
        return self.package and {
            "package": self.package, "schemas": len(self.schemas) if self.package in TENANT_PACKAGES else None,
            "behind": dict(sorted(behind.items())[:20]),
        }

    def say_behind(self):
        """`b (shop.0002), c (shop.0002)`; empty if no schema is behind."""
        found = ["%s (%s)" % (schema, ", ".join(names)) for schema, names in sorted(self.behind().items())]
        return ", ".join(found[:20]) + (" and %d more" % (len(found) - 20) if len(found) > 20 else "")

    def refuse_reverse(self, result):
        if self.package:
            text = "The schemas of tenants are not unapplied here: run `migrate_schemas APP MIGRATION` with the newer image."
            raise Stop(IRREVERSIBLE, "irreversible", text, text, **dict(result, irreversible=[text]))


def unskipped(one, other):
    """Merges two descriptions of pending migrations.

    A router skips an operation in a schema where its app has no tables. Then the other description counts.
    """
    found = {(each["app"], each["name"]): each for each in one}
    for each in other:
        before = found.get((each["app"], each["name"]))
        if before:
            pairs = zip(before["operations"], each["operations"])
            each["operations"] = [first if second["skipped"] and not first["skipped"] else second for first, second in pairs]
        found[each["app"], each["name"]] = each
    return list(found.values())


def tenant_kinds():
    """The kinds of tenants in the settings; [None] if tenants have no kinds."""
    from django.conf import settings

    if not getattr(settings, "HAS_MULTI_TYPE_TENANTS", False):
        return [None]
    return [kind for kind in settings.TENANT_TYPES if kind != getattr(settings, "PUBLIC_SCHEMA_NAME", "public")]


@contextmanager
def in_schema(connection, schema, kind=None):
    """Without the public schema in the search path: its tables would stand in for missing ones."""
    public = connection.schema_name
    connection.set_schema(schema, include_public=False, **({"tenant_type": kind} if kind else {}))
    try:
        yield
    finally:
        to_public(connection, public)


def to_public(connection, public=None):
    if hasattr(connection, "set_schema_to_public"):
        connection.set_schema_to_public()
    elif public:
        connection.set_schema(public)
