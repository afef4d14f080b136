class Signals:
    """SIGUSR1 means go. The others ask to end; a running migration is ended first."""

    def __init__(self):
        self.received = set()
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(writer, False)
        # The pipe wakes `wait` whichever thread the signal reached, also before `wait` began.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self.received.add(int(number)))

    def wait(self, seconds, go=False):
        """Waits so long, or until asked to end (or to go)."""
        end = time.monotonic() + seconds
        while not self.stopped and not (go and self.go) and time.monotonic() < end:
            if select.select([self.reader], [], [], max(0, end - time.monotonic()))[0]:
                self.received.update(os.read(self.reader, 512))

    @property
    def go(self):
        return int(signal.SIGUSR1) in self.received

    @property
    def stopped(self):
        return bool(self.received - {int(signal.SIGUSR1)})


def migrate(out):
    if database_vendor() == "unknown":
        return PLANNED, {"applied": [], "already": [], "foreign": [], "failed": None, "rows": []}
    from django.db import connections

    signals = Signals()
    check_kept(connections[ALIAS])
    approved = dict(item.split("=", 1) for item in os.environ.get("DEPLOY_DJANGO_APPROVED", "").split())
    protect_databases("write")
    with take_turn(signals) as (turn, connection, before):
        pending = {"%s.%s" % (each.app_label, each.name): each for each in before.pending}
        already = [label for label in approved if tuple(label.split(".", 1)) in before.rows]
        trouble = before.trouble()
        if trouble:
            raise Stop(UNSOUND, *trouble, **nothing_done(before, already))
        different = [
            label for label, each in pending.items()
            if approved.get(label) != digest(read_source(before.loader, each))
        ]
        if different:
            raise Stop(PLAN_DIFFERS, "plan-differs", "Pending, but not approved in this form: %s. Somebody changed the "
                       "database or the image after the plan was made." % ", ".join(different), **nothing_done(before, already))
        if pending and os.environ.get("DEPLOY_DJANGO_GO") != "yes":
            tell(out, "deploy-django: replanned")
            signals.wait(seconds_of("GO_WAIT", 120), go=True)
            if signals.stopped or not signals.go:
                raise Stop(NO_GO, "no-go", "No go signal (SIGUSR1) came; nothing was migrated.", **nothing_done(before, already))
        run = Run(connection, signals, turn)
        error = run.all()
        return conclude(connection, before, run, error, already)


def nothing_done(survey, already):
    return {"applied": [], "already": already, "foreign": [], "failed": None, "rows": labels(sorted(survey.rows))}


def seconds_of(name, default):
    return float(os.environ.get("DEPLOY_DJANGO_" + name) or default)


@contextmanager
def take_turn(signals):
    """Waits for the database, then for the lock; gives what is known then. The lock is held until the end."""
    from django.db import connections

    end = time.monotonic() + seconds_of("DATABASE_WAIT", 60)
    while True:
        turn = Turn(connections[ALIAS])
        try:
            connections[ALIAS].ensure_connection()
            turn.take(signals)
            survey = Survey(connections[ALIAS])
            break
        except Exception as error:
            turn.end()
            stop = error if isinstance(error, Stop) else explain(error)
            if stop.code != DATABASE_DOWN or time.monotonic() >= end:
                raise stop
            say("Waiting for the database: %s" % stop.result["error"]["detail"])
            connections[ALIAS].close()
            signals.wait(1)
            if signals.stopped:
                raise Stop(NO_GO, "stopped", "Asked to end while waiting for the database; nothing was migrated.")
    try:
        yield turn, connections[ALIAS], survey
    finally:
        turn.end()


