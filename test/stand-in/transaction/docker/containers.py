"""`docker` without compose: the commands that transaction.sh uses, with the templates that it uses."""
import json
import os
import re
import subprocess
import sys

from state import advance, create, demand_free, end, fail, find, pending, start, stop

HEALTH = "{{with .State.Health}}{{.Status}}{{else}}-{{end}}"
MARKS = '{{range $name, $_ := .Config.Labels}}{{println "label" $name}}{{end}}{{range .Config.Env}}{{println "variable" .}}{{end}}'
VOLUMES = "{{range $place, $_ := .Config.Volumes}}{{$place}} {{end}}"
CHECK = '{{with .Config.Healthcheck}}{{.Timeout.Nanoseconds}}{{"\\x1f"}}{{range .Test}}{{.}}{{"\\x1f"}}{{end}}{{end}}'
TIMES = "{{with .Config.Healthcheck}}{{.StartPeriod.Nanoseconds}}{{end}}"
SIMPLE = {
    "version {{.Server.Version}}": "27.0.0", "version {{.Server.Version}} {{.Server.Arch}}": "27.0.0 amd64",
    "info {{.DockerRootDir}}": "/", "context {{.Endpoints.docker.Host}}": "unix:///var/run/docker.sock",
}


def obey(call, verb, words, folder):
    if verb == "wait":
        return wait(call, words[0])
    if verb == "exec" and "--env-file" in words:
        return run_lines(call, words[words.index("--env-file") + 1:])
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
        "{{json .Image}}": json.dumps(container["image"]), "{{json .Config.Image}}": json.dumps(spec["image"]),
        "{{json .Mounts}}": json.dumps(spec.get("x-mounts", [])), "{{range .Mounts}}{{println .Source}}{{end}}": "".join(each["Source"] + "\n" for each in spec.get("x-mounts", [])),
        "{{json .HostConfig.PortBindings}}": "{}",
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
        true = ["com.docker.compose.project=" + each["project"], "com.docker.compose.oneoff=" + each["oneoff"], "name=^%s$" % each["name"]]
        if each["state"] == "running" and "x-port" in each["spec"]:
            true.append("publish=%s" % each["spec"]["x-port"])
        true += ["%s=%s" % label for label in each["labels"].items()] + ["com.docker.compose.project"] * bool(each["project"])
        if set(filters) <= set(true):
            print(render(option(words, "--format") or "{{.ID}}", each))


def inspect(facts, words):
    for each in words[2:] if words[0] == "-f" else words:
        print(render(words[1] if words[0] == "-f" else "{{.Id}}", find(facts, each)))


def execute(call, facts, words):
    words, environment = [word for word in words if word != "-i"], None
    while words[0] == "-e":
        environment, words = environment or words[1], words[2:]
    container, words = find(facts, words[0]), words[1:]
    spec = container["spec"]
    if container["state"] != "running":
        fail("Error response from daemon: container %s is not running" % container["id"])
    if environment == "DEPLOY_DJANGO=plan":
        rows = [dict(zip(("app", "name"), row.split("."))) for row in pending(facts, spec)]
        return print(json.dumps({"deploy-django": 1, "verb": "plan", "applied": facts["rows"], "pending": rows}))
    if environment == "DEPLOY_DJANGO=verify":
        if spec.get("x-entrypoint"):
            fail("KeyError: 'DATABASE_URL'")  # what the entrypoint set is not there
        rows = pending(facts, spec)
        print(json.dumps({"deploy-django": 1, "verb": "verify", "pending": rows}))
        raise SystemExit(19 if rows else 0)
    if environment == "DEPLOY_DJANGO=fit":
        problems = [{"text": row + " is gone."} for row in misfits(facts, spec)]
        print(json.dumps({"deploy-django": 1, "verb": "fit", "problems": problems}))
        raise SystemExit(20 if problems else 0)
    if environment == "DEPLOY_DJANGO=http":
        health = "refuses" if misfits(facts, spec) else spec.get("x-health")
        code = {"bad": 21, "refuses": 24, "silent": 25}.get(health, 0) if json.loads(call.stdin)["format"] == 1 else 2
        print(json.dumps({"deploy-django": 1, "verb": "http", "url": "http://127.0.0.1:8000/", "status": 200 if code == 0 else 500}))
        raise SystemExit(code)
    if words == ["cat", "/proc/1/cmdline"]:
        return print("nginx: master process nginx" if spec.get("x-nginx") else "python")
    if words == ["nginx", "-s", "reload"]:
        facts["reloads"] += 1
        return
    if words[:2] == ["sh", "-c"]:
        raise SystemExit(subprocess.run(words).returncode)
    check = spec["x-check"]
    if words != (check[1:] if check[0] == "CMD" else ["/bin/sh", "-c", check[1]]):
        fail("stand-in: unknown command in the container %s" % words, 99)
    if spec.get("x-health") == "bad":
        print(spec.get("x-says", ""))
        raise SystemExit(1)


def misfits(facts, spec):
    """Rows of which the code of a container says that it cannot live with them."""
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
                end(container, 16, error={"kind": "no-go"})  # its two minutes are over at once
        call.point("amid, the migration went on")


def kill(facts, words):
    container = find(facts, words[-1])
    if container["state"] != "running":
        fail("Error response from daemon: container %s is not running" % words[-1])
    if words[:2] != ["-s", "USR1"]:
        fail("stand-in: nothing is ever killed", 99)
    container["probe"]["phase"] = "go"


def remove(facts, words):
    gone = [each for each in facts["containers"] if each["name"] in words or each["id"] in words]
    if any(each["probe"] and each["probe"]["phase"] == "go" and each["state"] == "running" for each in gone):
        fail("stand-in: a migration is never killed", 99)
    facts["removed"] += [each["name"] for each in gone]
    facts["containers"] = [each for each in facts["containers"] if each not in gone]


def run(facts, words):
    """A container that only sleeps."""
    if words[-3:-2] != ["sleep"] or words[-2] not in facts["images"]:
        fail("Error response from daemon: No such image: " + words[-2])
    labels = dict([option(words, "--label").split("=")])
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
        print({None: "[]", "{{.Id}}": facts["images"][name], "{{.Size}}": 1000000, "{{json .Config.Healthcheck}}": check, "{{.RepoTags}}": tags, VOLUMES: "", MARKS: "\n".join(facts.get("marks", ["label com.docker.compose.project"]))}[option(words, "-f")])


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
    if container["spec"].get("x-workers") and container["state"] == "running":
        container["logs"] += ["[ERROR] Worker (pid:7) exited with code 1", "[INFO] Booting worker with pid: 8"]
    if container["spec"].get("logging", {}).get("driver") == "none":
        fail("Error response from daemon: configured logging driver does not support reading")
    print("".join(line + "\n" for line in container["logs"]), end="")


def top(facts, words):
    spec = find(facts, words[0])["spec"]
    if spec.get("x-nginx") == "hidden":
        fail("Error response from daemon: unable to get all container pids")
    print("PID COMMAND\n1 " + ("nginx: master process" if spec.get("x-nginx") else "python"))


def stop_all(facts, words):
    for each in words:
        stop(facts, find(facts, each))


def events(facts, words):
    for time, code, name in facts["events"]:
        if time >= int(option(words, "--since")):
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
    "stop": stop_all, "events": events, "rename": rename, "run": run,
}
