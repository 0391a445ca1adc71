"""Who gets where: every route of the API, asked by nobody, by tokens of each scope, by a member and by the owner.

The routes are those of the app itself, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.routing import Mount, Route

from tests.prepared import open_service
from tests.web.conftest import PASSWORD, Household, document
from webhook import app, clock
from webhook.people import scopes, tokens
from webhook.people.scopes import Scope
from webhook.web.docs import pages as docs
from webhook.web.http.errors import Shell
from webhook.web.http.operations import PREFIX, PUBLIC

ORIGIN = "http://watchmark.test"
FEED = "/api/v1/calendar.ics"
IN_PATH = {"id": "1", "name": "me", "kind": "watchmark", "key": "tvdb:9001", "source": "tautulli"}
"""What stands for a parameter in a path."""

NAMED = {"/api/v1/connections/": "tvtime", "/api/v1/imports/from/": "plex"}
"""What stands for the name where it is no person's."""

OWNER_ONLY = {
    ("POST", "/api/v1/connections/{name}/connect"),
    ("POST", "/api/v1/people"),
    ("DELETE", "/api/v1/people/{name}"),
    ("POST", "/api/v1/people/{name}/claim"),
    ("POST", "/api/v1/people/{name}/invite"),
    ("PUT", "/api/v1/people/{name}/password"),
    ("POST", "/api/v1/plays/reassign"),
    ("POST", "/api/v1/identities/ignore"),
    ("POST", "/api/v1/silent/dismiss"),
    ("PUT", "/api/v1/oidc-users/{id}"),
    ("GET", "/api/v1/household"),
    ("POST", "/api/v1/household"),
    ("DELETE", "/api/v1/household/{id}"),
    ("GET", "/api/v1/catch-up"),
    ("POST", "/api/v1/catch-up"),
    ("PUT", "/api/v1/connections/{name}/settings"),
    ("GET", "/api/v1/settings"),
    ("PUT", "/api/v1/settings"),
    ("GET", "/api/v1/backup"),
    ("GET", "/metrics"),
}
"""What is refused to a member, whatever their token's scopes."""


@dataclass
class Caller:
    """Somebody who asks: with a token, with a session of a browser, or with neither."""

    token: str | None = None
    session: str | None = None
    granted: frozenset[Scope] | None = frozenset()
    is_member: bool = False


@dataclass
class Place:
    home: Household
    app: Any
    callers: dict[str, Caller] = field(default_factory=dict)

    def ask(self, caller: Caller, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], httpx.Response]:
        """What each of these routes answers the caller."""

        async def inside() -> dict[tuple[str, str], httpx.Response]:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            headers = {"Sec-Fetch-Site": "same-origin"}
            if caller.token is not None:
                headers["Authorization"] = f"Bearer {caller.token}"
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
                if caller.session is not None:
                    given = {"name": caller.session, "password": PASSWORD}
                    assert (await client.post("/sign-in", data=given)).status_code == 303
                return {one: await send(client, caller, *one) for one in wanted}

        return asyncio.run(inside())


async def send(client: httpx.AsyncClient, caller: Caller, method: str, path: str) -> httpx.Response:
    query = {"token": caller.token} if path == FEED and caller.token is not None else {}
    body = sample(method, path) if method in ("POST", "PUT", "PATCH") else None
    return await client.request(method, filled(path), params=query, json=body)


def sample(method: str, path: str) -> Any:
    """A body as the OpenAPI document describes it."""
    api = document(ORIGIN)
    described = api["paths"].get(path.removeprefix("/api/v1"), {}).get(method.lower(), {})
    content = described.get("requestBody", {}).get("content", {}).get("application/json")
    return {} if content is None else docs.sample(content["schema"], api["components"]["schemas"])


def filled(path: str) -> str:
    if path.startswith("/api/v1/sessions/"):
        return path.replace("{id}", "999")  # nobody's: the first is that by which the rest is asked
    name = next((name for prefix, name in NAMED.items() if path.startswith(prefix)), IN_PATH["name"])
    return re.sub(r"{(\w+)(:\w+)?}", lambda found: {**IN_PATH, "name": name}.get(found[1], "x"), path)


