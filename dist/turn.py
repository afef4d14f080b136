@contextmanager
def take_turn(signals, alias=ALIAS):
    """Waits for the database, then for the lock, and then surveys the database. Holds the lock until the end."""
    from django.db import connections

    end = time.monotonic() + seconds_of("DATABASE_WAIT", 60)
    while True:
        turn = Turn(connections[alias])
        try:
            make_sqlite_file(connections[alias])
            connections[alias].ensure_connection()
            check_alias(alias)
            with concerning(alias):
                turn.take(signals)
            survey = Survey(alias, connections[alias])
            break
        except Exception as error:
            turn.end()
            stop = error if isinstance(error, Stop) else explain(error, alias)
            if stop.code != DATABASE_DOWN or time.monotonic() >= end:
                raise stop
            say("Waiting for the database: %s" % stop.result["error"]["detail"])
            connections[alias].close()
            signals.wait(1)
            if signals.stopped:
                raise Stop(NO_GO, "stopped", "Stopped while waiting for the database; nothing was migrated.")
    try:
        yield turn, connections[alias], survey
    finally:
        turn.end()


class Turn:
    """One runner at a time: a lock that ends when this process dies.

    The lock is polled: a client that waits inside a statement holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for
    that. The lock has its own connection, because code in migrations may close the other one. A pooler may give only one
    connection. Then each migration takes the lock in its own transaction.
    """

    TAKE = "SELECT pg_try_advisory_xact_lock(%s, hashtext(current_database()))"
    FOLDERS = {}  # that this process has locked: two databases may be in one folder

    def __init__(self, connection):
        self.connection = beside(connection)
        # Whether there is a pooler, and whether it gives only one connection.
        self.is_pooled = self.is_shared = False
        self.folder = None

    def take(self, signals):
        attempts = {"postgresql": self.try_postgresql, "mysql": self.try_mysql, "sqlite": self.try_sqlite}
        attempt = attempts.get(self.connection.vendor)
        end = time.monotonic() + seconds_of("LOCK_WAIT", 60)
        while attempt and not attempt():
            if time.monotonic() >= end:
                raise Stop(LOCK_BUSY, "lock-busy", "Another process is migrating this database.")
            say("Another process is migrating this database; waiting.")
            signals.wait(min(1, max(0.05, end - time.monotonic())))
            if signals.stopped:
                raise Stop(NO_GO, "stopped", "Stopped while waiting for the lock; nothing was migrated.")

    def try_postgresql(self):
        self.connection.set_autocommit(False)
        with self.connection.cursor() as cursor:
            # A stricter level would keep the first statement's snapshot.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SELECT set_config(name, '0', true) FROM pg_settings "
                           "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')")
        taken = self.take_in(self.connection)
        self.is_pooled = taken and is_pooled(self.connection)
        if self.is_pooled and not self.leaves_room():
            say("The connection pooler gives out one connection at a time, so each migration takes the lock in its own transaction.")
            self.is_shared = True
        if not taken or self.is_shared:
            self.connection.rollback()
        return taken

    def take_in(self, connection):
        """Holds the lock until this connection's transaction ends.

        The lock is named after the database as the server calls it, because a pooler may use another name.
        """
        with connection.cursor() as cursor:
            cursor.execute(self.TAKE, [LOCK_NAMESPACE])
            return cursor.fetchone()[0]

    def leaves_room(self):
        """Whether a second connection gets an answer while this one has an open transaction."""
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

        # Not joined: if no connection is free, the thread gets its answer after this transaction.
        threading.Thread(target=ask_beside, daemon=True).start()
        return answered.wait(seconds_of("ROOM_WAIT", 3))

    def try_mysql(self):
        with self.connection.cursor() as cursor:
            # Idle while migrations run, and the lock ends with the connection. 31536000 s is MySQL's maximum.
            cursor.execute("SET SESSION wait_timeout = 31536000")
        # These locks belong to the whole server, so the name identifies the database. It has at most 64 characters.
        return ask(self.connection, "SELECT GET_LOCK(CONCAT('deploy-django:', MD5(DATABASE())), 0)") == 1

    def try_sqlite(self):
        """Locks the file's folder, so that nothing is left behind. SQLite's own locks would end if its file was closed here."""
        path = sqlite_path(self.connection)
        folder = path and os.path.dirname(os.path.realpath(path))
        if folder is None or folder in self.FOLDERS:
            return True
        try:
            opened = os.open(folder, os.O_RDONLY)
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(opened)
            return False
        except OSError as error:  # such as on NFS
            say("The folder %s cannot be locked, so nothing stops a second runner: %s" % (folder, error.strerror))
            return True
        self.folder, self.FOLDERS[folder] = folder, opened
        return True

    def end(self):
        if self.folder:
            os.close(self.FOLDERS.pop(self.folder))
            self.folder = None
        try:
            self.connection.close()
        except Exception as error:
            say("The lock's connection is gone already (%s)." % last_line(error))
