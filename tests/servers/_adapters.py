"""Each server module with its fake, and how a viewing is put into that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any

from tests.fakes._server import Fake
from tests.fakes.emby_server import EmbyServer
from tests.fakes.jellyfin_server import JellyfinServer
from tests.fakes.plex_server import PlexServer
from tests.fakes.tautulli_server import TautulliServer
from webhook.servers import emby, jellyfin, plex, tautulli

Put = Callable[[Any, str, int, datetime], None]


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """`put` makes a user (Nora or Ben) watch film number n; `history` is where the record is asked for."""

    module: ModuleType
    fake: Callable[[], Fake]
    put: Put
    key: str
    field: str
    history: str
    named: str

    def settings(self, url: str, key: str | None = None) -> dict[str, str]:
        switches = self.fake().switches
        right: str = getattr(switches, "token", None) or switches.key
        return {"url": url, self.field: right if key is None else key}


def put_plex(fake: PlexServer, user: str, number: int, at: datetime) -> None:
    account = {"Nora": 1, "Ben": 70011223}[user]
    fake.accounts[account] = user
    film = {
        "ratingKey": str(number), "type": "movie", "title": f"Film {number}", "year": 2001,
        "guid": f"plex://movie/{number:024x}", "Guid": [{"id": f"tmdb://{number}"}], "librarySectionID": 1,
    }  # fmt: skip
    fake.view(film, at, account=account)


def put_mediabrowser(fake: JellyfinServer | EmbyServer, user: str, number: int, at: datetime) -> None:
    dto = {
        "Id": f"{number:032x}", "Type": "Movie", "Name": f"Film {number}", "ProductionYear": 2001,
        "ProviderIds": {"Tmdb": str(number)}, "RunTimeTicks": 60_000_000_000,
    }  # fmt: skip
    fake.play({"Nora": "d1" * 16, "Ben": "d2" * 16}[user], user, dto, at)


def put_tautulli(fake: TautulliServer, user: str, number: int, at: datetime) -> None:
    film = {"media_type": "movie", "title": f"Film {number}", "year": 2001, "rating_key": number}
    fake.items[str(number)] = {"guids": [f"tmdb://{number}"], "duration": "6000000", "library_name": "Films"}
    row = {
        **film,
        "guid": f"plex://movie/{number:024x}",
        "user": user,
        "user_id": {"Nora": 1, "Ben": 70011223}[user],
    }
    fake.sit(row, at)


ADAPTERS = {
    "plex": Adapter(
        module=plex, fake=PlexServer, put=put_plex, key="PLEX_TOKEN", field="token",
        history="GET /status/sessions", named="Attic",
    ),
    "jellyfin": Adapter(
        module=jellyfin, fake=JellyfinServer, put=put_mediabrowser, key="JELLYFIN_API_KEY", field="api_key",
        history="GET /Items", named="Cellar",
    ),
    "emby": Adapter(
        module=emby, fake=EmbyServer, put=put_mediabrowser, key="EMBY_API_KEY", field="api_key",
        history="GET /Users/", named="Loft",
    ),
    "tautulli": Adapter(
        module=tautulli, fake=TautulliServer, put=put_tautulli, key="TAUTULLI_API_KEY", field="api_key",
        history="GET /api", named="Attic",
    ),
}  # fmt: skip
