"""Plex: https://support.plex.tv/articles/115002267687-webhooks/

The payload is `PlexPayload` in `_plexlike`, which other senders imitate.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from webhook.domain import values
from webhook.domain.event import Event, Ignored, Unreadable
from webhook.sources import _plexlike
from webhook.sources._shared import PLEX_ACTIONS

DUPLICATE = "playback.started"  # comes beside media.play


def parse(payload: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    event = values.text(payload.get("event"))
    if event is None:
        raise Unreadable(
            'This is not a Plex webhook: it has no "event". Is the URL pasted into another program?'
        )
    action = PLEX_ACTIONS.get(event)
    if action is None:
        return Ignored("duplicate_of_play" if event == DUPLICATE else "unsupported_event")
    return _plexlike.read_events(payload, action, received_at)


LABEL = "Plex"
FIELDS = ("payload",)
FORM_IS_PAYLOAD = False
PICTURE_FIELD = "thumb"
SETUP = (
    "Webhooks need a Plex Pass on the account that owns the server.",
    "Open plex.tv, sign in as that account, then Settings, Account, Webhooks.",
    "Choose Add Webhook, paste {url} and save.",
    "On the server, under Settings, Network, tick Webhooks.",
    "Play something: it arrives here at once. The one webhook also tells of everybody who uses the server.",
    "Without a Plex Pass there are two ways: set up Tautulli, which reports in its place; or let Watchmark ask "
    "the server itself every few minutes. For that enter the server's address and token under Connections, Plex, "
    "and 5 minutes as Catch-up under Settings. In the environment or .env the same is PLEX_URL, PLEX_TOKEN and "
    "CATCH_UP_MINUTES=5.",
)
