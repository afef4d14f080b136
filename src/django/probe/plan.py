def list_migrations(_out):
    protect_databases("nothing")
    for alias in listed_aliases():
        check_alias(alias, may_ask=False)
    loader = load_offline()
    found = [describe_migration(loader, loader.disk_migrations[key]) for key in sorted(loader.disk_migrations)]
    # Every database records every migration, also those that routers keep from its tables.
    others = [{"alias": alias, "migrations": found} for alias in named_aliases() if alias != ALIAS]
    return PLANNED, dict(
        versions(), settings=describe_settings(), migrations=found, models_drift=find_drift(loader), elsewhere=find_elsewhere(False),
        unmigrated=find_unmigrated(loader, None), serving=find_serving(), others=others,
        digest=plan_digest({alias: {"pending": found, "applied": [], "unknown": []} for alias in named_aliases()}),
    )


def plan(_out):
    protect_databases("read")
    found, stops = {}, []
    for alias in listed_aliases():
        with about(alias):
            check_alias(alias)
            found[alias], trouble = plan_database(alias)
        stops += [within(Stop(UNSOUND, *trouble), alias)] if trouble else []
    result = dict(
        versions(), settings=describe_settings(), drift=find_drift(load_offline()), digest=plan_digest(found),
        others=[found[alias] for alias in found if alias != ALIAS], **found[ALIAS]
    )
    if stops:
        stops[0].result.update(result)
        raise stops[0]
    result["unmigrated"] = find_unmigrated(load_offline(), open_database())
    result["serving"] = find_serving()
    result["elsewhere"] = find_elsewhere(True)
    return PLANNED, result


def plan_database(alias):
    """What a plan says about one database, and None or why it must not be migrated."""
    connection = open_database(alias)
    survey = Survey(alias, connection)
    tenants = Tenants(connection)
    pending = tenants.describe(describe_pending(survey, connection))
    trouble = survey.trouble() or tenants.trouble()
    # Only if newer code migrated this database and nothing is pending: a pending migration may still change the misfits.
    problems = describe_misfits(alias, connection) if survey.unknown and not pending and not trouble else []
    return dict(
        alias=alias, tenants=tenants.facts(), database=describe_database(alias, connection, survey.rows), pending=pending, problems=problems,
        dump=describe_dump(connection), invalid=find_invalid_indexes(connection), **survey.facts()
    ), trouble


def find_elsewhere(may_ask):
    """{alias: migrations} that routers send to other databases and that are unapplied there: nothing here applies them."""
    from django.db import Error, connections

    found = {}
    for alias in connections:
        sent = set() if alias in named_aliases() else {model._meta.app_label for model in models_with_tables() if is_sent(alias, model)}
        if not sent:
            continue
        connection = connections[alias]
        there = may_ask and (connection.vendor != "sqlite" or os.path.exists(str(connection.settings_dict["NAME"])))
        try:
            if why_replica(connection, there):
                continue
            pending = Survey(alias, connection if there else None).pending
        except (Error, Stop) as error:
            say("The database %s could not be inspected: %s" % (alias, last_line(error)))
            continue
        found[alias] = labels((each.app_label, each.name) for each in pending if each.app_label in sent)
    return found


def is_sent(alias, model):
    """Whether a router says so. Without an opinion, Django allows everything everywhere, also on replicas."""
    from django.db import router

    app, name = model._meta.app_label, model._meta.model_name
    for each in router.routers:
        said = each.allow_migrate(alias, app, model_name=name, model=model) if hasattr(each, "allow_migrate") else None
        if said is not None:
            return said
    return False


def plan_digest(found):
    """Identifies what decides a deployment. The caller knows the release, and names its images."""
    decides = {alias: decisive(each) for alias, each in found.items()}
    whole = dict(decides.pop(ALIAS), images=sorted(os.environ.get("DEPLOY_DJANGO_IMAGES", "").split()))
    if decides:
        whole["others"] = decides
    return digest(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode())


def decisive(found):
    pending = [["%s.%s" % (each["app"], each["name"]), each["source"]] for each in found["pending"]]
    return {"applied": found["applied"], "unknown": found["unknown"], "pending": pending}


def describe_settings():
    from django.conf import settings

    header = settings.SECURE_PROXY_SSL_HEADER
    return {
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS], "ssl_redirect": bool(settings.SECURE_SSL_REDIRECT),
        "proxy_ssl_header": [str(part) for part in header] if header else None, "debug": bool(settings.DEBUG),
        "static": describe_static(), "media_root": str(settings.MEDIA_ROOT) if settings.MEDIA_ROOT else None,
    }


def describe_static():
    """The folder that collectstatic writes to, if any."""
    from django.apps import apps
    from django.contrib.staticfiles.storage import staticfiles_storage

    if not apps.is_installed("django.contrib.staticfiles"):
        return {"kind": "none", "why": "django.contrib.staticfiles is not in INSTALLED_APPS"}
    try:
        return {"kind": "folder", "root": os.path.abspath(staticfiles_storage.path(""))}
    except NotImplementedError:
        return {"kind": "elsewhere"}
    except Exception as error:
        return {"kind": "none", "why": last_line(error)}


def verify(_out):
    protect_databases("read")
    found, stops = {}, []
    for alias in listed_aliases():
        with about(alias):
            found[alias], trouble = verify_database(alias)
        stops += [within(Stop(*trouble), alias)] if trouble else []
    result = dict(found.pop(ALIAS), others=list(found.values()))
    if stops:
        stops[0].result.update(result)
        raise stops[0]
    return PLANNED, result


def verify_database(alias):
    """The state of the database, and its problem or None."""
    connection = open_database(alias)
    survey, tenants = Survey(alias, connection), Tenants(connection)
    pending = labels((each.app_label, each.name) for each in survey.pending)
    result = {
        "alias": alias, "database": describe_database(alias, connection, survey.rows), "pending": pending, "unknown": labels(survey.unknown),
        "duplicates": labels(survey.duplicates), "rows": sum(survey.rows.values()),
    }
    trouble = survey.trouble() or tenants.trouble()
    if trouble:
        return result, (UNSOUND,) + trouble
    if pending:
        return result, (NOT_MIGRATED, "pending", "Not applied: %s." % ", ".join(pending))
    if tenants.behind():
        return result, (NOT_MIGRATED, "pending", "Not applied in schemas of tenants: %s." % tenants.say_behind())
    return result, None
