# coding: utf-8
"""Reports what the image and its database say about migrations, and how the app answers over HTTP.

Runs in the app's container, as one argument of `manage.py shell -v 0 -c` (verbs list, judge, plan, migrate, verify, fit,
reverse, return, unapply, collect, backup, connection) or of plain `python -c` (verbs http, answers). DEPLOY_DJANGO names the verb.
The result is an exit code and one line of JSON, the last one on stdout. Everything for people goes to stderr. Needs only Python 3.7 and Django 2.2, or later, and the standard library. Only `migrate` and `unapply` write to a database.

The parts in this folder are sent as one program, in the order of src/host/assets.ts. The program gets its own dictionary
for its globals: before Django 3.0 `shell -c` runs its text inside a function, where functions do not see each other.
"""
import os
import sys

TOO_OLD = 26
if sys.version_info < (3, 7):  # any Python must be able to parse the whole program and to run it up to here
    sys.stdout.write('\n{"deploy-django": 1, "verb": "%s", "error": {"kind": "too-old", "message": "This image has Python '
                     '%d.%d. The oldest that can be deployed is 3.7.", "detail": "", "exit": %d}}\n'
                     % ((os.environ.get("DEPLOY_DJANGO", ""),) + tuple(sys.version_info[:2]) + (TOO_OLD,)))
    sys.stdout.flush()
    os._exit(TOO_OLD)

import ast
import atexit
import base64
import fcntl
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
import tempfile
import threading
import time
import traceback
import urllib.parse
import zlib
from collections import Counter
from contextlib import ExitStack, contextmanager

PLANNED, PLAN_DIFFERS, LOCK_BUSY, DATABASE_DOWN, DATABASE_REFUSED, UNSOUND = 0, 10, 11, 12, 13, 14
OUT_OF_TIME, NO_GO, MIGRATION_FAILED, NOT_IMPORTABLE, NOT_MIGRATED, UNFIT, UNHEALTHY = 15, 16, 17, 18, 19, 20, 21
NOT_KEPT, NOT_COLLECTED, REFUSES, NO_HTTP, FRONT_FAILS, IRREVERSIBLE, UNAPPLY_FAILED = 22, 23, 24, 25, 27, 28, 29
UNEXPECTED, ALIAS_REFUSED = 1, 9

ALIAS = "default"
LOCK_NAMESPACE = zlib.crc32(b"deploy-django") & 0x7FFFFFFF
ACCEPT_MARK = b"# deploy-django: accept"


class Stop(Exception):
    """Ends the verb with this exit code; `facts` become part of the result."""

    def __init__(self, code, kind, message, detail="", **facts):
        super().__init__(message)
        self.code = code
        # The result has the exit code too: a wrapper such as `docker compose run` may return another one.
        self.result = dict(facts, error={"kind": kind, "message": message, "detail": detail, "exit": code})


def main():
    out = claim_stdout()
    verb = os.environ.get("DEPLOY_DJANGO", "")
    try:
        if verb not in VERBS:
            raise Stop(2, "usage", "DEPLOY_DJANGO does not name a verb: %r" % verb, "one of " + " ".join(sorted(VERBS)))
        if verb not in ("http", "answers"):
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
    """Keeps the real stdout for the result; from now on, the output of settings and apps goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    sys.stdout.flush()  # earlier output that is still in the buffer
    return out


def tell(out, line):
    # The leading newline ends an unfinished line of the app.
    out.write("\n" + line + "\n")
    out.flush()


def write_result(out, verb, result):
    # No escapes: the host searches the result for secrets of env files.
    line = json.dumps(dict({"deploy-django": 1, "verb": verb}, **result), default=str, ensure_ascii=False)
    try:
        tell(out, line)
    except OSError:
        pass  # the reader is gone; the exit code still counts


def finish(out, verb, code, result):
    """The only way to exit."""
    write_result(out, verb, result)
    # Exit handlers of the app must not keep this process alive.
    last = threading.Timer(10, os._exit, (code,))
    last.daemon = True
    last.start()
    try:
        close_databases()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Not sys.exit: Django closes connections then. Settings that do not import would turn that into exit code 1.
        os._exit(code)


def close_databases():
    database = sys.modules.get("django.db")
    try:
        if database:
            database.connections.close_all()
    except Exception as error:
        say("A connection was not closed: %s" % last_line(error))


def find_serving_of_broken():
    """Development settings usually need packages that a production image lacks; the site may use other settings."""
    try:
        return find_serving()
    except Exception:
        return None


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_traceback(error):
    """Prints the traceback, with only the first line of each message: the other lines contain values of rows."""
    text = ""
    while error:
        text = "".join(traceback.format_tb(error.__traceback__)) + last_line(error) + "\n" + text
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    say(text.rstrip())


def last_line(error):
    """`IntegrityError: what happened`, without the lines that contain values of rows."""
    first = (str(error).strip().splitlines() or [""])[0]
    return "%s: %s" % (type(error).__name__, first) if first else type(error).__name__


def explain(error, alias=ALIAS):
    """Explains an unexpected exception, which the database `alias` may have raised."""
    database = sys.modules.get("django.db.utils")
    if database and isinstance(error, (database.DatabaseError, database.InterfaceError)):
        return explain_database(error, alias)
    say_traceback(error)
    core = sys.modules.get("django.core.exceptions")
    if isinstance(error, (ImportError, SyntaxError)) or (core and isinstance(error, core.ImproperlyConfigured)):
        message = "The settings or apps of this image cannot be imported."
        return Stop(NOT_IMPORTABLE, "not-importable", message, last_line(error), serving=find_serving_of_broken())
    return Stop(UNEXPECTED, "unexpected", "The probe failed.", last_line(error))
