class Signals:
    """SIGUSR1 means go. The other signals mean to end after the running migration."""

    def __init__(self):
        self.received = set()
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(writer, False)
        # The pipe wakes `wait` whichever thread gets the signal, also if the signal came before `wait` began.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self.received.add(int(number)))

    def wait(self, seconds, go=False):
        """Waits that long, or until a signal to end (or to go)."""
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
    """Applies what is pending, database by database. The locks of all are held from the first look to the end."""
    if database_vendor() == "unknown":
        return PLANNED, {"applied": [], "already": [], "foreign": [], "failed": None}
    from django.db import connections

    signals = Signals()
    # The other databases are as they were before a reversal.
    aliases = [ALIAS] if "DEPLOY_DJANGO_REVERSE" in os.environ else listed_aliases()
    for alias in aliases:
        check_kept(connections[alias])
    protect_databases("write")
    with ExitStack() as turns:
        shares = [Share(*turns.enter_context(take_turn(signals, alias))) for alias in aliases]
        try:
            for share in shares:
                share.check()
            is_migrating = any(share.pending for share in shares)
            if is_migrating:
                wait_for_go(out, signals, "migrated", {})
            deadline = time.monotonic() + seconds_of("TIMEOUT", 3600)
            for share in shares:
                share.migrate(signals, deadline)
        except Stop as stop:
            stop.result = dict(report_shares(shares), error=stop.result["error"])
            raise
        result = report_shares(shares)
    if is_migrating and "DEPLOY_DJANGO_COLLECT" in os.environ:
        write_result(out, "migrate", result)
        collect_next(out)
    return PLANNED, result


def report_shares(shares):
    found = {share.alias: share.result for share in shares}
    own = found.pop(ALIAS)
    return dict(own, others=[dict(found[alias], alias=alias) for alias in found])


class Share:
    """What a run of `migrate` does in one database."""

    def __init__(self, turn, connection, before):
        self.alias, self.turn, self.connection, self.before = connection.alias, turn, connection, before
        self.tenants = Tenants(connection)
        self.approved = read_approved(self.alias)
        self.pending = dict({"%s.%s" % (each.app_label, each.name): each for each in before.pending}, **self.tenants.pending())
        self.already = [
            label for label in self.approved if tuple(label.split(".", 1)) in before.rows and label not in self.pending
        ]
        self.result = {"applied": [], "already": self.already, "foreign": [], "failed": None}

    def check(self):
        trouble = self.before.trouble() or self.tenants.trouble()
        if trouble:
            raise within(Stop(UNSOUND, *trouble), self.alias)
        different = [
            label for label, each in self.pending.items()
            if self.approved.get(label) != digest(read_source(self.before.loader, each))
        ]
        if different:
            raise within(Stop(PLAN_DIFFERS, "plan-differs", "Pending, but not approved in this form: %s. The database or "
                              "the image was changed after the plan was made." % ", ".join(different)), self.alias)

    def migrate(self, signals, deadline):
        self.connection.close()  # idle until now: the server may have closed it
        run = Run(self.connection, signals, self.turn, deadline)
        error = run.all()
        try:
            _, self.result = conclude(self.connection, self.before, run, error, self.already)
        except Stop as stop:
            self.result = {name: stop.result[name] for name in stop.result if name != "error"}
            raise within(stop, self.alias)


def wait_for_go(out, signals, done, nothing):
    """Whether it waited for the host. In the meantime the host may stop the app, whose workers finish their requests."""
    if os.environ.get("DEPLOY_DJANGO_GO") == "yes":
        return False
    tell(out, "deploy-django: replanned")
    signals.wait(seconds_of("GO_WAIT", 1200), go=True)
    if signals.stopped or not signals.go:
        raise Stop(NO_GO, "no-go", "The go signal (SIGUSR1) did not come; nothing was %s." % done, **nothing)
    tell(out, "deploy-django: going")
    return True


def read_approved(alias=ALIAS):
    """{label: source} of one database; after a reversal, the migrations that it unapplied may be applied again."""
    if "DEPLOY_DJANGO_REVERSE" in os.environ:
        plan = given("REVERSE")
        return {"%(app)s.%(name)s" % each: each["source"] for each in plan["unapply"] + plan["pending"]}
    approved = (item.split("=", 1) for item in os.environ.get("DEPLOY_DJANGO_APPROVED", "").split())
    return {label: source for (of, label), source in ((of_database(name), source) for name, source in approved) if of == alias}


