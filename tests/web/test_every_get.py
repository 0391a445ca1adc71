"""Every page and every GET of the API over rows of every state and shape: none of them meets a fault of ours.

The routes are those of the app itself, so that a new page cannot be forgotten: one with a parameter of which no
value is known here fails until it is given one. Pages are walked as a person walks them, link by link and with
every choice that their forms offer; lists of the API with each of their filters, cursor by cursor, and what they
give has to be what the OpenAPI document says.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote_plus, urlencode

import httpx
import jsonschema
import pytest
from jsonschema.exceptions import best_match
from sqlalchemy import Connection, select
from starlette.routing import Mount
from structlog.testing import capture_logs

from tests.compat._scrobbler import App
from tests.prepared import open_service
from tests.web.conftest import PASSWORD, document
from tests.web.every_row import BEFORE, MEMBER, NOWHERE, OPTIONAL, OWNER, Rows, unknowable
from webhook import app, clock, lookups, servers, sources, trackers
from webhook.compat.videoscrobbler.methods import Tokens
from webhook.domain.event import Event
from webhook.service import Service
from webhook.storage import tables
from webhook.transfer import exports
from webhook.web.http.errors import Shell
from webhook.web.needs_you.queries import count, find_needs
from webhook.web.visible import Visitor

ORIGIN = "http://watchmark.test"
NOBODY = "http://127.0.0.1:1"
SET_UP = {
    "TRAKT_CLIENT_ID": "a" * 64, "TRAKT_CLIENT_SECRET": "b" * 64, "SIMKL_CLIENT_ID": "c" * 64,
    "LASTFM_API_KEY": "d" * 32, "LASTFM_SECRET": "e" * 32, "NOTIFY_URLS": "json://127.0.0.1:1",
    "TMDB_TOKEN": "f", "TMDB_API_URL": NOBODY, "TMDB_IMAGE_URL": NOBODY, "TVDB_API_KEY": "g", "TVDB_API_URL": NOBODY,
    "PLEX_URL": NOBODY, "PLEX_TOKEN": "h", "JELLYFIN_URL": NOBODY, "JELLYFIN_API_KEY": "i", "EMBY_URL": NOBODY,
    "EMBY_API_KEY": "j", "TAUTULLI_URL": NOBODY, "TAUTULLI_API_KEY": "k", "TRAKT_API_URL": NOBODY,
}  # fmt: skip
"""Every service set up, and nobody there to answer."""

ELSEWHERE = ("/webhooks/{source}", "/tvtime", "/api/1.0", "/static", "/sign-in/oidc")
"""What is no page and no list: the door for webhooks, the APIs with contracts and tests of their own, files,
the way to an OpenID provider."""

ASKS_OTHERS = "/api/v1/search"
"""What is answered by the lookups, of which nobody is there."""

FEW = 100
"""How many entries are asked for at once, so that there are cursors to follow."""

Open = Callable[..., "Home"]
Values = Callable[[Rows], Iterable[object]]
PICTURED = "show:tvdb:81189"


def each(*values: object) -> Values:
    return lambda rows: values


KEYS = each("tvdb:81189", "tvdb:3", "title:harbourstreet", "title:harbour4", "tvdb:999")
FILMS = each("tmdb:77", "title:harbour:2001", "imdb:tt0903747", "imdb:tt1", "title:harbour")
NAMES = each(OWNER, MEMBER, "nobody")
SERVICES = each(*trackers.modules(), *lookups.modules(), *servers.modules(), "notices", "nobody")
PARAMETERS: Mapping[str, Values] = {
    "/trace/{id}": lambda rows: [*rows.webhook_ids, NOWHERE],
    "/history/plays/{id}": lambda rows: [*rows.play_ids, NOWHERE],
    "/pictures/{key}/{shape}-{width}": each(
        f"{PICTURED}/poster-64", f"{PICTURED}/poster-65", "show:tvdb:9/poster-64"
    ),
    "/history/shows/{key}": KEYS,
    "/library/shows/{key}": KEYS,
    "/library/films/{key}": FILMS,
    "/history/numbers/{year}/review": each(2001, 2026, 1066),
    "/history/numbers/{year}/review.svg": each(2001, 2026, 1066),
    "/connections/{name}": SERVICES,
    "/people/{name}": NAMES,
    "/people/{name}/remove": NAMES,
    "/people/{name}/apps": NAMES,
    "/people/{name}/second-factor": NAMES,
    "/wizard/source/{source}": each("plex"),
    "/welcome/{secret}": lambda rows: [rows.welcome, "nobody"],
    "/api/v1/templates/{source}": each(*sources.modules(), "nobody"),
    "/api/v1/webhooks/{id}": lambda rows: [*rows.webhook_ids, NOWHERE],
    "/api/v1/webhooks/{id}/redacted": lambda rows: [*rows.webhook_ids[:30], NOWHERE],
    "/api/v1/deliveries/{id}": lambda rows: [*rows.delivery_ids, NOWHERE],
    "/api/v1/plays/{id}": lambda rows: [*rows.play_ids, NOWHERE],
    "/api/v1/shows/{key}": KEYS,
    "/api/v1/films/{key}": FILMS,
    "/api/v1/jobs/{id}": each(*range(1, 20), NOWHERE),
    "/api/v1/exports/{kind}": each(*exports.modules(), "nothing"),
    "/api/v1/people/{name}": NAMES,
    "/api/v1/connections/{name}": SERVICES,
    "/api/v1/sign-ins/{id}": lambda rows: [*rows.service.sign_ins.held, "nothing"],
}
"""What stands for the parameter in the path of each route that has one."""

QUERIES: Mapping[str, Callable[[Rows], Iterable[Mapping[str, object]]]] = {
    "/needs-you/match": lambda rows: [
        {"of": one, "title": "x"} for one in (*rows.unmatched, *rows.questions)
    ],
    "/history": lambda rows: [{"text": text} for text in ("harbour", "%")],
    "/history/add": lambda rows: [{"kind": kind, "q": "harbour"} for kind in ("movie", "episode")],
    "/activity": lambda rows: [{"text": text} for text in ("harbour", "%")],
    "/history/numbers": lambda rows: [
        *({"year": year} for year in ("all", 1999)),
        *({"with": other} for other in (2001, OWNER, MEMBER)),
    ],
    "/library": lambda rows: [{"after": after} for after in (1, 1000)],
    "/library/films": lambda rows: [{"text": text} for text in ("harbour", "%")],
    "/library/shows/{key}": lambda rows: [{"unmark": one} for one in ("1x1", "0x0")],
    "/api/auth": lambda rows: [
        {"api_key": rows.app.key, "token": Tokens(rows.service.seal.signing).new(rows.app.key)}
    ],
}
"""What else a page can be asked for, where no link and no form leads to all of it."""

ASKED: Mapping[str, Values] = {
    "person": NAMES,
    "text": each("harbour", "%"),
    "library": each("Films", "%"),
    "reason": each("not watched", "nothing"),
    "title": each("Harbour"),
    "since": each("2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
    "until": each("2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
    "year": each(1999, 2001),
    "token": lambda rows: [rows.secrets[OWNER], rows.secrets[MEMBER], "nothing"],
}
"""What is given for a parameter of the API that offers no choice."""


@dataclass
class Home:
    """A service over every row, in this process, and what went wrong in it."""

    service: Service
    rows: Rows
    app: Any
    faults: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)

    async def get(self, client: httpx.AsyncClient, address: str) -> httpx.Response:
        with capture_logs([noted]) as logged:
            answer = await client.get(address)
        said = [entry["wrong"] for entry in logged if "wrong" in entry]
        unreachable = answer.status_code == 503 and address.startswith(ASKS_OTHERS)
        if (answer.status_code >= 500 and not unreachable) or said:
            self.faults.append(f"{address}: {answer.status_code} {'; '.join(said)}")
        if answer.status_code < 400:
            self.answered.add(address.partition("?")[0])
        return answer

    def visit(self, walk: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
        """Walk through it with a browser of its own."""

        async def inside() -> None:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=ORIGIN, headers={"Accept-Encoding": "identity"}
            ) as client:
                await walk(client)
            await self.service.http.aclose()

        asyncio.run(inside())

    def unanswered(self, paths: Iterable[str]) -> list[str]:
        """The paths of which no address was answered."""
        return [path for path in paths if not any(map(pattern(path).fullmatch, self.answered))]


def noted(logger: Any, method: str, entry: Any) -> Any:
    """A processor of the log that marks what went wrong."""
    if method in ("exception", "error", "critical"):
        error = sys.exc_info()[1]
        entry["wrong"] = entry["event"] if error is None else f"{type(error).__name__}: {error}"
    return entry


def pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{\w+}", ".+", path))


def gets(inside: Any, prefix: str = "") -> Iterator[str]:
    """The path of every route that answers GET, with its parameters by name alone."""
    for route in inside.routes:
        target = route.app if isinstance(route, Mount) else route.endpoint
        under = prefix + route.path if isinstance(route, Mount) else prefix
        while isinstance(target, Shell):
            target = target.app
        if hasattr(target, "routes"):
            yield from gets(target, under)
        elif isinstance(route, Mount) or "GET" in (route.methods or ()):
            yield re.sub(r"{(\w+):\w+}", r"{\1}", under if isinstance(route, Mount) else prefix + route.path)


def addresses(path: str, rows: Rows) -> list[str]:
    """The addresses that a path stands for."""
    if "{" not in path:
        return [path]
    assert path in PARAMETERS, f"PARAMETERS does not say what stands in {path}"
    return [re.sub(r"{.*}", quote(str(value), safe=":/"), path) for value in PARAMETERS[path](rows)]


# --- pages


FILTERS = frozenset({"kind", "only", "library", "view", "select"})
LINK = re.compile(r' href="(/[^"#]*)')
FORM = re.compile(r'<form[^>]* method="get" action="([^"]+)"(.*?)</form>', re.DOTALL)
SELECT = re.compile(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', re.DOTALL)
OPTION = re.compile(r'<option( value="([^"]*)")?[^>]*>([^<]*)')


def onward(page: str) -> Iterator[str]:
    """Where the links of a page lead, and its forms with each of their choices."""
    yield from map(unescape, LINK.findall(page))
    for action, inside in FORM.findall(page):
        for name, choices in SELECT.findall(inside):
            for valued, value, text in OPTION.findall(choices):
                yield f"{action}?{urlencode({name: unescape(value if valued else text)})}"


EACH_PAIR = 3
"""Addresses walked of each pair of filters: any two may stand together, and their values need not all meet."""


def filters_of(address: str) -> frozenset[str]:
    """The filters of a page of the history."""
    given = parse_qs(address.partition("?")[2])
    return FILTERS.intersection(given) if address.startswith("/history?") else frozenset()


async def walk_pages(home: Home, client: httpx.AsyncClient, paths: Iterable[str]) -> None:
    """Every page, and whatever they lead to; a link that leads nowhere is a fault too."""
    waiting = deque((address, "") for path in paths for address in addresses(path, home.rows))
    waiting += ((address, "") for address in queries(home.rows))
    seen: set[str] = set()
    combined: Counter[frozenset[str]] = Counter()
    while waiting:
        address, origin = waiting.popleft()
        filters = filters_of(address)
        if address in seen or address.startswith(("/static/", "/api/v1/")) or len(filters) > 2:
            continue
        seen.add(address)
        combined[filters] += 1
        if len(filters) == 2 and combined[filters] > EACH_PAIR:
            continue
        answer = await home.get(client, address)
        if origin and answer.status_code in (400, 404) and BEFORE not in unquote_plus(address):
            home.faults.append(f"{origin} leads to {address}: {answer.status_code}")
        if answer.status_code == 200 and "text/html" in answer.headers["content-type"]:
            waiting += ((found, address) for found in onward(answer.text) if found not in seen)


def queries(rows: Rows) -> Iterator[str]:
    for path, of in QUERIES.items():
        yield from (f"{path}?{urlencode(query)}" for query in of(rows))


# --- the API


@cache
def api_document() -> dict[str, Any]:
    return document(ORIGIN)


@cache
def validator(path: str) -> Any:
    """What a path of the API gives, as the document describes it; None where it is no JSON."""
    content = described(path)["responses"]["200"]["content"].get("application/json")
    if content is None:
        return None
    return jsonschema.Draft202012Validator({**content["schema"], "components": api_document()["components"]})


def described(path: str) -> dict[str, Any]:
    told: dict[str, Any] = api_document()["paths"].get(path.removeprefix("/api/v1"), {})
    found: dict[str, Any] = told.get("get", {})
    return found


async def walk_api(home: Home, client: httpx.AsyncClient, paths: Iterable[str]) -> None:
    """Every GET: single things, lists to their last page, each filter with each of its values."""
    for path in paths:
        for address in addresses(path, home.rows):
            for query in asked(path, home.rows):
                await read_list(home, client, path, address, query)


def asked(path: str, rows: Rows) -> Iterator[dict[str, str]]:
    """Nothing, then each parameter that may be given with each of its values."""
    params = [one for one in described(path).get("parameters", ()) if one["in"] == "query"]
    needed = {one["name"]: str(next(iter(values_of(one, rows)))) for one in params if one.get("required")}
    yield needed
    for one in params:
        if one["name"] not in ("limit", "after"):
            yield from ({**needed, one["name"]: str(value)} for value in values_of(one, rows))


def values_of(param: Mapping[str, Any], rows: Rows) -> Iterable[object]:
    if "enum" in param["schema"]:
        return list(param["schema"]["enum"])
    assert param["name"] in ASKED, f"ASKED does not say what {param['name']} can be"
    return ASKED[param["name"]](rows)


async def read_list(
    home: Home, client: httpx.AsyncClient, path: str, address: str, query: Mapping[str, str]
) -> None:
    paged = any(one["name"] == "limit" for one in described(path).get("parameters", ()))
    params = {**query, **({"limit": str(FEW)} if paged else {})}
    while True:
        whole = f"{address}?{urlencode(params)}" if params else address
        answer = await home.get(client, whole)
        if answer.status_code != 200 or answer.headers["content-type"] != "application/json":
            return
        if wrong := best_match(validator(path).iter_errors(answer.json())):
            home.faults.append(f"{whole}: {wrong.json_path} {wrong.message[:200]}")
        cursor = answer.json().get("next") if paged else None
        if cursor is None:
            return
        params["after"] = str(cursor)


# --- the two APIs beside it


async def walk_apps(home: Home, client: httpx.AsyncClient) -> None:
    """What the VideoScrobbler API and TV Time's tell of everybody and of every video."""
    app_ = App(client, home.rows.app.key, home.rows.app.secret, sk="of the reader")  # type: ignore[arg-type]
    about: Mapping[str, Iterable[dict[str, object]]] = {
        "user.getInfo": [{"username": name} for name in (OWNER, MEMBER)],
        "user.getLovedVideos": [{"user": name} for name in (OWNER, MEMBER)],
        "user.getRecentVideos": [{"user": name, "n": 200} for name in (OWNER, MEMBER)],
        "user.getFriends": [{}, {"username": MEMBER}],
        "video.getInfo": [{"id": number, "username": OWNER} for number in range(1, 60)],
    }
    for method, asked_of in about.items():
        for given in asked_of:
            for form in ("json", None):
                await home.get(
                    client, f"/api/1.0/?{urlencode(app_.signed(method, **{**given, 'format': form}))}"
                )
    await client.post("/tvtime/login", data={"username": OWNER, "password": PASSWORD})
    for address in ("/tvtime/shows", *(f"/tvtime/show/{number}" for number in (3, 81189, 999))):
        await home.get(client, address)


