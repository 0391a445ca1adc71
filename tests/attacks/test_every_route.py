"""Every route, asked by everybody: nobody, a member, the owner and a token of each scope. None is a fault of ours, and none says too much."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from starlette.routing import BaseRoute, Mount, Route

from tests.soak_report import RecordProperty
from tests.web.conftest import Household, form_token, serving
from webhook import app
from webhook.people.scopes import Scope
from webhook.storage import tables

CANARY = "Canary of the owner"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ENDS = ("/sign-out", "/end", "/password", "/remove", "/revoke")
"""What would end the sign-in or the person by which the rest is asked, and has tests of its own."""

SCRIPTS = {f"script that may {scope}": scope for scope in Scope}
"""A script of the owner's by the one scope that it has."""

ROLES = ("nobody", "member", "member's script", "owner", "owner's script", *SCRIPTS)

OWNERS = ("owner", "owner's script", f"script that may {Scope.ADMIN}")

OPEN = {
    "/api/v1/openapi.json",
    "/api/v1/schemas/generic.json",
    "/healthz",
    "/readyz",
    "/sign-in",
    "/offline",
    "/worker.js",
}
"""What answers a stranger, to GET. Everything else sends them to the sign-in, or refuses them."""

VALUES = ("1", "2", "0", "-1", "9" * 30, "me", "ben", "anna", "plex", "trakt", "tvtime", "x" * 3000, "é", "\0", "..", "a/b", "²", "%", "")  # fmt: skip
TYPES = (
    "application/x-www-form-urlencoded",
    "application/json",
    "multipart/form-data; boundary=b",
    "text/plain",
    "",
)


class Address(NamedTuple):
    """A route's path, and the methods that it says it takes; none for all."""

    path: str
    methods: frozenset[str]


def addresses(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[Address]:
    for route in routes:
        if isinstance(route, Route):
            yield Address(prefix + route.path, frozenset(route.methods or METHODS) & {*METHODS})
        elif isinstance(route, Mount):
            inner: Any = route.app
            while not hasattr(inner, "routes") and hasattr(inner, "app"):
                inner = inner.app
            if hasattr(inner, "routes"):
                yield from addresses(inner.routes, prefix + route.path)
            else:
                yield Address(f"{prefix}{route.path}/{{path}}", frozenset({"GET"}))


class House:
    """A household of an owner and a member, and a client for each role."""

    def __init__(self, home: Household) -> None:
        self.home = home
        home.hear("anna", CANARY)
        ben = home.person("ben")
        self.clients = {
            "nobody": home.client(),
            "member": home.browser("ben"),
            "member's script": home.api(ben),
            "owner": home.browser(),
            "owner's script": home.api(),
            **{role: home.api(1, [scope]) for role, scope in SCRIPTS.items()},
        }
        self.forms = {
            role: form_token(self.clients[role].get("/history").text) for role in ("member", "owner")
        }
        self.addresses = sorted(set(addresses(app.web_app(home.service).routes)))

    def ask(self, role: str, method: str, path: str, query: str, kind: str, body: bytes) -> httpx.Response:
        headers = {"Content-Type": kind} if kind else {}
        if kind == TYPES[0] and role in self.forms:
            body += f"&form_token={self.forms[role]}".encode()
        content = None if method == "GET" else body
        return self.clients[role].request(method, f"{path}?{query}", content=content, headers=headers)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with serving(tmp_path_factory.mktemp("routes"), WORKER="true") as home:
        yield House(home)


def filled(path: str, values: Mapping[str, str]) -> str:
    """The path with these values, by parameter."""
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: quote(values[found[1]], safe=""), path)


def names_in(path: str) -> list[str]:
    return re.findall(r"{(\w+)", path)


def usual(path: str) -> str:
    """The path with what is there."""
    return filled(path, {name: "1" if name == "id" else "me" for name in names_in(path)})


def is_own_stream(path: str) -> bool:
    """Whether the answer to somebody who is let in never ends."""
    return path == "/live"


# --- who sees what


def test_a_stranger_reaches_only_what_is_open(house: House) -> None:
    client = house.clients["nobody"]
    reached = {
        address.path
        for address in house.addresses
        for method in sorted(address.methods)
        if client.request(method, usual(address.path)).is_success
    }

    assert reached == OPEN


def test_a_stranger_with_a_webhook_token_reads_nothing(house: House) -> None:
    secret = house.home.token("webhook")
    client = house.home.client(headers={"Authorization": f"Bearer {secret}"})
    reached = {
        address.path
        for address in house.addresses
        if not address.path.startswith("/webhooks/")
        for way in ("", f"?token={secret}")
        if "GET" in address.methods and client.get(usual(address.path) + way).is_success
    }

    assert reached - OPEN == set()


FEED_ONLY = f"script that may {Scope.CALENDAR}"


