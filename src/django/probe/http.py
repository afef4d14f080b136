class Answer:
    """One request: a status, or why there is none."""

    def __init__(self, url, status=None, reason=None, location="", said="", closed=False):
        self.url, self.status, self.reason, self.location, self.said = url, status, reason, location, said
        self.closed = closed  # the host is there, the port is not


def check_http(_out):
    order = json.load(sys.stdin)
    headers = {str(name): str(value) for name, value in order.get("headers", {}).items()}
    if order.get("urls"):
        wanted = order.get("status") or ["2xx", "3xx"]
        for url in order["urls"]:
            last, reason = ask_three_times(url, headers, lambda answer: judge_given(answer, wanted))
            if reason:
                break
    else:
        outside, inside = candidates(order.get("fronts", []))
        last, reason = ask_around(outside, headers)
        if last is None:
            last, reason = ask_around(inside, headers)
    if last is None:
        return PLANNED, {"url": None, "status": None, "answers": 0, "reason": "nothing-speaks-http", "text":
                         "No port of this service, and no service in front of it, speaks HTTP."}
    return (UNHEALTHY if reason else PLANNED), {
        "url": last.url, "status": last.status, "answers": 0 if reason else 3,
        "reason": "not-http" if reason == "silent" else reason, "text": explain_answer(last, reason, headers),
    }


def ask_around(urls, headers):
    """The first that speaks HTTP decides; one that only redirects to https leaves the word to the next."""
    undecided = closed = None
    for url in urls:
        answer = request(url, headers)
        if answer.closed:
            closed = answer  # a published port that nobody listens on yet
        if answer.reason in ("refused", "not-http"):
            continue
        if answer.reason or judge_any(answer) == "https-redirect":
            undecided = undecided or answer
            continue
        return ask_three_times(url, headers, judge_any)
    last = undecided or closed
    return last, last and (last.reason or judge_any(last))


def ask_three_times(url, headers, judge):
    for turn in range(3):
        if turn:
            time.sleep(0.1)
        answer = request(url, headers)
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
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    sent = dict({"User-Agent": "deploy-django", "Accept": "*/*", "Connection": "close"}, **headers)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), timeout=5)
    try:
        connection.connect()
        if parts.scheme == "https":
            # The name asked for is one of the app's network: no certificate could carry it.
            context = ssl._create_unverified_context()
            name = next((value for key, value in headers.items() if key.lower() == "host"), parts.hostname)
            connection.sock = context.wrap_socket(connection.sock, server_hostname=name.split(":")[0])
        connection.request("GET", path, headers=sent)
        response = connection.getresponse()
        said = response.read(4096).decode("utf-8", "replace") if response.status == 400 else ""
        if "HTTP request" in said and "HTTPS" in said and parts.scheme == "http":
            return Answer(url, reason="not-http", said="it speaks TLS")
        return Answer(url, response.status, None, response.getheader("Location") or "", said)
    except socket.timeout:
        return Answer(url, reason="timeout")
    except http.client.RemoteDisconnected:
        return Answer(url, reason="silent", said="it closed the connection without a word")
    except (http.client.HTTPException, ssl.SSLError) as error:
        return Answer(url, reason="not-http", said=last_line(error)[:80])
    except (ConnectionResetError, BrokenPipeError):
        return Answer(url, reason="silent", said="it closed the connection without a word")
    except OSError as error:
        return Answer(url, reason="refused", said=str(error), closed=isinstance(error, ConnectionRefusedError))
    finally:
        connection.close()


def candidates(fronts):
    """Where others reach this container or a service in front of it; then what listens for this container alone.

    An app that listens on 127.0.0.1 answers here and to nobody else, so it only counts where no front can be asked: the
    front may share this network.
    """
    outside, inside = [], []
    for address, port in listening():
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        url = "http://%s:%d/" % ("[%s]" % host if ":" in host else host, port)
        (inside if address == "::1" or address.startswith("127.") else outside).append(url)
    for service, port in fronts:
        scheme = "https" if int(port) in (443, 8443) else "http"
        outside.append("%s://%s:%d/" % (scheme, service, int(port)))
    return outside, inside


def listening():
    """(address, port) of what this container's processes listen on; those for everyone first."""
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
    # With `network_mode: host` these are all sockets of the server, and most are none of our business.
    own, complete = own_sockets()
    found = {sockets[inode] for inode in sockets if inode in own}
    if not found and not complete:
        found = set(sockets.values())
    return sorted(found, key=lambda each: (each[0] not in ("0.0.0.0", "::"), each[1]))


def own_sockets():
    """Inodes of the sockets of the processes seen here, and whether all could be looked at."""
    inodes, complete = set(), True
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                for descriptor in os.listdir("/proc/%s/fd" % name):
                    link = os.readlink("/proc/%s/fd/%s" % (name, descriptor))
                    if link.startswith("socket:["):
                        inodes.add(link[8:-1])
            except PermissionError:
                complete = False
            except OSError:
                continue  # ended meanwhile
    return inodes, complete


def read_address(text):
    """/proc writes each group of four bytes in the machine's order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[i:i + 4][::-1] for i in range(0, len(raw), 4))
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        raw = raw[12:]
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def explain_answer(answer, reason, headers):
    """What it means and what to change."""
    host = next((value for name, value in headers.items() if name.lower() == "host"), "the name in the address")
    seen = "%s answered %s" % (answer.url, answer.status)
    not_http = ("%s does not speak HTTP (%s). Name an address that does in `health-url`, or set `health-url: none`."
                % (answer.url, answer.said))
    return {
        None: "%s, three times." % seen,
        "refused": "%s cannot be reached (%s). Does the server listen, on 0.0.0.0 and on this port, or did it stop while "
                   "starting? Its log says why." % (answer.url, answer.said),
        "timeout": "%s accepts connections, but does not answer within 5 s: its workers are still starting, are busy, or "
                   "wait for something. If it is no web server, set `health-url: none`." % answer.url,
        "not-http": not_http, "silent": not_http,
        "bad-request": "%s. Django says 400 when the Host header is not allowed: add %s to ALLOWED_HOSTS, or send a host "
                       "that is in it with `health-headers: \"Host: …\"`." % (seen, json.dumps(host)),
        "https-redirect": "%s, a redirect to %s: only a redirect was seen, not the app (SECURE_SSL_REDIRECT). Send the header "
                          "that the proxy sends, `health-headers: \"X-Forwarded-Proto: https\"`, and set "
                          "SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")." % (seen, answer.location),
        "server-error": "%s: the app, or what it needs (database, cache, static manifest), fails. 502 to 504 come from a proxy "
                        "that does not reach the app. The log of the service says why." % seen,
        "status": "%s, which `health-status` does not list. Change the address in `health-url` or the list in "
                  "`health-status`." % seen,
    }[reason]
