"""The trace: what became of everything and why, as the JSON API, the pages and the commands give it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
)

from webhook import clock, trackers
from webhook.clock import stamp
from webhook.domain import lenient_json, redaction
from webhook.domain.event import REASONS, Unreadable, item_from_json, item_to_json
from webhook.domain.outcome import LIMITS, PARKED, Park, explain_limit, parked_sentence
from webhook.domain.rules import DRY_RUN, LISTS, AccountRules
from webhook.history.plays import described
from webhook.people.people import ANOTHERS, HERE, NOBODY
from webhook.queues.inbox import CATCH_UP, told_by
from webhook.queues.outbox import NEEDS_PERSON, is_stuck, kind_of
from webhook.storage.db import Database, unavailable
from webhook.storage.tables import (
    account,
    attempt,
    delivery,
    from_ms,
    identity,
    note,
    person,
    play,
    to_ms,
    token,
    told,
    webhook,
)

LIMIT = 50
MOST = 500
RAW_SHOWN = 256 * 1024

KNOWN = timedelta(days=7)
"""How long a server must have been known before its silence is news."""

RECENT = 200  # webhooks of a source that are looked at for how it sends
REHEARSED = 16  # webhooks interpreted in one transaction that is taken back
AT_ONCE = timedelta(seconds=10)
OFF = timedelta(minutes=5)
FEW = 3  # events, at least, before a clock is called wrong
DATED = ("jellyfin", "emby")
PLAYING = frozenset({"start", "pause", "resume", "stop", "progress"})
TITLES = ("title", "show", "artist", "album")

Page = dict[str, Any]
"""A page of a list: `items`, newest first, and `next`, the cursor of what is older, or None."""


def paged(
    connection: Connection, wanted: Select[Any], column: Any, limit: int, after: int | None
) -> tuple[list[Row[Any]], int | None]:
    """Rows newest first, and the cursor for those after them.

    They are searched by what an index has of them, and then read: bodies and answers are large.
    """
    limit = min(max(limit, 1), MOST)
    among = wanted.with_only_columns(column)
    if after is not None:
        among = among.where(column < after)
    ids = connection.execute(among.order_by(column.desc()).limit(limit + 1)).scalars().all()
    rows = connection.execute(wanted.where(column.in_(ids[:limit])).order_by(column.desc())).all()
    return list(rows), int(ids[limit - 1]) if len(ids) > limit else None


# --- webhooks


def webhooks(
    connection: Connection,
    *,
    limit: int = LIMIT,
    after: int | None = None,
    state: str | None = None,
    source: str | None = None,
) -> Page:
    wanted = select(webhook)
    if state:
        wanted = wanted.where(webhook.c.state == state)
    if source:
        wanted = wanted.where(webhook.c.source == source)
    rows, cursor = paged(connection, wanted, webhook.c.id, limit, after)
    told = deliveries_of(connection, rows)
    return {"items": [one_webhook(row, told[row.id], raw=False) for row in rows], "next": cursor}


def webhook_trace(connection: Connection, webhook_id: int) -> dict[str, Any] | None:
    """One webhook with its whole trace, or None."""
    row = connection.execute(select(webhook).where(webhook.c.id == webhook_id)).first()
    if row is None:
        return None
    told = deliveries_of(connection, [row], attempts=True)
    return one_webhook(row, told[webhook_id], raw=True)


class NotRedacted(Exception):
    """It cannot be copied for a bug report; the message is for the person."""


def redacted(connection: Connection, webhook_id: int) -> dict[str, Any]:
    """A webhook for a bug report: what it said, with names, tokens and addresses replaced. Raises NotRedacted."""
    wanted = select(webhook.c.source, webhook.c.content_type, webhook.c.raw)
    row = connection.execute(wanted.where(webhook.c.id == webhook_id)).first()
    if row is None:
        raise NotRedacted(f"There is no webhook {webhook_id}.")
    if row.raw is None:
        raise NotRedacted("Its raw body was pruned after RETENTION_DAYS, so there is nothing to report.")
    try:
        payload = lenient_json.loads(row.raw, row.content_type)
    except Unreadable as error:
        raise NotRedacted(
            "It is no JSON, so what says who and where cannot be told from the rest. It was not copied."
        ) from error
    about = {"webhook": webhook_id, "source": row.source, "content_type": row.content_type}
    return {**about, "payload": redaction.redacted(payload)}


UNSAID: Mapping[str, Any] = {
    **dict.fromkeys(
        ("kind", "title", "show", "season", "number", "year", "position_ms", "duration_ms", "progress"),
    ),
    **dict.fromkeys(("completed", "rating", "at", "user", "server", "server_name", "player", "library")),
    **dict.fromkeys(("person", "play")),
    "ids": {},
    "show_ids": {},
    "manual": False,
}
"""What an event says that says nothing: not every version kept as much with its webhooks."""


def one_webhook(row: Row[Any], told: list[dict[str, Any]], *, raw: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id,
        "source": row.source,
        "state": row.state,
        "reason": row.reason,
        "explanation": explained(row),
        "received_at": stamp(row.received_at),
        "interpreted_at": stamp(row.interpreted_at),
        "content_type": row.content_type,
        "repaired": told_by(row.content_type) == CATCH_UP,
    }
    if raw:
        shown["raw"] = None if row.raw is None else lenient_json.text(row.raw[:RAW_SHOWN], row.content_type)
    events = [{**UNSAID, **event, "deliveries": []} for event in row.events or []]
    for entry in told:
        home = next((event for event in events if event.get("play") == entry["play"]), None)
        if home is None and events:
            home = events[0]
        if home is not None:
            home["deliveries"].append(entry)
    shown["events"] = events
    return shown


def explained(row: Row[Any]) -> str | None:
    """The state in a sentence, with what to do."""
    if row.state == "unclaimed":
        return unclaimed_explained(row)
    if row.state == "quarantined":
        return f"It could not be read: {row.reason} It is kept; after a fix: watchmark replay {row.id}"
    if row.state == "received":
        return "It is kept and waits to be interpreted."
    if row.reason is None and told_by(row.content_type) == CATCH_UP:
        return "Missed webhook, repaired: the server's own record has it, and no webhook of it came."
    if row.events and ("episodes" in row.events[0] or "waits_for" in row.events[0]):
        return whole_explained(row.events[0])
    reason: str | None = row.reason
    return REASONS.get(reason or "", reason)


def whole_explained(event: Mapping[str, Any]) -> str:
    """What became of a season or a show that was ticked as a whole."""
    if count := event.get("episodes"):
        return f"It stands for {count} episodes, which were read as webhooks of their own."
    if event.get("waits_for"):
        return "Which episodes it stands for is asked at the lookups; they are marked once that is known."
    return "No lookup lists the episodes of this show, so nothing was marked. What the server says of each counts."


def unclaimed_explained(row: Row[Any]) -> str:
    user = next((event.get("user") for event in row.events or [] if event.get("user")), NOBODY)
    if row.reason == ANOTHERS:
        return (
            f"Somebody else claims {row.source}:{user}, and this came by an address that belongs to one person. "
            "For several people use an address that belongs to nobody: watchmark urls"
        )
    return (
        f"Nobody claims {row.source}:{user}. Claim it: watchmark people claim PERSON '{row.source}:{user}'. "
        "It is kept, and interpreted as soon as somebody does."
    )


# --- deliveries


ENDS = frozenset({"watched", "stop"})


def deliveries_of(
    connection: Connection, webhooks_shown: Sequence[Row[Any]], *, attempts: bool = False
) -> dict[int, list[dict[str, Any]]]:
    """The deliveries that these webhooks led to, by webhook: put by them, or the mark of the play they ended.

    A scrobble and the stop after it are one viewing, told once: both show that one mark.
    """
    ended = {row.id: ended_plays(row) for row in webhooks_shown}
    mine = or_(
        delivery.c.webhook_id.in_(list(ended)),
        and_(delivery.c.mark.is_(True), delivery.c.play_id.in_(set().union(*ended.values()))),
    )
    found: dict[int, list[dict[str, Any]]] = {webhook_id: [] for webhook_id in ended}
    for row in connection.execute(joined().where(mine).order_by(delivery.c.id)):
        shown = one_delivery(row)
        if attempts:
            shown["tries"] = tries(connection, row.id)
        for webhook_id, plays_ended in ended.items():
            if row.webhook_id == webhook_id or (row.mark and row.play_id in plays_ended):
                found[webhook_id].append(shown)
    return found


def ended_plays(row: Row[Any]) -> set[int]:
    return {event["play"] for event in row.events or [] if event["action"] in ENDS and event.get("play")}


def joined() -> Select[Any]:
    return (
        select(
            delivery,
            account.c.tracker,
            account.c.parked,
            account.c.held_until,
            person.c.name.label("person"),
        )
        .join(account, delivery.c.account_id == account.c.id)
        .join(person, account.c.person_id == person.c.id)
    )


def deliveries(
    connection: Connection,
    *,
    limit: int = LIMIT,
    after: int | None = None,
    state: str | None = None,
    tracker: str | None = None,
    person_name: str | None = None,
) -> Page:
    wanted = filtered(joined(), state, tracker, person_name)
    rows, cursor = paged(connection, wanted, delivery.c.id, limit, after)
    return {"items": [one_delivery(row) for row in rows], "next": cursor}


def filtered(
    wanted: Select[Any], state: str | None, tracker: str | None, person_name: str | None
) -> Select[Any]:
    if state:
        wanted = wanted.where(delivery.c.state == state)
    if state in NEEDS_PERSON:
        wanted = wanted.where(is_stuck())
    if tracker:
        wanted = wanted.where(account.c.tracker == tracker)
    if person_name:
        wanted = wanted.where(person.c.name == person_name)
    return wanted


def is_waiting() -> ColumnElement[bool]:
    return delivery.c.state == bindparam("waits", "waiting", literal_execute=True)


def matching(
    connection: Connection, state: str | None, tracker: str | None, person_name: str | None
) -> list[int]:
    """The ids of the deliveries that a filter means, for retrying many."""
    wanted = (
        select(delivery.c.id)
        .join(account, delivery.c.account_id == account.c.id)
        .join(person, account.c.person_id == person.c.id)
    )
    return list(connection.execute(filtered(wanted, state, tracker, person_name)).scalars())


def one_delivery(row: Row[Any]) -> dict[str, Any]:
    item = item_to_json(item_from_json(row.item))
    due = max(row.due_at, row.held_until or row.due_at) if row.state == "waiting" and row.due_at else None
    return {
        "id": row.id,
        "tracker": row.tracker,
        "person": row.person,
        "action": row.action,
        "mark": row.mark,
        "state": row.state,
        "attempts": row.attempts,
        "reason": row.reason,
        "explanation": delivery_explained(row),
        "answer": row.answer,
        "due_at": stamp(due),
        "happened_at": stamp(row.happened_at),
        "settled_at": stamp(row.settled_at),
        "webhook": row.webhook_id,
        "play": row.play_id,
        "title": item.get("title"),
        "show": item.get("show"),
        "season": item.get("season"),
        "number": item.get("number"),
        "kind": item["kind"],
        "year": item.get("year"),
        "artist": item.get("artist"),
        "album": item.get("album"),
        "progress": (row.details or {}).get("progress"),
        "estimated": bool((row.details or {}).get("estimated")),
        "remote_id": row.remote_id,
        "candidates": row.candidates,
    }


def delivery_explained(row: Row[Any]) -> str | None:
    """Where it stands and what to do, in a sentence; None where the state says it all."""
    match row.state:
        case "parked" if row.parked is None and row.reason in LIMITS:
            return explain_refusal(row.reason, kind_of(row), row.tracker, row.person)
        case "parked":
            return mend(row.parked or row.reason, row.tracker, row.person)
        case "unmatched":
            return (
                f"{row.reason}. Choose which item it is: watchmark match {row.id} (see watchmark unmatched)"
            )
        case "dead":
            return f"{row.reason}. When that is mended: watchmark retry {row.id}"
        case "waiting" if row.attempts and row.reason:
            return f"{row.reason}. It is tried again by itself."
        case "skipped" if row.reason == DRY_RUN:
            return f"A dry run: it {row.answer}. Once that is off, send it: watchmark retry {row.id}"
    reason: str | None = row.reason
    return reason


def mend(parked: str | None, tracker: str, person_name: str, why: str | None = None) -> str | None:
    """What a parked account needs, and the step that mends it."""
    if parked is None or parked not in set(Park):
        return parked
    what = PARKED[Park(parked)]
    return f"{parked_sentence(Park(parked), why)} {what.mend.format(tracker=tracker, person=person_name)}"


def explain_refusal(reason: str, kind: str, tracker: str, person_name: str) -> str:
    """What a service refuses of one kind of call, and the step that mends it; everything else goes on."""
    refused = explain_limit(reason, kind, trackers.label(tracker))
    retry = f"watchmark retry --state parked --tracker {tracker} --person {person_name}"
    return f"{refused}, then: {retry}. Everything else is sent as before."


def limits(connection: Connection, person_name: str | None = None) -> dict[int, list[dict[str, Any]]]:
    """What services refuse of accounts that work otherwise, by account: the kind, why, and how many wait."""
    wanted = (
        select(account.c.id, account.c.tracker, person.c.name, delivery.c.action, delivery.c.mark,
               delivery.c.reason, func.count().label("waits"))
        .join(account, delivery.c.account_id == account.c.id)
        .join(person, account.c.person_id == person.c.id)
        .where(is_stuck(), delivery.c.state == "parked", delivery.c.reason.in_(LIMITS))
        .where(account.c.parked.is_(None))
        .group_by(account.c.id, account.c.tracker, person.c.name, delivery.c.action, delivery.c.mark,
                  delivery.c.reason)
        .order_by(account.c.id, delivery.c.action)
    )  # fmt: skip
    if person_name is not None:
        wanted = wanted.where(person.c.name == person_name)
    found: dict[int, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in connection.execute(wanted):
        kind = kind_of(row)
        known = found.setdefault(row.id, {}).setdefault((kind, row.reason), {"kind": kind, "waits": 0})
        known["waits"] += row.waits
        known |= {"reason": row.reason, "tracker": row.tracker, "person": row.name}
        known["explanation"] = explain_refusal(row.reason, kind, row.tracker, row.name)
    return {account_id: list(kinds.values()) for account_id, kinds in found.items()}


def tries(connection: Connection, delivery_id: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(attempt).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.id)
    )
    return [
        {
            "at": stamp(row.at),
            "took_ms": row.took_ms,
            "outcome": row.outcome,
            "reason": row.reason,
            "exchanges": row.exchanges or [],
        }
        for row in rows
    ]


def one_delivery_trace(connection: Connection, delivery_id: int) -> dict[str, Any] | None:
    row = connection.execute(joined().where(delivery.c.id == delivery_id)).first()
    return None if row is None else {**one_delivery(row), "tries": tries(connection, delivery_id)}


def counts(connection: Connection) -> dict[str, int]:
    """How many deliveries there are in each state."""
    wanted = select(delivery.c.state, func.count().label("number")).group_by(delivery.c.state)
    return {row.state: row.number for row in connection.execute(wanted)}


# --- plays, people, accounts


def plays(
    connection: Connection,
    *,
    limit: int = LIMIT,
    after: str | None = None,
    person_name: str | None = None,
    since: datetime | None = None,
    text: str | None = None,
    at_once: int | None = None,
) -> Page:
    """The newest plays first, by when they began. `text` is looked for in titles.

    With `at_once` it is looked for in so many plays only: a page may hold few or none, and have a next one
    all the same.
    """
    wanted = select(play, person.c.name.label("person")).join(person, play.c.person_id == person.c.id)
    here: list[ColumnElement[bool]] = []
    if person_name:
        found = select(person.c.id).where(person.c.name == person_name).scalar_subquery()
        here.append(play.c.person_id == found)
    if after is not None:
        began, made = place(after)
        here.append(or_(play.c.started_at < began, and_(play.c.started_at == began, play.c.id < made)))
    wanted = wanted.where(*here, play.c.removed_at.is_(None))
    if since:
        wanted = wanted.where(play.c.last_at >= since)
    floor = None
    if text:
        wanted = wanted.where(titled(text))
        if at_once is not None:
            floor = connection.execute(
                newest_first(select(*PLACE).where(*here)).offset(at_once).limit(1)
            ).first()
    if floor is not None:
        # Said twice: the first is what goes by the index.
        wanted = wanted.where(play.c.started_at >= floor.started_at)
        wanted = wanted.where(or_(play.c.started_at > floor.started_at, play.c.id > floor.id))
    limit = min(max(limit, 1), MOST)
    rows = connection.execute(newest_first(wanted).limit(limit + 1)).all()
    shown, cursor = rows[:limit], None
    if len(rows) > limit:
        cursor = f"{to_ms(shown[-1].started_at)}-{shown[-1].id}"
    elif floor is not None:
        cursor = f"{to_ms(floor.started_at)}-{floor.id + 1}"
    now = clock.now()
    return {"items": [{"person": row.person, **described(row, now)} for row in shown], "next": cursor}


PLACE = (play.c.started_at, play.c.id)


def newest_first(wanted: Select[Any]) -> Select[Any]:
    return wanted.order_by(play.c.started_at.desc(), play.c.id.desc())


def titled(text: str) -> ColumnElement[bool]:
    """Whether a play has this in a title; first whether it stands in the item at all, which costs less to see."""
    item = type_coerce(play.c.item, Text)
    titles = (told(item, name).icontains(text, autoescape=True) for name in TITLES)
    return and_(item.icontains(orjson.dumps(text).decode()[1:-1], autoescape=True), or_(*titles))


def place(cursor: str) -> tuple[datetime, int]:
    """The place in the list of plays that an earlier page gave as `next`; raises ValueError."""
    began, _, made = cursor.rpartition("-")
    return from_ms(int(began)), int(made)


def playing(connection: Connection, person_id: int | None = None) -> list[dict[str, Any]]:
    """What is on now, of everybody or of one person."""
    wanted = (
        select(play, person.c.name.label("person"))
        .join(person, play.c.person_id == person.c.id)
        .where(play.c.state != "stopped", play.c.removed_at.is_(None))
        .order_by(play.c.last_at.desc())
        .limit(LIMIT)
    )
    if person_id is not None:
        wanted = wanted.where(play.c.person_id == person_id)
    now = clock.now()
    return [{"person": row.person, **described(row, now)} for row in connection.execute(wanted)]


def people(connection: Connection) -> list[dict[str, Any]]:
    """Everybody, with the identities they claim; the identities nobody claims stand under None."""
    claimed: dict[int | None, list[dict[str, Any]]] = {}
    for row in connection.execute(select(identity).order_by(identity.c.id)):
        claimed.setdefault(row.person_id, []).append(one_identity(row))
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


def unclaimed(connection: Connection, token_of: int | None = None) -> list[dict[str, Any]]:
    """The identities nobody claims, each with how many webhooks wait for it, and what the last of them said.

    `token_of` leaves those that came by a token of this person.
    """
    waiting = select(
        webhook.c.identity_id, func.count().label("webhooks"), func.max(webhook.c.id).label("last")
    ).where(webhook.c.state == "unclaimed")
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
            **one_identity(row),
            "webhooks": found[row.id].webhooks if row.id in found else 0,
            "last": last.get(found[row.id].last) if row.id in found else None,
        }
        for row in connection.execute(nobodys.order_by(identity.c.id))
    ]


LAST = ("action", "kind", "title", "show", "season", "number", "year", "artist", "player")


def last_events(connection: Connection, webhook_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What each of these webhooks says that was done, with which item and where, in short."""
    rows = connection.execute(select(webhook.c.id, webhook.c.events).where(webhook.c.id.in_(webhook_ids)))
    return {row.id: {name: row.events[0].get(name) for name in LAST} for row in rows if row.events}


