"""What a visitor may see: everything for the owner, their own for everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, or_, select

from webhook import clock, trace
from webhook import identity as item_ids
from webhook.history import described
from webhook.tables import account, delivery, identity, person, play, token, webhook
from webhook.trace import Page

STATES = {
    "received": "received",
    "interpreted": "read and acted on",
    "ignored": "ignored",
    "unclaimed": "nobody claims it yet",
    "quarantined": "could not be read",
}
"""The states of a webhook, as people read them."""

DELIVERY_STATES = {
    "waiting": "waits for its turn",
    "done": "told",
    "superseded": "replaced by a newer one",
    "expired": "too old to be told",
    "skipped": "a rule keeps it back",
    "unmatched": "no match found",
    "parked": "the account needs something",
    "dead": "given up",
}
STUCK = ("unmatched", "parked", "dead")
"""The states of a delivery that a retry is for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Who asks. `everything`: the owner, or an API token that is bound to nobody."""

    person_id: int | None = None
    name: str | None = None
    everything: bool = False
    session: str | None = None

    @property
    def only(self) -> str | None:
        """The one person whose data this visitor sees; None is everybody's."""
        return None if self.everything else self.name or ""


def webhooks(
    connection: Connection,
    visitor: Visitor,
    *,
    limit: int = trace.LIMIT,
    after: int | None = None,
    state: str | None = None,
    source: str | None = None,
) -> Page:
    if visitor.everything:
        return trace.webhooks(connection, limit=limit, after=after, state=state, source=source)
    wanted = select(webhook).where(theirs(visitor))
    if state:
        wanted = wanted.where(webhook.c.state == state)
    if source:
        wanted = wanted.where(webhook.c.source == source)
    rows, cursor = trace.paged(connection, wanted, webhook.c.id, limit, after)
    told = trace.deliveries_of(connection, rows)
    shown = [trace.one_webhook(row, told.get(row.id, []), raw=False) for row in rows]
    return {"items": [own(entry, visitor) for entry in shown if may_see(entry, visitor)], "next": cursor}


def theirs(visitor: Visitor) -> ColumnElement[bool]:
    """The webhooks that came for this person: of a user they claim, through a token of theirs, or
    told to an account of theirs by a household rule."""
    claimed = select(identity.c.id).where(identity.c.person_id == visitor.person_id)
    bound = select(token.c.id).where(token.c.person_id == visitor.person_id)
    told = (
        select(delivery.c.id)
        .join(account, delivery.c.account_id == account.c.id)
        .where(delivery.c.webhook_id == webhook.c.id, account.c.person_id == visitor.person_id)
    )
    return or_(webhook.c.identity_id.in_(claimed), webhook.c.token_id.in_(bound), told.exists())


def may_see(entry: Page, visitor: Visitor) -> bool:
    """Whether it was not credited to others alone, before a claim passed to this visitor."""
    people = {event.get("person") for event in entry["events"]}
    return not people or bool(people & {None, visitor.name})


def own(entry: Page, visitor: Visitor) -> Page:
    entry["events"] = [event for event in entry["events"] if event.get("person") in (None, visitor.name)]
    for event in entry["events"]:
        event["deliveries"] = [told for told in event["deliveries"] if told["person"] == visitor.name]
    return entry


def one_webhook(connection: Connection, visitor: Visitor, webhook_id: int) -> Page | None:
    """One webhook with its whole trace; None where there is none that the visitor may see."""
    if not allowed(connection, visitor, [webhook_id]):
        return None
    entry = trace.webhook_trace(connection, webhook_id)
    entry = None if entry is None else item_ids.with_origins(connection, entry)
    if entry is None or visitor.everything:
        return entry
    return own(entry, visitor) if may_see(entry, visitor) else None


def allowed(connection: Connection, visitor: Visitor, ids: Sequence[int]) -> list[int]:
    """Those of the webhooks that there are and that this visitor may see."""
    wanted = select(webhook.c.id, webhook.c.events).where(webhook.c.id.in_(ids))
    if visitor.everything:
        return [row.id for row in connection.execute(wanted)]
    rows = connection.execute(wanted.where(theirs(visitor)))
    return [row.id for row in rows if may_see({"events": row.events or []}, visitor)]


def matching_webhooks(
    connection: Connection, visitor: Visitor, state: str | None, source: str | None
) -> list[int]:
    """The ids of the webhooks that a filter means, for replaying many."""
    wanted = select(webhook.c.id)
    if state:
        wanted = wanted.where(webhook.c.state == state)
    if source:
        wanted = wanted.where(webhook.c.source == source)
    if visitor.everything:
        return list(connection.execute(wanted).scalars())
    rows = connection.execute(wanted.add_columns(webhook.c.events).where(theirs(visitor)))
    return [row.id for row in rows if may_see({"events": row.events or []}, visitor)]


def one_delivery(connection: Connection, visitor: Visitor, delivery_id: int) -> Page | None:
    entry = trace.one_delivery_trace(connection, delivery_id)
    if entry is None or visitor.only not in (None, entry["person"]):
        return None
    return entry


def playing(connection: Connection, visitor: Visitor) -> list[Page]:
    return trace.playing(connection, None if visitor.everything else visitor.person_id)


def people(connection: Connection, visitor: Visitor) -> list[Page]:
    return mine(trace.people(connection), visitor, "name")


def accounts(connection: Connection, visitor: Visitor) -> list[Page]:
    return mine(trace.accounts(connection), visitor, "person")


def unclaimed(connection: Connection, visitor: Visitor) -> list[Page]:
    """The identities nobody claims; whose they are is the owner's to say."""
    return trace.unclaimed(connection) if visitor.everything else []


def silent(connection: Connection, visitor: Visitor, now: datetime, days: int) -> list[Page]:
    """The servers that fell silent; they are everybody's, so the owner's to look after."""
    return trace.silent(connection, now, days) if visitor.everything else []


def mine(entries: list[Page], visitor: Visitor, name: str) -> list[Page]:
    return [entry for entry in entries if visitor.only in (None, entry[name])]


def counts(connection: Connection, visitor: Visitor) -> dict[str, int]:
    """How many deliveries there are in each state."""
    wanted = select(delivery.c.state, func.count().label("number")).group_by(delivery.c.state)
    if not visitor.everything:
        wanted = wanted.join(account, delivery.c.account_id == account.c.id)
        wanted = wanted.where(account.c.person_id == visitor.person_id)
    return {row.state: row.number for row in connection.execute(wanted)}


def plays_of(connection: Connection, entry: Page) -> dict[int, Page]:
    """The plays that a webhook touched, by id, each with the deliveries that other webhooks led to."""
    ids = sorted({event["play"] for event in entry["events"] if event.get("play")})
    now = clock.now()
    rows = connection.execute(select(play).where(play.c.id.in_(ids)))
    found: dict[int, Page] = {row.id: {**described(row, now), "others": []} for row in rows}
    told = trace.joined().where(delivery.c.play_id.in_(ids)).order_by(delivery.c.id)
    for row in connection.execute(told.limit(trace.LIMIT)):
        if row.webhook_id != entry["id"] and row.play_id in found:
            found[row.play_id]["others"].append(trace.one_delivery(row))
    return found


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(person.c.name).order_by(person.c.id)).scalars())