def of_database(name):
    """(alias, label) of `app.name`, or of `alias:app.name` for another database."""
    alias, _, label = name.rpartition(":")
    return alias or ALIAS, label


def seconds_of(name, default):
    return float(os.environ.get("DEPLOY_DJANGO_" + name) or default)


class DoneMeanwhile(Exception):
    """Another process applied it: each migration takes the lock in its own transaction."""


def is_recorded(connection, migration):
    return (migration.app_label, migration.name) in read_rows(connection)


class Run:
    """Runs the project's own `migrate` command with an executor that watches each migration.

    The command covers what differs between Django's versions (signals, states, squash bookkeeping). Every migration passes
    through the executor, so the deadline, the end on request, the lock timeout and the timing are there.
    """

    def __init__(self, connection, signals, turn, deadline):
        self.connection, self.signals, self.turn, self.deadline = connection, signals, turn, deadline
        self.lock_timeout = int(seconds_of("LOCK_TIMEOUT", 5000))
        self.lock_tries = int(seconds_of("LOCK_TRIES", 10))
        self.applied, self.failed, self.watch, self.late = [], None, None, None

    method, doing, did, code_of_failure = "apply", "Applying", "applied", MIGRATION_FAILED

    def all(self):
        """None, or the exception that ended the run."""
        from django.core.management import call_command
        from django.core.management.commands import migrate as command

        django_executor = command.MigrationExecutor
        command.MigrationExecutor = self.executor(command)
        try:
            call_command("migrate", database=self.connection.alias, interactive=False, verbosity=0, skip_checks=True, stdout=sys.stderr)
            return None
        except BaseException as error:
            return error
        finally:
            command.MigrationExecutor = django_executor

    def executor(self, command):
        run = self

        class Executor(command.MigrationExecutor):
            def apply_migration(self, state, migration, **options):
                return run.one(migration, lambda: super(Executor, self).apply_migration(state.clone(), migration, **options),
                               lambda: migration.mutate_state(state, preserve=False))

        return Executor

    def one(self, migration, apply, skip):
        from django.db import OperationalError

        label = "%s.%s%s" % (migration.app_label, migration.name, schema_of(self.connection))
        tries, pause, lock_end = 1, 0.5, time.monotonic() + seconds_of("LOCK_WAIT", 60)
        self.prepare(migration, label)
        while True:
            self.check_time(label)
            self.check_row(migration, label)
            started = time.monotonic()
            self.watch = Watch(self, label, self.is_whole(migration))
            try:
                with self.watch, self.transaction(migration):
                    state = apply()
            except DoneMeanwhile:
                self.failed = None
                say("%s: another process has already applied it." % label)
                return skip()
            except BaseException as error:
                self.leave_transaction()
                if self.watch.is_cancelled and not isinstance(error, Stop):
                    self.failed = self.failure(migration, error)
                    raise self.out_of_time(label, error)
                if isinstance(error, Stop) and error.code == LOCK_BUSY and time.monotonic() < lock_end:
                    say("Another process is migrating this database; waiting.")
                    self.signals.wait(1)
                    continue
                if isinstance(error, OperationalError) and migration.atomic and sql_state(error) == "55P03":
                    self.failed = self.failure(migration, error)
                    self.wait_for_locks(label, tries, pause)
                    tries, pause = tries + 1, min(pause * 2, 30)
                    continue
                say("%s %s ... failed after %.2f s" % (self.doing, label, time.monotonic() - started))
                self.failed = self.failure(migration, error)
                raise
            seconds = time.monotonic() - started
            self.late = label if self.watch.is_late and not self.watch.is_whole else None
            say("%s %s ... %.2f s" % (self.doing, label, seconds))
            self.note(migration, round(seconds * 1000))
            self.failed = None
            return state

    def leave_transaction(self):
        """If an operation that Django defers fails, such as adding a foreign key, Django stays in the transaction.

        A second attempt would be rolled back with it.
        """
        if self.connection.in_atomic_block:
            self.connection.in_atomic_block = False
            self.connection.close()

    def wait_for_locks(self, label, tries, pause):
        """Others held a lock, so the attempt was rolled back."""
        self.watch.suspect()
        where, holders = self.watch.where(), self.watch.describe()
        if tries >= self.lock_tries or time.monotonic() + pause >= self.deadline:
            text = "%s did not get its lock%s in %d tries of %.1f s" % (label, where, tries, self.lock_timeout / 1000)
            say("%s. It is held by\n%s" % (text, holders))
            raise Stop(self.code_of_failure, "migration-lock", text, "held by\n" + holders)
        say("Waiting for locks: %s was rolled back, next try in %.1f s (try %d of %d). The lock%s is held by\n%s"
            % (label, pause, tries, self.lock_tries, where, holders))
        self.signals.wait(pause)

    def failure(self, migration, error):
        """`kept`: how many of its operations were not rolled back."""
        place = failed_operation(migration, error)
        is_undone = migration.atomic and self.connection.features.can_rollback_ddl
        return {"app": migration.app_label, "name": migration.name, "error": last_line(error) + schema_of(self.connection),
                "operation": place, "kept": 0 if is_undone else place or 0}

    def note(self, migration, milliseconds):
        """Adds up the time of all schemas in which the migration runs."""
        for each in self.applied:
            if (each["app"], each["name"]) == (migration.app_label, migration.name):
                each["milliseconds"] += milliseconds
                return
        self.applied.append({"app": migration.app_label, "name": migration.name, "milliseconds": milliseconds})

    def prepare(self, migration, label):
        """On PostgreSQL, the transaction of an atomic migration does not wait long for locks.

        The limit ends with the transaction: behind a pooler, the app would inherit a setting of the session.
        """
        apply = getattr(migration, self.method)

        def apply_within_limits(*arguments, **options):
            is_postgresql, is_whole = self.connection.vendor == "postgresql", self.connection.in_atomic_block
            if is_postgresql and not self.turn.is_pooled:
                self.watch.backend = pid_of(self.connection)
            elif is_postgresql and is_whole:
                self.watch.backend = ask(self.connection, "SELECT pg_backend_pid()")
            if self.turn.is_shared:
                # Until the end of this transaction. A migration that is not atomic can only see whether the lock is free.
                if not self.turn.take_in(self.connection):
                    raise Stop(LOCK_BUSY, "lock-busy", "Another process is migrating this database.")
                if self.is_done(migration):
                    raise DoneMeanwhile()
            if is_postgresql and is_whole:
                with self.connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = %d" % self.lock_timeout)
            return apply(*arguments, **options)

        setattr(migration, self.method, apply_within_limits)

    def is_done(self, migration):
        return is_recorded(self.connection, migration)

    def check_row(self, migration, label):
        if not self.turn.is_shared and self.is_done(migration):
            raise Stop(NOT_MIGRATED, "foreign-migrate", "Another process, without the migration lock, %s %s just now. "
                       "Does an entrypoint or a second pipeline run `migrate`?" % (self.did, label))

    def check_time(self, label):
        if self.signals.stopped:
            raise Stop(OUT_OF_TIME, "stopped", "Stopped before %s; the migrations before it are applied." % label)
        if time.monotonic() >= self.deadline:
            late = " %s was allowed to finish, because stopping it could have left half of it behind." % self.late if self.late else ""
            raise Stop(OUT_OF_TIME, "out-of-time", "The time for migrations ran out before %s was applied; the migrations before "
                       "it are applied.%s" % (label, late))

    def out_of_time(self, label, error):
        holders = "\nIt waited%s for\n%s" % (self.watch.where(), self.watch.describe()) if self.watch.holders else ""
        return Stop(OUT_OF_TIME, "out-of-time", "The time for migrations ran out while %s ran. It was cancelled and rolled back "
                    "whole; the migrations before it are applied." % label, last_line(error) + holders)

    def is_whole(self, migration):
        """Whether it and its row form one transaction, which can be rolled back at any moment.

        Backends that are not Django's own may work without transactions.
        """
        is_own = type(self.connection).__module__.startswith("django.")
        return self.connection.vendor == "postgresql" and migration.atomic and is_own

    @contextmanager
    def transaction(self, migration):
        """Django writes the row after the commit if statements were deferred: a death in between would apply it twice."""
        from django.db import transaction

        if self.is_whole(migration):
            with transaction.atomic(using=self.connection.alias):
                yield
        else:
            yield  # a CREATE INDEX CONCURRENTLY that fails leaves an invalid index


