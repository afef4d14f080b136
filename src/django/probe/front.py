# Any web server sends these, also with a static page of its own.
COMMON_HEADERS = frozenset(
    "server date connection keep-alive transfer-encoding content-length content-type content-encoding etag last-modified "
    "accept-ranges vary cache-control expires age via alt-svc location strict-transport-security".split())
DJANGO_HEADERS = frozenset("x-frame-options x-content-type-options referrer-policy cross-origin-opener-policy".split())
APP_SERVERS = ("gunicorn", "uvicorn", "daphne", "hypercorn", "granian", "waitress")
DJANGO_ERROR = "<h1>Server Error (500)</h1>"  # of django.views.defaults, when the project has no template
ASSET = re.compile(r"""(?:href|src)=["']?(/[^/"'>\s?#][^"'>\s?#]*\.(?:css|js))\b""")
FRONT_UNKNOWN = "It is not known whether requests reach Django through the service in front of it"
FRONT_TRIES = 6


def check_fronts(visitor, last, reason, inside, fronts, before):
    """(answer, reason, warning) after the services in front of the app were checked, too.

    The app may be healthy although visitors fail: a proxy asks a wrong port, or the app listens only on 127.0.0.1.
    A page that the front serves itself proves nothing about that, unless it is an error that was not there `before`.
    """
    if last is None or not fronts or last.url in inside or (reason and not is_proxy_error(last)):
        return last, reason, None
    if last.url in fronts:
        alone = answer_of(visitor, inside)
        if reason is None and (alone and passes_on(last, alone) or is_like_django(last)):
            return last, None, None
        if alone and is_like_django(alone):
            return alone, "loopback", None
        return last, reason, None if reason else warn_of_front(last)
    answers = ask_fronts(visitor, fronts)
    spoken = [answer for answer in answers if answer.reason is None and not redirects_to_https(answer)]
    if reason is None:
        failed = next((answer for answer in spoken if answer.status >= 500 > before.get(answer.url, 500)), None)
        if failed:
            failed.app, failed.before = last, before[failed.url]
            return failed, "server-error", None
    if any(passes_on(answer, last) for answer in spoken):
        return last, reason, None
    if not spoken:
        # A proxy may say nothing to a name that it does not know. One in another network, or one that restarts, proves nothing.
        mute = next((answer for answer in answers if answer.reached and answer.reason not in (None, "refused")), None)
        return last, reason, warn_of_silence(mute) if mute and reason is None else None
    failed = next((answer for answer in spoken if is_proxy_error(answer) or is_error_of_django(answer, last)), None)
    if failed:
        failed.app = last
        return failed, "server-error", None
    page = find_page(visitor, last)
    through = page and reason is None and visitor.ask(spoken[0].url + page)
    if through and through.reason is None and is_proxy_error(through):
        through.app = last
        return through, "server-error", None
    if through and through.status == 200 and is_like_django(through):
        return last, reason, None
    return last, reason, None if reason else warn_of_front(spoken[0], page)


def check_siblings(visitor, siblings, last, reason):
    """(answer, reason) after the other published services with the image of the app were asked, such as one for staff."""
    if last is None or reason:
        return last, reason
    for service in sorted({service for service, _ in siblings}):
        answers = ask_fronts(visitor, ["http://%s:%d/" % (service, int(port)) for name, port in siblings if name == service])
        failed = next((answer for answer in answers if answer.reason is None and answer.status >= 500), None)
        if failed is None and all(answer.closed for answer in answers):
            failed = answers[0]
        if failed:
            failed.app, failed.sibling = last, service
            return failed, failed.reason or "server-error"
    return last, None


def look_behind(visitor, failed, reason):
    """Whether the app answers a direct request, for a given address where a proxy answered."""
    outside, inside, _ = candidates([])
    if not is_proxy_error(failed) or is_own(failed.url, outside + inside):
        return failed, reason
    app = answer_of(visitor, outside)
    if app:
        failed.app = app
        return failed, reason
    alone = answer_of(visitor, inside)
    if alone and is_like_django(alone):
        return alone, "loopback"
    return failed, reason


def share_answers(_out):
    """The statuses of `/` under the release that serves, for `DEPLOY_DJANGO_BEFORE` in the check of the next one."""
    order = json.load(sys.stdin)
    if order.get("urls"):
        return PLANNED, {}
    visitor = Visitor(order)
    outside, inside, fronts = candidates(order.get("fronts", []))
    answers = {url: visitor.ask(url) for url in fronts}
    answers["app"] = answer_of(visitor, outside + inside)
    known = {name: answer for name, answer in answers.items() if answer and answer.status}
    pages = {name: answer.status for name, answer in known.items() if answer.status < 400 and not redirects_to_https(answer)}
    return PLANNED, {"answers": {name: answer.status for name, answer in known.items()}, "pages": pages}


def ask_fronts(visitor, urls):
    """One answer of each. Retries while none of them listens: they may have just started."""
    for turn in range(FRONT_TRIES):
        if turn:
            time.sleep(0.5)
        answers = [visitor.ask(url) for url in urls]
        if not all(answer.closed for answer in answers):
            break
    return answers


def answer_of(visitor, urls):
    """The first good answer, if any."""
    answers = (visitor.ask(url) for url in urls)
    return next((answer for answer in answers if answer.reason is None and answer.status < 500), None)


def is_own(url, own):
    parts = urllib.parse.urlsplit(url)
    return (parts.hostname in ("localhost", "127.0.0.1", "::1", socket.gethostname())
            and any(urllib.parse.urlsplit(each).port == (parts.port or 80) for each in own))


