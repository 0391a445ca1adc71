"""Jellyfin: https://api.jellyfin.org

| version | watched, with its date | rating, favourite |
|---|---|---|
| from 10.9 | `POST /UserItems/{item}/UserData?userId=` with the fields that change, and no others | the same |
| before | `POST /Users/{user}/PlayedItems/{item}?datePlayed=`, which needs a date | favourites only |

`DELETE /Users/{user}/PlayedItems/{item}` takes a mark back on all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

import httpx
from pydantic import Field

from webhook.domain.event import Action
from webhook.domain.outcome import Skip
from webhook.settings import Address
from webhook.trackers import Access, Delivery, Tokens
from webhook.trackers._base import TrackerSettings, require_date
from webhook.trackers._changes import ItemState
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import as_text
from webhook.trackers._mediabrowser import CLIENT, MediaBrowser, marks_of, timestamp, user_of

LABEL = "Jellyfin"
PURPOSE = "Is told what you watched elsewhere, so that it is marked watched there too."
SETUP: tuple[str, ...] = (
    "The address of Jellyfin is the one that its owner has set up here.",
    "Sign in with the name and the password that you have there. The password is not kept.",
    "Nothing is sent before you switch on what Jellyfin is told.",
)
PATCHES_SINCE = (10, 9)
"""The version from which on the fields of a mark can be set one by one."""

VERSION_INTERVAL = 600.0
"""Seconds between two looks at the server's version."""


class Settings(TrackerSettings):
    url: Address = Field(description="Address of your Jellyfin, e.g. http://192.168.1.10:8096")


def build(settings: Settings, http: httpx.AsyncClient) -> Jellyfin:
    return Jellyfin(http, settings.url)


class Jellyfin(MediaBrowser):
    """Marks what is watched elsewhere, with its date, for one person of a server."""

    name = "jellyfin"
    label = LABEL
    facts = Facts(Cost.SELF_HOSTED, Dates.FIRST, Rewatches.NONE, Anime.SERIES)
    patches = (False, 0.0)
    fields: ClassVar[str] = "ProviderIds"

    def items_path(self, user_id: str) -> tuple[str, dict[str, str]]:
        return "/Items", {"userId": user_id}

    async def write(self, access: Access, state: ItemState, action: Action, delivery: Delivery) -> None:
        user = {"userId": user_of(access)}
        old = f"/Users/{user_of(access)}"
        data = f"/UserItems/{state.key}"
        if action is Action.UNWATCHED:
            self.accept(await self.ask(access, "DELETE", f"{old}/PlayedItems/{state.key}"))
        elif await self.can_patch():
            if action is Action.UNRATE:
                self.accept(await self.ask(access, "DELETE", f"{data}/Rating", params=user))
                return
            body = marks_of(state, action, delivery)
            self.accept(await self.ask(access, "POST", f"{data}/UserData", params=user, json=body))
        elif action is Action.WATCHED:
            require_date(delivery, f"{LABEL} before 10.9")
            query = {"datePlayed": timestamp(delivery.at)}
            self.accept(await self.ask(access, "POST", f"{old}/PlayedItems/{state.key}", params=query))
        elif action in (Action.FAVOURITE, Action.UNFAVOURITE):
            method = "POST" if action is Action.FAVOURITE else "DELETE"
            self.accept(await self.ask(access, method, f"{old}/FavoriteItems/{state.key}"))
        else:
            raise Skip(f"{LABEL} before 10.9 takes no ratings and no positions")

    async def can_patch(self) -> bool:
        """True if this version, which is asked for now and then, sets the fields of a mark one by one."""
        patches, until = self.patches
        if time.monotonic() > until:
            patches = await self.read_version() >= PATCHES_SINCE
            self.patches = patches, time.monotonic() + VERSION_INTERVAL
        return patches

    async def read_version(self) -> tuple[int, ...]:
        body = self.accept_object(await self.call("GET", "/System/Info/Public"))
        parts = (as_text(body.get("Version")) or "").split(".")[:2]
        return tuple(int(part) for part in parts if part.isdigit())

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        token = f', Token="{tokens["token"]}"' if tokens.get("token") else ""
        return {"Authorization": CLIENT + token}
