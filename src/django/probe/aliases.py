def named_aliases():
    """The databases of the input `databases`, in order."""
    return os.environ.get("DEPLOY_DJANGO_DATABASES", "").split() or [ALIAS]


def known_aliases(more=()):
    """The databases to use that the settings have: older code may lack one."""
    from django.db import connections

    return [alias for alias in dict.fromkeys(named_aliases() + list(more)) if alias in connections]


def listed_aliases():
    from django.db import connections

    missing = [alias for alias in named_aliases() if alias not in connections]
    if missing:
        refuse_alias(missing[0], "DATABASES of the settings does not have it", "DATABASES has %s" % ", ".join(connections))
    return named_aliases()


def check_alias(alias, may_ask=True):
    """Refuses a database other than `default` that must not be migrated, or that would be migrated twice."""
    from django.db import connections

    if alias == ALIAS:
        return
    why = why_replica(connections[alias], may_ask)
    if why:
        refuse_alias(alias, "it is a replica or read-only, so nothing can be migrated there", why)
    if find_tenants():
        refuse_alias(alias, "the settings give each tenant a schema, and then only `default` can be migrated here")
    identity = identify(alias, may_ask)
    aliases = listed_aliases()
    for other in [ALIAS] + aliases[:aliases.index(alias)] if identity else ():
        with about(other):
            is_same = identify(other, may_ask) == identity
        if is_same:
            why = "it is the same database as %s" % other
            refuse_alias(alias, why, "Another schema of one database shares its lock, and cannot be listed either.")


def refuse_alias(alias, why, detail=""):
    raise Stop(ALIAS_REFUSED, "alias-refused", "The input `databases` lists %s: %s." % (alias, why), detail)


def why_replica(connection, may_ask=True):
    """None, or what shows that the database is a copy of another one, or that this user can only read it."""
    mirrored = (connection.settings_dict.get("TEST") or {}).get("MIRROR")
    if mirrored:
        return "TEST of its settings says MIRROR: %s" % mirrored
    if connection.vendor == "sqlite":
        return why_read_only_file(connection)
    if not may_ask:
        return None
    if connection.vendor == "mysql":
        variables = dict(ask_rows(connection, "SHOW GLOBAL VARIABLES LIKE '%read_only'"))
        return why_read_only_server(variables, [row[0] for row in ask_rows(connection, "SHOW GRANTS")])
    if connection.vendor != "postgresql":
        return None
    if ask(connection, "SELECT pg_is_in_recovery()"):
        return "pg_is_in_recovery() is true"
    if ask(connection, "SHOW default_transaction_read_only") == "on":
        return "default_transaction_read_only is on"
    return None


def why_read_only_file(connection):
    option = re.search(r"^file:.*[?&](mode=ro|immutable=1)\b", str(connection.settings_dict["NAME"]))
    if option:
        return "NAME of its settings says %s" % option.group(1)
    path = sqlite_path(connection)
    if path and os.path.exists(path) and not os.access(path, os.W_OK):
        return "user %d of this container may not write to %s" % (os.geteuid(), path)
    return None


def why_read_only_server(variables, grants):
    """`read_only` does not stop a user with one of these global rights; the other values stop everybody."""
    for name, value in (("super_read_only", "ON"), ("innodb_read_only", "ON"), ("read_only", "NO_LOCK_NO_ADMIN")):
        if variables.get(name) == value:
            return "%s is %s" % (name, value)
    everywhere = [grant[len("GRANT "):].split(" ON *.* ")[0] for grant in grants if " ON *.* " in grant]
    rights = {right.strip() for grant in everywhere for right in grant.split(",")}
    if variables.get("read_only", "OFF") != "OFF" and not rights & {"ALL PRIVILEGES", "SUPER", "CONNECTION_ADMIN", "READ_ONLY ADMIN"}:
        return "read_only is %s, and USER of its settings may not write nevertheless" % variables["read_only"]
    return None


def identify(alias, may_ask=True):
    """What only this database has, whatever the settings call it; None if that is not known."""
    from django.db import connections

    connection = connections[alias]
    if connection.vendor == "sqlite":
        path = sqlite_path(connection)
        return path and ("sqlite", os.path.realpath(path))
    question = {
        "postgresql": "SELECT pg_postmaster_start_time()::text || ' ' || oid FROM pg_database WHERE datname = current_database()",
        "mysql": "SELECT CONCAT_WS(' ', @@hostname, @@port, DATABASE())",
    }.get(connection.vendor)
    if question and may_ask:
        return connection.vendor, ask(connection, question)
    settings = connection.settings_dict
    return connection.vendor, settings.get("HOST"), settings.get("PORT"), settings.get("NAME")


@contextmanager
def about(alias):
    """An error in here names this database."""
    try:
        yield
    except Stop:
        raise
    except Exception as error:
        raise explain(error, alias)


@contextmanager
def concerning(alias):
    """Adds the name of the database to a `Stop` raised in this block."""
    try:
        yield
    except Stop as stop:
        raise within(stop, alias)


def in_other(alias, text):
    """`text` with the alias filled in; empty for `default`."""
    return "" if alias == ALIAS else text % alias


def within(stop, alias):
    """Says in which database it is what stopped the verb."""
    error = stop.result["error"]
    error["message"] = in_other(alias, "In the database %s: ") + error["message"]
    return stop
