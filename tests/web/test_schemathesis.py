"""The API against its own OpenAPI document: no 5xx, and no answer that the document does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.conftest import Household, document, serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 6


def operations() -> Iterator[tuple[str, APIOperation[Any, Any, Any, Any]]]:
    """Every operation of the document, by name. The stream at /live is a page's, and stands in no document."""
    for found in schemathesis.openapi.from_dict(document("http://here")).get_all_operations():
        assert isinstance(found, Ok), found
        one = found.ok()
        yield f"{one.method.upper()} {one.path}", one


OPERATIONS = dict(operations())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with serving(tmp_path_factory.mktemp("api"), WORKER="true") as household:
        household.hear()
        household.hear(title="Second")
        household.person("ben")
        yield household
        assert household.service.loop_lag.held_up < 2.0


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_api_keeps_to_its_document(home: Household, operation: str) -> None:
    known = {"id": 1, "name": "tvtime" if "/connections" in operation else "me"}
    headers = {"Authorization": f"Bearer {home.token('api')}"}

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=OPERATIONS[operation].as_strategy(), there=booleans())
    def asked(case: Any, there: bool) -> None:
        if there:
            case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
        answer = case.call(base_url=f"{home.url}/api/v1", headers=headers)
        case.validate_response(answer, checks=CHECKS)

    asked()
