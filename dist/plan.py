def list_migrations(_out):
    protect_databases("nothing")
    loader = load_offline()
    found = [describe_migration(loader, loader.disk_migrations[key]) for key in sorted(loader.disk_migrations)]
    return PLANNED, dict(
        versions(), settings=describe_settings(), migrations=found, models_drift=find_drift(loader), elsewhere=find_elsewhere(False),
        unmigrated=find_unmigrated(loader, None), serving=find_serving(),
        digest=plan_digest(found, [], []),
    )


def plan(_out):
    protect_databases("read")
    connection = open_database()
    survey = Survey(connection)
    pending = describe_pending(survey, connection)
    result = dict(
        versions(), settings=describe_settings(), database=describe_database(connection, survey.rows), pending=pending,
        drift=find_drift(load_offline()), digest=plan_digest(pending, labels(sorted(survey.rows)), labels(survey.unknown)),
        **survey.facts()
    )
    trouble = survey.trouble()
    if trouble:
        raise Stop(UNSOUND, *trouble, **result)
    # Older code than the one that migrated last; what is pending may still change what it meets.
    result["problems"] = find_misfits(connection) if survey.unknown and not pending else []
    result["unmigrated"] = find_unmigrated(survey.loader, connection)
    result["serving"] = find_serving()
    result["elsewhere"] = find_elsewhere(True)
    return PLANNED, result


def find_elsewhere(may_ask):
    """{alias: migrations} that the routers send to other databases, and that are not applied there: nobody does it here."""
    from django.db import Error, connections

    found = {}
    for alias in connections:
        sent = set() if alias == ALIAS else {model._meta.app_label for model in models_with_tables() if is_sent(alias, model)}
        if not sent:
            continue
        connection = connections[alias]
        there = may_ask and (connection.vendor != "sqlite" or os.path.exists(str(connection.settings_dict["NAME"])))
        try:
            pending = Survey(connection if there else None).pending
        except Error as error:
            say("The database %s was not looked at: %s" % (alias, last_line(error)))
            continue
        found[alias] = labels((each.app_label, each.name) for each in pending if each.app_label in sent)
    return found


def is_sent(alias, model):
    """Whether a router says so. Where none has an opinion Django allows everything everywhere, replicas included."""
    from django.db import router

    app, name = model._meta.app_label, model._meta.model_name
    for each in router.routers:
        said = each.allow_migrate(alias, app, model_name=name, model=model) if hasattr(each, "allow_migrate") else None
        if said is not None:
            return said
    return False


def plan_digest(pending, applied, unknown):
    """Identifies what decides a deployment; the images are those of the release, which the caller knows."""
    decides = {
        "images": sorted(os.environ.get("DEPLOY_DJANGO_IMAGES", "").split()), "applied": applied, "unknown": unknown,
        "pending": [["%s.%s" % (each["app"], each["name"]), each["source"]] for each in pending],
    }
    return digest(json.dumps(decides, sort_keys=True, separators=(",", ":")).encode())


def describe_settings():
    from django.conf import settings

    header = settings.SECURE_PROXY_SSL_HEADER
    return {
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS], "ssl_redirect": bool(settings.SECURE_SSL_REDIRECT),
        "proxy_ssl_header": [str(part) for part in header] if header else None, "debug": bool(settings.DEBUG),
        "static": describe_static(), "media_root": str(settings.MEDIA_ROOT) if settings.MEDIA_ROOT else None,
    }


def describe_static():
    """Where collectstatic writes."""
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
    connection = open_database()
    survey = Survey(connection)
    pending = labels((each.app_label, each.name) for each in survey.pending)
    result = {
        "database": describe_database(connection, survey.rows), "pending": pending, "unknown": labels(survey.unknown), "duplicates": labels(survey.duplicates),
        "rows": sum(survey.rows.values()),
    }
    trouble = survey.trouble()
    if trouble:
        raise Stop(UNSOUND, *trouble, **result)
    if pending:
        raise Stop(NOT_MIGRATED, "pending", "Not applied: %s." % ", ".join(pending), **result)
    return PLANNED, result