# --- the tests


def test_every_value_that_may_be_unknown_is_known_in_some_row() -> None:
    assert unknowable(Event) == {*OPTIONAL}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    services: list[Service] = []

    def open_it(**settings: str) -> Home:
        service = open_service({"DATA_DIR": str(tmp_path), "WORKER": "false", **settings})
        services.append(service)
        service.leaving = lambda: True  # so that the stream at /live ends
        assert service.pictures.store.save(PICTURED, "poster", 1, dict.fromkeys((64, 128, 360), b"picture"))
        rows = service.database.do(lambda connection: Rows(service, connection).fill())
        return Home(service, rows, app.web_app(service))

    yield open_it
    for service in services:
        service.database.close()


def served(home: Home) -> list[str]:
    return [path for path in dict.fromkeys(gets(home.app)) if not path.startswith(ELSEWHERE)]


@pytest.mark.parametrize("name", [OWNER, MEMBER])
def test_what_waits_is_counted_as_it_is_listed(opened: Open, url: str, name: str) -> None:
    home = opened(**({} if url.startswith("sqlite") else {"DATABASE_URL": url}))

    def ask(connection: Connection) -> tuple[int, int]:
        row = connection.execute(select(tables.person).where(tables.person.c.name == name)).one()
        visitor = Visitor(person_id=row.id, name=name, is_admin=row.owner)
        now = clock.now()
        return count(connection, visitor, now, 3), find_needs(connection, visitor, now, 3).count

    counted, listed = home.service.database.ask(ask)

    assert counted == listed
    assert counted > 3