def ignored(connection: Connection) -> list[dict[str, Any]]:
    """The identities that nobody tracks, because somebody said so."""
    wanted = select(identity).where(identity.c.ignored.is_(True)).order_by(identity.c.id)
    return [one_identity(row) for row in connection.execute(wanted)]


def one_identity(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "user": row.label,
        "server": row.server or None,
        "server_name": row.server_name,
        "last_seen": stamp(row.last_seen),
        "spelled": f"{row.source}:{row.label}" + (f"@{row.server}" if row.server else ""),
    }


def accounts(connection: Connection) -> list[dict[str, Any]]:
    """Every account with whether it works and what waits in its lane."""
    numbers: dict[int, dict[str, int]] = {}
    for open_ in (is_waiting(), is_stuck()):
        waits = select(delivery.c.account_id, delivery.c.state, func.count().label("number")).where(open_)
        for row in connection.execute(waits.group_by(delivery.c.account_id, delivery.c.state)):
            numbers.setdefault(row.account_id, {})[row.state] = row.number
    wanted = select(account, person.c.name.label("person")).join(person, account.c.person_id == person.c.id)
    refused = limits(connection)
    return [
        one_account(row, numbers.get(row.id, {}), refused.get(row.id, []))
        for row in connection.execute(wanted.order_by(account.c.id))
    ]


