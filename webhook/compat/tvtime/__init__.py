"""TV Time's APIs over a person's own history and library: the REST API and the protocol of the app.

Both follow the service and its clients as of July 2026: `GET /tvtime/shows` and the rest of the REST API
follow https://github.com/Kwbmm/scraped-tvtime-api, `/tvtime/sidecar` follows
https://github.com/Zggis/plex-tvtime. A person who is signed in to the server of TVTIME_URL reads that server
through the REST API.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route

from webhook.compat.tvtime import rest
from webhook.compat.tvtime.auth import TVTimeAuth
from webhook.compat.tvtime.catalog import Catalogue
from webhook.compat.tvtime.marks import Marks
from webhook.compat.tvtime.remote_backend import Backends
from webhook.compat.tvtime.rest import Rest
from webhook.compat.tvtime.sidecar import Sidecar
from webhook.service import Service


def tvtime_routes(service: Service) -> list[BaseRoute]:
    door, catalogue, marks = TVTimeAuth(service), Catalogue(service), Marks(service)
    homes = Backends(service, catalogue, marks)
    inside = [*Sidecar(door, catalogue, marks).routes(), *Rest(service, door, homes).routes()]
    return [Route(rest.BASE_PATH, rest.without_last_slash), Mount(rest.BASE_PATH, rest.application(inside))]
