"""The OpenAPI document against the routes that it describes."""

from __future__ import annotations

import re
from types import ModuleType

import orjson
import pytest
from starlette.routing import Route

from tests.web.conftest import Household
from webhook.compat.videoscrobbler.managing import Managing
from webhook.web import api, openapi
from webhook.web.api import Answers, Gate

GROUPS = (*api.GROUPS, Managing)
"""Every group of routes; the last stands beside the VideoScrobbler API, which it manages."""


def test_there_is_a_part_for_each_group() -> None:
    groups = [group.__module__.rpartition(".")[2] for group in api.GROUPS]

    assert [*groups, "apps"] == [part.__name__.rpartition(".")[2] for part in openapi.PARTS]


@pytest.mark.parametrize(("group", "part"), [*zip(GROUPS, openapi.PARTS, strict=True)])
def test_the_document_names_every_route_and_no_other(
    home: Household, group: type[Answers], part: ModuleType
) -> None:
    answers = group(home.service, Gate(home.service.database, None))  # type: ignore[arg-type]
    served = {
        (re.sub(r":\w+}", "}", route.path).removeprefix("/api/v1"), method.lower())
        for route in answers.routes()
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }

    written = {(path, method) for path, methods in part.paths().items() for method in methods}

    assert served == written


def test_no_part_says_what_another_says() -> None:
    for kind in ("paths", "schemas"):
        names = [name for part in openapi.PARTS for name in getattr(part, kind)()]
        assert len(names) == len(set(names))


def test_every_shape_that_is_referred_to_is_there() -> None:
    document = openapi.document("http://here")

    named = set(re.findall(rb'"#/components/schemas/(\w+)"', orjson.dumps(document)))

    assert named <= {name.encode() for name in document["components"]["schemas"]}
