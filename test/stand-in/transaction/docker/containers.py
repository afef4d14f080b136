"""`docker` without compose: the commands that transaction.sh uses, with the templates that it uses."""
import json
import os
import re
import subprocess
import sys
import time

from state import advance, create, demand_free, end, fail, find, pending, start, stop

HEALTH = "{{with .State.Health}}{{.Status}}{{else}}-{{end}}"
MARKS = '{{range $name, $_ := .Config.Labels}}{{println "label" $name}}{{end}}{{range .Config.Env}}{{println "variable" .}}{{end}}'
VOLUMES = "{{range $place, $_ := .Config.Volumes}}{{$place}} {{end}}"
CHECK = '{{with .Config.Healthcheck}}{{.Timeout.Nanoseconds}}{{"\\x1f"}}{{range .Test}}{{.}}{{"\\x1f"}}{{end}}{{end}}'
TIMES = "{{with .Config.Healthcheck}}{{.StartPeriod.Nanoseconds}}{{end}}"
PLACES = '{{range .Mounts}}{{if ne .Type "tmpfs"}}{{println .Destination}}{{end}}{{end}}'
SIMPLE = {
    "version {{.Server.Version}}": "27.0.0", "version {{.Server.Version}} {{.Server.Arch}}": "27.0.0 amd64",
    "info {{.DockerRootDir}}": "/", "context {{.Endpoints.docker.Host}}": "unix:///var/run/docker.sock",
}


def obey(call, verb, words, folder):
    if verb == "wait":
        return wait(call, words[0])
    if verb == "exec" and "--env-file" in words:
        return run_lines(call, words[words.index("--env-file") + 1:])
    if verb == "run" and "pg_restore" in words:
        raise SystemExit(0 if call.stdin == "dump of todo\n" and words[-2] in call.state.read()["images"] else 1)
    if verb == "exec" and any("exec pg_dump" in word for word in words):
        return dump(call, words)
    with call.state as facts:
        advance(facts)
        if "%s %s" % (verb, words[-1]) in SIMPLE:
            return print(SIMPLE["%s %s" % (verb, words[-1])])
        if verb == "pull":
            return pull(facts, words[-1], folder)
        if verb == "login":
            return login(call, facts, words, folder)
        if verb == "exec":
            return execute(call, facts, words)
        return VERBS[verb](facts, words)


def option(words, name):
    return words[words.index(name) + 1] if name in words else None


def started_at(container):
    # A count of starts is a moment long ago.
    started = container["started"]
    return started if isinstance(started, str) else "2001-01-01T00:00:00.%09dZ" % started


