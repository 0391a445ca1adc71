"""The plays of a backfill: a person's watched plays in the order they are sent, and those already sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from webhook.domain.event import STREAMS, Item
from webhook.domain.items import keys, same_item, sure_keys
from webhook.domain.play import Play
from webhook.domain.states import OPEN_STATES, DeliveryState
from webhook.history.play_store import SELECT_OF_ITEM, is_counted, play_from_row
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, delivery, play, play_key
from webhook.storage.types import Utc, from_ms, to_ms
from webhook.trackers import Tracker

BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a backfill in the history: the time and the id of the last play."""

    watched_at: datetime
    play_id: int

    def to_json(self) -> list[int]:
        return [to_ms(self.watched_at), self.play_id]

    @classmethod
    def of_row(cls, row: PlayRow) -> Place:
        """The place of a watched play."""
        assert row.watched_at is not None
        return cls(row.watched_at, row.id)

    @classmethod
    def from_json(cls, given: Sequence[int] | None) -> Place | None:
        return cls(from_ms(given[0]), given[1]) if given else None


@dataclass(frozen=True, slots=True)
class Span:
    """The range of play ids of one round; plays imported meanwhile get a round of their own."""

    above: int = 0
    top: int | None = None


def find_watched_plays(
    connection: Connection, tracker: Tracker, person_id: int, after: Place | None, span: Span
) -> list[PlayRow]:
    """The next of the person's watched plays of the tracker's kinds, oldest first."""
    wanted = select(play).where(
        play.c.person_id == person_id,
        play.c.watched_at.is_not(None),
        play.c.unwatched_at.is_(None),
        play.c.removed_at.is_(None),
        play.c.kind.in_([kind.value for kind in tracker.kinds]),
        or_(play.c.server.is_(None), play.c.server != STREAMS),
    )
    if span.top is not None:
        wanted = wanted.where(play.c.id <= span.top)
    if span.above:
        wanted = wanted.where(play.c.id > span.above, play.c.job_id.is_not(None))
    if after is not None:
        later = and_(play.c.watched_at == after.watched_at, play.c.id > after.play_id)
        wanted = wanted.where(or_(play.c.watched_at > after.watched_at, later))
    return fetch_all(connection, wanted.order_by(play.c.watched_at, play.c.id).limit(BATCH_SIZE), PlayRow)


LATER = Prepared(
    select(play.c.id)
    .join(play_key, play_key.c.play_id == play.c.id)
    .where(
        play_key.c.person_id == bindparam("person"),
        play_key.c.key.in_(bindparam("keys", expanding=True)),
        play.c.watched_at > bindparam("at", type_=Utc),
        play.c.unwatched_at.is_(None),
        play.c.removed_at.is_(None),
    )
    .limit(1)
)


def has_later_play(connection: Connection, row: PlayRow, item: Item) -> bool:
    """True if the person watched the same item again later."""
    known = sure_keys(keys(item))
    wanted = {"person": row.person_id, "keys": known, "at": row.watched_at}
    return bool(known) and LATER.scalar(connection, wanted) is not None


def find_other_plays(connection: Connection, row: PlayRow, item: Item) -> list[Play]:
    """The person's other watched plays of the item."""
    wanted = {"person": row.person_id, "keys": list(keys(item))}
    rows = fetch_all(connection, SELECT_OF_ITEM, PlayRow, wanted)
    plays = [play_from_row(other) for other in rows if other.id != row.id and is_counted(other)]
    return [one for one in plays if same_item(one.item, item)]


def newest(connection: Connection, person_id: int, above: int | None = None) -> int:
    """The id of the person's newest play, or of the newest one imported above `above`; 0 if there is none."""
    wanted = select(func.max(play.c.id)).where(play.c.person_id == person_id)
    if above is not None:
        wanted = wanted.where(play.c.id > above, play.c.job_id.is_not(None))
    return connection.execute(wanted).scalar() or 0


def find_sent_plays(connection: Connection, account_id: int, rows: list[PlayRow]) -> set[int]:
    """The ids of these plays that were sent to the account or are waiting in the outbox."""
    wanted = select(delivery.c.play_id).where(
        delivery.c.account_id == account_id,
        delivery.c.mark.is_(True),
        delivery.c.play_id.in_([row.id for row in rows]),
        delivery.c.state.in_((DeliveryState.DONE, *OPEN_STATES)),
    )
    return set(connection.execute(wanted).scalars())
