"""Plex: https://support.plex.tv/articles/115002267687-webhooks/

The payload is `PlexPayload` in `_plexlike`, which other senders imitate. What the server says while it is listened
to is read as the webhook that it would have sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from webhook.domain import values
from webhook.domain.event import Event, Ignored, Unreadable
from webhook.sources import _plexlike
from webhook.sources._listened import Statement, read_statement
from webhook.sources._shared import PLEX_ACTIONS

DUPLICATE = "playback.started"  # comes beside media.play


def parse(payload: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    if (statement := read_statement(payload, received_at)) is not None:
        return events_of(statement)
    event = values.text(payload.get("event"))
    if event is None:
        raise Unreadable(
            'This is not a Plex webhook: it has no "event". Is the URL pasted into another program?'
        )
    action = PLEX_ACTIONS.get(event)
    if action is None:
        return Ignored("duplicate_of_play" if event == DUPLICATE else "unsupported_event")
    return _plexlike.read_events(payload, action, received_at)


def events_of(statement: Statement) -> list[Event] | Ignored:
    """The events of a statement: its session says who and where, its item what and how long."""
    said = statement.said
    session, player = values.mapping(said.get("session")), values.mapping(said.get("player"))
    as_sent = {
        "Account": values.mapping(said.get("user")),
        "Server": values.mapping(said.get("server")),
        "Player": {"uuid": player.get("machineIdentifier"), "title": player.get("title")},
        "Metadata": {**session, **values.mapping(said.get("item")), "viewOffset": statement.position_ms},
    }
    events = _plexlike.read_events(as_sent, statement.action, statement.at)
    if isinstance(events, Ignored):
        return events
    return [
        replace(event, at=statement.at, manual=statement.manual, together=statement.together)
        for event in events
    ]


LABEL = "Plex"
FIELDS = ("payload",)
FORM_IS_PAYLOAD = False
PICTURE_FIELD = "thumb"
SETUP = (
    "Without a Plex Pass no webhook is needed: enter the server's address and token under Settings, Connections, "
    "Plex. In the environment or .env these are PLEX_URL and PLEX_TOKEN.",
    "Webhooks need a Plex Pass on the account that owns the server.",
    "Open plex.tv, sign in as that account, then Settings, Account, Webhooks.",
    "Choose Add Webhook, paste {url} and save.",
    "On the server, under Settings, Network, tick Webhooks.",
    "Play something: it arrives here at once. This one webhook also reports everyone else who uses the server.",
)
