"""Queries limited to what a visitor may see: everything for the owner, their own for everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypedDict, TypeVar

import orjson
from sqlalchemy import ColumnElement, Connection, func, or_, select

from webhook import clock, sources
from webhook.clock import stamp
from webhook.domain.states import WebhookState
from webhook.history import edits
from webhook.history.edits import EditJson
from webhook.identity.origins import with_origins
from webhook.people.identities import BUILTIN_APIS
from webhook.people.scopes import Granted
from webhook.queries.deliveries import (
    DeliveryJson,
    DeliveryTraceJson,
    deliveries_by_webhook,
    delivery_json,
    fetch_deliveries,
    find_delivery,
    is_waiting,
    select_deliveries,
)
from webhook.queries.paging import PAGE_SIZE, Page, fetch_page
from webhook.queries.people import (
    AccountJson,
    IdentityJson,
    PersonJson,
    UnclaimedJson,
    list_accounts,
    list_ignored_identities,
    list_people,
    list_unclaimed_identities,
)
from webhook.queries.plays import PlayFields, PlayJson, list_open_plays, play_json
from webhook.queries.senders import SilentServerJson, find_silent_servers
from webhook.queries.webhook_filter import WebhookFilter
from webhook.queries.webhooks import (
    WebhookEventJson,
    WebhookJson,
    WebhookTraceJson,
    find_webhook,
    webhook_json,
)
from webhook.queues import parking
from webhook.storage.json_shapes import EventJson
from webhook.storage.rows import fetch_all
from webhook.storage.tables import (
    PlayRow,
    WebhookRow,
    account,
    delivery,
    identity,
    person,
    play,
    token,
    webhook,
)
from webhook.texts import texts

W = TypeVar("W", bound=WebhookJson)

WEBHOOK_STATES = texts(
    {
        "received": "received",
        "interpreted": "processed",
        "ignored": "ignored",
        "unclaimed": "not claimed",
        "quarantined": "unreadable",
        "held": "held for you",
    }
)
"""The states of a webhook in words."""

DELIVERY_STATES = texts(
    {
        "waiting": "waiting",
        "done": "sent",
        "superseded": "replaced by a newer one",
        "expired": "too old to send",
        "skipped": "skipped by a rule",
        "unmatched": "no match found",
        "parked": "account needs attention",
        "dead": "failed",
    }
)
"""The states of a delivery that can be retried."""


def source_names() -> list[str]:
    """All sources of webhooks: the senders, and the APIs here."""
    return [*sources.modules(), *BUILTIN_APIS]


COUNTED_IGNORED = 1_000
"""The latest ignored webhooks whose reasons are counted."""

MAX_REASONS = 8


class ReasonCount(NamedTuple):
    """A reason why webhooks were ignored, and the number of the latest ones that were."""

    reason: str
    number: int


SEARCH_LIMIT = 10_000
"""Webhooks scanned per page for a title, person or tracker; a cursor continues from there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """The person or token making a request; `is_admin` for the owner and for API tokens bound to nobody."""

    person_id: int | None = None
    name: str | None = None
    is_admin: bool = False
    session: str | None = None
    scopes: Granted = None
    """The scopes of the API token in use; a signed-in browser has all of its person's rights."""
    expires_at: datetime | None = None
    """The expiry of that token."""

    @property
    def restricted_to(self) -> str | None:
        """The one person whose data this visitor may see; None for everybody's."""
        return None if self.is_admin else self.name or ""


def webhooks(
    connection: Connection,
    visitor: Visitor,
    *,
    limit: int = PAGE_SIZE,
    after: int | None = None,
    wanted: WebhookFilter | None = None,
) -> Page[WebhookJson]:
    """The webhooks, newest first; with a filter that few match, a page may hold few or none and still have a next one."""
    wanted = wanted or WebhookFilter()
    rows, cursor = _find_webhooks(connection, visitor, wanted, limit, after)
    told = deliveries_by_webhook(connection, rows)
    shown = [webhook_json(row, told.get(row.id, [])) for row in rows]
    if visitor.is_admin:
        return {"items": shown, "next": cursor}
    return {
        "items": [own(entry, visitor) for entry in shown if may_see(entry["events"], visitor)],
        "next": cursor,
    }


