# Django refuses any other Host, whatever ALLOWED_HOSTS says: usually the name of a service with an underscore.
ACCEPTED_HOST = re.compile(r"([a-z0-9.-]+|\[[a-f0-9]*:[a-f0-9.:]+\])(:[0-9]+)?\Z", re.I)


class Answer:
    """One request: its status, or the reason why there is none."""

    def __init__(self, url, status=None, reason=None, location="", said="", closed=False):
        self.url, self.status, self.reason, self.location, self.said = url, status, reason, location, said
        self.closed = closed  # the host exists, but nothing listens on the port
        self.reached = True
        self.headers, self.body, self.server = frozenset(), "", ""
        self.app = self.before = None  # the app's own answer, if a proxy fails; the proxy's status under the release before
        self.host = None  # the Host that was sent
        self.ports = []  # published ports on which nothing listens for others
        self.sibling = None  # the other service with the image of the app that answered


class Visitor:
    """Sends requests with the given headers, as a Host that Django accepts."""

    def __init__(self, order):
        self.headers = {str(name): str(value) for name, value in order.get("headers", {}).items()}
        self.given = next((value for name, value in self.headers.items() if name.lower() == "host"), None)
        self.hosts, self.allowed = order.get("hosts") or [], order.get("allowed")
        self.speak_http = set()
        self.answers = {}  # the last one of each address

    def ask(self, url):
        for host in self.hosts_for(url):
            answer = self.ask_as(host, url)
            if answer.status != 400:
                break
        # A proxy may know only one name below the domain.
        if host and "." + host in (self.allowed or []) and answer.reason in ("silent", "not-http"):
            known = self.ask_as("www." + host, url)
            if known.reason is None:
                answer, host = known, "www." + host
        answer.host = self.given or host or urllib.parse.urlsplit(url).netloc
        self.answers[url] = answer
        return answer

    def ask_as(self, host, url):
        headers = dict(self.headers, Host=host) if host else self.headers
        if url not in self.speak_http:
            answer = request(url, headers)
            if not url.startswith("uwsgi:") or answer.reason != "silent":
                return answer
            self.speak_http.add(url)
        return request("http" + url[len("uwsgi"):], headers)

    def hosts_for(self, url):
        """None means the name in the address."""
        if self.given or ACCEPTED_HOST.match(urllib.parse.urlsplit(url).netloc):
            return self.hosts or [None]
        return self.hosts or ["localhost"]


def check_http(out):
    order = json.load(sys.stdin)
    visitor, warning, fronts = Visitor(order), None, []
    before = json.loads(os.environ.get("DEPLOY_DJANGO_BEFORE") or "{}")
    wait_for_listener(seconds_of("LISTEN_WAIT", 0))
    judge = {"redirects": judge_without_front, "anything": judge_presence}.get(order.get("accept"), judge_any)
    if order.get("urls"):
        wanted = order.get("status") or ["2xx", "3xx"]
        for url in order["urls"]:
            last, reason = ask_three_times(visitor, url, lambda answer: judge_given(answer, wanted))
            if reason:
                last, reason = look_behind(visitor, last, reason)
                break
    else:
        outside, inside, fronts = candidates(order.get("fronts", []))
        last, reason = ask_around(visitor, outside + fronts, judge)
        if last is None:
            last, reason = ask_around(visitor, inside, judge)
        last, reason, warning = check_fronts(visitor, last, reason, inside, fronts, before.get("answers", {}))
        last, reason = check_siblings(visitor, order.get("siblings", []), last, reason)
    last, reason = check_published(order.get("published", []), last, reason)
    if last is None:
        text, fix = "No port of this service, and no service in front of it, speaks HTTP.", None
        if not open_sockets():
            text = "The app runs, but nothing in its container listens (yet)."
            fix = ("raise `health-timeout`, or `start_period` of its `healthcheck:`, if it only starts slowly; otherwise fix "
                   "what its last lines show")
        return NO_HTTP, {"url": None, "status": None, "answers": 0, "reason": "nothing-speaks-http", "text": text, "fix": fix}
    text, fix = explain_answer(last, reason, visitor, fronts)
    if reason:  # for the host, which parses no JSON
        tell(out, "answering-host %s" % urllib.parse.urlsplit(last.url).hostname)
    code = PLANNED if reason is None else FRONT_FAILS if last.app else REFUSES if is_firm(last, reason) else UNHEALTHY
    return code, {
        "url": last.url, "status": last.status, "answers": 0 if reason else 3, "host": last.host,
        "reason": "not-http" if reason == "silent" else reason, "text": text, "fix": fix,
        "warning": warning,
        "lost": None if reason else
                warn_of_lost(visitor, last, before.get("pages", {})) or warn_of_assets(visitor, fronts, order.get("published", [])),
    }


