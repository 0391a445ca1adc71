"""The plays of an import that a webhook or another list also reported: what they are without the import."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, select

from webhook.domain.advance import VIEWING_ACTIONS, advance
from webhook.domain.event import Action, Event, item_from_json
from webhook.domain.play import Facts, Play
from webhook.history.play_records import play_from_json
from webhook.history.play_store import merge_items, play_from_row
from webhook.history.plays import find_last_viewing
from webhook.storage.json_shapes import EventJson
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRecordRow, PlayRow, webhook
from webhook.transfer.matching import mark_play

PART_OF_WEBHOOKS = 500
CLOCK_SLACK = timedelta(days=1)
"""How far a clock may have been set back while an import ran."""


class WebhookEvents(NamedTuple):
    """A webhook's source, and its events as they were interpreted."""

    id: int
    source: str
    events: list[EventJson] | None


@dataclass
class Reports:
    """The webhooks of each play, of those that were interpreted since an import began; read part by part."""

    since: datetime
    last: int = 0
    webhooks: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def read_on(self, connection: Connection) -> bool:
        """Read the next webhooks; returns False after the last one."""
        wanted = select(webhook.c.id, webhook.c.source, webhook.c.events).where(
            webhook.c.id > self.last,
            webhook.c.events.is_not(None),
            webhook.c.interpreted_at >= self.since - CLOCK_SLACK,
        )
        rows = fetch_all(connection, wanted.order_by(webhook.c.id).limit(PART_OF_WEBHOOKS), WebhookEvents)
        for row in rows:
            self.last = row.id
            for play_id in {event.get("play") for event in row.events or []}:
                if play_id is not None:
                    self.webhooks[play_id].append(row.id)
        return bool(rows)

    def read_all(self, connection: Connection) -> None:
        while self.read_on(connection):
            pass


def remaining_play(
    connection: Connection,
    row: PlayRow,
    webhook_ids: Sequence[int],
    records: Sequence[PlayRecordRow],
    mark: float,
) -> Play | None:
    """The play as the webhooks and the rows of other lists report it; None if they report no viewing."""
    before = find_last_viewing(connection, row.person_id, play_from_row(row), row.id)
    facts = Facts(mark=mark, before=before if before and before.started_at < row.started_at else None)
    told = play_of_words(read_words(connection, row.id, webhook_ids), facts)
    if told is not None:
        told = replace(told, player_id=row.player_id, view_count=row.view_count)
    listed = play_from_json(records[0].row) if records else None
    if told is None or listed is None:
        return told or listed
    return mark_play(told, listed) if told.watched_at is None else told


def read_words(
    connection: Connection, play_id: int, webhook_ids: Iterable[int]
) -> Iterator[tuple[Event, str]]:
    """The events that the webhooks reported of a play, each with its source, the oldest first."""
    wanted = select(webhook.c.id, webhook.c.source, webhook.c.events).where(webhook.c.id.in_(webhook_ids))
    for row in fetch_all(connection, wanted.order_by(webhook.c.id), WebhookEvents):
        for said in row.events or []:
            if said.get("play") == play_id and said["action"] in VIEWING_ACTIONS:
                yield event_from_words(said), row.source


def event_from_words(said: EventJson) -> Event:
    """An event as far as it is stored with its webhook; its player is known by name alone."""
    return Event(
        action=Action(said["action"]),
        item=item_from_json(said),
        at=datetime.fromisoformat(said["at"]),
        server=said.get("server"),
        player=said.get("player"),
        player_id=said.get("player"),
        library=said.get("library"),
        position_ms=said.get("position_ms"),
        duration_ms=said.get("duration_ms"),
        progress=said.get("progress"),
        completed=said.get("completed"),
        manual=said.get("manual", False),
    )


def play_of_words(words: Iterable[tuple[Event, str]], facts: Facts) -> Play | None:
    """The play that comes of these events alone; what would be another viewing is none of it."""
    told: Play | None = None
    for event, source in words:
        change = advance(told, event, facts, source)
        if change is not None and (told is None or not change.anew):
            told = replace(change.play, item=merge_items(told.item if told else None, event.item))
    return told