def routes(inside: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The method and the path of every route, with its parameters by name alone."""
    for route in inside.routes:
        target = route.app if isinstance(route, Mount) else route.endpoint
        while isinstance(target, Shell):
            target = target.app
        under = prefix + route.path if isinstance(route, Mount) else prefix
        if hasattr(target, "routes"):
            yield from routes(target, under)
        elif isinstance(route, Route):
            path = re.sub(r":\w+}", "}", prefix + route.path)
            yield from ((method, path) for method in (route.methods or set()) - {"HEAD"})


def is_of_api(path: str) -> bool:
    return path.startswith("/api/v1/") or path == "/metrics"


NEEDED: Mapping[tuple[str, str], Scope | None] = {
    **{(one.method, f"{PREFIX}{one.plain_path}"): one.scope for one in app.api_operations()},
    ("GET", "/metrics"): Scope.READ,
    ("GET", "/api/v1/schemas/generic.json"): PUBLIC,
}
"""The scope that each route needs of a token."""

LISTED = [*NEEDED]
TOKENS: Mapping[str, frozenset[Scope] | None] = {
    **{scope.value: frozenset({scope}) for scope in Scope},
    "read and history:write": frozenset({Scope.READ, Scope.HISTORY_WRITE}),
    "everything": None,
}
SHUT_OUT = ("nobody", "expired", "revoked", "webhook token")
MEMBERS = ("member", "admin token of the member")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("access")
    service = open_service({"DATA_DIR": str(folder), "WORKER": "true", "CLAIM_FIRST_USER": "true"})
    home = Household(service, ORIGIN)
    home.hear()
    home.hear("stranger")
    member = home.person("bob")
    for name in ("me", "bob"):
        home.password(name)
    found = Place(home, app.web_app(service))
    found.callers = {
        **{name: Caller(token(home, granted), granted=granted) for name, granted in TOKENS.items()},
        "nobody": Caller(),
        "expired": Caller(token(home, None, lasts=timedelta(seconds=-1))),
        "revoked": Caller(revoked(home)),
        "webhook token": Caller(home.token("webhook")),
        "owner": Caller(session="me", granted=None),
        "member": Caller(session="bob", granted=None, is_member=True),
        "admin token of the member": Caller(token(home, None, member), granted=None, is_member=True),
    }
    yield found
    service.database.close()


def token(
    home: Household,
    granted: frozenset[Scope] | None,
    person_id: int = 1,
    lasts: timedelta | None = None,
) -> str:
    secret, now = tokens.new_secret(), clock.now()
    expires_at = None if lasts is None else now + lasts
    home.do(
        lambda connection: tokens.add_token(
            connection, "api", secret, "", now, person_id=person_id, scopes=scopes.names(granted), expires_at=expires_at
        )
    )  # fmt: skip
    return secret


def revoked(home: Household) -> str:
    secret = token(home, None)

    def revoke(connection: Any) -> None:
        newest = tokens.unrevoked_tokens(connection, "api")[-1]
        tokens.revoke_token(connection, newest.id, clock.now())

    home.do(revoke)
    return secret


# --- the table


def test_the_table_has_every_route_of_the_api_and_no_other(place: Place) -> None:
    served = {one for one in routes(place.app) if is_of_api(one[1])}

    assert served == {*LISTED}


def test_what_the_table_says_is_the_owners_is_listed_here() -> None:
    own = {(one.method, f"{PREFIX}{one.plain_path}") for one in app.api_operations() if one.owner_only}

    assert own | {("PUT", "/api/v1/people/{name}/password"), ("GET", "/metrics")} == OWNER_ONLY


def test_only_documents_and_templates_answer_anybody() -> None:
    assert {path for (_, path), needed in NEEDED.items() if needed is PUBLIC} == {
        "/api/v1/openapi.json",
        "/api/v1/schemas/generic.json",
        "/api/v1/templates/{source}",
    }


# --- the matrix


def details(answer: httpx.Response) -> str:
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return str(answer.json()["detail"]) if is_problem else ""


@pytest.mark.parametrize("name", SHUT_OUT)
def test_who_has_no_valid_token_gets_nowhere(place: Place, name: str) -> None:
    answers = place.ask(place.callers[name], LISTED)

    for (method, path), answer in answers.items():
        is_open = NEEDED[method, path] is PUBLIC
        assert (answer.status_code == 401) != is_open, (method, path, answer.status_code)
        assert answer.status_code < 500


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_gets_where_its_scopes_let_it_and_nowhere_else(place: Place, name: str) -> None:
    caller = place.callers[name]

    answers = place.ask(caller, LISTED)

    for (method, path), answer in answers.items():
        needed = NEEDED[method, path]
        lacks = needed is not None and not scopes.permits(caller.granted, needed)
        said = f"the scope {needed};" in details(answer)
        assert answer.status_code not in (401, 500, 502, 503), (method, path, answer.text[:200])
        assert ((answer.status_code == 403) and said) == lacks, (method, path, answer.text[:200])


@pytest.mark.parametrize("name", ["owner", *MEMBERS])
def test_who_may_do_everything_gets_as_far_as_the_person_may(place: Place, name: str) -> None:
    caller = place.callers[name]

    answers = place.ask(caller, [one for one in LISTED if caller.token or one[1] != FEED])

    for (method, path), answer in answers.items():
        assert answer.status_code not in (401, 500, 502, 503), (method, path, answer.text[:200])
        refused = caller.is_member and (method, path) in OWNER_ONLY
        assert (answer.status_code == 403) == refused, (method, path, answer.text[:200])


def test_reading_reveals_no_token(place: Place) -> None:
    secret, urls = str(place.callers["webhook token"].token), ("GET", "/api/v1/urls")
    readable = [(method, path) for method, path in LISTED if NEEDED[method, path] is Scope.READ]

    answers = place.ask(place.callers["read"], readable)

    assert [one for one, answer in answers.items() if secret in answer.text] == []
    assert secret in place.ask(place.callers["admin"], [urls])[urls].text


def test_no_page_and_no_other_door_lets_an_api_token_in(place: Place) -> None:
    elsewhere = [
        one
        for one in dict.fromkeys(routes(place.app))
        if not is_of_api(one[1]) and one[1] != "/sign-in"  # takes a password, and the time to check one
    ]

    place.home.service.dispatcher.health.stepped_at = (
        math.inf
    )  # no dispatcher runs here, and /readyz would say so

    bare, with_token = (place.ask(place.callers[name], elsewhere) for name in ("nobody", "everything"))

    for one in elsewhere:
        assert with_token[one].status_code == bare[one].status_code < 500, one
