# coding: utf-8
"""What the image and its database say about migrations; how the app answers over HTTP.

Runs inside the app's container, as one argument of `manage.py shell -v 0 -c` (verbs list, plan, migrate,
verify, fit, collect) or of plain `python -c` (verb http). The verb is in DEPLOY_DJANGO. The result is one line
of JSON, the last one on stdout, and an exit code; everything for people goes to stderr. Python 3.7 and later,
Django 2.2 and later, standard library only. Nothing is written to a database unless the verb is `migrate`. The parts in
this folder are one program when it is sent, in the order of src/assets.ts, with a dictionary of its own for its globals:
before Django 3.0 `shell -c` runs its text inside a function, where functions do not see each other.
"""
import os
import sys

TOO_OLD = 26
if sys.version_info < (3, 7):  # everything above this line, and the syntax below, is for any Python
    sys.stdout.write('\n{"deploy-django": 1, "verb": "%s", "error": {"kind": "too-old", "message": "This image has Python '
                     '%d.%d. The oldest that can be deployed is 3.7.", "detail": "", "exit": %d}}\n'
                     % ((os.environ.get("DEPLOY_DJANGO", ""),) + tuple(sys.version_info[:2]) + (TOO_OLD,)))
    sys.stdout.flush()
    os._exit(TOO_OLD)

import ast
import atexit
import filecmp
import hashlib
import http.client
import json
import platform
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import traceback
import urllib.parse
import zlib
from collections import Counter
from contextlib import contextmanager

PLANNED, PLAN_DIFFERS, LOCK_BUSY, DATABASE_DOWN, DATABASE_REFUSED, UNSOUND = 0, 10, 11, 12, 13, 14
OUT_OF_TIME, NO_GO, MIGRATION_FAILED, NOT_IMPORTABLE, NOT_MIGRATED, UNFIT, UNHEALTHY = 15, 16, 17, 18, 19, 20, 21
NOT_KEPT, NOT_COLLECTED, REFUSES, NO_HTTP = 22, 23, 24, 25
UNEXPECTED = 1

ALIAS = "default"
LOCK_NAMESPACE = zlib.crc32(b"deploy-django") & 0x7FFFFFFF
ACCEPT_MARK = b"# deploy-django: accept"


class Stop(Exception):
    """The verb ends here, with this exit code; `facts` become part of the result."""

    def __init__(self, code, kind, message, detail="", **facts):
        super().__init__(message)
        self.code = code
        # The exit code stands in it as well: what runs after the probe, such as `docker compose run`, may give another one.
        self.result = dict(facts, error={"kind": kind, "message": message, "detail": detail, "exit": code})


def main():
    out = claim_stdout()
    verb = os.environ.get("DEPLOY_DJANGO", "")
    try:
        if verb not in VERBS:
            raise Stop(2, "usage", "DEPLOY_DJANGO names no verb: %r" % verb, "one of " + " ".join(sorted(VERBS)))
        if verb != "http":
            check_django()
        code, result = VERBS[verb](out)
    except Stop as stop:
        code, result = stop.code, stop.result
    except BaseException as error:
        stop = explain(error)
        code, result = stop.code, stop.result
    finish(out, verb, code, result)


def check_django():
    import django

    if django.VERSION < (2, 2):
        raise Stop(TOO_OLD, "too-old", "This image has Django %s. The oldest that can be deployed is 2.2." % django.get_version())


def claim_stdout():
    """Keeps the real stdout for the result; what settings and apps print goes to stderr from now on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    sys.stdout.flush()  # what was printed before, and still waited in the buffer
    return out


def tell(out, line):
    # The newline in front ends whatever unfinished line was there before.
    out.write("\n" + line + "\n")
    out.flush()


def finish(out, verb, code, result):
    """The only way out."""
    # Letters as they are: the server looks for values of env files in it.
    line = json.dumps(dict({"deploy-django": 1, "verb": verb}, **result), default=str, ensure_ascii=False)
    try:
        tell(out, line)
    except OSError:
        pass  # nobody reads any more; the exit code still counts
    # What an app has registered for the end must not keep this process alive.
    last = threading.Timer(10, os._exit, (code,))
    last.daemon = True
    last.start()
    try:
        close_databases()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Not sys.exit: Django closes connections on the way, and settings that do not import turn that into exit code 1.
        os._exit(code)


def close_databases():
    database = sys.modules.get("django.db")
    try:
        if database:
            database.connections.close_all()
    except Exception as error:
        say("A connection was not closed: %s" % last_line(error))


def find_serving_of_broken():
    """Settings for development may need what this image has not; the site may use others."""
    try:
        return find_serving()
    except Exception:
        return None


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_traceback(error):
    """The way to the error for people. Of each message only the first line: the next ones carry values of rows."""
    text = ""
    while error:
        text = "".join(traceback.format_tb(error.__traceback__)) + last_line(error) + "\n" + text
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    say(text.rstrip())


def last_line(error):
    """`IntegrityError: what happened`, without the lines that carry values of rows."""
    first = (str(error).strip().splitlines() or [""])[0]
    return "%s: %s" % (type(error).__name__, first) if first else type(error).__name__


def explain(error):
    """Says what an exception that nobody expected means."""
    database = sys.modules.get("django.db.utils")
    if database and isinstance(error, (database.DatabaseError, database.InterfaceError)):
        return explain_database(error)
    say_traceback(error)
    core = sys.modules.get("django.core.exceptions")
    if isinstance(error, (ImportError, SyntaxError)) or (core and isinstance(error, core.ImproperlyConfigured)):
        message = "The settings or apps of this image do not import."
        return Stop(NOT_IMPORTABLE, "not-importable", message, last_line(error), serving=find_serving_of_broken())
    return Stop(UNEXPECTED, "unexpected", "The probe failed.", last_line(error))