def render(template, container):
    spec = container["spec"]
    values = {
        "{{.ID}}": container["id"], "{{.Id}}": container["id"], "{{.Names}}": container["name"], "{{.Name}}": "/" + container["name"],
        '{{.Label "com.docker.compose.service"}}': container["service"], '{{index .Config.Labels "com.docker.compose.service"}}': container["service"],
        '{{.Label "com.docker.compose.project"}}': container["project"],
        "{{range .HostConfig.PortBindings}}{{range .}}{{println .HostPort}}{{end}}{{end}}": str(spec.get("x-port", "")),
        '{{.Label "deploy-django.transaction"}}': container["labels"].get("deploy-django.transaction", ""),
        "{{.State}}": container["state"], "{{.State.Status}}": container["state"], "{{.State.ExitCode}}": str(container["exit"]),
        "{{.State.Running}}": json.dumps(container["state"] == "running"), "{{.RestartCount}}": str(container["restarts"]),
        '{{or .HostConfig.RestartPolicy.Name "no"}}': spec.get("restart", "no"), "{{.State.StartedAt}}": started_at(container),
        "{{.HostConfig.LogConfig.Type}}": spec.get("logging", {}).get("driver", "json-file"),
        "{{.Image}}": container["image"], "{{.Config.Image}}": spec["image"],
        HEALTH: ("unhealthy" if spec.get("x-health") == "bad" else "healthy") if "x-check" in spec else "-",
        "{{json .Config.Healthcheck}}": json.dumps(spec.get("x-check", [])), '{{"\\x1f"}}': "\x1f",
        "{{json .Id}}": json.dumps(container["id"]), "{{json .State.Running}}": json.dumps(container["state"] == "running"),
        "{{json .Path}} {{json .Args}}": json.dumps("gunicorn") + " " + json.dumps(["site.wsgi"]),
        "{{json .Image}}": json.dumps(container["image"]), "{{json .Config.Image}}": json.dumps(spec["image"]),
        "{{json .Mounts}}": json.dumps(spec.get("x-mounts", [])), "{{range .Mounts}}{{println .Source}}{{end}}": "".join(each["Source"] + "\n" for each in spec.get("x-mounts", [])),
        "{{json .HostConfig.PortBindings}}": "{}", "{{println .Config.WorkingDir}}": "/app\n", PLACES: "".join(each["Destination"] + "\n" for each in spec.get("x-mounts", [])),
        CHECK: "".join(word + "\x1f" for word in ["0", *spec["x-check"]]) if "x-check" in spec else "", TIMES: "1000000000" if "x-check" in spec else "",
    }
    labels = dict(container["labels"], project=container["project"], service=container["service"])
    values['[{{range $name, $_ := .NetworkSettings.Networks}}{{json $name}},{{end}}null]'] = json.dumps([container["project"] + "_default", None])
    for name in ("project", "service", "project.working_dir", "project.config_files", "project.environment_file"):
        values['{{json (index .Config.Labels "com.docker.compose.%s")}}' % name] = json.dumps(labels.get(name, ""))
    for each in sorted(values, key=len, reverse=True):
        template = template.replace(each, values[each])
    if "{{" in template:
        fail("stand-in: unknown template " + template, 99)
    return template


def ps(facts, words):
    filters = [word[6:] if word.startswith("label=") else word for index, word in enumerate(words) if words[index - 1] == "--filter"]
    for each in facts["containers"]:
        true = ["com.docker.compose.project=" + each["project"], "com.docker.compose.oneoff=" + each["oneoff"], "name=^%s$" % each["name"],
                "status=" + each["state"]]
        if each["state"] == "running" and "x-port" in each["spec"]:
            true.append("publish=%s" % each["spec"]["x-port"])
        true += ["%s=%s" % label for label in each["labels"].items()] + ["com.docker.compose.project"] * bool(each["project"])
        if set(filters) <= set(true):
            print(render(option(words, "--format") or "{{.ID}}", each))


def inspect(facts, words):
    for each in words[2:] if words[0] == "-f" else words:
        print(render(words[1] if words[0] == "-f" else "{{.Id}}", find(facts, each)))