@pytest.mark.parametrize(("name", "settings"), [(OWNER, SET_UP), (MEMBER, {})])
def test_every_page_is_drawn(opened: Open, name: str, settings: dict[str, str]) -> None:
    home = opened(**settings)
    paths = [path for path in served(home) if not path.startswith("/api/v1/")]

    async def visit(client: httpx.AsyncClient) -> None:
        signed_in = await client.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert signed_in.status_code == 303
        await walk_pages(home, client, paths)

    home.visit(visit)

    assert not home.faults, "\n".join(home.faults)
    assert name != OWNER or home.unanswered(paths) == []


@pytest.mark.parametrize(("name", "settings"), [(OWNER, SET_UP), (MEMBER, {})])
def test_every_get_of_the_api_is_answered_as_described(
    opened: Open, name: str, settings: dict[str, str]
) -> None:
    home = opened(**settings)
    paths = [path for path in served(home) if path.startswith("/api/v1/")]

    async def visit(client: httpx.AsyncClient) -> None:
        client.headers["Authorization"] = f"Bearer {home.rows.secrets[name]}"
        await walk_api(home, client, paths)

    home.visit(visit)

    assert not home.faults, "\n".join(home.faults)
    assert name != OWNER or home.unanswered(paths) == [ASKS_OTHERS]


def test_the_apis_for_apps_answer(opened: Open) -> None:
    home = opened()

    home.visit(lambda client: walk_apps(home, client))

    assert not home.faults, "\n".join(home.faults)
    assert {"/api/1.0/", "/tvtime/shows", "/tvtime/show/81189"} <= home.answered
