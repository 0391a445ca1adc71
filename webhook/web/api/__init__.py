"""The JSON API under /api/v1: everything the pages show and do, for scripts. One file is one group of routes."""

from __future__ import annotations

from starlette.routing import BaseRoute

from webhook.service import Service
from webhook.web.api import schemas
from webhook.web.api._answers import Answers as Answers
from webhook.web.api._answers import Gate as Gate
from webhook.web.api._answers import as_json as as_json
from webhook.web.api._answers import choice_given as choice_given
from webhook.web.api._answers import owner_only as owner_only
from webhook.web.api.connections import Connections
from webhook.web.api.deliveries import Deliveries
from webhook.web.api.history import History
from webhook.web.api.needs import Needs
from webhook.web.api.people import People
from webhook.web.api.settings import Settings
from webhook.web.api.transfer import Transfer
from webhook.web.api.webhooks import Webhooks

GROUPS: tuple[type[Answers], ...] = (
    Webhooks,
    Deliveries,
    Needs,
    History,
    Transfer,
    People,
    Connections,
    Settings,
)


def routes(service: Service, gate: Gate) -> list[BaseRoute]:
    found = [route for group in GROUPS for route in group(service, gate).routes()]
    return [*schemas.routes(), *found]
