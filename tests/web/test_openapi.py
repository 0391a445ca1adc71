"""The OpenAPI document against the routes that it describes."""

from __future__ import annotations

import re
from types import ModuleType

import jsonschema
import orjson
import pytest
from starlette.routing import Route

from tests.web.conftest import Household
from webhook.compat.videoscrobbler.apps_api import AppsApi
from webhook.web import routes
from webhook.web.docs import openapi
from webhook.web.http.access import ROUTES
from webhook.web.http.api import Answers, ApiAuth

GROUPS = (*routes.API, AppsApi)
"""Every group of routes; the last stands beside the VideoScrobbler API, which it manages."""


def test_there_is_a_part_for_each_group() -> None:
    parts = [group.__module__.replace(".api", ".openapi") for group in routes.API]

    assert [*parts, "webhook.web.people.openapi_apps"] == [part.__name__ for part in openapi.PARTS]


@pytest.mark.parametrize(("group", "part"), [*zip(GROUPS, openapi.PARTS, strict=True)])
def test_the_document_names_every_route_and_no_other(
    home: Household, group: type[Answers], part: ModuleType
) -> None:
    answers = group(home.service, ApiAuth(home.service.database, None))  # type: ignore[arg-type]
    served = {
        (re.sub(r":\w+}", "}", route.path).removeprefix("/api/v1"), method.lower())
        for route in answers.routes()
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }

    written = {(path, method) for path, methods in part.paths().items() for method in methods}

    assert served == written


def test_the_document_names_the_scope_of_each_operation() -> None:
    for path, methods in openapi.document("http://here")["paths"].items():
        for method, described in methods.items():
            needed = ROUTES[f"/api/v1{path}"][method.upper()]
            named = {scope for one in described["security"] for scopes in one.values() for scope in scopes}
            assert named == ({needed} - {None}), (method, path)


def test_no_part_says_what_another_says() -> None:
    for kind in ("paths", "schemas"):
        names = [name for part in openapi.PARTS for name in getattr(part, kind)()]
        assert len(names) == len(set(names))


def test_every_shape_that_is_referred_to_is_there() -> None:
    document = openapi.document("http://here")

    named = set(re.findall(rb'"#/components/schemas/(\w+)"', orjson.dumps(document)))

    assert named <= {name.encode() for name in document["components"]["schemas"]}


@pytest.mark.parametrize("path", ["/plays", "/webhooks", "/deliveries"])
def test_a_page_and_the_one_after_it_are_as_described(home: Household, path: str) -> None:
    for number in range(1, 4):
        home.hear("anna", index=number, Guid=[{"id": f"tvdb://{9000 + number}"}])
    document, client = openapi.document(home.url), home.api()
    (described,) = [
        one["schema"] for one in document["paths"][path]["get"]["parameters"] if one["name"] == "after"
    ]
    gives = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    first = client.get(f"/api/v1{path}", params={"limit": 1}).json()
    second = client.get(f"/api/v1{path}", params={"limit": 1, "after": first["next"]}).json()

    for page in (first, second):
        jsonschema.validate(page, {**gives, "components": document["components"]})
    jsonschema.validate(first["next"], described)
    assert second["items"][0]["id"] < first["items"][0]["id"]


def test_the_numbers_are_as_described_to_the_last(home: Household) -> None:
    home.hear("anna")
    document = openapi.document(home.url)

    told = home.api().get("/api/v1/numbers").json()

    shape = document["components"]["schemas"]["Numbers"]
    assert told.keys() == shape["properties"].keys()
    jsonschema.validate(told, shape)
