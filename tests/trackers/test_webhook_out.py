"""Another Watchmark as the receiver: it is told over HTTP in each shape, and keeps the same play, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.running import eventually
from tests.trackers._access import Access
from tests.trackers._adapters import FILM, MARK, PILOT
from tests.web import conftest
from tests.web.conftest import Household
from webhook import client, clock
from webhook.domain.event import Action, Ids
from webhook.domain.outcome import Done
from webhook.people import identities, people
from webhook.trackers import Delivery, webhook_out
from webhook.trackers.webhook_out.receiver import make_receiver

home, opened = conftest.home, conftest.opened
FILM_MARK = replace(MARK, duration_ms=7_500_000)
EPISODE_MARK = replace(FILM_MARK, item=PILOT, duration_ms=2_820_000)
KNOWN_AS = {"nested": "jellyfin", "flat": "jellyfin", "generic": "generic", "template": "generic"}
TEMPLATE = """{"action": "{{event}}", "kind": "{{kind}}", "user": "{{user}}", "title": "{{title}}", "show": "{{show}}",
  "season": {{season}}, "number": {{episode}}, "ids": {"tvdb": {{tvdb}}, "tmdb": {{tmdb}}}, "at": "{{date}}"}"""


@pytest.fixture
def other(home: Household) -> Household:
    """Another Watchmark, whose person is the sender's Anna."""
    for source in ("jellyfin", "generic"):
        home.do(
            lambda connection, source=source: identities.claim_identities(  # type: ignore[misc]
                connection, people.FIRST_PERSON, f"{source}:anna", clock.now()
            )
        )
    return home


def tell(other: Household, shape: str, *deliveries: Delivery) -> list[Any]:
    """Send these to the other Watchmark, and have it read them."""
    address = f"{other.url}/webhooks/{KNOWN_AS[shape]}/{other.token('webhook')}"
    given = {
        "address": address,
        "shape": shape,
        "receiver_user": "anna",
        "template": TEMPLATE,
        "late": "always",
    }
    access = Access(make_receiver(given, {}))

    async def inside() -> list[Any]:
        async with client.client() as http:
            tracker = webhook_out.build(webhook_out.Settings(), http)
            return [await tracker.send(delivery, access) for delivery in deliveries]

    outcomes = asyncio.run(inside())
    other.interpret()
    return outcomes


def plays(other: Household) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = other.api().get("/api/v1/plays").json()["items"]
    return found


@pytest.mark.parametrize("shape", KNOWN_AS)
@pytest.mark.parametrize("mark", [FILM_MARK, EPISODE_MARK], ids=["film", "episode"])
def test_another_watchmark_keeps_the_same_play(other: Household, shape: str, mark: Delivery) -> None:
    now = replace(mark, at=datetime.now(UTC))
    start = replace(now, id=7, action=Action.START, mark=False, progress=2.0)

    outcomes = tell(other, shape, start, now)

    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    eventually(lambda: len(plays(other)) == 1, "it is kept")
    (play,) = plays(other)
    assert play["watched_at"] is not None
    assert play["title"] == mark.item.title
    assert Ids.from_json(play["ids"]).agrees(mark.item.ids)


@pytest.mark.parametrize("shape", ["flat", "generic", "template"])
def test_a_late_play_keeps_its_date(other: Household, shape: str) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)

    tell(other, shape, replace(FILM_MARK, item=FILM, at=at, late=True))

    eventually(lambda: len(plays(other)) == 1, "it is kept")
    (play,) = plays(other)
    assert datetime.fromisoformat(play["watched_at"]) == at
