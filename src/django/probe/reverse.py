def plan_reverse(_out):
    """What the current release would unapply to restore the schema of an older one; changes nothing."""
    protect_databases("read")
    connection = open_database()
    survey = Survey(ALIAS, connection)
    result = {"database": describe_database(ALIAS, connection, survey.rows), "dump": describe_dump(connection), "unapply": []}
    trouble = survey.trouble()
    if trouble:
        raise Stop(UNSOUND, *trouble, **result)
    way = Reverse(survey, connection, given("TARGET"))
    if way.migrations:
        Tenants(connection).refuse_reverse(dict(result, **way.facts()))
    way.look()
    result.update(way.facts(), pending=[describe_migration(survey.loader, each) for each in survey.pending])
    way.refuse(result)
    say("To unapply: %s" % (", ".join(labels_of(result["unapply"])) or "nothing"))
    for line in way.losses:
        say("Lost by that: %s" % line)
    return PLANNED, result


def unapply(out):
    """Unapplies one migration after another, under the lock of `migrate`.

    As the revert of a deployment it has no plan of its own: it unapplies the approved migrations that were applied.
    """
    from django.db import connections

    signals = Signals()
    check_kept(connections[ALIAS])
    is_planned = "DEPLOY_DJANGO_TARGET" in os.environ
    protect_databases("write")
    with take_turn(signals) as (turn, connection, before):
        nothing = {"unapplied": [], "failed": None}
        trouble = before.trouble()
        if trouble:
            raise Stop(UNSOUND, *trouble, **nothing)
        way = Reverse(before, connection, given("TARGET") if is_planned else without_approved(before))
        found = [describe_migration(way.loader, each) for each in way.migrations]
        if is_planned and [named_source(each) for each in found] != [named_source(each) for each in given("REVERSE")["unapply"]]:
            raise Stop(PLAN_DIFFERS, "plan-differs", "The migrations to unapply are not those of the plan: %s. The database "
                       "was changed after the plan was made." % (", ".join(labels_of(found)) or "nothing"), **nothing)
        if found:
            Tenants(connection).refuse_reverse(nothing)
        way.look()
        way.refuse(nothing)
        if found and wait_for_go(out, signals, "unapplied", nothing):
            connection.close()  # idle until now: the server may have closed it
            # The app has written until it stopped.
            way.look()
            way.refuse(nothing)
        run = ReverseRun(connection, signals, turn, way)
        error = run.all() if found else None
        return conclude_reverse(connection, way, run, error)


def is_applied(alias, label):
    with about(alias):
        connection = open_database(alias)
        return connection is not None and tuple(label.split(".", 1)) in read_rows(connection)


def find_return(_out):
    """Whether and how a deployment can be reverted, by its migrations that are applied now: a failed one may leave some.

    The runner has judged them: the old code cannot work with BREAKING ones; LASTING ones cannot be unapplied without
    loss, or not at all.
    """
    protect_databases("read")
    breaking, lasting = (
        [name for name in os.environ.get("DEPLOY_DJANGO_" + kind, "").split() if is_applied(*of_database(name))]
        for kind in ("BREAKING", "LASTING")
    )
    if not breaking:
        return PLANNED, {"return": "containers"}
    say("The old code cannot work with %s." % ", ".join(breaking))
    if not lasting:
        return UNFIT, {"return": "reverse"}
    say("These migrations cannot be unapplied without loss, or not at all: %s." % ", ".join(lasting))
    return IRREVERSIBLE, {"return": "none"}


def without_approved(survey):
    """The migrations applied before a deployment, in the form in which an older release lists what it knows.

    The deployment's report names what others had applied until then. A container that died has left no report.
    """
    already = json.loads(os.environ.get("DEPLOY_DJANGO_REPORT") or "{}").get("already", [])
    ours = [tuple(label.split(".", 1)) for label in read_approved() if label not in already]
    new = {part for key in ours for part in survey.expand(key)}
    return {"known": labels({part for key in survey.loader.disk_migrations for part in survey.expand(key)} - new), "leaves": {}}


def given(name):
    """A document of the probe, which the host passes on unchanged."""
    return json.loads(os.environ["DEPLOY_DJANGO_" + name])


