"""`docker compose`: config, up and run.

`up` recreates in the steps of Compose v2, each of them persisted: new container `<12 hex>_name`, old one stopped, removed,
new one renamed; when all are there, they are started. A compose file is JSON here. What a service is like stands in its
entry: x-migrations (rows that its code knows), x-fails (the one that does not apply), x-stuck (the one that cannot be unapplied), x-irreversible (rows that its code says it cannot), x-unfit (rows that its code cannot
work with), x-refused (the database refuses what its settings say), x-health (bad), x-says (what its health command says then), x-answered (the host that is asked), x-logs (what it logs when it starts), x-check-exit (its exit code then), x-loops (after how many seconds it crashes, each time), x-workers (dying, silent or starting: what its log says of them), x-uncollected (its static files cannot be collected),
x-check (its health command), x-exits (a code), x-port-taken, x-stubborn, x-nginx, x-variables and x-required (names that its
text uses), x-port (the port of the server that it publishes), container_name.
"""
import base64
import hashlib
import json
import os
import re
import sys
import time

from state import create, demand_free, fail, find, newer, pending, start, stop

SECRET = base64.b64encode(b"secret of todo").decode()
CONNECTION = '\ndeploy-django: variable PGPASSWORD %s\n\n{"deploy-django": 1, "verb": "connection"}' % SECRET


def obey(call, words):
    options, files = {}, []
    while words[0].startswith("-"):
        options[words[0]] = words[1]
        files += [words[1]] if words[0] == "-f" else []
        words = words[2:]
    if words[0] == "version":
        return print("2.26.1")
    services, networks = {}, {}
    for file in files:
        text = call.read(file)
        if "!reset" in text:
            name = re.search('"(.+?)": {', text).group(1)
            services[name] = {key: value for key, value in services[name].items() if "%s: !reset" % key not in text}
            continue
        model = json.loads(text)
        networks.update(model.get("networks", {}))
        for name, spec in model["services"].items():
            joined = dict(services.get(name, {}).get("networks", {}), **spec.get("networks", {}))
            services[name] = dict(services.get(name, {}), **dict(spec, networks=joined) if joined else spec)
    missing = [name for name in words[1:] if words[0] == "config" and name[0] != "-" and name != "json" and name not in services]
    if missing:
        fail("no such service: " + missing[0])
    if words[:2] == ["config", "-q"]:
        return config(services, call.read(options["--env-file"]) if "--env-file" in options else "")
    if words[0] == "config":
        chosen = {name: services[name] for name in services if name in words or "--format" in words}
        return print(json.dumps(dict({"services": chosen}, **{"networks": networks} if networks else {})))
    folder = options["--project-directory"]
    call.networks, call.files = networks, files
    if words[0] == "run" and not any(file.endswith("/run.yaml") for file in files):
        fail("stand-in: a one-off container comes from the model of the site", 99)
    call.labels = {"project.working_dir": folder, "project.config_files": ",".join(os.path.join(folder, file) for file in files)}
    if "--no-deps" not in words:
        fail("stand-in: without --no-deps Compose may touch the database", 99)
    return {"up": up, "run": run}[words[0]](call, options["-p"], services, words[1:])


def config(services, variables):
    known = [line.split("=")[0] for line in variables.split("\n")]
    wanted = {kind: [name.strip("${}") for spec in services.values() for name in spec.get(kind, []) if name.strip("${}") not in known]
              for kind in ("x-variables", "x-required")}
    for name in wanted["x-variables"]:
        sys.stderr.write('time="T" level=warning msg="The \\"%s\\" variable is not set. Defaulting to a blank string."\n' % name)
    for name in wanted["x-required"]:
        fail("error while interpolating services.web.image: required variable %s is missing a value" % name, 15)


