"""Every route of the web but those of webhooks and health: the JSON API and the pages, each by its feature."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from webhook.service import Service
from webhook.web.activity.pages import Activity
from webhook.web.connections.pages import Connections
from webhook.web.docs import schemas
from webhook.web.docs.pages import Docs
from webhook.web.history.pages import History
from webhook.web.history.pages_add import AddPlay
from webhook.web.history.pages_film import FilmPage
from webhook.web.history.pages_library import Library
from webhook.web.history.pages_move import Moves
from webhook.web.history.pages_numbers import Numbers
from webhook.web.history.pages_select import Selection
from webhook.web.history.pages_watchlist import WatchlistPages
from webhook.web.http import errors
from webhook.web.http.api import ApiAuth
from webhook.web.http.live import Live
from webhook.web.http.operations import Api, Operation
from webhook.web.http.pictures import PictureFiles
from webhook.web.http.sessions import Passwords, Sessions
from webhook.web.http.static import static_routes
from webhook.web.needs_you.pages import NeedsYou
from webhook.web.now.pages import Now
from webhook.web.people.pages import People
from webhook.web.people.passkeys import PasskeyPages
from webhook.web.people.second_factor import SecondFactorPages
from webhook.web.settings.appearance import Appearance
from webhook.web.settings.pages import Settings
from webhook.web.setup.oidc_pages import OidcPages
from webhook.web.setup.pages import Setup
from webhook.web.setup.passkey_sign_in import PasskeySignIn
from webhook.web.setup.sign_in import SignInPages
from webhook.web.setup.start import Start
from webhook.web.transfer.pages import Transfer

PAGES = (
    Now,
    Activity,
    NeedsYou,
    History,
    AddPlay,
    FilmPage,
    WatchlistPages,
    Library,
    Numbers,
    Selection,
    Moves,
    Transfer,
    Connections,
    Setup,
    Start,
    SecondFactorPages,
    PasskeyPages,
    People,
    Settings,
    Appearance,
)


def routes(service: Service, operations: Sequence[Operation[Any, Any]]) -> list[BaseRoute]:
    """All routes except those of webhooks and health, with these operations; matches every path, so it comes last."""
    passwords = Passwords()
    sessions = Sessions(service)
    gate, entrance = ApiAuth(service.database, sessions), SignInPages(service, sessions, passwords)
    provider = OidcPages(service, sessions, entrance)
    inside = [
        *schemas.routes(),
        *Api(service, gate, operations).routes(),
        *Live(service, sessions).routes(),
        *PictureFiles(service, sessions).routes(),
        *page_routes(service, sessions),
        *Docs(service, sessions, operations).routes(),
        *entrance.routes(),
        *provider.routes(),
        *PasskeySignIn(service, sessions, entrance).routes(),
        *static_routes(),
    ]
    if root := service.settings.root_path.rstrip("/"):
        inside.append(Route(root, to_root(root)))
    return [Mount("", errors.web(inside, entrance.error))]


def to_root(root: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return RedirectResponse(f"{root}/")

    return endpoint


def page_routes(service: Service, sessions: Sessions) -> list[BaseRoute]:
    return [route for group in PAGES for route in group(service, sessions).routes()]
