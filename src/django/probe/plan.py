def list_migrations(_out):
    protect_databases("nothing")
    loader = load_offline()
    found = [describe_migration(loader, loader.disk_migrations[key]) for key in sorted(loader.disk_migrations)]
    return PLANNED, dict(
        versions(), settings=describe_settings(), migrations=found, models_drift=find_drift(loader),
        digest=plan_digest(found, [], []),
    )


def plan(_out):
    protect_databases("read")
    connection = open_database()
    survey = Survey(connection)
    pending = describe_pending(survey)
    result = dict(
        versions(), settings=describe_settings(), database=describe_database(connection, survey.rows), pending=pending,
        drift=find_drift(load_offline()), digest=plan_digest(pending, labels(sorted(survey.rows)), labels(survey.unknown)),
        **survey.facts()
    )
    trouble = survey.trouble()
    if trouble:
        raise Stop(UNSOUND, *trouble, **result)
    return PLANNED, result


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
