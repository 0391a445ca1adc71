"""The OpenAPI document against the operations that it describes."""

from __future__ import annotations

import re

import jsonschema
import orjson
import pytest

from tests.web.conftest import Household, document
from webhook import app
from webhook.web.docs import openapi


def test_every_operation_is_described_once_with_its_scope() -> None:
    described = {
        (method.upper(), path): one
        for path, methods in document("http://here")["paths"].items()
        for method, one in methods.items()
    }
    table = {(one.method, one.plain_path): one for one in app.api_operations()}

    assert described.keys() == table.keys()
    assert len(table) == len(app.api_operations())
    for key, operation in table.items():
        named = {scope for one in described[key]["security"] for scopes in one.values() for scope in scopes}
        assert named == ({operation.scope} - {None}), key


def test_every_shape_that_is_referred_to_is_there() -> None:
    api = document("http://here")

    named = set(re.findall(rb'"#/components/schemas/(\w+)"', orjson.dumps(api)))

    assert named <= {name.encode() for name in api["components"]["schemas"]}


@pytest.mark.parametrize("path", ["/plays", "/webhooks", "/deliveries"])
def test_a_page_and_the_one_after_it_are_as_described(home: Household, path: str) -> None:
    for number in range(1, 4):
        home.hear("anna", index=number, Guid=[{"id": f"tvdb://{9000 + number}"}])
    api, client = document(home.url), home.api()
    (described,) = [
        one["schema"] for one in api["paths"][path]["get"]["parameters"] if one["name"] == "after"
    ]
    gives = api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    first = client.get(f"/api/v1{path}", params={"limit": 1}).json()
    second = client.get(f"/api/v1{path}", params={"limit": 1, "after": first["next"]}).json()

    for page in (first, second):
        jsonschema.validate(page, {**gives, "components": api["components"]})
    jsonschema.validate(first["next"], described)
    assert second["items"][0]["id"] < first["items"][0]["id"]


def test_the_numbers_are_as_described_to_the_last(home: Household) -> None:
    home.hear("anna")
    api = document(home.url)

    told = home.api().get("/api/v1/numbers").json()

    shape = {**api["components"]["schemas"]["Numbers"], "components": api["components"]}
    assert told.keys() == shape["properties"].keys()
    jsonschema.validate(told, shape)


def test_the_document_is_written_once_however_often_it_is_asked_for(home: Household) -> None:
    """It takes a third of a second to write, and anybody may ask for it."""
    api = home.client()
    first = api.get("/api/v1/openapi.json")
    written = openapi.describe_api.cache_info().misses

    again = [api.get("/api/v1/openapi.json", headers={"Host": host}) for host in ("a.test", "b.test")]

    assert {answer.status_code for answer in (first, *again)} == {200}
    assert openapi.describe_api.cache_info().misses == written