@pytest.mark.parametrize("role", ["nobody", "member", "member's script", FEED_ONLY])
def test_what_is_the_owners_is_told_to_nobody_else(house: House, role: str) -> None:
    told = [
        address.path
        for address in house.addresses
        if "GET" in address.methods and not is_own_stream(address.path)
        for path in {usual(address.path), filled(address.path, dict.fromkeys(names_in(address.path), "1"))}
        for query in ("", "?person=me", "?whose=me")
        if CANARY in house.clients[role].get(path + query).text
    ]

    assert told == []
    assert CANARY in house.clients["owner"].get("/history").text
    assert CANARY in house.clients["owner's script"].get("/api/v1/plays").text


@pytest.mark.parametrize("role", ["nobody", "member's script", FEED_ONLY, f"script that may {Scope.READ}"])
def test_nobody_changes_what_is_the_owners(house: House, role: str) -> None:
    before = state(house)
    for address in house.addresses:
        for method in sorted(address.methods - {"GET"}):
            house.clients[role].request(method, usual(address.path), json={"name": "x", "person": "me"})

    assert state(house) == before


OF_THE_WORKER = {"due_at", "leased_until", "fence", "held_until", "failures", "failing_since", "last_done_at"}
"""Columns of an account that change while its deliveries go out, whoever asks."""


def state(house: House) -> list[Any]:
    """What there is of the owner's: their plays, identities, accounts and tokens, and themselves."""

    def rows(connection: Any) -> list[Any]:
        owned = (tables.play, tables.identity, tables.account, tables.token)
        found = [
            connection.execute(
                select(*(column for column in one.c if column.name not in OF_THE_WORKER)).where(
                    one.c.person_id == 1
                )
            ).all()
            for one in owned
        ]
        return [*found, connection.execute(select(tables.person).where(tables.person.c.id == 1)).all()]

    return list(house.home.do(rows))


# --- fuzz


def is_left_out(role: str, method: str, path: str) -> bool:
    """True for what ends the sign-in, and for a sign-in beside a token: each wrong one makes the next wait longer."""
    return method != "GET" and (path.endswith(ENDS) or (path == "/sign-in" and role in SCRIPTS))


def test_every_route_is_asked_by_everybody(house: House) -> None:
    dice = random.Random(13)  # noqa: S311 - no secret
    for address in house.addresses:
        for role in ROLES:
            method = dice.choice(sorted(address.methods))
            if (is_own_stream(address.path) and role != "nobody") or is_left_out(role, method, address.path):
                continue
            values = {name: dice.choice(VALUES) for name in names_in(address.path)}
            query = urlencode({dice.choice(("id", "person", "after", "limit", "said")): dice.choice(VALUES)})
            body = orjson.dumps({name: dice.choice(VALUES) for name in ("name", "title", "token", "kind")})
            answer = house.ask(role, method, filled(address.path, values), query, dice.choice(TYPES), body)
            assert answer.status_code < 500, (role, method, address.path, values, query)


TEXTS = st.sampled_from(VALUES) | st.text(max_size=20).map(
    lambda text: text.encode("utf-8", "replace").decode()
)
FIELDS = st.dictionaries(
    st.sampled_from(["name", "person", "title", "id", "key", "known", "password", "kind", "after", "limit", "token", "of", "method", "o", "o_b64", "shows"]),
    TEXTS,
    max_size=4,
)  # fmt: skip
BODIES = (
    st.binary(max_size=200)
    | FIELDS.map(lambda fields: urlencode(fields).encode())
    | FIELDS.map(orjson.dumps)
    | st.sampled_from([b"[]", b"null", b"{", b"1e999", b'{"a":' * 200])
)


def fuzz(house: House, role: str, data: st.DataObject) -> int:
    """The number of requests that were made: one, or none where that request is left out."""
    address = data.draw(st.sampled_from(house.addresses))
    method = data.draw(st.sampled_from(METHODS))
    if is_own_stream(address.path) or is_left_out(role, method, address.path):
        return 0
    if method == "DELETE" and role in OWNERS:
        return 0
    values = {name: data.draw(TEXTS) for name in names_in(address.path)}
    query = urlencode(data.draw(FIELDS))
    kind, body = data.draw(st.sampled_from(TYPES)), data.draw(BODIES)

    answer = house.ask(role, method, filled(address.path, values), query, kind, body)

    assert answer.status_code < 500, answer.text[:300]
    assert role != "nobody" or not answer.is_success or method == "GET" or address.path in OPEN, address.path
    return 1


FUZZ = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("role", ROLES)
def test_no_request_to_any_route_is_a_fault_of_ours(house: House, role: str) -> None:
    @settings(max_examples=25, derandomize=True, **FUZZ)  # type: ignore[arg-type]
    @given(st.data())
    def asked(data: st.DataObject) -> None:
        fuzz(house, role, data)

    asked()


@pytest.mark.soak
@pytest.mark.parametrize("role", ROLES)
def test_no_request_to_any_route_is_a_fault_of_ours_in_the_long_run(
    house: House, role: str, record_property: RecordProperty
) -> None:
    made: list[int] = []

    @settings(max_examples=12_500, **FUZZ)  # type: ignore[arg-type]
    @given(st.data())
    def asked(data: st.DataObject) -> None:
        made.append(fuzz(house, role, data))

    asked()
    record_property("requests to any route", sum(made))