class Turn:
    """One runner at a time: a lock that the database lets go when this process dies.

    It is polled: whoever waits inside a statement holds a snapshot, for which CREATE INDEX CONCURRENTLY waits.
    It has a connection of its own, because code in migrations may close the other one. A pooler may have no second one to
    give: then each migration takes the lock in its own transaction.
    """

    TAKE = "SELECT pg_try_advisory_xact_lock(%s, hashtext(current_database()))"

    def __init__(self, connection):
        self.connection, self.is_shared = connection.copy(), False
        self.connection.settings_dict.get("OPTIONS", {}).pop("pool", None)  # a pool may hold but one connection

    def take(self, signals):
        attempt = {"postgresql": self.try_postgresql, "mysql": self.try_mysql}.get(self.connection.vendor)
        end = time.monotonic() + seconds_of("LOCK_WAIT", 60)
        while attempt and not attempt():
            if time.monotonic() >= end:
                raise Stop(LOCK_BUSY, "lock-busy", "Another runner is migrating this database.")
            say("Another runner is migrating this database; waiting.")
            signals.wait(min(1, max(0.05, end - time.monotonic())))
            if signals.stopped:
                raise Stop(NO_GO, "stopped", "Asked to end while waiting for the lock; nothing was migrated.")

    def try_postgresql(self):
        self.connection.set_autocommit(False)
        with self.connection.cursor() as cursor:
            # A stricter level would keep the snapshot of the first statement.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SELECT set_config(name, '0', true) FROM pg_settings "
                           "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')")
        taken = self.take_in(self.connection)
        if taken and self.is_pooled() and not self.leaves_room():
            say("The pooler in front of the database gives one connection at a time: each migration takes the lock by itself.")
            self.is_shared = True
        if not taken or self.is_shared:
            self.connection.rollback()
        return taken

    def take_in(self, connection):
        """Until the end of the transaction in it. The server's own name of the database: a pooler may give it another one."""
        with connection.cursor() as cursor:
            cursor.execute(self.TAKE, [LOCK_NAMESPACE])
            return cursor.fetchone()[0]

    def is_pooled(self):
        """Whether the process that answers is another one than the connection was made to."""
        driver = self.connection.connection
        made_to = driver.get_backend_pid() if hasattr(driver, "get_backend_pid") else driver.info.backend_pid
        return ask(self.connection, "SELECT pg_backend_pid()") != made_to

    def leaves_room(self):
        """Whether another connection is answered while this one is in its transaction."""
        answered = threading.Event()

        def ask_beside():
            other = self.connection.copy()
            try:
                ask(other, "SELECT 1")
                answered.set()
            except Exception as error:
                say("A second connection was refused: %s" % last_line(error))
            finally:
                other.close()

        # Not waited for: without room it is answered when this transaction has ended.
        threading.Thread(target=ask_beside, daemon=True).start()
        return answered.wait(seconds_of("ROOM_WAIT", 3))

    def try_mysql(self):
        # These locks belong to the whole server, hence the name of the database; 64 characters at most.
        return ask(self.connection, "SELECT GET_LOCK(CONCAT('deploy-django:', MD5(DATABASE())), 0)") == 1

    def end(self):
        try:
            self.connection.close()
        except Exception as error:
            say("The lock's connection is gone already (%s)." % last_line(error))


class Run:
    """Runs the project's own `migrate` command with an executor that watches each migration.

    The command keeps what differs between Django's versions (signals, states, squash bookkeeping); the executor is
    the one place through which every migration passes: deadline, end on request, lock timeout and time are there.
    """

    def __init__(self, connection, signals, turn):
        self.connection, self.signals, self.turn = connection, signals, turn
        self.deadline = time.monotonic() + seconds_of("TIMEOUT", 3600)
        self.lock_timeout = int(seconds_of("LOCK_TIMEOUT", 5000))
        self.applied, self.failed = [], None

    def all(self):
        """None, or the exception that ended it."""
        from django.core.management import call_command
        from django.core.management.commands import migrate as command

        run = self

        class Executor(command.MigrationExecutor):
            def apply_migration(self, state, migration, **options):
                return run.one(migration, lambda: super(Executor, self).apply_migration(state.clone(), migration, **options))

        command.MigrationExecutor = Executor
        try:
            call_command("migrate", database=ALIAS, interactive=False, verbosity=0, skip_checks=True, stdout=sys.stderr)
            return None
        except BaseException as error:
            return error

    def one(self, migration, apply):
        from django.db import OperationalError

        label, pause = "%s.%s" % (migration.app_label, migration.name), 0.5
        lock_end = time.monotonic() + seconds_of("LOCK_WAIT", 60)
        self.prepare(migration, label)
        while True:
            self.check_time(label)
            self.check_row(migration, label)
            started = time.monotonic()
            try:
                with self.transaction(migration):
                    state = apply()
            except BaseException as error:
                if isinstance(error, Stop) and error.code == LOCK_BUSY and time.monotonic() < lock_end:
                    say("Another runner is migrating this database; waiting.")
                    self.signals.wait(1)
                    continue
                if isinstance(error, OperationalError) and migration.atomic and sql_state(error) == "55P03":
                    say("Waiting for locks: %s was undone, again in %.1f s (%s)" % (label, pause, last_line(error)))
                    self.failed = {"app": migration.app_label, "name": migration.name, "error": last_line(error)}
                    self.signals.wait(min(pause, max(0, self.deadline - time.monotonic())))
                    pause = min(pause * 2, 30)
                    continue
                say("Applying %s ... failed after %.2f s" % (label, time.monotonic() - started))
                self.failed = {"app": migration.app_label, "name": migration.name, "error": last_line(error)}
                raise
            seconds = time.monotonic() - started
            say("Applying %s ... %.2f s" % (label, seconds))
            self.applied.append({"app": migration.app_label, "name": migration.name, "milliseconds": round(seconds * 1000)})
            self.failed = None
            return state

    def prepare(self, migration, label):
        """On PostgreSQL the transaction of an atomic migration does not wait long for locks.

        The limit ends with the transaction: behind a pooler a setting of the session would stay for the app.
        """
        apply = migration.apply

        def apply_within_limits(*arguments, **options):
            if self.connection.vendor == "postgresql" and self.connection.in_atomic_block:
                if self.turn.is_shared:
                    if not self.turn.take_in(self.connection):
                        raise Stop(LOCK_BUSY, "lock-busy", "Another runner is migrating this database.")
                    self.check_row(migration, label)
                with self.connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = %d" % self.lock_timeout)
            return apply(*arguments, **options)

        migration.apply = apply_within_limits

    def check_row(self, migration, label):
        if (migration.app_label, migration.name) in read_rows(self.connection):
            raise Stop(NOT_MIGRATED, "foreign-migrate", "Another runner, one without the lock, applied %s just now. "
                       "Does an entrypoint or a second pipeline run `migrate`?" % label)

    def check_time(self, label):
        if self.signals.stopped:
            raise Stop(OUT_OF_TIME, "stopped", "Asked to end before %s; what came before it is applied." % label)
        if time.monotonic() >= self.deadline:
            raise Stop(OUT_OF_TIME, "out-of-time", "The time for migrations ran out before %s was applied; what came before "
                       "it is applied. Give more with migrate-timeout." % label)

    @contextmanager
    def transaction(self, migration):
        """On PostgreSQL an atomic migration and its row become one transaction.

        Django writes the row after the commit when statements were deferred; dying between would apply it twice.
        Backends that are not Django's own may work without transactions: they are left alone.
        """
        from django.db import transaction

        is_own = type(self.connection).__module__.startswith("django.")
        if self.connection.vendor == "postgresql" and migration.atomic and is_own:
            with transaction.atomic(using=self.connection.alias):
                yield
        else:
            yield  # CREATE INDEX CONCURRENTLY leaves an invalid index when it gives up