def one_account(row: Row[Any], waits: Mapping[str, int], refused: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "tracker": row.tracker,
        "person": row.person,
        "name": row.name,
        "state": row.parked or "working",
        "explanation": mend(row.parked, row.tracker, row.person, row.parked_why) if row.parked else None,
        "since": stamp(row.parked_at),
        "why": row.parked_why,
        "tells": row.tells,
        "rules": rules_of(row.rules),
        "waits": dict(waits),
        "limits": refused,
        "failures": row.failures,
        "held_until": stamp(row.held_until),
        "last_done_at": stamp(row.last_done_at),
    }


def rules_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """An account's rules as they are kept and shown, each of them named."""
    rules = AccountRules.from_json(given)
    lists = {name: getattr(rules.filters, name) for name in LISTS}
    return {"watched_mark": rules.mark, "dry_run": rules.dry_run, **lists}


def kept_back(connection: Connection, account_id: int) -> list[int]:
    """The deliveries that a dry run of this account showed and did not send."""
    wanted = select(delivery.c.id).where(
        delivery.c.account_id == account_id, delivery.c.state == "skipped", delivery.c.reason == DRY_RUN
    )
    return list(connection.execute(wanted.order_by(delivery.c.id)).scalars())


def last_webhooks(connection: Connection) -> dict[str, str | None]:
    """When each source last sent anything."""
    wanted = select(webhook.c.source, func.max(webhook.c.received_at)).group_by(webhook.c.source)
    return {source: stamp(moment) for source, moment in connection.execute(wanted)}