def named_source(described):
    return described["app"], described["name"], described["source"]


def labels_of(described):
    return labels((each["app"], each["name"]) for each in described)


def known_migrations(loader, expand):
    """What another release needs in order to return to this one: every migration here, and the last ones."""
    known = {part for key in loader.disk_migrations for part in expand(key)}
    leaves = {"%s.%s" % leaf: labels(plain_parts(leaf, expand, loader.disk_migrations)) for leaf in loader.graph.leaf_nodes()}
    return {"known": labels(sorted(known)), "leaves": leaves}


def plain_parts(key, expand, disk):
    """The plain migrations that a squash replaces; empty for a plain one."""
    return sorted(part for part in expand(key) if part != key and not (part in disk and disk[part].replaces))


class Reverse:
    """The applied migrations that an older release does not know, and the effects of unapplying them.

    `migrations` has the order of unapplying. A squash that the older release knows in part is replaced by its parts.
    """

    def __init__(self, survey, connection, target):
        self.survey, self.connection = survey, connection
        self.known, self.leaves = set(target["known"]), target["leaves"]
        disk = survey.loader.disk_migrations
        self.parts = {key: plain_parts(key, survey.expand, disk) for key in survey.replaces}
        partly = sorted(key for key in self.parts if self.is_partly_known(key))
        self.apart = [key for key in partly if all(part in disk for part in self.parts[key])]
        self.hidden = sorted(part for key in self.apart for part in self.parts[key] if not self.is_known(part) and part in survey.rows)
        self.loader = self.executor_of().loader
        order = self.order()
        newer = [key for key in order if key in self.loader.applied_migrations and not self.is_known(key)]
        self.migrations = [self.loader.graph.nodes[key] for key in reversed(newer)]
        self.rewritten = ["%s.%s replaces migrations of that release and newer ones, but not all of them are in this image" % key
                          for key in partly if key not in self.apart]
        self.rewritten += self.find_rewritten(order, set(newer), disk)
        self.stays = sorted(set(labels(survey.unknown)) - self.known)
        # Only `default` is reversed. If the older code cannot use another database, a reversal does not help it.
        self.beyond = [problem["text"] for other in target.get("others", ()) for problem in other["problems"]]
        self.irreversible, self.blocked, self.losses = [], [], []

    def executor_of(self, base=None):
        """An executor whose graph has the parts of those squashes instead of the squashes."""
        from django.db.migrations.executor import MigrationExecutor
        from django.db.migrations.recorder import MigrationRecorder

        read, hidden = MigrationRecorder.applied_migrations, set(self.hidden)

        def without_hidden(recorder):
            found = read(recorder)
            return type(found)((key, found[key]) for key in found if key not in hidden) if isinstance(found, dict) else found - hidden

        # If these look unapplied, Django itself ignores the squash.
        MigrationRecorder.applied_migrations = without_hidden
        try:
            executor = load_migrations(lambda: (base or MigrationExecutor)(self.connection))
        finally:
            MigrationRecorder.applied_migrations = read
        recorded = read(executor.recorder)
        for key in hidden:
            if isinstance(recorded, dict):
                executor.loader.applied_migrations[key] = recorded[key]
            else:
                executor.loader.applied_migrations.add(key)
        return executor

    def order(self):
        found = {}  # a dictionary keeps the order
        for leaf in self.loader.graph.leaf_nodes():
            found.update(dict.fromkeys(self.loader.graph.forwards_plan(leaf)))
        return list(found)

    def is_known(self, key):
        """Also true for a squash if the older release knows all of its parts."""
        parts = self.parts.get(key)
        return "%s.%s" % key in self.known or bool(parts) and all("%s.%s" % part in self.known for part in parts)

    def is_partly_known(self, key):
        return not self.is_known(key) and any("%s.%s" % part in self.known for part in self.parts[key])

    def find_rewritten(self, order, newer, disk):
        """Why this image cannot return to the older release: the history of an app may have been rewritten."""
        here = {part for key in disk for part in self.survey.expand(key)}
        found = ["%s of that release is no longer in this image" % leaf for leaf, parts in sorted(self.leaves.items())
                 if any(app == leaf.split(".")[0] for app, _ in newer)
                 and not set(parts or [leaf]) <= set(labels(here)) and leaf not in labels(here)]
        above = set(newer)
        for key in order:
            parents = {parent.key for parent in self.loader.graph.node_map[key].parents}
            if key not in newer and key in self.loader.applied_migrations and parents & above:
                above.add(key)
                found.append("%s.%s of that release comes after migrations that it does not know" % key)
        return found

    def facts(self):
        return {
            "unapply": [describe_migration(self.loader, each) for each in self.migrations], "rewritten": self.rewritten,
            "irreversible": self.irreversible, "blocked": self.blocked, "losses": self.losses, "stays": self.stays,
        }

    def refuse(self, result):
        found = self.rewritten + self.irreversible + self.blocked
        if found:
            kind = "rewritten" if self.rewritten else "irreversible" if self.irreversible else "blocked"
            for line in found:
                say("Not reversible: %s" % line)
            raise Stop(IRREVERSIBLE, kind, "The migrations since that release cannot be reversed.", "; ".join(found), **result)

    def look(self):
        """Fills the lists: whether each operation can be reversed with the present rows, and what that loses."""
        self.irreversible, self.blocked, self.losses = list(self.beyond), [], []
        if self.rewritten:
            return  # the states of the models in between are unknown
        for part in Parts(self).all():
            label = "%s.%s" % (part.migration.app_label, part.migration.name)
            try:
                for kind, text in part.look():
                    getattr(self, kind).append("%s: %s" % (label, text))
            except Exception as error:
                say_traceback(error)
                self.losses.append("%s: what it loses is not known (%s)" % (label, operation_text(part.operation)))