def up(call, project, services, words):
    flags, scale, names, words = set(), {}, [], list(words)
    while words:
        word = words.pop(0)
        if word == "--scale":
            name, count = words.pop(0).split("=")
            scale[name] = int(count)
        elif word == "--pull":
            flags.add("--pull=" + words.pop(0))
        elif word.startswith("-"):
            flags.add(word)
        else:
            names.append(word)
    if not names:
        fail("stand-in: up without names is everything, the database included", 99)
    with call.state as facts:
        facts["networks"] = sorted({*facts["networks"], project + "_default"})
    for name in names:
        converge(call, project, name, services[name], scale.get(name, services[name].get("scale", 1)), flags)
    with call.state as facts:
        resting = [each["id"] for each in containers_of(facts, project, names) if each["state"] != "running"]
    for identity in resting:
        with call.state as facts:
            start(facts, find(facts, identity))
        call.point("amid, started one")


def containers_of(facts, project, services):
    found = [each for each in facts["containers"] if (each["project"], each["oneoff"]) == (project, "False") and each["service"] in services]
    return sorted(found, key=lambda each: each["number"])


def converge(call, project, name, spec, count, flags):
    """As many containers of this configuration as wanted; none is started yet."""
    with call.state as facts:
        if spec["image"] not in facts["images"]:
            if "--pull=never" in flags or spec["image"] not in facts["registry"]:
                fail("Error response from daemon: No such image: " + spec["image"], 18)
            facts["images"][spec["image"]] = facts["registry"][spec["image"]]
        existing = containers_of(facts, project, [name])
        new = {"project": project, "service": name, "oneoff": "False", "spec": spec, "hash": json.dumps(spec), "image": facts["images"][spec["image"]], "labels": call.labels}
    # Those that differ come first, and it is the last ones that are too many: with a leftover, that is the running one.
    outdated = [old for old in existing if "--force-recreate" in flags or "--no-recreate" not in flags and old["hash"] != new["hash"]]
    existing.sort(key=lambda each: each not in outdated)
    with call.state as facts:
        for old in outdated:
            demand_free(facts, interim(old, name_of(project, name, spec, old["number"])))
    for old in existing[count:]:
        with call.state as facts:
            stop(facts, find(facts, old["id"]))
            facts["containers"].remove(find(facts, old["id"]))
        call.point("amid, removed one too many")
    for old in existing[:count]:
        if old in outdated:
            recreate(call, old, name_of(project, name, spec, old["number"]), dict(new, number=old["number"]))
    taken = [each["number"] for each in existing[:count]]
    for number in [number for number in range(1, 99) if number not in taken][:count - len(taken)]:
        with call.state as facts:
            create(facts, name=name_of(project, name, spec, number), **dict(new, number=number))
        call.point("amid, created one")


def name_of(project, service, spec, number):
    return spec.get("container_name", "%s-%s-%d" % (project, service, number))


def interim(old, name):
    return "%s_%s" % (old["id"][:12], name)


def recreate(call, old, name, new):
    with call.state as facts:
        identity = create(facts, name=interim(old, name), **new)
    call.point("amid, created the new one")
    with call.state as facts:
        stop(facts, find(facts, old["id"]))
    call.point("amid, stopped the old one")
    with call.state as facts:
        facts["containers"].remove(find(facts, old["id"]))
    call.point("amid, removed the old one")
    with call.state as facts:
        find(facts, identity)["name"] = name
    call.point("amid, renamed the new one")


