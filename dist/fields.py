def describe_field(state, key, name, field, connection):
    from django.db.models import NOT_PROVIDED

    db_default = getattr(field, "db_default", NOT_PROVIDED)
    default = field.default if field.has_default() and not callable(field.default) else NOT_PROVIDED
    blank_text = bool(not field.null and field.blank and field.empty_strings_allowed)
    return {
        "name": name, "type": kind_of(field), "internal": field.get_internal_type(), "column": column_of(field, name),
        "db_type": type_of(state, key, field, connection), "check": check_of(field, name, connection),
        "null": bool(field.null), "default": bool(field.has_default()), "blank_text": blank_text,
        "auto_now": bool(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)),
        "default_code": "''" if default is NOT_PROVIDED and blank_text else None if default is NOT_PROVIDED else code_of(default),
        "db_default": db_default is not NOT_PROVIDED and getattr(db_default, "value", db_default) is not None,
        "db_default_code": None if db_default is NOT_PROVIDED else code_of(db_default), "computed_default": hasattr(db_default, "resolve_expression") and not hasattr(db_default, "value"),
        "generated": bool(getattr(field, "generated", False)), "unique": bool(field.unique), "db_index": bool(field.db_index),
        "primary_key": bool(field.primary_key), "auto": field.get_internal_type() in AUTO, "max_length": field.max_length,
        "max_digits": getattr(field, "max_digits", None), "decimal_places": getattr(field, "decimal_places", None),
        "collation": getattr(field, "db_collation", None), "comment": getattr(field, "db_comment", None),
        "relation": relation_of(state, key, name, field, connection), "many_to_many": bool(field.many_to_many),
        "code": code_of(field),
    }


AUTO = ("AutoField", "BigAutoField", "SmallAutoField")


def relation_of(state, key, name, field, connection):
    if not field.remote_field:
        return None
    target, links = related_key(field, key), None
    if field.many_to_many and not getattr(field.remote_field, "through", None):
        links = link_table(table_of(state, key, connection), name, field, connection)
    return {
        "to": "%s.%s" % target, "table": table_of(state, target, connection), "links": links,
        "constraint": bool(getattr(field.remote_field if field.many_to_many else field, "db_constraint", True)),
        "on_delete": getattr(getattr(field.remote_field, "on_delete", None), "__name__", None),
    }


def related_key(field, key):
    to = field.remote_field.model
    if not isinstance(to, str):
        return to._meta.app_label, to._meta.model_name
    if to == "self":
        return key
    app, _, model = to.lower().rpartition(".")
    return app or key[0], model


def type_of(state, key, field, connection, depth=0):
    """The type of the column; None if there is no column, or if the type cannot be known without the models."""
    try:
        if not field.remote_field:
            return field.db_type(connection)
        target = target_field(state, key, field)
        if field.many_to_many or target is None or depth > 8:
            return None
        if target.remote_field:
            return type_of(state, related_key(field, key), target, connection, depth + 1)
        return target.rel_db_type(connection)
    except Exception:
        return None


def target_field(state, key, field):
    from django.apps import apps

    target = related_key(field, key)
    wanted = (getattr(field, "to_fields", None) or [None])[0]
    if target in state.models:
        fields = dict(state.models[target].fields)
    else:
        fields = {each.name: each for each in apps.get_model(*target)._meta.local_concrete_fields}
    for name, each in fields.items():
        if each.primary_key if wanted is None else name == wanted:
            return each
    return None


def check_of(field, name, connection):
    try:
        named = field.clone()
        named.set_attributes_from_name(name)
        return None if field.remote_field else named.db_check(connection)
    except Exception:
        return None


def code_of(thing):
    """As a migration writes it; None if a migration cannot write it."""
    from django.db.migrations.serializer import serializer_factory

    try:
        return serializer_factory(thing).serialize()[0]
    except Exception:
        return None
