"""A stand-in for Docker: `python3 server.py SOCKET` answers the calls that transaction.sh makes, and no others.

client.pl is what stands on PATH as `docker`; it passes its words on. Each call is a thread here, which works on the folder
of its world: WORLD/docker/state is all there is, so a copy of it is the whole truth at that moment.
What happens at the points before, amid and after a call is said by WORLD/docker/points, when it is there.
"""
import contextlib
import fcntl
import io
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import traceback

import compose
import containers
from state import State, fail


class Call:
    """One call: whose it is, on which world, and what it is given."""

    def __init__(self, world, pid, words, stdin):
        self.world, self.pid, self.words, self.stdin = world, pid, words, stdin
        self.state = State(world + "/docker/state")

    def read(self, path):
        """A file that the caller names, relative to where it stands."""
        with open(os.path.join(os.readlink("/proc/%d/cwd" % self.pid), path)) as file:
            return file.read()

    def point(self, place):
        """Counts; at the point that is asked for, somebody dies, Docker goes away, a snapshot is taken or a file made."""
        folder = self.world + "/docker"
        if not os.path.exists(folder + "/points"):
            return
        with open(folder + "/points") as file:
            orders = json.load(file)
        with open(folder + "/passed", "a+") as passed:
            fcntl.flock(passed, fcntl.LOCK_EX)
            passed.seek(0)
            places = passed.readlines()
            number = len(places) + 1
            passed.write("%s: %s\n" % (place, describe(self.words)))
        if orders["mode"] == "snapshot":
            shot = "%s/%04d" % (orders["album"], number)
            os.mkdir(shot)
            os.waitpid(os.posix_spawnp("cp", ["cp", "-a", self.world + "/site", folder, shot], os.environ), 0)
        elif orders["mode"] == "kill" and number == orders["at"]:
            self.kill_callers(orders["spare"])
        elif orders["mode"] == "touch" and number == orders["at"]:
            open(orders["file"], "a").close()
        elif is_away(orders, places):
            fail("Cannot connect to the Docker daemon. Is the docker daemon running?")

    def kill_callers(self, spare):
        """SIGKILL for the engine, its step and this call; what is spared goes on alone, an orphan, when it is let go."""
        line = ancestors(self.pid)
        scripts = [pid for pid, command in line if "transaction.sh" in command and self.world in command]
        between = [pid for pid, _ in line[:[pid for pid, _ in line].index(scripts[-1])] if pid not in scripts]
        for pid in {"nothing": scripts[::-1] + between, "call": scripts[::-1], "step": scripts[-1:]}[spare]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if spare == "nothing":
            raise Dead
        for _ in range(1000):
            if os.path.exists(self.world + "/docker/go"):
                return
            time.sleep(0.01)


def is_away(orders, places):
    """From a point on, for a number of calls, or before that until somebody has asked that often whether Docker is back."""
    if orders["mode"] != "away" or len(places) + 1 < orders["at"]:
        return False
    since = places[orders["at"] - 1:]
    asked = sum(place.startswith("before: version") for place in since)
    return len(since) < orders["calls"] and asked < orders.get("questions", asked + 1)


class Dead(BaseException):
    """The call died and has no answer."""


class Output(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr: what a thread prints belongs to its call."""

    texts = threading.local()

    def __init__(self, name):
        self.name = name

    def write(self, text):
        setattr(self.texts, self.name, getattr(self.texts, self.name, "") + text)

    def take(self):
        return getattr(self.texts, self.name, "").encode()


def ancestors(pid):
    """A process and those it came from, with their command lines."""
    line = []
    while pid > 1:
        with open("/proc/%d/cmdline" % pid) as command, open("/proc/%d/stat" % pid) as stat:
            line.append((pid, command.read()))
            pid = int(stat.read().rsplit(")", 1)[1].split()[1])
    return line


def describe(words):
    """A call in a few words: without values, templates and paths."""
    plain = [word for word in words if word and word[0] not in "-{/." and "=" not in word and len(word) < 30]
    return " ".join(plain[:8])


def answer(call):
    """Does what the words say; gives the exit code and both outputs."""
    code = 0
    try:
        obey(call)
    except SystemExit as stop:
        code = stop.code or 0
    out, err = sys.stdout.take(), sys.stderr.take()
    return struct.pack(">II", code, len(out)) + out + err


def obey(call):
    verb, words = call.words[0], call.words[1:]
    if verb in ("mv", "sync"):
        return call.point("before")
    if verb == "logs" and "-f" in words:  # only a view, beside the story
        return None
    folder = None
    if verb == "--config":
        folder, verb, words = words[0], words[1], words[2:]
    call.point("before")
    try:
        if verb == "compose":
            compose.obey(call, words)
        else:
            containers.obey(call, verb, words, folder)
    except SystemExit as stop:
        if stop.code:
            raise
    return call.point("after")


def serve(connection):
    with connection:
        asked = b""
        while True:
            part = connection.recv(65536)
            if not part:
                break
            asked += part
        head, _, stdin = asked.partition(b"\0\0")
        world, pid, *words = head.decode().split("\0")
        # Whoever asked may be dead by now.
        with contextlib.suppress(Dead, BrokenPipeError):
            connection.sendall(answer(Call(world, int(pid), [word[1:] for word in words], stdin.decode())))


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    # It ends with whoever started it.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    os.write(1, b"ready\n")
    threading.excepthook = lambda failure: traceback.print_exception(failure.exc_value, file=sys.__stderr__)
    sys.stdout, sys.stderr = Output("out"), Output("err")
    while True:
        threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()


main()
