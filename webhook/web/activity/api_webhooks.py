"""API of the inbox: webhooks and their traces, replays, and the addresses to send to."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import PlainTextResponse, Response

from webhook.people.scopes import Scope
from webhook.queries.paging import Page
from webhook.queries.rehearsal import rehearse_webhooks
from webhook.queries.webhook_filter import WebhookFilter
from webhook.queries.webhooks import RedactedWebhookJson, WebhookJson, WebhookTraceJson
from webhook.web import actions, visible
from webhook.web.activity.models import (
    Replayed,
    ReplayedCount,
    ReplayFilter,
    ReplayQuery,
    WebhookFields,
    WebhookQuery,
)
from webhook.web.http.addresses import Url, address_of, addresses, template_for
from webhook.web.http.api import found_or, list_of
from webhook.web.http.errors import Problem
from webhook.web.http.operations import PUBLIC, Call, Operation


async def list_webhooks(call: Call[None, WebhookQuery]) -> Page[WebhookJson]:
    """Webhooks, newest first; with a filter that few match, a page may hold few or none and still have a next one."""
    query = call.query
    return await call.read(
        lambda connection: visible.webhooks(
            connection, call.visitor, limit=query.limit, after=query.after, wanted=query.filter
        )
    )


async def get_webhook(call: Call[None, Any]) -> WebhookTraceJson:
    """One webhook with its whole trace."""
    wanted = call.id
    found = await call.read(lambda connection: visible.one_webhook(connection, call.visitor, wanted))
    return found_or(found, f"Webhook {wanted} was not found.")


async def replay(call: Call[None, ReplayQuery]) -> Replayed:
    """Interpret a webhook again; with `dry_run` only return the result (`would`)."""
    wanted = call.id
    if call.query.dry_run:
        return await rehearse(call, wanted)
    replayed = await call.write(lambda connection: actions.replay(connection, call.visitor, wanted))
    call.service.interpreter.news.set()
    return {"replayed": replayed, "webhook": await get_webhook(call)}


async def rehearse(call: Call[None, ReplayQuery], wanted: int) -> Replayed:
    """The result of a replay, without changing anything."""
    entry = await get_webhook(call)
    if entry["raw"] is None:
        raise Problem(409, "Its raw body was pruned after RETENTION_DAYS, so it can't be replayed.")
    interpret, only = call.service.interpreter.interpret_row, call.visitor.restricted_to
    found = await asyncio.to_thread(rehearse_webhooks, call.service.database, interpret, [wanted])
    would = found[0] if found else None
    if would is not None and only is not None:
        would["deliveries"] = [one for one in would["deliveries"] if one["person"] == only]
    return {"replayed": 0, "dry_run": True, "would": would, "webhook": entry}


async def replay_many(call: Call[None, ReplayFilter]) -> ReplayedCount:
    """Interpret many webhooks again."""
    wanted = call.query.filter
    if wanted == WebhookFilter():
        names = " or ".join(WebhookFields.model_fields)
        raise Problem(400, f"{names} must say which webhooks are meant.")
    replayed = await call.write(lambda connection: actions.replay_all(connection, call.visitor, wanted))
    call.service.interpreter.news.set()
    return {"replayed": replayed}


async def get_report_copy(call: Call[None, None]) -> RedactedWebhookJson:
    """A webhook's content for a bug report, with names, tokens and addresses replaced."""
    wanted = call.id
    return await call.read(lambda connection: actions.copy_for_report(connection, call.visitor, wanted))


async def list_urls(call: Call[None, None]) -> Page[Url]:
    """The webhook addresses to paste into senders."""
    here = address_of(call.service, call.request)
    return list_of(
        await call.read(lambda connection: addresses(connection, call.service, call.visitor, here))
    )


async def get_template(call: Call[None, None]) -> Response:
    """The template to paste into the sender."""
    text = template_for(call.path("source"))
    if text is None:
        raise Problem(404, "There is no such source, or it needs no template.")
    return PlainTextResponse(text)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/webhooks", list_webhooks, Scope.READ, query=WebhookQuery),
    Operation(
        "POST", "/webhooks/replay", replay_many, Scope.HISTORY_WRITE, query=ReplayFilter, body_as_query=True
    ),
    Operation("GET", "/webhooks/{id}", get_webhook, Scope.READ),
    Operation("POST", "/webhooks/{id}/replay", replay, Scope.HISTORY_WRITE, query=ReplayQuery),
    Operation("GET", "/webhooks/{id}/redacted", get_report_copy, Scope.READ),
    Operation("GET", "/urls", list_urls, Scope.ADMIN),
    Operation("GET", "/templates/{source}", get_template, PUBLIC, reply=str, reply_media=("text/plain",)),
)
