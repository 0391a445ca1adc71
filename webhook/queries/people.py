"""People, their identities and their accounts, as pages, API and commands give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from sqlalchemy import Connection, Select, func, select
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.domain.json_shapes import FiltersJson, RulesJson
from webhook.domain.rules import AccountRules
from webhook.domain.states import WebhookState
from webhook.queries.deliveries import LimitJson, explain_park, is_waiting, limited_kinds
from webhook.queues.calls_left import CallsLeftJson, read_calls
from webhook.queues.parking import is_stuck
from webhook.storage.json_fields import ANY_OBJECT, ActionWord, Id, Time
from webhook.storage.json_shapes import EventJson
from webhook.storage.rows import fetch_all
from webhook.storage.tables import (
    AccountRow,
    IdentityRow,
    PersonRow,
    account,
    delivery,
    identity,
    person,
    token,
    webhook,
)


class IdentityJson(TypedDict):
    """A user of a media server; `spelled` is how a command names them."""

    id: Id
    source: str
    user: str
    server: str | None
    server_name: str | None
    last_seen: Time | None
    spelled: str


class LastEventJson(TypedDict):
    """The first event of a webhook, in short."""

    action: str | None
    kind: str | None
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None
    artist: str | None
    player: str | None


class UnclaimedJson(IdentityJson):
    """An identity nobody claims, the number of webhooks that wait for it, and the last of their events."""

    webhooks: int
    last: Annotated[
        Annotated[LastEventJson, ANY_OBJECT] | None,
        Field(description="What the last of them says: action, item and player."),
    ]


class PersonJson(TypedDict):
    """A person with the identities they claim."""

    id: Id
    name: str
    owner: bool
    filters: Annotated[FiltersJson, ANY_OBJECT]
    identities: list[IdentityJson]


class AccountFields(TypedDict):
    """The fields of an account except its rules; `waits` counts its open deliveries by state."""

    id: Id
    tracker: str
    person: str
    name: str | None
    state: str
    explanation: str | None
    since: Time | None
    why: str | None
    tells: list[ActionWord]
    waits: dict[str, int]
    limits: Annotated[
        list[LimitJson],
        Field(
            description="What the service refuses while it takes everything else: deliveries of these kinds are parked."
        ),
    ]
    failures: int
    down_since: Annotated[
        Time | None, Field(description="Since when its tracker does not answer, or says that it cannot.")
    ]
    held_until: Time | None
    last_done_at: Time | None
    calls: Annotated[
        CallsLeftJson | None,
        Field(description="Of a service that takes so many calls a day, as its last answer said."),
    ]


class AccountJson(AccountFields):
    """An account as the API gives it."""

    rules: RulesJson


class WaitingWebhooks(NamedTuple):
    """The webhooks that wait for one identity."""

    identity_id: int | None
    webhooks: int
    last: int


class OpenCount(NamedTuple):
    """The open deliveries of an account in one state."""

    account_id: int
    state: str
    number: int


class WebhookEvents(NamedTuple):
    id: int
    events: list[EventJson] | None


def list_people(connection: Connection) -> list[PersonJson]:
    """Everybody, with the identities they claim."""
    claimed: dict[int | None, list[IdentityJson]] = {}
    for one in fetch_all(connection, select(identity).order_by(identity.c.id), IdentityRow):
        claimed.setdefault(one.person_id, []).append(identity_json(one))
    rows = fetch_all(connection, select(person).order_by(person.c.id), PersonRow)
    return [
        {
            "id": row.id,
            "name": row.name,
            "owner": row.owner,
            "filters": row.filters,
            "identities": claimed.get(row.id, []),
        }
        for row in rows
    ]


def list_unclaimed_identities(connection: Connection, token_of: int | None = None) -> list[UnclaimedJson]:
    """The identities nobody claims, each with the number of webhooks that wait for it and their last event.

    `token_of` leaves those whose webhooks came by a token of this person.
    """
    waiting = select(
        webhook.c.identity_id, func.count().label("webhooks"), func.max(webhook.c.id).label("last")
    ).where(webhook.c.state == WebhookState.UNCLAIMED)
    if token_of is not None:
        mine = select(token.c.id).where(token.c.person_id == token_of)
        waiting = waiting.where(webhook.c.token_id.in_(mine))
    waits = fetch_all(connection, waiting.group_by(webhook.c.identity_id), WaitingWebhooks)
    found = {row.identity_id: row for row in waits}
    nobodys = select_unclaimed_ids(token_of).with_only_columns(identity)
    last = last_events(connection, [row.last for row in found.values()])
    return [
        {
            **identity_json(row),
            "webhooks": found[row.id].webhooks if row.id in found else 0,
            "last": last.get(found[row.id].last) if row.id in found else None,
        }
        for row in fetch_all(connection, nobodys.order_by(identity.c.id), IdentityRow)
    ]


def select_unclaimed_ids(token_of: int | None) -> Select[Any]:
    """The ids of the identities nobody claims; `token_of` as for the list of them."""
    nobodys = select(identity.c.id).where(identity.c.person_id.is_(None), identity.c.ignored.is_(False))
    if token_of is None:
        return nobodys
    mine = select(token.c.id).where(token.c.person_id == token_of)
    waiting = select(webhook.c.identity_id).where(
        webhook.c.state == WebhookState.UNCLAIMED, webhook.c.token_id.in_(mine)
    )
    return nobodys.where(identity.c.id.in_(waiting))


def last_events(connection: Connection, webhook_ids: Sequence[int]) -> dict[int, LastEventJson]:
    """The first event of each of these webhooks, in short."""
    wanted = select(webhook.c.id, webhook.c.events).where(webhook.c.id.in_(webhook_ids))
    rows = fetch_all(connection, wanted, WebhookEvents)
    return {row.id: last_event_json(row.events[0]) for row in rows if row.events}


def last_event_json(event: EventJson) -> LastEventJson:
    return {
        "action": event.get("action"),
        "kind": event.get("kind"),
        "title": event.get("title"),
        "show": event.get("show"),
        "season": event.get("season"),
        "number": event.get("number"),
        "year": event.get("year"),
        "artist": event.get("artist"),
        "player": event.get("player"),
    }


def list_ignored_identities(connection: Connection) -> list[IdentityJson]:
    """The identities that somebody said nobody is to track."""
    wanted = select(identity).where(identity.c.ignored.is_(True)).order_by(identity.c.id)
    return [identity_json(row) for row in fetch_all(connection, wanted, IdentityRow)]


def identity_json(row: IdentityRow) -> IdentityJson:
    """An identity as the API gives it."""
    return {
        "id": row.id,
        "source": row.source,
        "user": row.label,
        "server": row.server or None,
        "server_name": row.server_name,
        "last_seen": stamp(row.last_seen),
        "spelled": f"{row.source}:{row.label}" + (f"@{row.server}" if row.server else ""),
    }


def list_accounts(connection: Connection) -> list[AccountJson]:
    """Every account with its state and the deliveries that wait in its lane."""
    numbers: dict[int, dict[str, int]] = {}
    for open_ in (is_waiting(), is_stuck()):
        waits = select(delivery.c.account_id, delivery.c.state, func.count().label("number")).where(open_)
        waits = waits.group_by(delivery.c.account_id, delivery.c.state)
        for count in fetch_all(connection, waits, OpenCount):
            numbers.setdefault(count.account_id, {})[count.state] = count.number
    names = person_names(connection)
    refused = limited_kinds(connection)
    rows = fetch_all(connection, select(account).order_by(account.c.id), AccountRow)
    down, calls = outages(rows), read_calls(connection)
    return [
        account_json(
            row,
            names[row.person_id],
            numbers.get(row.id, {}),
            refused.get(row.id, []),
            down.get(row.id),
            calls.get(row.id),
        )
        for row in rows
    ]


DOWN_AFTER = 2
"""Failures in a row after which a tracker counts as down: one alone happens."""


def outages(rows: Sequence[AccountRow]) -> dict[int, datetime]:
    """The accounts whose tracker is down, since its first failure; also those that have not tried it since."""
    first: dict[str, datetime] = {}
    for row in rows:
        if row.failing_since is not None and row.failures >= DOWN_AFTER and row.parked is None:
            first[row.tracker] = min(row.failing_since, first.get(row.tracker, row.failing_since))
    return {
        row.id: first[row.tracker]
        for row in rows
        if row.tracker in first and (row.last_done_at is None or row.last_done_at < first[row.tracker])
    }


class PersonName(NamedTuple):
    id: int
    name: str


def person_names(connection: Connection) -> dict[int, str]:
    """Everybody's name, by id."""
    return dict(fetch_all(connection, select(person.c.id, person.c.name).order_by(person.c.id), PersonName))


def account_json(
    row: AccountRow,
    person_name: str,
    waits: Mapping[str, int],
    limits: list[LimitJson],
    down_since: datetime | None,
    calls: CallsLeftJson | None,
) -> AccountJson:
    """An account as the API gives it."""
    return {
        "id": row.id,
        "tracker": row.tracker,
        "person": person_name,
        "name": row.name,
        "state": row.parked or "working",
        "explanation": explain_park(row.parked, row.tracker, person_name, row.parked_why)
        if row.parked
        else None,
        "since": stamp(row.parked_at),
        "why": row.parked_why,
        "tells": row.tells,
        "rules": rules_json(row.rules),
        "waits": dict(waits),
        "limits": limits,
        "failures": row.failures,
        "down_since": stamp(down_since),
        "held_until": stamp(row.held_until),
        "last_done_at": stamp(row.last_done_at),
        "calls": calls,
    }


def rules_json(given: RulesJson | None) -> RulesJson:
    """An account's rules as they are stored and given, each of them present."""
    rules = AccountRules.from_json(given)
    return {"watched_mark": rules.mark, "dry_run": rules.dry_run, **rules.filters.lists()}