def _find_webhooks(
    connection: Connection, visitor: Visitor, wanted: WebhookFilter, limit: int, after: int | None
) -> tuple[list[WebhookRow], int | None]:
    among = wanted.narrow(select(webhook))
    if not visitor.is_admin:
        among = among.where(is_of_person(visitor))
    floor = 0
    if wanted.rare or not visitor.is_admin:
        floor = search_floor(connection, after)
        among = among.where(webhook.c.id >= floor)
    rows, cursor = fetch_page(connection, among, WebhookRow, webhook.c.id, limit, after)
    if cursor is None and floor > 1:
        cursor = floor
    return [row for row in rows if wanted.matches(row.events or [])], cursor


def search_floor(connection: Connection, after: int | None = None) -> int:
    """The id of the oldest webhook that a search from this cursor scans."""
    newest = connection.execute(select(func.max(webhook.c.id))).scalar() or 0
    return max(min(after or newest + 1, newest + 1) - SEARCH_LIMIT, 0)


def ignored_reasons(connection: Connection, visitor: Visitor) -> list[ReasonCount]:
    """The reasons of the latest ignored webhooks, the most frequent first."""
    latest = select(webhook.c.reason).where(
        webhook.c.state == WebhookState.IGNORED, webhook.c.id >= search_floor(connection)
    )
    if not visitor.is_admin:
        latest = latest.where(is_of_person(visitor))
    among = latest.order_by(webhook.c.id.desc()).limit(COUNTED_IGNORED).subquery()
    number = func.count().label("number")
    wanted = select(among.c.reason, number).where(among.c.reason.is_not(None)).group_by(among.c.reason)
    return fetch_all(
        connection, wanted.order_by(number.desc(), among.c.reason).limit(MAX_REASONS), ReasonCount
    )


def is_of_person(visitor: Visitor) -> ColumnElement[bool]:
    """The condition for webhooks of this person: of a user they claim, through their token, or delivered to
    their account by a household rule."""
    claimed = select(identity.c.id).where(identity.c.person_id == visitor.person_id)
    bound = select(token.c.id).where(token.c.person_id == visitor.person_id)
    told = (
        select(delivery.c.id)
        .join(account, delivery.c.account_id == account.c.id)
        .where(delivery.c.webhook_id == webhook.c.id, account.c.person_id == visitor.person_id)
    )
    return or_(webhook.c.identity_id.in_(claimed), webhook.c.token_id.in_(bound), told.exists())


def may_see(events: Sequence[EventJson | WebhookEventJson], visitor: Visitor) -> bool:
    """True unless every event was credited to somebody other than this visitor."""
    people = {event.get("person") for event in events}
    return not people or bool(people & {None, visitor.name})


def own(entry: W, visitor: Visitor) -> W:
    entry["events"] = [event for event in entry["events"] if event.get("person") in (None, visitor.name)]
    for event in entry["events"]:
        event["deliveries"] = [told for told in event["deliveries"] if told["person"] == visitor.name]
    return entry


def one_webhook(connection: Connection, visitor: Visitor, webhook_id: int) -> WebhookTraceJson | None:
    """One webhook with its whole trace; None if the visitor may not see it."""
    if not visible_ids(connection, visitor, [webhook_id]):
        return None
    entry = find_webhook(connection, webhook_id)
    entry = None if entry is None else with_origins(connection, entry)
    if entry is None or visitor.is_admin:
        return entry
    return own(entry, visitor) if may_see(entry["events"], visitor) else None


def visible_ids(connection: Connection, visitor: Visitor, ids: Sequence[int]) -> list[int]:
    """Those of the webhooks that exist and that this visitor may see."""
    wanted = select(webhook.c.id, webhook.c.events).where(webhook.c.id.in_(ids))
    if visitor.is_admin:
        return [row.id for row in connection.execute(wanted)]
    rows = connection.execute(wanted.where(is_of_person(visitor)))
    return [row.id for row in rows if may_see(row.events or [], visitor)]


