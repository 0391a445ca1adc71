"""The APIs of other services, as Watchmark speaks them itself: each over the person's own history and library."""

from __future__ import annotations

from starlette.routing import BaseRoute

from webhook.compat import tvtime, videoscrobbler
from webhook.service import Service


def compat_routes(service: Service) -> list[BaseRoute]:
    return [*videoscrobbler.videoscrobbler_routes(service), *tvtime.tvtime_routes(service)]