def conclude(connection, before, run, error, already):
    """Reads the database again: what it says counts, not what was meant to happen."""
    try:
        connection.close()
        after = Survey(connection)
    except Exception as lost:
        say_traceback(error or lost)
        raise Stop(MIGRATION_FAILED, "database-lost", "The database is gone after migrating; what was applied is as far as "
                   "this process knows.", last_line(lost), applied=run.applied, already=already, failed=run.failed, rows=None)
    applied = [each for each in run.applied if (each["app"], each["name"]) in after.rows]
    ours = {(each["app"], each["name"]) for each in applied}
    planned = [(each.app_label, each.name) for each in before.pending]
    foreign = labels(key for key in planned if key in after.rows and key not in ours)
    if foreign:
        say("Applied by a runner without the lock while this one waited: %s" % ", ".join(foreign))
    result = {
        "applied": applied, "already": already, "foreign": foreign, "failed": run.failed, "rows": labels(sorted(after.rows)),
        "database": describe_database(connection, after.rows),
    }
    if isinstance(error, Stop):
        error.result.update(result)
        raise error
    if error:
        say_traceback(error)
        where = "%(app)s.%(name)s" % run.failed if run.failed else "a receiver of pre_migrate or post_migrate"
        raise Stop(MIGRATION_FAILED, "migration-failed", "%s failed." % where, last_line(error), **result)
    changes = unexpected_changes(before, after)
    if changes:
        raise Stop(NOT_MIGRATED, "rows-changed", "The recorded migrations are not what this run leaves behind: %s."
                   % "; ".join(changes), **result)
    return PLANNED, result


def unexpected_changes(before, after):
    planned = {part for each in before.pending for part in before.expand((each.app_label, each.name))}
    bookkeeping = set(after.replaces)
    pending = [(each.app_label, each.name) for each in after.pending]
    kinds = (
        ("still pending", pending),
        ("not recorded exactly once", [key for key in sorted(planned - set(pending)) if after.rows[key] != 1]),
        ("gone", sorted(set(before.rows) - set(after.rows))),
        ("recorded by somebody else", sorted(set(after.rows) - set(before.rows) - planned - bookkeeping)),
        ("recorded again", [key for key in sorted(before.rows) if after.rows[key] > before.rows[key]]),
    )
    return ["%s: %s" % (kind, ", ".join(labels(keys))) for kind, keys in kinds if keys]