def execute(call, facts, words):
    words, given = [word for word in words if word != "-i"], []
    while words[0] == "-e":
        given, words = given + [words[1]], words[2:]
    environment = given[0] if given else None
    if str(environment).startswith("DEPLOY_DJANGO="):
        variables = dict(each.split("=", 1) for each in given)
        with open(call.world + "/docker/execs", "a") as execs:
            execs.write(json.dumps({"verb": variables["DEPLOY_DJANGO"], "environment": variables}) + "\n")
    container, words = find(facts, words[0]), words[1:]
    spec = container["spec"]
    if container["state"] != "running":
        fail("Error response from daemon: container %s is not running" % container["id"])
    if environment in ("DEPLOY_DJANGO=plan", "DEPLOY_DJANGO=verify") and spec.get("x-entrypoint"):
        fail("KeyError: 'DATABASE_URL'")  # what the entrypoint set is not there
    if environment == "DEPLOY_DJANGO=plan":
        rows = [dict(zip(("app", "name"), row.split("."))) for row in pending(facts, spec)]
        database = {"vendor": "postgresql", "host": "db", "name": "todo", "empty": False}
        serving = {"manage": "site.settings", "module": "site.live", "file": "site/wsgi.py", "same": False}
        return print(json.dumps({"deploy-django": 1, "verb": "plan", "applied": facts["rows"], "pending": rows, "database": database, "serving": serving}))
    if environment == "DEPLOY_DJANGO=verify":
        rows = pending(facts, spec)
        print(json.dumps({"deploy-django": 1, "verb": "verify", "pending": rows}))
        raise SystemExit(19 if rows else 0)
    if environment == "DEPLOY_DJANGO=fit":
        problems = [{"text": row + " is gone."} for row in misfits(facts, spec)]
        print(json.dumps({"deploy-django": 1, "verb": "fit", "problems": problems}))
        raise SystemExit(20 if problems else 0)
    if environment == "DEPLOY_DJANGO=answers":
        if spec.get("x-answers") == "none":
            raise SystemExit(1)
        return print(json.dumps({"deploy-django": 1, "verb": "answers", "answers": spec.get("x-answers", {"app": 200})}))
    if environment == "DEPLOY_DJANGO=http":
        health = "refuses" if misfits(facts, spec) else spec.get("x-health")
        code = {"bad": 21, "refuses": 24, "silent": 25, "unreached": 27}.get(health, 0) if json.loads(call.stdin)["format"] == 1 else 2
        if code:
            print("answering-host %s" % spec.get("x-answered", "127.0.0.1"))
        print(json.dumps({"deploy-django": 1, "verb": "http", "url": "http://127.0.0.1:8000/", "status": 200 if code == 0 else 500}))
        raise SystemExit(code)
    if words[:2] == ["cat", "/proc/net/unix"]:
        if spec.get("x-closed"):
            fail('exec: "cat": executable file not found in $PATH', 127)
        lines = ["0: 2 0 00010000 1 1 7 " + socket for socket in spec.get("x-sockets", [])]
        ports = ["0: %s:1F90 00000000:0000 0A 00000000:00000000" % address for address in spec.get("x-listens", [])]
        print("\n".join(["Num RefCount Protocol Flags Type St Inode Path", *lines, *ports, "anon %d" % spec.get("x-memory", 4096)]))
        raise SystemExit(1)  # one of the two files is never there
    if words == ["cat", "/proc/1/cmdline"]:
        return print("nginx: master process nginx" if spec.get("x-nginx") else "python")
    if words == ["nginx", "-s", "reload"]:
        facts["reloads"] += 1
        return
    if words == ["pg_restore", "-l"]:
        raise SystemExit(0 if call.stdin == "dump of todo\n" else 1)
    if words[:2] == ["sh", "-c"] and container["service"] == "db":
        return ask_database(facts, spec, words)
    if words[:2] == ["sh", "-c"]:
        raise SystemExit(subprocess.run(words).returncode)
    check = spec["x-check"]
    if words != (check[1:] if check[0] == "CMD" else ["/bin/sh", "-c", check[1]]):
        fail("stand-in: unknown command in the container %s" % words, 99)
    if spec.get("x-health") == "bad":
        print(spec.get("x-says", ""))
        raise SystemExit(spec.get("x-check-exit", 1))


def ask_database(facts, spec, words):
    """How large the database is, who may dump it, and which server it is; or what dumps it is to end."""
    if "pg_database_size" not in words[2]:
        facts["dumpEnded"] = True
        return
    if spec.get("x-dump") == "denied":
        fail("psql: error: FATAL: password authentication failed for user \"todo\"")
    print("%d\n%s\n7123" % (spec.get("x-size", 8192), words[5]))


def dump(call, words):
    """`x-dump` says what becomes of it: slow, lost, torn."""
    if words[:2] != ["-e", "DEPLOY_DJANGO_RUN=" + words[1].partition("=")[2]]:
        fail("stand-in: a dump that nobody could end", 99)
    with call.state as facts:
        facts["dumpEnded"] = False
        kind = find(facts, words[2])["spec"].get("x-dump")
    while kind == "slow":
        time.sleep(0.02)
        with call.state as facts:
            if facts["dumpEnded"]:
                fail("pg_dump: terminated", 143)
    if kind == "lost":
        fail("pg_dump: error: server closed the connection unexpectedly")
    print("torn" if kind == "torn" else "dump of todo")


