"""The past deliveries of the demo: settled as they would have been, except at the tracker that is down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from webhook.demo.catalogue import NAMESAKES, UNMATCHED_FILM
from webhook.demo.household import outage_began
from webhook.domain import retry
from webhook.domain.event import Kind, item_from_json
from webhook.domain.outcome import Done, Undelivered, Unmatched
from webhook.history import shelf
from webhook.pipeline.outcomes import settlement_of
from webhook.queues.leases import Batch, ClaimRequest, Lane, claim_lanes
from webhook.queues.settlements import Settlement, settle
from webhook.storage.json_shapes import CandidateJson
from webhook.storage.tables import DeliveryRow
from webhook.trackers import Tracker

MANY = 5_000
RETRY_CEILING = timedelta(hours=1)

Decide = Callable[[Lane, DeliveryRow], Done | Undelivered]


def settle_all(connection: Connection, trackers: Mapping[str, Tracker], now: datetime) -> None:
    at, down = now.astimezone(UTC), outage_began(now).astimezone(UTC)
    settle_due(connection, "tvtime", at, lambda lane, row: keep_on_shelf(connection, lane, row))
    decide = trakt_outcomes()
    settle_due(connection, "trakt", at - timedelta(days=1), decide)
    settle_due(connection, "trakt", at, decide)
    settle_due(connection, "simkl", down - timedelta(minutes=1), lambda lane, row: Done(answer="scrobbled"))
    fail_since(connection, trackers["simkl"].label, down, at)


def settle_due(connection: Connection, tracker: str, at: datetime, decide: Decide) -> None:
    """Settle all that is due at a tracker, each a moment after it happened."""
    while lanes := claim_due(connection, tracker, at, MANY):
        for lane in lanes:
            settle(connection, list(settlements(lane, decide)))


def claim_due(connection: Connection, tracker: str, at: datetime, count: int) -> list[Lane]:
    wanted = ClaimRequest(now=at, lanes=count, batch={tracker: Batch(fresh=count, late=count)})
    return claim_lanes(connection, wanted)


def settlements(lane: Lane, decide: Decide) -> Iterator[Settlement]:
    for row in lane.rows:
        took = 80 + row.id * 37 % 240
        at = row.happened_at + timedelta(milliseconds=900 + took)
        found = settlement_of(lane, row, decide(lane, row), at)
        yield replace(found, took_ms=took, release=row is lane.rows[-1])


def keep_on_shelf(connection: Connection, lane: Lane, row: DeliveryRow) -> Done:
    answer = shelf.mark_item(
        connection,
        lane.person_id,
        item_from_json(row.item),
        row.happened_at,
        bool(row.details.get("rewatch")),
    )
    return Done(answer=answer)


def trakt_outcomes() -> Decide:
    """Trakt takes everything but the film that it does not know, and the first one, which it refuses."""
    refused: set[int] = set()

    def decide(lane: Lane, row: DeliveryRow) -> Done | Undelivered:
        if row.item.get("title") == UNMATCHED_FILM.title:
            return Unmatched("Trakt does not know this movie", candidates=CANDIDATES)
        if row.mark and row.webhook_id is not None and not refused:
            refused.add(row.id)
            return retry.decide("Trakt", 422, {}, "watched_at is not a date")
        return Done(answer=f"scrobble: {row.item.get('title')}", remote_id=str(7_000_000 + row.id))

    return decide


CANDIDATES: list[CandidateJson] = [
    {
        "kind": Kind.MOVIE.value,
        "title": film.title,
        "year": film.year,
        "ids": film.item.ids.by_namespace(),
        "picture": None,
        "score": 0.8,
        "via": "trakt",
    }
    for film in NAMESAKES
]


def fail_since(connection: Connection, label: str, down: datetime, now: datetime) -> None:
    """Try the first delivery since the outage again and again, less and less often."""
    at, pause = down, timedelta(minutes=1)
    while at < now:
        following = at + pause
        for lane in claim_due(connection, "simkl", at, 1):
            outcome = retry.decide(label, 503, {}, "Service Unavailable")
            failed = settlement_of(lane, lane.rows[0], outcome, at)
            hold = max(following, now + timedelta(minutes=20)) if following >= now else following
            settle(connection, [replace(failed, took_ms=41, hold=hold, release=True)])
        at, pause = following, min(2 * pause, RETRY_CEILING)
