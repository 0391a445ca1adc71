"""What somebody types, or a script sends, into any page's address or form is never a fault of ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.routing import Route

from tests.web.conftest import Household, form_token, serving
from tests.web.test_needs_you import lost
from webhook.web.http.sessions import Passwords, Sessions
from webhook.web.routes import PAGES
from webhook.web.setup.sign_in import Entrance

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
ENDS = ("/sign-out", "/sign-in", "/people/{name:path}/password", "/people/{name:path}/remove")
"""What would end the sign-in by which the rest is asked, and has tests of its own."""


def named(group: type) -> list[str]:
    """The names of parameters and fields that a group of pages reads."""
    source = inspect.getsource(inspect.getmodule(group) or group)
    found = re.findall(
        r"\b(?:fields|params|query_params|Params\(\w+\)|numbered\(fields)\b[^\n\"]{0,20}\"([\w-]+)\"", source
    )
    return sorted({*found, *(FINE if "chosen(fields)" in source else ()), "season_offset", "after", "said"})


def groups(home: Household) -> list[tuple[type, list[Route]]]:
    sessions = Sessions(home.service)
    made: list[Any] = [group(home.service, sessions) for group in PAGES]
    made.append(Entrance(home.service, sessions, Passwords()))
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


@pytest.mark.parametrize("value", HOSTILE)
def test_no_address_of_a_page_is_a_fault_of_ours(home: Household, browser: httpx.Client, value: str) -> None:
    for group, routes in groups(home):
        for route in routes:
            if "GET" not in (route.methods or ()):
                continue
            for name in named(group):
                path = f"{filled(route.path)}?{urlencode({name: HOSTILE[value]})}"
                assert browser.get(path).status_code < 500, path[:100]


@pytest.mark.parametrize("value", HOSTILE)
def test_no_form_of_a_page_is_a_fault_of_ours(home: Household, browser: httpx.Client, value: str) -> None:
    token = {"form_token": form_token(browser.get("/settings").text)}
    for group, routes in groups(home):
        for route in routes:
            if "POST" not in (route.methods or ()) or route.path in ENDS:
                continue
            fields = named(group)
            sent: list[dict[str, str | bytes]] = [{**FINE, name: HOSTILE[value]} for name in fields]
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