def run(call, project, services, words):
    environment, options, labels, words = {}, {}, {}, list(words)
    while words[0].startswith("-"):
        word = words.pop(0)
        if word == "-e":
            name, value = words.pop(0).split("=", 1)
            environment[name] = value
        elif word == "--label":
            label, value = words.pop(0).split("=", 1)
            labels[label] = value
        else:
            options[word] = words.pop(0) if word in ("--name", "--entrypoint") else True
    name, verb = words[0], environment.get("DEPLOY_DJANGO", "try")
    spec = services[name]
    if labels.pop("traefik.enable", "") != "false" or "labels" in spec:
        fail("stand-in: a proxy would find the container of the probe", 99)
    with open(call.world + "/docker/runs", "a") as runs:
        parts = [re.sub(".*/releases/[^/]*/", "", file) for file in call.files]
        runs.write(json.dumps({"verb": verb, "files": parts, "labels": labels, "environment": environment}) + "\n")
    demand_networks(call, verb, spec)
    if options.get("--entrypoint") == "sh":
        return run_client(call, project, name, spec, labels, words[1:])
    if verb == "try":
        return attempt(call, project, name, spec, options, labels, words[1:])
    through = "--entrypoint" not in options
    started = words[1:-1] if through else [options["--entrypoint"]] + words[1:-1]
    if started != ["python", "manage.py", "shell", "-v", "0", "-c"] or words[-1] != "the-word-of-the-probe":
        fail("stand-in: the probe is started in another way: %s" % started, 99)
    # An entrypoint makes the settings; while only looking it must not write.
    made = (["DATABASE_URL"] if spec.get("x-entrypoint") else []) + spec.get("x-made", [])
    lost = [] if through else [each for each in made if each not in environment]
    if verb not in ("migrate", "unapply"):
        if through and "read_only=on" not in environment.get("PGOPTIONS", ""):
            fail("stand-in: an entrypoint may write", 99)
        if verb == "collect" and not lost:
            return collect(call, project, name, spec, labels)
        if verb in ("backup", "connection") and spec["logging"]["driver"] != "none":
            fail("stand-in: a secret would be in a log", 99)
        if verb == "backup":
            return backup(spec)
        if verb == "connection":
            return print(CONNECTION)
        with call.state as facts:
            return probe(facts, spec, verb, lost, environment)
    with call.state as facts:
        if "DEPLOY_DJANGO_REVERSE" in environment:
            approved = json.loads(environment["DEPLOY_DJANGO_REVERSE"])["unapply"]
        else:
            approved = [each.split("=")[0] for each in environment["DEPLOY_DJANGO_APPROVED"].split()]
        target = json.loads(environment.get("DEPLOY_DJANGO_TARGET", '{"known": null}'))["known"]
        if verb == "unapply" and target is None:  # the revert of a deploy
            already = json.loads(environment["DEPLOY_DJANGO_REPORT"] or "{}").get("already", [])
            target, approved = [row for row in spec["x-migrations"] if row not in approved or row in already], None
        identity = create(
            facts, name=options["--name"], project=project, service=name, oneoff="True", number=1, spec=spec, hash="",
            image=facts["images"][spec["image"]], labels=labels,
            probe={"phase": "lost" if lost else "start", "now": "DEPLOY_DJANGO_GO" in environment,
                   "collects": "DEPLOY_DJANGO_COLLECT" in environment, "approved": approved, "applied": [], "target": target, "already": [row for row in approved or [] if row in facts["rows"]]})
    call.point("amid, created the migration")
    with call.state as facts:
        start(facts, find(facts, identity))
    return print(identity)


def attempt(call, project, service, spec, options, labels, words):
    """A trial container: the service's own program and health check, and nothing of its ports."""
    if words or "--entrypoint" in options or not any(file.endswith("/run/try.yaml") for file in call.files):
        fail("stand-in: a trial starts in another way than its service", 99)
    with call.state as facts:
        identity = create(
            facts, name=options["--name"], project=project, service=service, oneoff="True", number=1, hash="", labels=labels, trial=True,
            spec={key: spec[key] for key in spec if key not in ("x-port", "x-port-taken")}, image=facts["images"][spec["image"]])
    call.point("amid, created the trial")
    with call.state as facts:
        start(facts, find(facts, identity))
    print(identity)


def demand_networks(call, verb, spec):
    """One that is there is external; no other is made for a container that only looks."""
    with call.state as facts:
        for key in spec.get("networks", []):
            definition = call.networks.get(key) or {}
            if definition.get("external") and definition["name"] not in facts["networks"]:
                fail("network %s declared as external, but could not be found" % definition["name"])
            if not definition.get("external") and verb not in ("migrate", "unapply", "collect"):
                fail("stand-in: a network would be made", 99)
        if "network_mode" not in spec and "networks" not in spec:
            fail("stand-in: the default network would be made", 99)


