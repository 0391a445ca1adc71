"""Origins: where each id of an item came from, and how sure it is."""

from __future__ import annotations

from sqlalchemy import Connection, select

from webhook.domain.event import Episode, Ids, Item, item_from_json
from webhook.identity import matches
from webhook.identity.resolutions import item_keys
from webhook.queries.webhooks import OriginJson, WebhookTraceJson
from webhook.storage.tables import item_id, item_key


def with_origins(connection: Connection, webhook: WebhookTraceJson) -> WebhookTraceJson:
    """The trace with each event's ids, where they came from, and how sure they are."""
    for event in webhook["events"]:
        event["item"] = find_origins(connection, item_from_json(event)) if event["kind"] else []
    return webhook


def find_origins(connection: Connection, item: Item) -> list[OriginJson]:
    """Every id of an item and of its show, where it came from, and how sure it is."""
    said = {"own": item.ids, "show": item.show_ids if isinstance(item, Episode) else Ids()}
    found = [
        origin(whose, name, value, "webhook", 1.0)
        for whose, ids in said.items()
        for name, value in ids.by_namespace().items()
    ]
    seen = {(entry["whose"], entry["namespace"]) for entry in found}
    chosen_item = matches.apply_choices(item, matches.all_choices(connection))
    if chosen_item != item:
        news = {
            "own": chosen_item.ids,
            "show": chosen_item.show_ids if isinstance(chosen_item, Episode) else Ids(),
        }
        chosen_ids = [(whose, *pair) for whose, ids in news.items() for pair in ids.by_namespace().items()]
        found += [
            origin(whose, name, value, "chosen by a person", 1.0)
            for whose, name, value in chosen_ids
            if said[whose].by_namespace().get(name) != value
        ]
    under = item_keys(item)
    known = (
        connection.execute(select(item_key.c.item_id).where(item_key.c.key.in_(under))).scalars().first()
        if under
        else None
    )
    for row in (
        connection.execute(select(item_id).where(item_id.c.item_id == known)) if known is not None else ()
    ):
        if (row.whose, row.namespace) not in seen:
            found.append(origin(row.whose, row.namespace, row.value, row.via, row.sure))
    return found


def origin(whose: str, namespace: str, value: int | str, via: str, sure: float) -> OriginJson:
    """An id with its origin."""
    return {"whose": whose, "namespace": namespace, "value": value, "via": via, "sure": sure}