def is_firm(answer, reason):
    """Whether the answer is final. 502 to 504 are a proxy's "not yet"; silence is an app that is still starting."""
    return reason in ("bad-request", "https-redirect", "status", "server-error", "loopback", "unpublished") and answer.status not in (502, 503, 504)


def wait_for_listener(seconds):
    """A trial container has just started. Another start of this probe would take longer than the server needs to listen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not listening():
        time.sleep(0.05)


def ask_around(visitor, urls, judge):
    """The first address that speaks HTTP decides, unless it only redirects to https: then the next one may decide."""
    undecided = closed = None
    for url in urls:
        answer = visitor.ask(url)
        if answer.closed:
            closed = answer  # nothing listens on a published port yet
        if answer.reason in ("refused", "not-http"):
            continue
        if answer.reason or judge(answer) == "https-redirect":
            undecided = undecided or answer
            continue
        return ask_three_times(visitor, url, judge)
    last = undecided or closed
    return last, last and (last.reason or judge(last))


def ask_three_times(visitor, url, judge):
    for turn in range(3):
        if turn:
            time.sleep(0.1)
        answer = visitor.ask(url)
        reason = answer.reason or judge(answer)
        if reason:
            break
    return answer, reason


def judge_any(answer):
    if redirects_to_https(answer):
        return "https-redirect"
    if answer.status == 400:
        return "bad-request"
    return "server-error" if answer.status >= 500 else None


def judge_without_front(answer):
    """Accepts a redirect to https: the services in front of a trial container are checked after the swap."""
    return None if redirects_to_https(answer) else judge_any(answer)


def judge_presence(answer):
    """Only checks that the app answers: the given addresses lead elsewhere."""
    return "server-error" if answer.status in (502, 503, 504) else None


def judge_given(answer, wanted):
    if redirects_to_https(answer):
        return "https-redirect"
    status = str(answer.status)
    if any(status == one or (one.lower().endswith("xx") and status[0] == one[0]) for one in wanted):
        return None
    return judge_any(answer) or "status"


def redirects_to_https(answer):
    asked, target = urllib.parse.urlsplit(answer.url), urllib.parse.urlsplit(answer.location)
    return (300 <= answer.status < 400 and asked.scheme == "http" and target.scheme == "https"
            and (target.path or "/") == (asked.path or "/"))


def request(url, headers):
    parts = urllib.parse.urlsplit(url)
    sent = dict({"User-Agent": "deploy-django", "Accept": "*/*", "Connection": "close"}, **headers)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), timeout=5)
    try:
        connection.connect()
        response = {"https": ask_https, "uwsgi": ask_uwsgi}.get(parts.scheme, ask_plainly)(connection, parts, sent)
        body = response.read(65536).decode("utf-8", "replace")
        said = body[:4096] if response.status == 400 else ""
        if "HTTP request" in said and "HTTPS" in said and parts.scheme == "http":
            return Answer(url, reason="not-http", said="it speaks TLS")
        answer = Answer(url, response.status, None, response.getheader("Location") or "", said)
        answer.headers = frozenset(name.lower() for name, _ in response.getheaders())
        answer.body, answer.server = body, response.getheader("Server") or ""
        return answer
    except socket.timeout:
        answer = Answer(url, reason="timeout")
        answer.reached = connection.sock is not None
        return answer
    except http.client.RemoteDisconnected:
        return Answer(url, reason="silent", said="it closed the connection without an answer")
    except (http.client.HTTPException, ssl.SSLError) as error:
        return Answer(url, reason="not-http", said=last_line(error)[:80])
    except (ConnectionResetError, BrokenPipeError):
        return Answer(url, reason="silent", said="it closed the connection without an answer")
    except OSError as error:
        return Answer(url, reason="refused", said=str(error), closed=isinstance(error, ConnectionRefusedError))
    finally:
        connection.close()


def ask_plainly(connection, parts, headers):
    connection.request("GET", (parts.path or "/") + ("?" + parts.query if parts.query else ""), headers=headers)
    return connection.getresponse()


def ask_https(connection, parts, headers):
    # The host name belongs to the app's network, so no certificate can contain it.
    context = ssl._create_unverified_context()
    name = next((value for key, value in headers.items() if key.lower() == "host"), parts.hostname)
    connection.sock = context.wrap_socket(connection.sock, server_hostname=name.split(":")[0])
    return ask_plainly(connection, parts, headers)


def ask_uwsgi(connection, parts, headers):
    """As nginx does with `uwsgi_pass`. HTTP on such a socket only fills the log with "invalid request block size"."""
    variables = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
    variables.setdefault("HTTP_HOST", parts.netloc)
    path = parts.path or "/"
    variables.update(REQUEST_METHOD="GET", REQUEST_URI=path, PATH_INFO=path, QUERY_STRING="", SERVER_PROTOCOL="HTTP/1.1",
                     SERVER_NAME=parts.hostname, SERVER_PORT=str(parts.port), REMOTE_ADDR="127.0.0.1")
    words = [word.encode() for pair in variables.items() for word in pair]
    body = b"".join(struct.pack("<H", len(word)) + word for word in words)
    connection.sock.sendall(struct.pack("<BHB", 0, len(body), 0) + body)
    # A server with `http-socket` waits for the end of the request. This tells it that nothing more comes.
    connection.sock.shutdown(socket.SHUT_WR)
    response = http.client.HTTPResponse(connection.sock, method="GET")
    response.begin()
    return response


def candidates(fronts):
    """(addresses that others reach, addresses that only this container reaches, services in front).

    An app on 127.0.0.1 answers only here, so it counts only if no front can be asked: the front may share this network.
    """
    outside, inside, before = [], [], []
    for address, port, scheme in listening():
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        url = "%s://%s:%d/" % (scheme, "[%s]" % host if ":" in host else host, port)
        (inside if is_loopback(address) else outside).append(url)
    for service, port in fronts:
        scheme = "https" if int(port) in (443, 8443) else "http"
        before.append("%s://%s:%d/" % (scheme, service, int(port)))
    return outside, inside, before


def check_published(ports, last, reason):
    """(answer, reason) after the ports that the Compose file publishes were compared with those that are listened on.

    Any program in this container's network may listen: the app, or a sidecar. One port is enough, because others may be
    for tools that run only in development.
    """
    places = [place for place in open_sockets().values() if place[1] in ports]
    if last is None or reason or not ports or any(not is_loopback(address) for address, _ in places):
        return last, reason
    last.ports = ports
    return last, "loopback" if places else "unpublished"


def is_loopback(address):
    return address == "::1" or address.startswith("127.")


def open_sockets():
    """{inode: (address, port)} of all sockets that listen in this container's network."""
    sockets = {}
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path) as file:
                lines = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        for line in lines:
            address, port = line[1].split(":")
            if line[3] == "0A" and read_address(address) != "127.0.0.11":  # Docker's name server
                sockets[line[9]] = (read_address(address), int(port, 16))
    return sockets