# --- silence, and senders that behave oddly


def silent(connection: Connection, now: datetime, days: int) -> list[dict[str, Any]]:
    """The servers that used to send and have sent nothing for so many days; never for 0.

    Off until a server has been known for a week, so that one that is tried out alarms nobody.
    """
    if days <= 0:
        return []
    first, last = func.min(identity.c.first_seen), func.max(identity.c.last_seen)
    wanted = (
        select(
            identity.c.source,
            identity.c.server,
            func.max(identity.c.server_name).label("server_name"),
            last.label("last"),
        )
        .where(identity.c.last_seen.is_not(None), identity.c.source.not_in(HERE))
        .group_by(identity.c.source, identity.c.server)
        .having(and_(first <= now - KNOWN, last < now - timedelta(days=days)))
        .order_by(last, identity.c.source, identity.c.server)
    )
    rows: Sequence[Any] = connection.execute(wanted).all()
    if not rows:
        return []
    heard, retired = heard_otherwise(connection, now - timedelta(days=days)), dismissed(connection)
    return [
        one_silent(row, now)
        for row in rows
        if (row.source, row.server) not in heard
        and retired.get(silence(row.source, row.server)) != stamp(row.last)
    ]


SILENCE = "silence."


def silence(source: str, server: str) -> str:
    """The name of the note that a server's silence is no news; short, whatever the server is called."""
    return SILENCE + hashlib.sha256(f"{source}:{server}".encode()).hexdigest()[:32]


