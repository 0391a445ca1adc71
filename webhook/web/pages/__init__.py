"""The pages: drawn here on the server, complete without scripts. One file is one group of pages."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount

from webhook.service import Service
from webhook.web.drawing import STATIC
from webhook.web.pages._static import Kept
from webhook.web.pages.activity import Activity
from webhook.web.pages.add_play import AddPlay
from webhook.web.pages.connections import Connections
from webhook.web.pages.docs import Docs
from webhook.web.pages.entrance import Entrance
from webhook.web.pages.history import History
from webhook.web.pages.needs_you import NeedsYou
from webhook.web.pages.now import Now
from webhook.web.pages.people import People
from webhook.web.pages.posters import Posters
from webhook.web.pages.settings import Settings
from webhook.web.pages.setup import Setup
from webhook.web.pages.shows import Shows
from webhook.web.pages.transfer import Transfer
from webhook.web.pages.wizard import Wizard
from webhook.web.sign_in import Sessions

GROUPS = (
    Now,
    Posters,
    Activity,
    NeedsYou,
    History,
    AddPlay,
    Shows,
    Transfer,
    Connections,
    Setup,
    Wizard,
    People,
    Settings,
    Docs,
)


def routes(service: Service, sessions: Sessions, entrance: Entrance) -> list[BaseRoute]:
    groups = [group(service, sessions) for group in GROUPS]
    return [
        *(route for group in groups for route in group.routes()),
        *entrance.routes(),
        Mount("/static", Kept(directory=STATIC)),
    ]
