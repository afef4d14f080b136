"""Servers that answer as told, for the time of a command: `server.py 8000=200 9000=silent -- command…`.

`late` begins to listen after three seconds.
"""
import socket
import subprocess
import sys
import threading
import time


def respond(status, *lines, body=""):
    head = ["HTTP/1.1 %s X" % status, "Content-Length: %d" % len(body), "Connection: close", *lines]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def answer(manner, request, count):
    lines = request.split("\r\n")
    path = lines[0].split(" ")[1] if " " in lines[0] else "/"
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    manner = manner.replace("uwsgi-http", "200")  # `http-socket` of uWSGI
    if manner.isdigit():
        return respond(manner) if path != "" and lines[0].endswith("HTTP/1.1") else b""
    if manner == "login":
        return respond(302, "Location: /login/")
    if manner == "https":
        return respond(301, "Location: https://%s%s" % (headers["host"], path))
    if manner == "django":  # ALLOWED_HOSTS and SECURE_SSL_REDIRECT behind a proxy
        if headers["host"] != "shop.example.com":
            return respond(400)
        https = headers.get("x-forwarded-proto") == "https"
        return respond(200) if https else respond(301, "Location: https://%s%s" % (headers["host"], path))
    if manner == "page":  # a static page
        return respond(200, "ETag: x", body="<h1>Shop</h1>")
    if manner == "behind":  # a static page that passes on what is below /admin/
        return answer("app" if path.startswith("/admin/") else "page", request, count)
    if manner == "misled":  # the same, to a wrong port
        return answer("nginx-502" if path.startswith("/admin/") else "page", request, count)
    if manner in ("styled", "unstyled"):
        if path != "/":
            return respond(200 if manner == "styled" and path == "/static/shop.css" else 404)
        return respond(200, body='<link rel="stylesheet" href="/static/shop.css?v=1">')
    if manner in ("app", "api"):  # Django, each time with another token
        return respond(200 if manner == "app" else 404, "Server: uvicorn", "X-Frame-Options: DENY",
                       "X-Content-Type-Options: nosniff", body="token %d" % id(lines))
    if manner == "admin":  # Django without a page at `/`
        return answer("app" if path == "/admin/login/" else "api", request, count)
    if manner == "error":  # Django's page, as it is without a template of the project
        return respond(500, body="<h1>Server Error (500)</h1>")
    if manner in ("broken", "nginx-broken"):  # with a template, and nginx that adds the same headers itself
        return respond(500, "X-Frame-Options: DENY", "X-Content-Type-Options: nosniff",
                       body="<h1>Sorry</h1>" if manner == "broken" else "<hr><center>nginx</center>")
    if manner.startswith("www"):  # a proxy that knows one name only
        return answer(manner[3:], request, count) if headers["host"] == "www.example.com" else b""
    if manner == "container":  # ALLOWED_HOSTS with names of this container alone
        return respond(200 if headers["host"] == "me" else 400)
    if manner in ("nginx-404", "nginx-500", "nginx-502"):  # pages of its own
        return respond(manner[-3:], body="<hr><center>nginx</center>")
    if manner == "any":  # ALLOWED_HOSTS = ["*"]
        return respond(400 if "_" in headers["host"] else 200)
    if manner == "tls":
        return respond(400, body="The plain HTTP request was sent to HTTPS port")
    if manner == "twice":
        return respond(200 if count < 3 else 500)
    return {"garbage": b"\x00\x01\x02 no http\r\n", "silent": b""}[manner]


def answer_uwsgi(request):
    """A `socket` of uWSGI, which says so in its log when it is asked with HTTP."""
    if request[:1] != b"\0":
        sys.stderr.write("invalid request block size: 21573 (max 4096)...skip\n")
        return b""
    words, place = [], 4
    while place < len(request):
        length = int.from_bytes(request[place:place + 2], "little")
        words.append(request[place + 2:place + 2 + length].decode())
        place += 2 + length
    variables = dict(zip(words[::2], words[1::2]))
    return respond(200 if variables["HTTP_HOST"] == "shop.example.com" and variables["REQUEST_METHOD"] == "GET" else 400)


def serve(listener, manner):
    count = 0
    if manner == "late":
        time.sleep(3)
        listener.listen()
        manner = "200"
    while True:
        client, _ = listener.accept()
        count += 1
        if manner == "hang":
            held.append(client)
            continue
        request = client.recv(65536)
        client.sendall(answer_uwsgi(request) if manner == "uwsgi" else answer(manner, request.decode("latin-1"), count))
        client.close()


held = []
cut = sys.argv.index("--")
for item in sys.argv[1:cut]:
    address, _, manner = item.partition("=")
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host or "0.0.0.0", int(port)))
    if manner == "full":  # no further connection is answered, as by a container that is gone
        listener.listen(0)
        for _ in range(4):
            held.append(socket.socket(family))
            held[-1].setblocking(False)
            held[-1].connect_ex((host, int(port)))
        held.append(listener)
        continue
    if manner != "late":
        listener.listen()
    if "uwsgi" in manner:
        with open("/proc/self/comm", "w") as file:
            file.write("uwsgi")
    threading.Thread(target=serve, args=(listener, manner), daemon=True).start()
sys.exit(subprocess.call(sys.argv[cut + 1:]))
