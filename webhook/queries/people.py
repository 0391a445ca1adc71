"""People, their identities and their accounts, as pages, API and commands give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from webhook.clock import stamp
from webhook.domain.rules import LISTS, AccountRules
from webhook.domain.states import WebhookState
from webhook.queries.deliveries import explain_parked, is_waiting, limited_kinds
from webhook.queues.parking import is_stuck
from webhook.storage.tables import account, delivery, identity, person, token, webhook


def list_people(connection: Connection) -> list[dict[str, Any]]:
    """Everybody, with the identities they claim; the identities nobody claims stand under None."""
    claimed: dict[int | None, list[dict[str, Any]]] = {}
    for row in connection.execute(select(identity).order_by(identity.c.id)):
        claimed.setdefault(row.person_id, []).append(identity_json(row))
    rows = connection.execute(select(person).order_by(person.c.id))
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


def list_unclaimed(connection: Connection, token_of: int | None = None) -> list[dict[str, Any]]:
    """The identities nobody claims, each with how many webhooks wait for it, and what the last of them said.

    `token_of` leaves those that came by a token of this person.
    """
    waiting = select(
        webhook.c.identity_id, func.count().label("webhooks"), func.max(webhook.c.id).label("last")
    ).where(webhook.c.state == WebhookState.UNCLAIMED)
    if token_of is not None:
        mine = select(token.c.id).where(token.c.person_id == token_of)
        waiting = waiting.where(webhook.c.token_id.in_(mine))
    found = {row.identity_id: row for row in connection.execute(waiting.group_by(webhook.c.identity_id))}
    nobodys = select(identity).where(identity.c.person_id.is_(None), identity.c.ignored.is_(False))
    if token_of is not None:
        nobodys = nobodys.where(identity.c.id.in_(list(found)))
    last = last_events(connection, [row.last for row in found.values()])
    return [
        {
            **identity_json(row),
            "webhooks": found[row.id].webhooks if row.id in found else 0,
            "last": last.get(found[row.id].last) if row.id in found else None,
        }
        for row in connection.execute(nobodys.order_by(identity.c.id))
    ]


LAST_FIELDS = ("action", "kind", "title", "show", "season", "number", "year", "artist", "player")


def last_events(connection: Connection, webhook_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What each of these webhooks says that was done, with which item and where, in short."""
    rows = connection.execute(select(webhook.c.id, webhook.c.events).where(webhook.c.id.in_(webhook_ids)))
    return {row.id: {name: row.events[0].get(name) for name in LAST_FIELDS} for row in rows if row.events}


def list_ignored(connection: Connection) -> list[dict[str, Any]]:
    """The identities that nobody tracks, because somebody said so."""
    wanted = select(identity).where(identity.c.ignored.is_(True)).order_by(identity.c.id)
    return [identity_json(row) for row in connection.execute(wanted)]


def identity_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "user": row.label,
        "server": row.server or None,
        "server_name": row.server_name,
        "last_seen": stamp(row.last_seen),
        "spelled": f"{row.source}:{row.label}" + (f"@{row.server}" if row.server else ""),
    }


def list_accounts(connection: Connection) -> list[dict[str, Any]]:
    """Every account with whether it works and what waits in its lane."""
    numbers: dict[int, dict[str, int]] = {}
    for open_ in (is_waiting(), is_stuck()):
        waits = select(delivery.c.account_id, delivery.c.state, func.count().label("number")).where(open_)
        for row in connection.execute(waits.group_by(delivery.c.account_id, delivery.c.state)):
            numbers.setdefault(row.account_id, {})[row.state] = row.number
    wanted = select(account, person.c.name.label("person")).join(person, account.c.person_id == person.c.id)
    refused = limited_kinds(connection)
    return [
        account_json(row, numbers.get(row.id, {}), refused.get(row.id, []))
        for row in connection.execute(wanted.order_by(account.c.id))
    ]


def account_json(row: Row[Any], waits: Mapping[str, int], refused: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "tracker": row.tracker,
        "person": row.person,
        "name": row.name,
        "state": row.parked or "working",
        "explanation": explain_parked(row.parked, row.tracker, row.person, row.parked_why)
        if row.parked
        else None,
        "since": stamp(row.parked_at),
        "why": row.parked_why,
        "tells": row.tells,
        "rules": rules_json(row.rules),
        "waits": dict(waits),
        "limits": refused,
        "failures": row.failures,
        "held_until": stamp(row.held_until),
        "last_done_at": stamp(row.last_done_at),
    }


def rules_json(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """An account's rules as they are kept and shown, each of them named."""
    rules = AccountRules.from_json(given)
    lists = {name: getattr(rules.filters, name) for name in LISTS}
    return {"watched_mark": rules.mark, "dry_run": rules.dry_run, **lists}