def listening():
    """(address, port, scheme) of the sockets on which this container's processes listen; those for everyone first."""
    sockets = open_sockets()
    # With `network_mode: host` these are all sockets of the host. Most of them belong to other programs.
    own, complete = own_sockets()
    found = {sockets[inode]: "uwsgi" if is_uwsgi(own[inode]) else "http" for inode in sockets if inode in own}
    if not found and not complete:
        found = {place: "http" for place in sockets.values()}
    places = sorted(found, key=lambda each: (each[0] not in ("0.0.0.0", "::"), each[1]))
    return [(address, port, found[address, port]) for address, port in places]


def is_uwsgi(process):
    try:
        with open("/proc/%s/comm" % process) as file:
            return "uwsgi" in file.read()
    except OSError:
        return False


def own_sockets():
    """{inode: process} of the sockets of visible processes, and whether all of these could be inspected."""
    inodes, complete = {}, True
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                for descriptor in os.listdir("/proc/%s/fd" % name):
                    link = os.readlink("/proc/%s/fd/%s" % (name, descriptor))
                    if link.startswith("socket:["):
                        inodes[link[8:-1]] = name
            except PermissionError:
                complete = False
            except OSError:
                continue  # it has ended since then
    return inodes, complete


def read_address(text):
    """/proc writes each group of four bytes in the machine's order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[i:i + 4][::-1] for i in range(0, len(raw), 4))
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        raw = raw[12:]
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def explain_answer(answer, reason, visitor, fronts):
    """What was seen with its likely cause, and the fix."""
    if reason == "loopback":
        return explain_loopback(answer, ", ".join(sorted({urllib.parse.urlsplit(url).hostname for url in fronts})))
    if reason == "unpublished":
        return explain_unpublished(answer)
    if answer.sibling:
        return explain_sibling(answer)
    if answer.app:
        return explain_front(answer)
    seen = "%s answered %s" % (answer.url, answer.status)
    not_http = ("%s does not speak HTTP (%s)." % (answer.url, answer.said),
                "name an address that speaks HTTP in `health-url`, or set `health-url: none`")
    service = service_of(answer.url)
    return {
        None: ("%s, three times." % seen, None),
        "refused": ("%s cannot be reached (%s). The server in %s listens elsewhere, or it stopped while starting."
                    % (answer.url, answer.said, service or "the container"),
                    "let it listen on 0.0.0.0 and on this port; if it stopped, its log says why"),
        "timeout": ("%s accepts connections, but does not answer within 5 s: its workers are still starting, are busy, or "
                    "wait for something." % answer.url,
                    "see the log of the service; raise `health-timeout` if it only starts slowly; set `health-url: none` if "
                    "it is no web server"),
        "not-http": not_http, "silent": not_http,
        "bad-request": explain_bad_request(answer, visitor),
        "https-redirect": ("%s, a redirect to %s: only a redirect was seen, not the app (SECURE_SSL_REDIRECT)."
                           % (seen, answer.location),
                           "send the header that the proxy sends, `health-headers: \"X-Forwarded-Proto: https\"`, and set "
                           "SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")"),
        "server-error": ("%s: %s, or what it needs (database, cache, static manifest), fails. 502 to 504 come from a proxy "
                         "that does not reach the app. The log of the service says why." % (seen, service or "the app"),
                         "fix the error in the log of %s; with DEBUG = False Django logs errors only if LOGGING sends them "
                         "to the console" % (service or "the service")),
        "status": ("%s, which `health-status` does not list." % seen,
                   "change the address in `health-url`, or the list in `health-status`"),
    }[reason]


def service_of(url):
    """The service that an address names; None for this container and for a domain."""
    name = urllib.parse.urlsplit(url).hostname
    return None if name == "localhost" or re.search(r"[.:]", name) else name


def explain_bad_request(answer, visitor):
    """Django answers 400 to a Host that it does not accept."""
    host, allowed = json.dumps(answer.host), visitor.allowed
    seen = "%s answered 400 to the Host %s" % (answer.url, host)
    listed = " ".join(map(str, allowed or ()))
    other = "; if the page itself answers 400, set `health-url` to one that does not"
    if visitor.given or allowed is None:
        return seen + ", which is not in ALLOWED_HOSTS.", "add %s to ALLOWED_HOSTS, or send one that is in it with " \
            "`health-headers: \"Host: …\"`%s" % (host, other)
    if not allowed and not visitor.hosts:
        return seen + ": ALLOWED_HOSTS is empty, so Django refuses every visitor.", \
            "set it to the domain of the site: ALLOWED_HOSTS = [\"shop.example.com\"], or the variable that the settings " \
            "read it from" + other
    if not visitor.hosts and "*" not in allowed:
        return "%s: no entry of ALLOWED_HOSTS (%s) is a name that a visitor can send." % (seen, listed), \
            "write the domain alone, without https://, a port or a star: ALLOWED_HOSTS = [\"shop.example.com\"], or " \
            "[\".example.com\"] for all names below it" + other
    if re.match(r"[0-9.]+\Z|.*:", urllib.parse.urlsplit(answer.url).hostname):  # the app itself
        return "%s, although ALLOWED_HOSTS, as manage.py reads it, allows it (%s)." % (seen, listed), \
            "let wsgi.py or asgi.py read the settings that manage.py reads: compare DJANGO_SETTINGS_MODULE in them and in " \
            "the environment of the service" + other
    return "%s, although ALLOWED_HOSTS allows it (%s): the proxy passes on another Host." % (seen, listed), \
        "pass it on: in nginx, `proxy_set_header Host $http_host;` below `proxy_pass`. Without it nginx sends the name in " \
        "`proxy_pass`, which Django refuses if it has an underscore or is not in ALLOWED_HOSTS" + other