def misfits(facts, spec):
    """Rows of which the code of a container says that it cannot work with them."""
    return [row for row in spec.get("x-unfit", []) if row in facts["rows"]]


def run_lines(call, words):
    """The lines on standard input, in a shell with nothing but the environment that is in the file and one mark."""
    with call.state as facts:
        container = find(facts, words[-2])
    if words[1:4] != ["-e", "PYTHONUNBUFFERED=1", "-e"] or words[-1] != "sh" or container["state"] != "running":
        fail("stand-in: lines are run in another way: %s" % words, 99)
    given = dict(line.split("=", 1) for line in [*call.read(words[0]).split("\n")[:-1], words[4]])
    done = subprocess.run(["/bin/sh"], input=call.stdin, env=dict(given, SERVICE=container["service"]), text=True, capture_output=True)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    raise SystemExit(done.returncode if done.returncode >= 0 else 128 - done.returncode)


def wait(call, name):
    while True:
        with call.state as facts:
            advance(facts)
            container = find(facts, name)
            if container["state"] != "running":
                return print(container["exit"])
            if container["probe"]["phase"] == "wait":
                fail("stand-in: twenty minutes are waited for a word to go that does not come", 99)
        call.point("amid, the migration went on")


def kill(facts, words):
    container = find(facts, words[-1])
    if container["state"] != "running":
        fail("Error response from daemon: container %s is not running" % words[-1])
    if words[:2] == ["-s", "TERM"] and container["probe"]["phase"] == "wait":
        return end(container, 16, error={"kind": "no-go"})
    if words[:2] != ["-s", "USR1"]:
        fail("stand-in: nothing is ever killed", 99)
    container["probe"]["phase"] = "go"
    container["logs"].append("deploy-django: going")


def remove(facts, words):
    gone = [each for each in facts["containers"] if each["name"] in words or each["id"] in words]
    if any(each["probe"] and each["probe"]["phase"] in ("go", "collect") and each["state"] == "running" for each in gone):
        fail("stand-in: a migration is never killed", 99)
    facts["removed"] += [each["name"] for each in gone]
    facts["containers"] = [each for each in facts["containers"] if each not in gone]