def matching_webhooks(connection: Connection, visitor: Visitor, wanted: WebhookFilter) -> list[int]:
    """The ids of the webhooks that match a filter, for bulk replays."""
    if visitor.is_admin and not wanted.rare:
        return list(connection.execute(wanted.narrow(select(webhook.c.id))).scalars())
    among = wanted.narrow(select(webhook.c.id, webhook.c.events))
    if visitor.is_admin:
        return [row.id for row in connection.execute(among) if wanted.matches(row.events or [])]
    rows = [
        row
        for row in connection.execute(among.where(is_of_person(visitor)))
        if wanted.matches(row.events or [])
    ]
    return [row.id for row in rows if may_see(row.events or [], visitor)]


def one_delivery(connection: Connection, visitor: Visitor, delivery_id: int) -> DeliveryTraceJson | None:
    entry = find_delivery(connection, delivery_id)
    if entry is None or visitor.restricted_to not in (None, entry["person"]):
        return None
    return entry


def current_plays(connection: Connection, visitor: Visitor) -> list[PlayJson]:
    return list_open_plays(connection, None if visitor.is_admin else visitor.person_id)


def people(connection: Connection, visitor: Visitor) -> list[PersonJson]:
    return [entry for entry in list_people(connection) if visitor.restricted_to in (None, entry["name"])]


def accounts(connection: Connection, visitor: Visitor) -> list[AccountJson]:
    return [entry for entry in list_accounts(connection) if visitor.restricted_to in (None, entry["person"])]


def open_identities(connection: Connection, visitor: Visitor) -> list[UnclaimedJson]:
    """The unclaimed identities: all for the owner, for others those that used the visitor's own addresses."""
    return list_unclaimed_identities(connection, None if visitor.is_admin else visitor.person_id or 0)


def ignore_list(connection: Connection, visitor: Visitor) -> list[IdentityJson]:
    """The identities that the owner has ignored."""
    return list_ignored_identities(connection) if visitor.is_admin else []


def list_silent_servers(
    connection: Connection, visitor: Visitor, now: datetime, days: int
) -> list[SilentServerJson]:
    """The silent servers, which only the owner sees, as they are shared."""
    return find_silent_servers(connection, now, days) if visitor.is_admin else []


def counts(connection: Connection, visitor: Visitor) -> dict[str, int]:
    """The number of deliveries that wait, for their turn or for a person, by state."""
    found: dict[str, int] = {}
    for waiting in (is_waiting(), parking.is_stuck()):
        wanted = select(delivery.c.state, func.count().label("number")).where(waiting)
        if not visitor.is_admin:
            mine = select(account.c.id).where(account.c.person_id == visitor.person_id)
            wanted = wanted.where(delivery.c.account_id.in_(mine))
        found |= {row.state: row.number for row in connection.execute(wanted.group_by(delivery.c.state))}
    return found


class PlayOfWebhook(PlayFields):
    """A play that a webhook changed, with its edits by hand and the deliveries of other webhooks."""

    edits: list[EditJson]
    others: list[DeliveryJson]


def plays_of_webhook(connection: Connection, entry: WebhookJson) -> dict[int, PlayOfWebhook]:
    """The plays that a webhook changed, by id, each with the deliveries of other webhooks."""
    ids = sorted({play_id for event in entry["events"] if (play_id := event.get("play"))})
    now = clock.now()
    rows = fetch_all(connection, select(play).where(play.c.id.in_(ids)), PlayRow)
    found: dict[int, PlayOfWebhook] = {
        row.id: {**play_json(row, now), "others": [], "edits": edits.edits_of_play(connection, row.id)}
        for row in rows
    }
    wanted = select_deliveries().where(delivery.c.play_id.in_(ids)).order_by(delivery.c.id)
    for row in fetch_deliveries(connection, wanted.limit(PAGE_SIZE)):
        if row.webhook_id != entry["id"] and row.play_id is not None and row.play_id in found:
            found[row.play_id]["others"].append(delivery_json(row))
    return found


