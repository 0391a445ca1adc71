"""The JSON API: the operations of every feature, in one table."""

from __future__ import annotations

from typing import Any

from webhook.web.activity import api_deliveries, api_webhooks
from webhook.web.connections import api as connections
from webhook.web.docs import api as docs
from webhook.web.history import api as history
from webhook.web.history import api_films, api_moves, api_watchlist
from webhook.web.http.operations import Operation
from webhook.web.needs_you import api as needs_you
from webhook.web.now import api as now
from webhook.web.people import api as people
from webhook.web.settings import api as settings
from webhook.web.transfer import api as transfer

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    *now.OPERATIONS,
    *api_webhooks.OPERATIONS,
    *api_deliveries.OPERATIONS,
    *needs_you.OPERATIONS,
    *api_films.OPERATIONS,
    *api_moves.OPERATIONS,
    *api_watchlist.OPERATIONS,
    *history.OPERATIONS,
    *transfer.OPERATIONS,
    *people.OPERATIONS,
    *connections.OPERATIONS,
    *settings.OPERATIONS,
    *docs.OPERATIONS,
)
"""All operations except those of the compatibility APIs, which `webhook.compat` adds."""