class ReverseRun(Run):
    """Runs the project's own `migrate` command backwards, with the signals and states of its Django."""

    method, doing, did, code_of_failure = "unapply", "Unapplying", "unapplied", UNAPPLY_FAILED

    def __init__(self, connection, signals, turn, way):
        super().__init__(connection, signals, turn, float("inf"))  # no deadline: a half-reversed schema fits neither release
        self.way = way

    def executor(self, command):
        run, way = self, self.way

        class Executor(command.MigrationExecutor):
            def migration_plan(self, targets, clean_start=False):
                if clean_start:
                    return super().migration_plan(targets, clean_start=True)
                return [(self.loader.graph.nodes[each.app_label, each.name], True) for each in way.migrations]

            def unapply_migration(self, state, migration, **options):
                return run.one(migration, lambda: super(Executor, self).unapply_migration(state, migration, **options), lambda: state)

            def check_replacements(self):
                """A squash that is applied in part counts as unapplied. Before Django 4.0, Django would keep its row."""
                gone = {part for each in way.migrations for part in way.survey.expand((each.app_label, each.name))}
                gone.update(key for key in way.apart if gone & set(way.parts[key]))
                for key in sorted(gone):
                    self.recorder.record_unapplied(*key)

        return lambda connection, *arguments: way.executor_of(lambda _: Executor(connection, *arguments))

    def check_time(self, label):
        """A reversal never ends between two migrations."""

    def is_done(self, migration):
        return not is_recorded(self.connection, migration) and not migration.replaces


def conclude_reverse(connection, way, run, error):
    lost = Stop(UNAPPLY_FAILED, "database-lost", "The database does not answer after unapplying.", unapplied=run.applied,
                failed=run.failed)
    with read_again(connection, error, lost):
        after = Survey(ALIAS, connection)
    result = {
        "unapplied": [each for each in run.applied if (each["app"], each["name"]) not in after.rows], "failed": run.failed,
        "database": describe_database(ALIAS, connection, after.rows),
    }
    if error:
        raise_with(error, result, UNAPPLY_FAILED, "unapply-failed", "%s could not be reversed.", run.failed)
    left = labels((each.app_label, each.name) for each in way.migrations if (each.app_label, each.name) in after.rows)
    if left:
        raise Stop(NOT_MIGRATED, "rows-changed", "Still applied: %s." % ", ".join(left), **result)
    return PLANNED, result
