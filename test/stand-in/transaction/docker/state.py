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

    def read(self):
        with open(self.path) as file:
            return json.load(file)

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
    new = {"id": identity, "state": "created", "exit": 0, "restarts": 0, "started": 0, "labels": {}, "logs": [], "probe": None, "trial": False}
    facts["containers"].append(dict(new, **container))
    return identity


def find(facts, name):
    for container in facts["containers"]:
        if name in (container["name"], container["id"]):
            return container
    return fail("Error response from daemon: No such container: " + name)


def start(facts, container):
    # A one-off container has neither ports nor, except in a trial, the program of its service.
    spec = container["spec"] if container["oneoff"] == "False" or container["trial"] else {}
    if container["state"] == "running":
        return
    others = [each["spec"].get("x-port") for each in facts["containers"] if each["state"] == "running"]
    if spec.get("x-port-taken") or spec.get("x-port") in set(others) - {None}:
        port = spec.get("x-port", 8000)
        fail("Error response from daemon: driver failed programming external connectivity on endpoint %s: "
             "Bind for 0.0.0.0:%s failed: port is already allocated" % (container["name"], port))
    facts["starts"] += 1
    container.update(state="running", started=facts["starts"], exit=0)
    container["logs"] += spec.get("x-logs", [])
    if "x-exits" in spec:
        container.update(exit=spec["x-exits"], state="restarting" if "restart" in spec else "exited", restarts=5 if "restart" in spec else 0)
        container["logs"].append("Traceback: it does not stay up")
    if "x-crashed" in spec:  # so many times, the last one so many seconds ago
        restarts, ago = spec["x-crashed"]
        facts["events"].append([int(time.time()), 3, container["name"]])
        container.update(restarts=restarts, started=at(ago))
    if "x-loops" in spec:
        container.update(started=at(0), ends=time.time() + spec["x-loops"])


def at(seconds_ago):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


def crash(facts):
    """What crashes every few seconds has been restarted since."""
    for container in facts["containers"]:
        if container["state"] == "running" and container.get("ends", float("inf")) < time.time():
            container["logs"].append("Traceback: it crashes again")
            facts["events"].append([int(time.time()), 3, container["name"]])
            container.update(restarts=container["restarts"] + 1, started=at(0), ends=time.time() + container["spec"]["x-loops"])


def stop(facts, container):
    if container["state"] in ("running", "restarting"):
        signal = 9 if container["spec"].get("stop_signal") == "SIGKILL" else 15
        container.update(state="exited", exit=137 if signal == 9 or container["spec"].get("x-stubborn") else 0)
        facts["events"] += [[int(time.time()), "signal %d" % signal, container["name"]], [int(time.time()), container["exit"], container["name"]]]


def pending(facts, spec):
    return [row for row in spec.get("x-migrations", []) if row not in facts["rows"]]


def newer(facts, spec, known):
    """The rows that this code knows and older code does not, the last one first."""
    return [row for row in reversed(facts["rows"]) if row in spec.get("x-migrations", []) and row not in known]


def advance(facts):
    crash(facts)
    advance_migrations(facts)


def advance_migrations(facts):
    """The migration containers, by one step: plan, wait for the word to go, apply (or unapply) row by row, collect, end."""
    for container in facts["containers"]:
        probe = container["probe"]
        if not probe or container["state"] != "running":
            continue
        backwards = probe["target"] is not None
        rows = newer(facts, container["spec"], probe["target"]) if backwards else pending(facts, container["spec"])
        differs = probe["approved"] not in (None, rows) if backwards else not set(rows) <= set(probe["approved"])
        dying = [each for each in facts["containers"] if "x-dies" in each["spec"] and each["state"] == "running"]
        if probe["phase"] == "start" and dying:
            dying[0].update(state="exited", exit=1)
            dying[0]["logs"].append("FATAL: it is not initialized")
            end(container, 12, error={"kind": "database-down"})
        elif probe["phase"] == "start" and any("x-unanswered" in each["spec"] for each in facts["containers"]):
            end(container, 12, error={"kind": "database-down"})
        elif probe["phase"] == "lost":
            container.update(state="exited", exit=1)
            container["logs"].append("KeyError: 'DATABASE_URL'")
        elif probe["phase"] == "start" and differs:
            end(container, 10, error={"kind": "plan-differs", "message": "pending, but not approved: %s" % rows})
        elif probe["phase"] == "start" and rows and probe["now"]:
            probe["phase"] = "go"
        elif probe["phase"] == "start" and rows:
            container["logs"].append("deploy-django: replanned")
            probe["phase"] = "wait"
        elif probe["phase"] == "collect":
            facts["static"] = container["image"]
            end(container, 23 if "x-uncollected" in container["spec"] else 0, "collect")
        elif probe["phase"] == "go" and probe["collects"] and not rows and not backwards:
            tell(container, "migrate", applied=probe["applied"], already=probe["already"], failed=None)
            container["logs"].append("deploy-django: collecting")
            probe["phase"] = "collect"
        elif probe["phase"] != "wait" and not rows and backwards:
            end(container, 0, unapplied=probe["applied"], failed=None)
        elif probe["phase"] != "wait" and not rows:
            end(container, 0, applied=probe["applied"], already=probe["already"], failed=None)
        elif probe["phase"] == "go" and backwards and rows[0] == container["spec"].get("x-stuck"):
            end(container, 29, unapplied=probe["applied"], failed={"app": "core", "name": rows[0], "error": "it does not go back"})
        elif probe["phase"] == "go" and not backwards and rows[0] == container["spec"].get("x-fails"):
            end(container, 17, applied=probe["applied"], already=probe["already"], failed={"app": "core", "name": rows[0], "error": "it does not apply"})
        elif probe["phase"] == "go":
            if backwards:
                facts["rows"].remove(rows[0])
            else:
                facts["rows"].append(rows[0])
            app, name = rows[0].split(".")
            probe["applied"].append({"app": app, "name": name, "milliseconds": 1})


def end(container, code, verb=None, **result):
    container.update(state="exited", exit=code)
    tell(container, verb or ("migrate" if container["probe"]["target"] is None else "unapply"), **result)


def tell(container, verb, **result):
    container["logs"].append(json.dumps(dict({"deploy-django": 1, "verb": verb}, **result)))
