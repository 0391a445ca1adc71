"""The data of the page Now: what plays, what is up next, the last days' plays, and the most urgent needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import NamedTuple

from sqlalchemy import Connection, select

from webhook import clock
from webhook.domain.event import Kind
from webhook.domain.states import DeliveryState
from webhook.queries.people import outages
from webhook.queries.plays import list_plays
from webhook.queries.up_next import UpNextJson, list_up_next
from webhook.storage.rows import fetch_all
from webhook.storage.tables import AccountRow, account, person
from webhook.web import visible
from webhook.web.needs_you import queries as needs
from webhook.web.needs_you.queries import Needs
from webhook.web.visible import SentPlay, Visitor

LATEST = 60
"""The latest plays, of which those of the last days are shown."""

ENOUGH_RUNS = 6
"""The runs of plays that are enough for the page, so that earlier days are left to the history."""

QUIET_STATES = frozenset({DeliveryState.DONE, DeliveryState.SUPERSEDED, DeliveryState.SKIPPED})
"""The states of a delivery that are normal, so that a list does not mention them."""


@dataclass(kw_only=True, slots=True)
class Run:
    """Plays of one show by one person, one after the other, the newest first; or one play."""

    plays: list[SentPlay] = field(default_factory=list)

    @property
    def newest(self) -> SentPlay:
        return self.plays[0]


class Need(NamedTuple):
    """Something that waits for the visitor, as one card; `covers` is the number of entries it stands for."""

    kind: str
    entry: object
    covers: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """Everything that the page shows; `days` are the latest ones, `down_since` has the accounts whose tracker is down."""

    playing: Sequence[SentPlay]
    up_next: Sequence[UpNextJson]
    days: Sequence[tuple[date, Sequence[Run]]]
    needs: Sequence[Need]
    down_since: dict[tuple[str, str], str | None]
    heard_at: str | None
    several: bool
    connected: bool


def read_overview(
    connection: Connection, visitor: Visitor, zone: tzinfo, needed: int, silence_days: int
) -> Overview:
    now = clock.now()
    playing = visible.current_plays(connection, visitor)
    on = {play["id"] for play in playing}
    latest = list_plays(connection, limit=LATEST + len(on), person_name=visitor.restricted_to)["items"]
    others = [play for play in latest if play["id"] not in on]
    days = latest_days(visible.with_deliveries(connection, others, playing=False), zone)
    return Overview(
        playing=visible.with_deliveries(connection, playing, playing=True),
        up_next=list_up_next(connection, visitor.person_id or 0, now.astimezone(zone).date()),
        days=days,
        needs=list_needs(needs.find_needs(connection, visitor, now, silence_days)) if needed else [],
        down_since=down_since(connection),
        heard_at=visible.last_webhook(connection, visitor),
        several=visitor.is_admin and len(visible.names(connection)) > 1,
        connected=visible.has_account(connection, visitor),
    )


def list_needs(found: Needs) -> list[Need]:
    """The visitor's needs as cards, the most urgent first; what failed and what imports left open is one card each."""
    cards = [Need("unclaimed", entry) for entry in found.unclaimed]
    cards += [Need("held", entry) for entry in found.held]
    cards += [Need("held_list", entry) for entry in found.held_lists]
    cards += [Need("parked", entry) for entry in found.parked]
    cards += [Need("limited", entry) for entry in found.limited]
    cards += [Need("dead", entry, found.counts["dead"]) for entry in found.dead[:1]]
    cards += [Need("unmatched", entry) for entry in found.unmatched]
    cards += [Need("silent", entry) for entry in found.silent]
    cards += [Need("unresolved", entry, found.counts["unresolved"]) for entry in found.unresolved[:1]]
    return cards


def latest_days(plays: Sequence[SentPlay], zone: tzinfo) -> list[tuple[date, list[Run]]]:
    """The latest day and the runs of its plays, with the days before it where that is little."""
    days: dict[date, list[SentPlay]] = {}
    for play in plays:
        days.setdefault(day_of_play(play, zone), []).append(play)
    found: list[tuple[date, list[Run]]] = []
    for day in sorted(days, reverse=True):
        if sum(len(runs) for _, runs in found) >= ENOUGH_RUNS:
            break
        found.append((day, fold_runs(days[day])))
    return found


def day_of_play(play: SentPlay, zone: tzinfo) -> date:
    return datetime.fromisoformat(play["started_at"] or "").astimezone(zone).date()


def fold_runs(plays: Iterable[SentPlay]) -> list[Run]:
    """The plays in their order, with consecutive ones that a person watched of one show in one run."""
    runs: list[Run] = []
    latest: dict[str, Run] = {}
    for play in plays:
        run = latest.get(play["person"])
        if run is None or not continues(run.newest, play):
            run = latest[play["person"]] = Run()
            runs.append(run)
        run.plays.append(play)
    return runs


def continues(run: SentPlay, play: SentPlay) -> bool:
    """True if the play belongs to a run: both are watched episodes of one show, or tracks of one artist."""
    if run["kind"] != play["kind"] or not (run["watched_at"] and play["watched_at"]):
        return False
    if play["kind"] == Kind.EPISODE:
        return bool(play["show"]) and run["show"] == play["show"]
    return play["kind"] == Kind.TRACK and bool(play["artist"]) and run["artist"] == play["artist"]


def down_since(connection: Connection) -> dict[tuple[str, str], str | None]:
    """The accounts whose tracker is down, by person and tracker, and since when."""
    found = outages(fetch_all(connection, select(account), AccountRow))
    wanted = select(account.c.id, person.c.name, account.c.tracker).join(person)
    return {
        (row.name, row.tracker): clock.stamp(found[row.id])
        for row in connection.execute(wanted.where(account.c.id.in_(found)))
    }
