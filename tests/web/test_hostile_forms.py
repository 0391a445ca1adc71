"""What somebody types, or a script sends, into any page's address or form is never a fault of ours."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

import httpx
import pytest
from starlette.routing import Route

from tests.web.conftest import Household, form_token, serving
from tests.web.test_needs_you import lost
from webhook.web.http.sessions import Passwords, Sessions
from webhook.web.routes import PAGES
from webhook.web.setup.sign_in import SignInPages

HOSTILE = {
    "nines": b"9" * 30,
    "signs": b"+-5",
    "nul": b"a\0b",
    "digits": b"9" * 5000,
    "half": "\ud800".encode("utf-8", "surrogatepass"),
    "long": b"x" * 20_000,
    "empty": b"",
    "superscript": "²".encode(),
    "key": b"title:\0",
}
FINE = {"of": "1", "candidate": "1", "tvdb": "5", "identity": "1", "person": "me", "key": "tvdb:9001"}
"""What leads on to the field after it."""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ENDS = (
    "/sign-out",
    "/sign-in",
    "/sessions/{id}/end",
    "/people/{name:path}/password",
    "/people/{name:path}/passkeys/options",
    "/people/{name:path}/remove",
)
"""What would end the sign-in by which the rest is asked, or has its password guessed; each has tests of its own."""


READ = re.compile(
    r"\b(?:fields|params|query_params|Params\(\w+\)|numbered\(fields)\b[^\n\"]{0,20}\"([\w-]+)\""
)


def names_in(source: str) -> set[str]:
    """The names of parameters and fields that some code reads."""
    return {*READ.findall(source), *(FINE if "chosen(fields)" in source else ())}


def module_of(group: type) -> ModuleType:
    module = inspect.getmodule(group)
    assert module is not None
    return module


def names(group: type, route: Route) -> list[str]:
    """Those that a route may read: its handler, what that calls within its module, and the tables they name."""
    source = reachable(group, list(wrapped(route.endpoint)))
    here = vars(module_of(group))
    tables = [here[word] for word in set(re.findall(r"\b[A-Z_]+\b", source)) & here.keys()]
    listed = {one for table in tables if isinstance(table, tuple) for one in table if type(one) is str}
    every = {"after", "said"} if "GET" in (route.methods or ()) else {"season_offset"}
    return sorted(names_in(source) | listed | every)


def wrapped(endpoint: Any) -> Iterator[Callable[..., Any]]:
    """The endpoint, and the methods that it was made of."""
    yield endpoint
    for cell in getattr(endpoint, "__closure__", None) or ():
        if inspect.isroutine(cell.cell_contents):
            yield from wrapped(cell.cell_contents)


def reachable(group: type, starts: list[Callable[..., Any]]) -> str:
    here = vars(module_of(group))
    own = {**{name: one for name, one in here.items() if inspect.isroutine(one)}, **methods(group)}
    sources: dict[str, str] = {}
    waiting = [one for one in starts if one.__module__ == group.__module__]
    while waiting:
        one = waiting.pop()
        sources[one.__qualname__] = source = read_source(inspect.unwrap(getattr(one, "__func__", one)))
        called = [own[word] for word in set(re.findall(r"\w+", source)) & own.keys()]
        waiting += [
            other
            for other in called
            if other.__module__ == group.__module__ and other.__qualname__ not in sources
        ]
    return "\n".join(sources.values())


read_source = functools.cache(inspect.getsource)


def methods(group: type) -> dict[str, Any]:
    return dict(inspect.getmembers(group, inspect.isroutine))


def groups(home: Household) -> list[tuple[type, list[Route]]]:
    sessions = Sessions(home.service)
    made: list[Any] = [group(home.service, sessions) for group in PAGES]
    made.append(SignInPages(home.service, sessions, Passwords()))
    return [(type(one), [route for route in one.routes() if isinstance(route, Route)]) for one in made]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with serving(tmp_path_factory.mktemp("hostile"), WORKER="true") as household:
        household.hear()
        household.hear("nobody else")
        yield household


@pytest.fixture(scope="module")
def browser(home: Household) -> httpx.Client:
    lost(home)
    return home.browser()


def filled(path: str) -> str:
    path = re.sub(r"{key:path}", "tvdb:9001", path)
    return re.sub(r"{\w+(:path)?}", "1" if "{id}" in path else "me", path)


def test_every_name_that_a_module_reads_is_tried_at_one_of_its_routes(home: Household) -> None:
    tried: dict[str, set[str]] = {}
    read: dict[str, set[str]] = {}
    for group, routes in groups(home):
        module = module_of(group)
        tried.setdefault(module.__name__, set()).update(*(names(group, route) for route in routes))
        read[module.__name__] = names_in(inspect.getsource(module))

    assert {module: read[module] - tried[module] for module in read if read[module] - tried[module]} == {}


SHARES = 3
"""Each name is sent a third of what is hostile, by turns, and all of it in the long run."""

OFTEN = [pytest.param(1, marks=pytest.mark.soak, id="all"), pytest.param(SHARES, id="by turns")]


def is_its_turn(value: str, route: Route, name: str, shares: int) -> bool:
    return (crc32(f"{route.path} {name}".encode()) + list(HOSTILE).index(value)) % shares == 0


@pytest.mark.parametrize("shares", OFTEN)
@pytest.mark.parametrize("value", HOSTILE)
def test_no_address_of_a_page_is_a_fault_of_ours(
    home: Household, browser: httpx.Client, value: str, shares: int
) -> None:
    for group, routes in groups(home):
        for route in routes:
            if "GET" not in (route.methods or ()):
                continue
            for name in names(group, route):
                if not is_its_turn(value, route, name, shares):
                    continue
                path = f"{filled(route.path)}?{urlencode({name: HOSTILE[value]})}"
                assert browser.get(path).status_code < 500, path[:100]


@pytest.mark.parametrize("shares", OFTEN)
@pytest.mark.parametrize("value", HOSTILE)
def test_no_form_of_a_page_is_a_fault_of_ours(
    home: Household, browser: httpx.Client, value: str, shares: int
) -> None:
    token = {"form_token": form_token(browser.get("/settings").text)}
    for group, routes in groups(home):
        for route in routes:
            if "POST" not in (route.methods or ()) or route.path in ENDS:
                continue
            fields = names(group, route)
            turns = [name for name in fields if is_its_turn(value, route, name, shares)]
            sent: list[dict[str, str | bytes]] = [{**FINE, name: HOSTILE[value]} for name in turns]
            sent.append(dict.fromkeys(fields, HOSTILE[value]))
            for form in sent:
                answer = browser.post(filled(route.path), content=urlencode({**form, **token}), headers=FORM)
                assert answer.status_code < 500, (route.path, [*form])


@pytest.mark.parametrize("value", HOSTILE)
def test_no_part_of_a_path_is_a_fault_of_ours(home: Household, browser: httpx.Client, value: str) -> None:
    typed = urlencode({"": HOSTILE[value]})[1:]
    for _, routes in groups(home):
        for route in routes:
            if "{" in route.path and "GET" in (route.methods or ()):
                path = re.sub(r"{[\w:]+}", lambda _: typed, route.path)
                assert browser.get(path).status_code < 500, route.path