def run(facts, words):
    """A container that only sleeps."""
    if words[-3:-2] != ["sleep"] or words[-2] not in facts["images"]:
        fail("Error response from daemon: No such image: " + words[-2])
    labels = dict(words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--label")
    identity = create(facts, name=option(words, "--name"), project="", service="", oneoff="", number=1, spec={"image": words[-2]}, hash="",
                      image=facts["images"][words[-2]], labels=labels)
    start(facts, find(facts, identity))


def rename(facts, words):
    demand_free(facts, words[1])
    find(facts, words[0])["name"] = words[1]


def pull(facts, image, folder):
    if image.startswith("private/") and not (folder and os.path.exists(folder + "/config.json")):
        fail("Error response from daemon: pull access denied for " + image)
    trouble(facts)
    if image not in facts["registry"]:
        fail("Error response from daemon: manifest unknown")
    facts["images"][image] = facts["registry"][image]


def trouble(facts):
    if facts.get("trouble"):
        fail("Error response from daemon: " + facts["trouble"].pop(0))


def login(call, facts, words, folder):
    trouble(facts)
    if call.stdin != facts.get("password", "right"):
        fail("WARNING: something else\nError response from daemon: unauthorized: incorrect username or password")
    with open(folder + "/config.json", "w") as file:
        file.write(option(words, "-u"))


def image(facts, words):
    if words[0] == "ls":
        pattern = option(words, "--filter")[len("reference="):-1]
        print("".join(each + "\n" for each in facts["images"] if each.startswith(pattern)), end="")
        return
    names = words[3:] if words[1] == "-f" else words[1:]
    for name in names:
        if name not in facts["images"]:
            fail("Error response from daemon: No such image: " + name)
        check = json.dumps(facts["checks"].get(name, []))
        tags = [each for each in facts["images"] if facts["images"][each] == facts["images"][name] and "@" not in each]
        print({None: "[]", "{{.Id}}": facts["images"][name], "{{.Size}}": 1000000, "{{json .Config.Healthcheck}}": check, "{{.RepoTags}}": tags, "{{len .Config.Entrypoint}}": facts.get("entrypoint", 1), VOLUMES: "", MARKS: "\n".join(facts.get("marks", ["label com.docker.compose.project"]))}[option(words, "-f")])


def tag(facts, words):
    known = facts["images"].get(words[0], words[0])
    if known not in facts["images"].values():
        fail("Error response from daemon: No such image: " + words[0])
    facts["images"][words[1]] = known


def untag(facts, words):
    if facts["images"].pop(words[0], None) is None:
        fail("Error: No such image: " + words[0])


def logs(facts, words):
    container = find(facts, words[-1])
    workers, looks = container["spec"].get("x-workers"), len(container["logs"])
    if container["state"] != "running":
        workers = None
    if workers == "dying":
        container["logs"] += ["[ERROR] Worker (pid:7) exited with code 1"]
    if workers in ("dying", "silent"):
        container["logs"] += ["[INFO] Booting worker with pid: 8"]
    if workers == "starting":  # on a slow host: the others come long after the first
        looked = container.setdefault("looked", time.time())
        container["logs"] += ["[INFO] Starting gunicorn", "[INFO] Booting worker with pid: 7"] if looks == 0 else []
        container["logs"] += ["[INFO] Booting worker with pid: 8"] * 3 if looks == 2 and time.time() > looked + 6 else []
    if container["spec"].get("logging", {}).get("driver") == "none":
        fail("Error response from daemon: configured logging driver does not support reading")
    print("".join(line + "\n" for line in container["logs"]), end="")


def top(facts, words):
    spec = find(facts, words[0])["spec"]
    if spec.get("x-nginx") == "hidden":
        fail("Error response from daemon: unable to get all container pids")
    print("PID COMMAND\n1 " + ("nginx: master process" if spec.get("x-nginx") else "python"))
    if spec.get("x-workers") == "starting":
        print("7 python\n" * 4, end="")


def stop_all(facts, words):
    for each in words[2:] if words[0] == "-t" else words:
        stop(facts, find(facts, each))


def start_all(facts, words):
    for each in words:
        start(facts, find(facts, each))


def events(facts, words):
    asked = [find(facts, word[len("container="):])["name"] for word in words if word.startswith("container=")]
    for moment, code, name in facts["events"]:
        if moment < int(option(words, "--since")) or name not in (asked or [name]):
            continue
        if "event=kill" in words:
            print(code if isinstance(code, str) else "exit %d" % code, name)
        elif not isinstance(code, str):
            print(code, name)


def system(facts, words):
    print("Images 1.2GB (40%)\nContainers 0B (0%)\nLocal Volumes 3GB (90%)\nBuild Cache 512MB")


def volume(facts, words):
    list_resources(words, ["there", *facts["volumes"]])


def network(facts, words):
    """Those of Compose, and one that somebody made."""
    list_resources(words, ["bridge", "there", *facts["networks"]])


def list_resources(words, names):
    for name in names:
        project, _, key = name.partition("_")
        labels = re.compile(r'\{\{.Label "com.docker.compose.project"}}/{{.Label "com.docker.compose.\w+"}}')
        shown = option(words, "--format").replace("{{.Name}}", name).replace("{{println .Name}}", name + "\n")
        print(labels.sub("%s/%s" % (project, key), shown))


VERBS = {
    "volume": volume, "network": network,
    "system": system,
    "ps": ps, "inspect": inspect, "kill": kill, "rm": remove, "image": image, "tag": tag, "rmi": untag, "logs": logs, "top": top,
    "start": start_all, "stop": stop_all, "events": events, "rename": rename, "run": run,
}
