"""The inbox and its addresses."""

from __future__ import annotations

from collections.abc import Mapping

from webhook import trackers
from webhook.domain.event import Action, Kind
from webhook.web.http.schema import (
    BY_ID,
    DECIMAL,
    DRY_RUN,
    FLAG,
    ID,
    IDS,
    ITEM,
    MAYBE,
    NUMBER,
    PERSON,
    TEXT,
    TEXTUAL,
    TIME,
    Schema,
    choice,
    in_path,
    listed,
    many,
    operation,
    paging,
    ref,
    thing,
)
from webhook.web.visible import WEBHOOK_STATES, source_names

EVENT: Mapping[str, Schema] = {
    "action": {"enum": [*Action]},
    **ITEM,
    "kind": {"enum": [*Kind, None]},
    "ids": IDS,
    "show_ids": IDS,
    "position_ms": NUMBER,
    "duration_ms": NUMBER,
    "progress": DECIMAL,
    "completed": MAYBE,
    "rating": DECIMAL,
    "at": TIME,
    "user": TEXT,
    "server": TEXT,
    "player": TEXT,
    "library": TEXT,
    "person": TEXT,
    "play": NUMBER,
    "deliveries": many(ref("Delivery")),
}
WEBHOOK: Mapping[str, Schema] = {
    "id": ID,
    "source": TEXTUAL,
    "state": {"enum": [*WEBHOOK_STATES]},
    "reason": TEXT,
    "explanation": TEXT,
    "received_at": TIME,
    "interpreted_at": TIME,
    "content_type": TEXT,
    "events": many(ref("Event")),
}


def schemas() -> dict[str, Schema]:
    return {
        "Event": {"allOf": [thing(**EVENT), {"properties": {"how": TEXT, "stopped": TEXT}}]},
        "Webhook": thing(**WEBHOOK),
        "WebhookTrace": thing(**WEBHOOK, raw=TEXT),
        "Rehearsal": thing(
            webhook=ID,
            state={"enum": [*WEBHOOK_STATES]},
            reason=TEXT,
            deliveries=many({"type": "object"}),
        ),
        "Url": thing(
            source=TEXTUAL,
            label=TEXTUAL,
            token=ID,
            token_name=TEXT,
            url=TEXTUAL,
            steps=many(TEXTUAL),
            template=TEXT,
        ),
    }


def paths() -> dict[str, dict[str, Schema]]:
    state, source = choice("state", [*WEBHOOK_STATES]), choice("source", source_names())
    tracker = choice("tracker", [*trackers.modules()])
    text: Schema = {"name": "text", "in": "query", "schema": {"type": "string", "maxLength": 200}}
    webhooks = [state, source, PERSON, tracker, {**text, "description": "Looked for in titles."}]
    number: Schema = {"type": "integer"}
    replayed = thing(replayed=number, webhook=ref("WebhookTrace"))
    replayed["properties"] |= {"dry_run": FLAG, "would": ref("Rehearsal")}
    of_template = [in_path("source", TEXTUAL)]
    return {
        "/webhooks": {
            "get": operation(
                "The inbox, newest first; of what is rare a page may hold few or none and still have a next one",
                listed(ref("Webhook")),
                [*webhooks, *paging()],
            )
        },
        "/webhooks/{id}": {"get": operation("One webhook with its whole trace", ref("WebhookTrace"), BY_ID)},
        "/webhooks/{id}/replay": {
            "post": operation(
                "Interpret it again; with dry_run only say what would come of it (`would`)",
                replayed,
                [*BY_ID, DRY_RUN],
            )
        },
        "/webhooks/replay": {"post": operation("Interpret many again", thing(replayed=number), webhooks)},
        "/webhooks/{id}/redacted": {
            "get": operation(
                "What a webhook said, for a bug report: names, tokens and addresses are replaced",
                thing(webhook=ID, source=TEXTUAL, content_type=TEXT, payload={}),
                BY_ID,
            )
        },
        "/urls": {"get": operation("The webhook addresses to paste", listed(ref("Url")))},
        "/templates/{source}": {
            "get": operation(
                "What is pasted into the sender",
                TEXTUAL,
                of_template,
                kind="text/plain",
            )
        },
    }
