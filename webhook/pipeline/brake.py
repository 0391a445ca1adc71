"""The brake: marks by hand that a media server reports in a flood are held, whoever it is that sets them there.

An echo of ours, what a filter stops, and what was acted on before are no part of it; nor is what Watchmark itself or
an app of the person reports.
"""

from __future__ import annotations

from webhook.domain.event import Action, Event
from webhook.domain.items import play_keys
from webhook.domain.rules import Filters, stopping_filter
from webhook.history import seasons
from webhook.pipeline.echoes import find_echo
from webhook.pipeline.planning import Context
from webhook.queues import hand_marks
from webhook.queues.hand_marks import MAX_PER_MINUTE, HandMark
from webhook.queues.inbox import event_origin
from webhook.storage.tables import PersonRow, WebhookRow

MAX_SERVER, MAX_SUBJECT = 200, 300


def find_hold(context: Context, row: WebhookRow, event: Event, owner: PersonRow) -> str | None:
    """The reason why a mark is held, or was ignored by its person; None for everything else."""
    if not is_hand_mark(event) or event_origin(row.content_type) or was_acted_on(row):
        return None
    if stopping_filter(Filters.from_json(owner.filters), event) or find_echo(context, event) is not None:
        return None
    return hand_marks.judge(context.connection, mark_of(row, event, owner.id), context.now)


def is_hand_mark(event: Event) -> bool:
    """True for what a person does by hand on a server, or a program in their name."""
    if event.action not in MAX_PER_MINUTE or event.recorded:
        return False
    return event.manual or event.action is not Action.WATCHED


def was_acted_on(row: WebhookRow) -> bool:
    """True for a webhook that is read again, whose marks were neither stopped nor waiting for a claim."""
    return any(entry.get("person") and not entry.get("stopped") for entry in row.events or [])


def mark_of(row: WebhookRow, event: Event, person_id: int) -> HandMark:
    server = (event.server or row.source)[:MAX_SERVER]
    key = event.item_key or play_keys(event.item)[0]
    of_show = event.show_key or (event.item_key if seasons.is_whole(event) else None)
    whole = f"whole:{of_show}"[:MAX_SUBJECT] if of_show else None
    return HandMark(
        webhook_id=row.id,
        person_id=person_id,
        source=row.source,
        server=server,
        server_name=None if event.server_name is None else event.server_name[:MAX_SERVER],
        action=event.action,
        subject=whole if whole and seasons.is_whole(event) else key[:MAX_SUBJECT],
        whole=whole,
        at=event.at,
        together=event.together,
    )
