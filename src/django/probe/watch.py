TOLD_EVERY = 30  # seconds


class Watch:
    """Watches one attempt of a migration: who holds the locks that it waits for, and whether its time is over.

    It does both only on PostgreSQL, on its own connection. A pooler may have none left. Then it uses the transaction that
    holds the lock of `Turn`, but never while an index is created: that would wait for the transaction.
    """

    HOLDERS = """
        SELECT DISTINCT held.pid, state, round(extract(epoch FROM clock_timestamp() - xact_start)), application_name, usename, query,
            (SELECT max(relation::regclass::text) FROM pg_locks WHERE pid = %(pid)d AND NOT granted)
        FROM unnest(pg_blocking_pids(%(pid)d)) AS held (pid) LEFT JOIN pg_stat_activity USING (pid) ORDER BY 3 DESC NULLS LAST"""
    # For a wait without a free connection: the sessions that have held a table for longer than the wait took.
    SUSPECTS = """
        SELECT DISTINCT pid, state, round(extract(epoch FROM clock_timestamp() - xact_start)), application_name, usename, query, NULL
        FROM pg_stat_activity JOIN pg_locks USING (pid)
        WHERE relation IS NOT NULL AND granted AND pid <> pg_backend_pid() AND datname = current_database()
            AND xact_start < now() - interval '%(pid)d ms' ORDER BY 3 DESC LIMIT 5"""

    def __init__(self, run, label, is_whole):
        self.run, self.label, self.is_whole = run, label, is_whole
        self.asks_turn = run.turn.is_pooled and is_whole
        self.backend, self.holders, self.table = None, [], None
        self.own, self.is_late = None, False
        self.ended, self.asking, self.cancelling = threading.Event(), threading.Lock(), threading.Lock()

    def __enter__(self):
        self.run.connection.execute_wrappers.append(self.refuse_late)
        if self.run.deadline < float("inf"):
            threading.Thread(target=self.keep_time, daemon=True).start()
        if self.run.connection.vendor == "postgresql" and not self.run.turn.is_shared:
            threading.Thread(target=self.look, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.run.connection.execute_wrappers.remove(self.refuse_late)
        self.ended.set()
        with self.cancelling:
            pass
        if self.asks_turn:
            with self.asking:  # waits for the thread's last query, so that this connection is free
                pass

    def keep_time(self):
        if self.ended.wait(self.run.deadline - time.monotonic()):
            return
        self.is_late = True
        if not self.is_whole:
            say("The time for migrations is over (migrate-timeout). %s may finish: stopping it could leave half of it behind." % self.label)
            return
        say("The time for migrations is over (migrate-timeout). %s is cancelled and rolled back whole." % self.label)
        while not self.ended.is_set():
            with self.cancelling:
                if not self.ended.is_set():
                    self.cancel()
            self.ended.wait(1)

    def cancel(self):
        """Cancels the running statement; a pooler passes that on."""
        try:
            self.run.connection.connection.cancel()
        except Exception as error:
            say("Not cancelled yet: %s" % last_line(error))

    @property
    def is_cancelled(self):
        return self.is_late and self.is_whole

    def refuse_late(self, execute, sql, params, many, context):
        """Python between two statements cannot be cancelled, so the next statement fails."""
        from django.db import OperationalError

        if self.is_cancelled:
            raise OperationalError("the time for migrations is over")
        return execute(sql, params, many, context)

    def look(self):
        pause = min(1, max(0.02, self.run.lock_timeout / 4000))
        waited, told = 0, TOLD_EVERY
        try:
            while not self.ended.wait(pause):
                if self.backend is not None:
                    self.ask()
                    # A migration that cannot be rolled back whole waits as long as it takes.
                    waited = waited + pause if self.holders else 0
                    if not self.is_whole and waited * 1000 >= self.run.lock_timeout and told >= TOLD_EVERY:
                        say("%s waits%s for:\n%s" % (self.label, self.where(), self.describe()))
                        told = 0
                    told += pause
        except Exception as error:
            say("It is not known who holds the locks: %s" % last_line(error))
        finally:
            if self.own:
                self.own.close()

    def ask(self):
        with self.asking:
            if self.ended.is_set():
                return
            if self.asks_turn:
                found = self.ask_turn()
            else:
                if not self.own:
                    self.own = beside(self.run.connection)
                    self.own.ensure_connection()
                found = rows_of(self.own, self.HOLDERS % {"pid": self.backend})
        if found or not self.is_whole:
            self.keep(found)

    def ask_turn(self):
        """In a savepoint: an error must not end the transaction."""
        driver = self.run.turn.connection.connection
        driver.cursor().execute("SAVEPOINT watch")
        try:
            driver.cursor().execute("SELECT pg_stat_clear_snapshot()")
            return rows_of(self.run.turn.connection, self.HOLDERS % {"pid": self.backend})
        finally:
            driver.cursor().execute("ROLLBACK TO SAVEPOINT watch")
            driver.cursor().execute("RELEASE SAVEPOINT watch")

    def suspect(self):
        """After a wait that nothing could observe."""
        if self.run.turn.is_shared:
            self.keep(rows_of(self.run.connection, self.SUSPECTS % {"pid": self.run.lock_timeout}))

    def keep(self, found):
        self.holders, self.table = [row[:6] for row in found], next((row[6] for row in found if row[6]), self.table)

    def where(self):
        return " for the table %s" % self.table if self.table else ""

    def describe(self):
        return "\n".join(describe_holder(*row) for row in self.holders) or "an unknown session"


def describe_holder(pid, state, seconds, application, user, query):
    if not pid:
        return "  a prepared transaction (see pg_prepared_xacts)"
    facts = ["process %d" % pid, state, seconds is not None and "open for %d s" % seconds,
             application and "application %s" % application, user and "user %s" % user]
    text = mask_literals(query or "")
    return "  %s%s" % (", ".join(fact for fact in facts if fact), ": " + text if text else "")


LITERALS = re.compile(r"""
    (?P<kept> "(?:[^"]|"")*"? | \$\d+ | [^\W\d]\w*(?:\$\w*)* (?!['\w]) )  # names and parameters
    | /\*.*?(?:\*/|\Z) | --[^\n]*
    | [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
    | (?:[bBxXnN]|[uU]&)?'(?:[^'\\]|'')*(?:'|\\.*\Z|\Z)  # whether a backslash counts is a setting: cautiously the rest
    | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)
    | \d[\w.]*
""", re.VERBOSE | re.DOTALL)


def mask_literals(query):
    """The statement on one line, with `?` for possible values of rows."""
    masked = LITERALS.sub(lambda found: found.group("kept") or ("" if found.group()[:2] in ("/*", "--") else "?"), query)
    text = " ".join(masked.split()).rstrip("; ")
    return text if len(text) <= 200 else text[:200] + "…"


def beside(connection):
    """Another connection to the same database."""
    other = connection.copy()
    other.settings_dict.get("OPTIONS", {}).pop("pool", None)  # a pool may hold only one connection
    return other


def pid_of(connection):
    """The process for which a connection was made; behind a pooler, another process may answer."""
    driver = connection.connection
    return driver.get_backend_pid() if hasattr(driver, "get_backend_pid") else driver.info.backend_pid


def rows_of(connection, question):
    """With the driver's own cursor: other threads query too, and a package may change settings in each cursor of Django."""
    cursor = connection.connection.cursor()
    cursor.execute(question)
    return cursor.fetchall()