def failed_operation(migration, error):
    """Its place in `operations`, or None."""
    trace = error.__traceback__
    while trace:
        local, trace = trace.tb_frame.f_locals, trace.tb_next
        if local.get("self") is migration and local.get("operation") in migration.operations:
            return migration.operations.index(local["operation"])


def conclude(connection, before, run, error, already):
    schema = schema_of(connection)  # where the run ended
    lost = Stop(MIGRATION_FAILED, "database-lost", "The database does not answer after migrating; the applied migrations are listed as far as "
                "this process knows them.", applied=run.applied, already=already, failed=run.failed)
    with read_again(connection, error, lost):
        to_public(connection)
        after, tenants = Survey(connection.alias, connection), Tenants(connection)
        invalid = find_invalid_indexes(connection)
    applied = [each for each in run.applied if (each["app"], each["name"]) in after.rows]
    ours = {(each["app"], each["name"]) for each in applied}
    planned = [(each.app_label, each.name) for each in before.pending]
    foreign = labels(key for key in planned if key in after.rows and key not in ours)
    if foreign:
        say("Applied by another process while this one waited: %s" % ", ".join(foreign))
    result = {
        "applied": applied, "already": already, "foreign": foreign, "failed": run.failed, "unknown": labels(after.unknown),
        "database": describe_database(connection.alias, connection, after.rows), "invalid": invalid,
    }
    for each in invalid:
        say("warning: The index %(name)s of %(table)s is invalid, so that no query uses it: %(fix)s" % each)
    if error:
        behind = "" if isinstance(error, Stop) else tenants.say_behind()
        if behind:
            result["behind"] = behind
        text = "%s failed." + (" These schemas lack migrations: %s." % behind.replace("%", "%%") if behind else "")
        raise_with(error, result, MIGRATION_FAILED, "migration-failed", text, run.failed, schema)
    changes = unexpected_changes(before, after)
    if changes:
        raise Stop(NOT_MIGRATED, "rows-changed", "The recorded migrations are not those that this run should leave behind: %s."
                   % "; ".join(changes), **result)
    if tenants.behind():
        raise Stop(NOT_MIGRATED, "pending", "Not applied in schemas of tenants: %s." % tenants.say_behind(), **result)
    return PLANNED, result


