"""The APIs of other services, served by Watchmark over each person's own history and library."""

from __future__ import annotations

from starlette.routing import BaseRoute

from webhook.compat import tvtime, videoscrobbler
from webhook.compat.videoscrobbler import apps_api
from webhook.service import Service

OPERATIONS = apps_api.OPERATIONS
"""The operations that compatible APIs add to the JSON API of `webhook.web`."""


def compat_routes(service: Service) -> list[BaseRoute]:
    return [*videoscrobbler.videoscrobbler_routes(service), *tvtime.tvtime_routes(service)]
