"""The API against its own OpenAPI document: no 5xx and no answer that the document does not know, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans, sampled_from
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.soak_report import RecordProperty
from tests.web.conftest import Household, document, serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = [pytest.param(100, marks=pytest.mark.soak, id="many"), pytest.param(6, id="few")]


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
        yield household
        assert household.service.loop_lag.held_up < 2.0


@pytest.fixture(scope="module")
def who(home: Household) -> Mapping[str, Mapping[str, str]]:
    """The headers of everybody who may ask."""
    ben = home.person("ben")
    secrets = {
        "the owner": home.token(),
        "a member": home.token(person_id=ben),
        "a widget": home.token(scopes=["read"]),
        "an app": home.token("app", person_id=ben),
        "a media server": home.token("webhook"),
        "a stranger": "forged",
    }
    return {"nobody": {}, **{name: {"Authorization": f"Bearer {one}"} for name, one in secrets.items()}}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("examples", EXAMPLES)
def test_the_api_keeps_to_its_document(
    home: Household,
    who: Mapping[str, Mapping[str, str]],
    operation: str,
    examples: int,
    record_property: RecordProperty,
) -> None:
    roles: list[str] = []
    known = {"id": 1, "name": "tvtime" if "/connections" in operation else "me"}

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=OPERATIONS[operation].as_strategy(), there=booleans(), role=sampled_from(list(who)))
    def asked(case: Any, there: bool, role: str) -> None:
        roles.append(role)
        if there:
            case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
        answer = case.call(base_url=f"{home.url}/api/v1", headers=dict(who[role]))
        case.validate_response(answer, checks=CHECKS)

    asked()
    record_property("requests to the API", len(roles))