def dismissed(connection: Connection) -> dict[str, str]:
    """Up to when the servers had been heard of which the silence was dismissed, by the name of the note."""
    wanted = select(note.c.name, note.c.value).where(note.c.name.startswith(SILENCE, autoescape=True))
    return {row.name: row.value for row in connection.execute(wanted)}


def dismiss_silence(connection: Connection, source: str, server: str) -> bool:
    """Take a server off the list of those that fell silent until it is heard again; whether it is known."""
    here = (identity.c.source == source, identity.c.server == server)
    last = connection.execute(select(func.max(identity.c.last_seen)).where(*here)).scalar()
    if last is None:
        return False
    name = silence(source, server)
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note), {"name": name, "value": stamp(last)})
    return True


def heard_otherwise(connection: Connection, since: datetime) -> set[tuple[str, str]]:
    """The servers that sent through a person's own address, where nobody's identity is looked at."""
    newest = connection.execute(select(func.max(webhook.c.id))).scalar() or 0
    wanted = select(webhook.c.source, webhook.c.events).where(
        webhook.c.id > newest - RECENT * 10,
        webhook.c.received_at >= since,
        webhook.c.identity_id.is_(None),
        webhook.c.events.is_not(None),
    )
    rows = connection.execute(wanted)
    return {(row.source, str(event.get("server") or "")[:200]) for row in rows for event in row.events}