def collect(call, project, service, spec, labels):
    with call.state as facts:
        container = create(
            facts, name="%s-run-%d" % (project, facts["created"]), project=project, service=service, oneoff="True", number=1, spec=spec,
            hash="", image=facts["images"][spec["image"]], labels=labels)
        start(facts, find(facts, container))
    call.point("amid, collecting")
    with call.state as facts:
        facts["static"] = facts["images"][spec["image"]]
        facts["containers"].remove(find(facts, container))
    print(json.dumps({"deploy-django": 1, "verb": "collect"}))
    raise SystemExit(23 if "x-uncollected" in spec else 0)


def backup(spec):
    """As the probe prints it; x-dump: torn lacks a part."""
    text = b"SQLite of todo"
    checksum = hashlib.sha256(text + b"!" if spec.get("x-dump") == "torn" else text).hexdigest()
    print("a line that settings print\n\ndeploy-django: dump\n%s\n\ndeploy-django: dumped %s" % (base64.b64encode(text).decode(), checksum))
    print(json.dumps({"deploy-django": 1, "verb": "backup"}))


def run_client(call, project, service, spec, labels, words):
    """A PostgreSQL client in the place of the app; its `x-dump` says what becomes of a dump: slow, lost, torn, denied."""
    if call.stdin != CONNECTION + "\n" or any(SECRET in word for word in [*call.words, *words]) or spec["logging"]["driver"] != "none":
        fail("stand-in: the client does not know how to connect, or everybody knows", 99)
    with call.state as facts:
        container = create(
            facts, name="%s-run-%d" % (project, facts["created"]), project=project, service=service, oneoff="True", number=1, spec=spec,
            hash="", image=facts["images"][spec["image"]], labels=labels)
        start(facts, find(facts, container))
    call.point("amid, dumping")
    kind = spec.get("x-dump")
    while kind == "slow" and "pg_dump" in words[-1]:
        time.sleep(0.02)
        if all(each["id"] != container for each in call.state.read()["containers"]):
            fail("the container was removed", 137)
    with call.state as facts:
        facts["containers"] = [each for each in facts["containers"] if each["id"] != container]
    if kind == "denied":
        fail("psql: error: FATAL: password authentication failed for user \"todo\"", 2)
    if "pg_dump" in words[-1] and kind == "lost":
        fail("pg_dump: error: server closed the connection unexpectedly")
    print("torn" if kind == "torn" else "dump of todo" if "pg_dump" in words[-1] else "1")


def probe(facts, spec, verb, lost, environment):
    """The verbs of the probe that run in a container of their own and only look."""
    if lost:
        fail("KeyError: '%s'" % lost[0])
    result = {"deploy-django": 1, "verb": verb, "pending": pending(facts, spec)}
    if "x-refused" in spec and verb == "fit":
        print(json.dumps(dict(result, error={"kind": "database-refused", "message": "The database refused.", "detail": ""})))
        raise SystemExit(13)
    if verb == "fit":
        known = spec.get("x-migrations", [])
        result["problems"] = [{"text": row} for row in spec.get("x-unfit", []) if row in facts["rows"]]
        result["ahead"] = [row for row in facts["rows"] if row not in known]
        result["known"] = known
    if verb == "return" and "x-away" in spec:
        print(json.dumps(dict(result, error={"kind": "database-not-up", "message": "The database does not answer.", "detail": ""})))
        raise SystemExit(12)
    if verb == "return":
        applied = [[row for row in environment["DEPLOY_DJANGO_" + name].split() if row in facts["rows"]] for name in ("BREAKING", "LASTING")]
        print(json.dumps(result))
        raise SystemExit((28 if applied[1] else 20) if applied[0] else 0)
    if verb == "reverse":
        result["unapply"] = newer(facts, spec, json.loads(environment["DEPLOY_DJANGO_TARGET"])["known"])
        stuck = [row for row in result["unapply"] if row in spec.get("x-irreversible", [])]
        if stuck:
            print(json.dumps(dict(result, error={"kind": "irreversible", "message": "not reversible: %s" % stuck, "detail": ""})))
            raise SystemExit(28)
    print("a line that settings print\n" + json.dumps(result))
    if verb == "verify" and result["pending"]:
        raise SystemExit(19)
    raise SystemExit(20 if result.get("problems") else 0)
