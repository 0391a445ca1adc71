"""Every fake answers as the contract of its service says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.contracts.exchanges import CASES, Step
from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Fake
from tests.fakes.listenbrainz import ListenBrainz
from tests.fakes.mdblist import MDBList
from tests.fakes.simkl import Simkl
from tests.fakes.trakt import Trakt
from tests.fakes.tvtime import TVTime

pytestmark = [pytest.mark.unit, pytest.mark.breaks_contracts]  # many a request is wrong, to see it refused

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
AGENT = {"user-agent": "Watchmark/1.0 (+https://example.org)"}
FAKES: Mapping[str, tuple[Callable[..., Fake], Callable[[Any], Mapping[str, str]]]] = {
    "trakt": (
        Trakt,
        lambda fake: {
            "trakt-api-key": "fake-client-id",
            "trakt-api-version": "2",
            "authorization": f"Bearer {fake.sign_in('anna')['access_token']}",
        },
    ),
    "mdblist": (
        MDBList,
        lambda fake: {"authorization": f"Bearer {fake.sign_in('anna')['access_token']}"},
    ),
    "simkl": (Simkl, lambda fake: {"authorization": f"Bearer {fake.sign_in('anna')['access_token']}"}),
    "listenbrainz": (ListenBrainz, lambda fake: {"authorization": f"Token {fake.sign_in('anna')['token']}"}),
    "tvtime": (
        TVTime,
        lambda fake: {"authorization": f"Bearer {fake.add_user('anna', 'secret').tokens['jwt_token']}"},
    ),
}


@pytest.mark.parametrize(
    ("service", "steps"), [pytest.param(s, steps, id=f"{s}: {n[:50]}") for s, n, steps in CASES]
)
def test_each_request_has_this_answer(service: str, steps: list[Step]) -> None:
    make, sign = FAKES[service]

    with Inside(make(clock=Clock(NOW))) as server, httpx.Client(base_url=server.url, verify=False) as http:
        http.headers.update({**AGENT, **sign(server.fake)})
        for step in steps:
            take(step, server.fake, http)


def take(step: Step, fake: Any, http: httpx.Client) -> None:
    if step.request.startswith("clock+"):
        fake.clock.advance(int(step.request.removeprefix("clock+")))
    elif step.request.startswith("fake."):
        name, _, value = step.request.removeprefix("fake.").partition("=")
        assert hasattr(fake.switches, name)
        setattr(
            fake.switches,
            name,
            json.loads(value) if value[0].isdigit() or value in ("true", "false") else value,
        )
    else:
        method, path = step.request.split(" ", 1)
        body = (
            step.body
            if isinstance(step.body, str)
            else json.dumps(step.body)
            if step.body is not None
            else None
        )
        declared = {"content-type": "application/json"} if body is not None else {}
        request = http.build_request(method, path, content=body, headers={**declared, **(step.headers or {})})
        for name in [name for name, value in request.headers.items() if not value]:
            del request.headers[name]
        answer = http.send(request)
        assert answer.status_code == step.status, answer.text
        assert has(answer.json() if step.part is not None else None, step.part), answer.text


def has(whole: Any, part: Any) -> bool:
    """Whether an answer has these members; a text is compared by its beginning."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and has(whole[name], one) for name, one in part.items()
        )
    return whole.startswith(part) if isinstance(part, str) and isinstance(whole, str) else bool(whole == part)