def one_silent(row: Row[Any], now: datetime) -> dict[str, Any]:
    named = row.server_name or row.server
    server = f"{row.source} server {named}" if named else row.source
    return {
        "source": row.source,
        "server": row.server or None,
        "server_name": row.server_name,
        "last_seen": stamp(row.last),
        "days": (now - row.last).days,
        "says": f"No webhook from {server} since {row.last:%Y-%m-%d %H:%M} UTC.",
    }


def repeating(connection: Connection) -> list[dict[str, Any]]:
    """The sources that sent the very same body again within seconds, among their last webhooks."""
    found = []
    for source in connection.execute(
        select(webhook.c.source).distinct().order_by(webhook.c.source)
    ).scalars():
        times: dict[bytes, list[datetime]] = {}
        for row in recent(connection, source, webhook.c.raw, webhook.c.received_at):
            if row.raw is not None:
                times.setdefault(hashlib.sha256(row.raw).digest(), []).append(row.received_at)
        again = sum(within(sorted(moments), AT_ONCE) for moments in times.values())
        if again:
            found.append({"source": source, "repeats": again})
    return found


def within(moments: Sequence[datetime], span: timedelta) -> int:
    """How often one came so soon after the one before."""
    return sum(later - earlier <= span for earlier, later in pairwise(moments))


