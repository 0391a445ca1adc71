"""The APIs of other services, as Watchmark speaks them itself: each over the person's own history and library."""

from __future__ import annotations

from starlette.routing import BaseRoute

from webhook.compat import tvtime, videoscrobbler
from webhook.service import Service


def routes(service: Service) -> list[BaseRoute]:
    return [*videoscrobbler.routes(service), *tvtime.routes(service)]
