"""The VideoScrobbler API at /api/1.0/ and /api/auth, over a person's own history and library.

Its conventions are Last.fm's: https://www.last.fm/api/intro
"""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from webhook.compat.videoscrobbler.apps_page import AppsPage
from webhook.compat.videoscrobbler.authorize_page import AuthorizePage
from webhook.compat.videoscrobbler.endpoint import ApiEndpoint
from webhook.compat.videoscrobbler.methods import Methods, Tokens
from webhook.service import Service
from webhook.web.http import errors
from webhook.web.http.sessions import Sessions

VERBS = [
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
]  # the endpoint answers 405 itself


def videoscrobbler_routes(service: Service) -> list[BaseRoute]:
    sessions = Sessions(service)
    tokens = Tokens(service.seal.signing)
    desk = ApiEndpoint(service, Methods(service, tokens).table())
    page = AuthorizePage(service, sessions, tokens)
    pages = [*page.routes(), *AppsPage(service, sessions).routes()]
    inside = errors.web(pages, page.error)
    return [
        Route("/api/1.0", desk.endpoint, methods=VERBS),
        Route("/api/1.0/{rest:path}", desk.endpoint, methods=VERBS),
        *(
            Route(path, inside)
            for path in dict.fromkeys(route.path for route in pages if isinstance(route, Route))
        ),
    ]
