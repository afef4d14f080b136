"""What the stand-in knows, and what its containers do."""
import fcntl
import json
import os
import sys
import time


def fail(text, code=1):
    sys.stderr.write(text + "\n")
    raise SystemExit(code)


class State:
    """`with state as facts:` is one step: alone, and written back whole at its end."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.lock = open(self.path + ".lock", "a")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        with open(self.path) as file:
            self.facts = json.load(file)
        return self.facts

    def __exit__(self, kind, *_):
        if kind in (None, SystemExit):
            with open(self.path + ".new", "w") as file:
                json.dump(self.facts, file)
            os.replace(self.path + ".new", self.path)
        self.lock.close()


def demand_free(facts, name):
    if any(each["name"] == name for each in facts["containers"]):
        fail('Error response from daemon: Conflict. The container name "/%s" is already in use' % name)


def create(facts, **container):
    demand_free(facts, container["name"])
    facts["created"] += 1
    identity = "%012x%052x" % (facts["created"] * 0x9E3779B97F % 2**48, facts["created"])
    new = {"id": identity, "state": "created", "exit": 0, "restarts": 0, "started": 0, "labels": {}, "logs": [], "probe": None}
    facts["containers"].append(dict(new, **container))
    return identity


def find(facts, name):
    for container in facts["containers"]:
        if name in (container["name"], container["id"]):
            return container
    return fail("Error response from daemon: No such container: " + name)


def start(facts, container):
    # A one-off container has neither ports nor a program that was not asked for.
    spec = container["spec"] if container["oneoff"] == "False" else {}
    if container["state"] == "running":
        return
    others = [each["spec"].get("x-port") for each in facts["containers"] if each["state"] == "running"]
    if spec.get("x-port-taken") or spec.get("x-port") in set(others) - {None}:
        port = spec.get("x-port", 8000)
        fail("Error response from daemon: driver failed programming external connectivity on endpoint %s: "
             "Bind for 0.0.0.0:%s failed: port is already allocated" % (container["name"], port))
    facts["starts"] += 1
    container.update(state="running", started=facts["starts"], exit=0)
    if "x-exits" in spec:
        container.update(exit=spec["x-exits"], state="restarting" if "restart" in spec else "exited", restarts=5 if "restart" in spec else 0)
        container["logs"].append("Traceback: it does not stay up")
    if "x-crashed" in spec:  # so many times, the last one so many seconds ago
        restarts, ago = spec["x-crashed"]
        container.update(restarts=restarts, started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago)))



def stop(facts, container):
    if container["state"] in ("running", "restarting"):
        container.update(state="exited", exit=137 if container["spec"].get("x-stubborn") else 0)
        facts["events"].append([int(time.time()), container["exit"], container["name"]])


def pending(facts, spec):
    return [row for row in spec.get("x-migrations", []) if row not in facts["rows"]]


def advance(facts):
    """The migration containers, by one step: plan, wait for the word to go, apply row by row, end."""
    for container in facts["containers"]:
        probe = container["probe"]
        if not probe or container["state"] != "running":
            continue
        rows = pending(facts, container["spec"])
        if probe["phase"] == "lost":
            container.update(state="exited", exit=1)
            container["logs"].append("KeyError: 'DATABASE_URL'")
        elif probe["phase"] == "start" and not set(rows) <= set(probe["approved"]):
            end(container, 10, error={"kind": "plan-differs", "message": "pending, but not approved: %s" % rows})
        elif probe["phase"] == "start" and rows and probe["now"]:
            probe["phase"] = "go"
        elif probe["phase"] == "start" and rows:
            container["logs"].append("deploy-django: replanned")
            probe["phase"] = "wait"
        elif probe["phase"] != "wait" and not rows:
            end(container, 0, applied=probe["applied"], already=[], failed=None)
        elif probe["phase"] == "go" and rows[0] == container["spec"].get("x-fails"):
            end(container, 17, applied=probe["applied"], failed={"app": "core", "name": rows[0], "error": "it does not apply"})
        elif probe["phase"] == "go":
            facts["rows"].append(rows[0])
            app, name = rows[0].split(".")
            probe["applied"].append({"app": app, "name": name, "milliseconds": 1})


def end(container, code, **result):
    container.update(state="exited", exit=code)
    container["logs"].append(json.dumps(dict({"deploy-django": 1, "verb": "migrate"}, **result)))