def clocks_off(connection: Connection) -> list[dict[str, Any]]:
    """The servers of which the payload's own time is minutes away from ours. Plex says no time of its own."""
    apart: dict[tuple[str, str, str | None], list[float]] = {}
    for source in DATED:
        for row in recent(connection, source, webhook.c.events, webhook.c.received_at):
            for event in row.events or []:
                if event.get("action") in PLAYING and event.get("at"):
                    key = (source, event.get("server") or "", event.get("server_name"))
                    moment = datetime.fromisoformat(event["at"])
                    apart.setdefault(key, []).append((moment - row.received_at).total_seconds())
    return [
        {"source": source, "server": server or None, "server_name": name, "seconds": round(median(seconds))}
        for (source, server, name), seconds in apart.items()
        if len(seconds) >= FEW and abs(median(seconds)) > OFF.total_seconds()
    ]


def recent(connection: Connection, source: str, *columns: Any) -> Sequence[Row[Any]]:
    wanted = select(*columns).where(webhook.c.source == source).order_by(webhook.c.id.desc())
    return connection.execute(wanted.limit(RECENT)).all()


# --- a dry run


def rehearsed(
    database: Database, interpret: Callable[[Connection, Row[Any]], Any], webhook_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """What interpreting these webhooks again would come to: really done, looked at, and taken back."""
    told = []
    for start in range(0, len(webhook_ids), REHEARSED):
        part = webhook_ids[start : start + REHEARSED]
        with unavailable(), database.engine.connect() as connection, taken_back(connection):
            rows = connection.execute(
                select(webhook)
                .where(webhook.c.id.in_(part), webhook.c.raw.is_not(None))
                .order_by(webhook.c.id)
            ).all()
            told += [rehearsed_one(connection, interpret, row) for row in rows]
    return told


@contextmanager
def taken_back(connection: Connection) -> Iterator[None]:
    transaction = connection.begin()
    try:
        yield
    finally:
        transaction.rollback()


def rehearsed_one(
    connection: Connection, interpret: Callable[[Connection, Row[Any]], Any], row: Row[Any]
) -> dict[str, Any]:
    began = clock.now()
    last = connection.execute(select(func.max(delivery.c.id))).scalar() or 0
    touched = or_(
        delivery.c.id > last,
        delivery.c.created_at >= began,
        and_(delivery.c.state == "superseded", delivery.c.settled_at >= began),
    )
    before = {one.id: (one.state, one.reason) for one in connection.execute(select(delivery).where(touched))}
    verdict = interpret(connection, row)
    after = connection.execute(joined().where(touched).order_by(delivery.c.id)).all()
    changed = [one for one in after if before.get(one.id) != (one.state, one.reason)]
    return {
        "webhook": row.id,
        "state": verdict.state,
        "reason": verdict.reason,
        # A new one has no number yet: the one it had here goes to another.
        "deliveries": [{**one_delivery(one), "id": one.id if one.id <= last else None} for one in changed],
    }