@contextmanager
def read_again(connection, error, lost):
    """Reads the database after a run: the result reports what is there, not what was intended."""
    try:
        connection.close()
        yield
    except Exception as cause:
        say_traceback(error or cause)
        lost.result["error"]["detail"] = last_line(cause)
        raise lost


def raise_with(error, result, code, kind, text, failed, schema=""):
    """Raises the exception that ended a run, with the present state of the database."""
    if isinstance(error, Stop):
        error.result.update(result)
        raise error
    say_traceback(error)
    where = "%(app)s.%(name)s" % failed + schema if failed else "a receiver of pre_migrate or post_migrate"
    raise Stop(code, kind, text % where, last_line(error), **result)


def schema_of(connection):
    """` (schema b)` while a tenant's schema is migrated."""
    schema = getattr(getattr(connection, "tenant", None), "schema_name", None) if hasattr(connection, "set_schema") else None
    return " (schema %s)" % schema if schema else ""


def unexpected_changes(before, after):
    planned = {part for each in before.pending for part in before.expand((each.app_label, each.name))}
    bookkeeping = set(after.replaces)
    pending = [(each.app_label, each.name) for each in after.pending]
    kinds = (
        ("still pending", pending),
        ("not recorded exactly once", [key for key in sorted(planned - set(pending)) if after.rows[key] != 1]),
        ("gone", sorted(set(before.rows) - set(after.rows))),
        ("recorded by another process", sorted(set(after.rows) - set(before.rows) - planned - bookkeeping)),
        ("recorded again", [key for key in sorted(before.rows) if after.rows[key] > before.rows[key]]),
    )
    return ["%s: %s" % (kind, ", ".join(labels(keys))) for kind, keys in kinds if keys]
