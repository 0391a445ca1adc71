"""The command trace."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from webhook.cli import import_lean
from webhook.cli._common import (
    Failed,
    Json,
    count_of,
    say,
)
from webhook.domain.event import REASONS
from webhook.domain.rules import LIVE_ACTIONS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from webhook.domain.json_shapes import ExchangeJson
    from webhook.queries.deliveries import DeliveryJson
    from webhook.queries.webhooks import OriginJson, WebhookEventJson, WebhookTraceJson
    from webhook.storage.json_fields import ItemFields

app = typer.Typer()


@app.command("trace")
def trace_command(
    number: Annotated[int, typer.Argument(metavar="ID", help="ID of a webhook.")],
    redacted: Annotated[
        bool, typer.Option("--redacted", help="Print a redacted copy for a bug report.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show why a webhook was or was not sent on, from its receipt to every answer."""
    if redacted:
        report(number, as_json)
        return
    with import_lean():
        from webhook.cli._desk import open_desk

    with open_desk() as at:
        found = at.database.ask(lambda connection: whole_trace(connection, number))
        if found is None:
            raise Failed(f"Webhook {number} was not found.")
        plays = [play for event in found["events"] if (play := event["play"])]
        senders = at.database.ask(lambda connection: find_senders(connection, plays))
    say(as_json, found, *story(found, senders))


def report(number: int, as_json: bool) -> None:
    with import_lean():
        from webhook.cli._desk import open_desk
        from webhook.queries.webhooks import NotRedacted, redact_webhook

    try:
        with open_desk() as at:
            found = at.database.ask(lambda connection: redact_webhook(connection, number))
    except NotRedacted as error:
        raise Failed(str(error)) from error
    say(as_json, found, orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


def whole_trace(connection: Connection, number: int) -> WebhookTraceJson | None:
    with import_lean():
        from webhook.identity.origins import with_origins
        from webhook.queries.webhooks import find_webhook

    found = find_webhook(connection, number)
    return None if found is None else with_origins(connection, found)


def find_senders(connection: Connection, plays: Collection[int]) -> dict[int, set[int | None]]:
    """The webhooks that deliveries of these plays come from, by play; None for those of no webhook."""
    with import_lean():
        from sqlalchemy import select

        from webhook.storage.tables import delivery

    wanted = select(delivery.c.play_id, delivery.c.webhook_id).where(delivery.c.play_id.in_(plays)).distinct()
    found: dict[int, set[int | None]] = {}
    for play, webhook in connection.execute(wanted):
        found.setdefault(play, set()).add(webhook)
    return found


def story(
    found: WebhookTraceJson, senders: Mapping[int, Collection[int | None]] = MappingProxyType({})
) -> Iterator[str]:
    """The trace in lines; `senders` has the webhooks that the deliveries of each play come from."""
    yield f"Webhook {found['id']} from {found['source']}: {found['state']}"
    yield f"  received   {found['received_at']}" + (f" as {kind}" if (kind := found["content_type"]) else "")
    if found["explanation"]:
        yield f"  because    {found['explanation']}"
    for event in found["events"]:
        play = event["play"]
        yield from event_story(event, () if play is None else senders.get(play, ()))


def event_story(event: WebhookEventJson, senders: Collection[int | None]) -> Iterator[str]:
    far = "" if event["progress"] is None else f" at {event['progress']:g} %"
    yield f"  read as    {event['action']}: {item_text(event)}{far}"
    yield f"  happened   {event['at']}" + (f" on {event['player']}" if event["player"] else "")
    yield f"  person     {event['person'] or 'nobody'}" + (f", {event['how']}" if event.get("how") else "")
    if event["person"]:
        yield f"  filters    {filter_text(event.get('stopped'))}"
    if event["play"]:
        yield f"  play       {event['play']}"
    for origin in event["item"]:
        yield f"  item       {origin_text(origin)}"
    if event["play"] and not event["deliveries"]:
        yield f"  deliveries {explain_absence(event, senders)}"
    for entry in event["deliveries"]:
        yield from delivery_story(entry)


def explain_absence(event: WebhookEventJson, senders: Collection[int | None]) -> str:
    """The webhooks that the deliveries of an event's play come from, or why there are none at all."""
    if numbers := sorted(one for one in senders if one is not None):
        return f"none of its own; those of this play come from webhook {', '.join(map(str, numbers))}"
    if senders:
        return "none of its own; those of this play come from no webhook"
    late = ", or it came too late to be shown as playing" if event["action"] in LIVE_ACTIONS else ""
    return f"none; nothing was sent for this play: no account of {event['person']} takes this{late}"


def filter_text(stopped: str | None) -> str:
    """The result of the person's filters, in words."""
    if stopped is None:
        return "passed"
    return f"stopped: {REASONS.get(stopped, stopped.removeprefix('filter: '))}"


def origin_text(origin: OriginJson) -> str:
    """An id, where it came from, how sure it is."""
    whose = "show " if origin["whose"] == "show" else ""
    sure = "" if origin["sure"] >= 1 else f", {origin['sure']:.0%} sure"
    return f"{whose}{origin['namespace']} {origin['value']} (from {origin['via']}{sure})"


def item_text(about: ItemFields | WebhookEventJson) -> str:
    """An item in words: its show and numbers, its title, its year."""
    season, number = about["season"], about["number"]
    place = f"{season}x{number:02}" if season is not None and number is not None else None
    year = f"({about['year']})" if about["year"] and not about["show"] else None
    return " ".join(str(part) for part in (about["kind"], about["show"], place, about["title"], year) if part)


def delivery_story(entry: DeliveryJson) -> Iterator[str]:
    tried = count_of(entry["attempts"], "attempt")
    whose = f"{entry['tracker']} of {entry['person']}"
    yield f"  delivery {entry['id']}: {entry['action']} to {whose}: {entry['state']}, {tried}"
    for one in entry.get("tries", ()):
        took = "" if one["took_ms"] is None else f" in {one['took_ms']} ms"
        yield f"    {one['at']}  {one['outcome']}{took}: {one['reason'] or 'no reason given'}"
        for call in one["exchanges"]:
            yield from call_story(call)
    if entry["explanation"]:
        yield f"    {entry['explanation']}"
    if entry["due_at"]:
        yield f"    next at {entry['due_at']}"


def call_story(call: ExchangeJson) -> Iterator[str]:
    if not call.get("withheld"):
        yield f"      {call['method']} {call['url']} -> {call.get('status') or call.get('error')}"
        return
    yield f"      {call['method']} {call['url']} -> not sent (dry run):"
    yield f"        {orjson.dumps(call['sent']).decode()}"