def is_proxy_error(answer):
    return answer.status in (502, 503, 504)


def is_error_of_django(front, app):
    """Whether visitors get an error page of Django, although the app itself answers.

    Any other 5xx may come from a program that answers `/` next to Django and is not a part of the release.
    """
    if front.status < 500 or app.status >= 500 or "<center>nginx" in front.body:
        return False
    signs = app.headers & DJANGO_HEADERS
    return DJANGO_ERROR in front.body or len(signs) > 1 and signs <= front.headers


def passes_on(front, app):
    """Whether the front's answer comes from the app: the same page, or the headers that the app adds."""
    if front.status != app.status and not redirects_to_https(app):
        return False
    signs = app.headers - COMMON_HEADERS
    return front.body == app.body or bool(signs and signs <= front.headers)


def is_like_django(answer):
    return len(answer.headers & DJANGO_HEADERS) > 1 or answer.server.lower().startswith(APP_SERVERS)


def find_page(visitor, app):
    """The path of a page that this app has, as an example; None if none is known."""
    return "admin/login/" if visitor.ask(app.url + "admin/login/").status == 200 else None


def warn_of_front(front, page=None):
    return ("%s: %s answers %s, but nothing shows that this answer comes from Django. Set `health-url` to an address behind that "
            "service that Django answers%s" % (FRONT_UNKNOWN, front.url, front.status, ", such as " + front.url + page if page else ""))


def warn_of_lost(visitor, last, pages):
    """A warning if an address had a page under the release before and has none now, which may be intended."""
    for url, answer in visitor.answers.items():
        was = pages.get(url) or (pages.get("app") if url == last.url else None)
        if was and 400 <= (answer.status or 0) < 500:
            return ("%s answers %d, but under the release before it answered %d. If visitors should find a page there, check the "
                    "URLs of the project and the files that this release serves" % (url, answer.status, was))
    return None


def warn_of_assets(visitor, fronts, published):
    """A warning if a page links to a style sheet or script that is not there, such as after a wrong `alias` in nginx.

    Only through a service in front: without one, a proxy that is no part of the project may serve these files.
    """
    for url in fronts:
        page = visitor.answers.get(url)
        link = page and page.status == 200 and ASSET.search(page.body)
        if link and urllib.parse.urlsplit(url).port not in published and visitor.ask(url.rstrip("/") + link.group(1)).status == 404:
            return ("%s links to %s, which answers 404: the site has no style or no scripts. Compare STATIC_URL and STATIC_ROOT with "
                    "the address and the folder that %s serves" % (url, link.group(1), urllib.parse.urlsplit(url).hostname))
    return None


def warn_of_silence(front):
    said = front.said or "it accepts the connection, but sends nothing within 5 s"
    return ("%s: %s does not answer to the Host %s (%s). Set `health-headers: \"Host: …\"` to a name that visitors use, or "
            "`health-url` to an address that Django answers" % (FRONT_UNKNOWN, front.url, front.host, said))


def explain_loopback(app, fronts):
    port = app.ports[0] if app.ports else urllib.parse.urlsplit(app.url).port
    place = "127.0.0.1:%d" % port if app.ports else urllib.parse.urlsplit(app.url).netloc
    lost = "no visitor reaches it" if app.ports else "no other container reaches it"
    return ("The app listens only on %s in its container, so %s%s."
            % (place, lost, ", such as that of " + fronts if fronts and not app.ports else ""),
            "let the server listen on 0.0.0.0:%d, in the command of the service or its Dockerfile" % port)


def explain_front(front):
    """The app answers, but visitors get an error."""
    name, app = urllib.parse.urlsplit(front.url).hostname, urllib.parse.urlsplit(front.app.url)
    seen = ("%s answered %s to the Host %s, but the app answers when it is asked directly (%s: %s)"
            % (front.url, front.status, front.host, front.app.url, front.app.status))
    if front.before and not is_proxy_error(front) and not is_error_of_django(front, front.app):
        return ("%s. Under the release before, %s answered %s: its own configuration or files changed, or what it asks "
                "besides the app fails." % (seen, name, front.before), "fix the error in the log of %s" % name)
    if not is_proxy_error(front):
        return ("%s: Django fails on the headers that %s adds, or %s forwards to another Django service."
                % (seen, name, name),
                "fix the error in the log of the service; with DEBUG = False Django logs errors only if LOGGING sends them to "
                "the console")
    return ("%s: %s connects to a wrong port or host name." % (seen, name),
            "correct the address to which %s passes requests: the app listens on port %d" % (name, app.port))


def explain_unpublished(app):
    port, published = urllib.parse.urlsplit(app.url).port, " and ".join(map(str, app.ports))
    return ("The app answers at %s, but the Compose file publishes port %s of its container, on which nothing listens. So no "
            "visitor reaches it." % (app.url, published),
            "write the port on which the server listens after the last colon in `ports` (\"…:%d\"), or let the server listen on "
            "0.0.0.0:%d" % (port or 80, app.ports[0]))


def explain_sibling(answer):
    service, port = answer.sibling, urllib.parse.urlsplit(answer.url).port
    if answer.reason:
        return ("Nothing listens on %s, a port of the service %s that the Compose file publishes." % (answer.url, service),
                "publish the port on which %s listens, or let it listen on 0.0.0.0:%d; its log says why it does not" % (service, port))
    return ("%s answered %s: the service %s fails, although it runs the image of the app, which answers (%s: %s)."
            % (answer.url, answer.status, service, answer.app.url, answer.app.status),
            "fix the error in the log of %s; with DEBUG = False Django logs errors only if LOGGING sends them to the console"
            % service)