def readings(entry: WebhookJson) -> list[WebhookEventJson]:
    """A webhook's events, each once however many people of the household it counts for."""
    seen: dict[str, WebhookEventJson] = {}
    for event in entry["events"]:
        said = {name: value for name, value in event.items() if name not in FOR_WHOM}
        seen.setdefault(orjson.dumps(said).decode(), event)
    return list(seen.values())


class ViewerJson(TypedDict):
    """A person for whom a webhook counts."""

    person: str
    how: str | None
    stops: list[str | None]


FOR_WHOM = ("person", "how", "stopped", "play", "deliveries", "item")


def viewers(entry: WebhookJson) -> list[ViewerJson]:
    """The people a webhook counts for, each with the reason and, per event, the filter that stopped it."""
    people: dict[str, ViewerJson] = {}
    for event in entry["events"]:
        if name := event.get("person"):
            one = people.setdefault(name, {"person": name, "how": event.get("how"), "stops": []})
            one["stops"].append(event.get("stopped"))
    return list(people.values())


def has_account(connection: Connection, visitor: Visitor) -> bool:
    """True if the visitor can see a tracker account."""
    wanted = select(account.c.id).limit(1)
    if not visitor.is_admin:
        wanted = wanted.where(account.c.person_id == visitor.person_id)
    return connection.execute(wanted).first() is not None


def last_webhook(connection: Connection, visitor: Visitor) -> str | None:
    """The arrival of the last webhook; for visitors limited to their own data, the start of their last play."""
    if not visitor.is_admin:
        return last_play(connection, visitor)
    wanted = select(webhook.c.received_at).order_by(webhook.c.id.desc()).limit(1)
    return stamp(connection.execute(wanted).scalar())


def last_play(connection: Connection, visitor: Visitor) -> str | None:
    """The start of the last play of the visitor, or for the owner of anybody."""
    wanted = select(func.max(play.c.started_at)).where(play.c.removed_at.is_(None))
    if not visitor.is_admin:
        wanted = wanted.where(play.c.person_id == visitor.person_id)
    return stamp(connection.execute(wanted).scalar())


# --- what each tracker knows of plays


class SentPlay(PlayJson):
    """A play with its last delivery per tracker, and the webhook whose trace shows it."""

    sent: dict[str, DeliveryJson]
    webhook: int | None


def with_deliveries(connection: Connection, plays: Sequence[PlayJson], *, playing: bool) -> list[SentPlay]:
    """The plays, each with the last delivery per tracker: of its watched mark, or of one that goes on and is not
    watched yet, of its playback."""
    by_id: dict[int, SentPlay] = {entry["id"]: {**entry, "sent": {}, "webhook": None} for entry in plays}
    wanted = select_deliveries().where(delivery.c.play_id.in_(by_id)).order_by(delivery.c.id)
    for row in fetch_deliveries(connection, wanted):
        if row.play_id is None:
            continue
        entry = by_id[row.play_id]
        entry["webhook"] = row.webhook_id or entry["webhook"]
        is_mark = not playing or entry["watched_at"] is not None
        if row.mark == is_mark and row.action not in ("rate", "unwatched"):
            entry["sent"][row.tracker] = delivery_json(row)
    lost = {play_id for play_id, entry in by_id.items() if entry["webhook"] is None}
    if lost:
        recent = select(webhook.c.id, webhook.c.events).where(webhook.c.events.is_not(None))
        for webhook_id, events in connection.execute(recent.order_by(webhook.c.id.desc()).limit(RECENT)):
            for event in events:
                if event.get("play") in lost and by_id[event["play"]]["webhook"] is None:
                    by_id[event["play"]]["webhook"] = webhook_id
    return list(by_id.values())


RECENT = 200
"""Webhooks searched for one that belongs to a play without deliveries."""


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(person.c.name).order_by(person.c.id)).scalars())
