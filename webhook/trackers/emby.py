"""Emby: https://dev.emby.media/reference/RestAPI.html

`POST /Users/{user}/Items/{item}/UserData` replaces all that is known of a person and an item, so what is there is read
first, and sent along. `DELETE /Users/{user}/PlayedItems/{item}` takes a mark back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import httpx
from pydantic import Field

from webhook.domain.event import Action
from webhook.settings import Address
from webhook.trackers import Access, Delivery, Tokens
from webhook.trackers._base import TrackerSettings
from webhook.trackers._changes import ItemState
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import child
from webhook.trackers._mediabrowser import CLIENT, MediaBrowser, marks_of, user_of

LABEL = "Emby"
PURPOSE = "Is told what you watched elsewhere, so that it is marked watched there too."
SETUP: tuple[str, ...] = (
    "The address of Emby is the one that its owner has set up here.",
    "Sign in with the name and the password that you have there. The password is not kept.",
    "Nothing is sent before you switch on what Emby is told.",
)
KEPT = ("Played", "PlayCount", "PlaybackPositionTicks", "IsFavorite", "LastPlayedDate", "Rating")
"""The fields of a person's data, all of which a call replaces."""


class Settings(TrackerSettings):
    url: Address = Field(description="Address of your Emby, e.g. http://192.168.1.10:8096")


def build(settings: Settings, http: httpx.AsyncClient) -> Emby:
    return Emby(http, settings.url)


class Emby(MediaBrowser):
    """Marks what is watched elsewhere, with its date, for one person of a server."""

    name = "emby"
    label = LABEL
    facts = Facts(Cost.SELF_HOSTED, Dates.FIRST, Rewatches.NONE, Anime.SERIES)
    fields: ClassVar[str] = "ProviderIds,ProductionYear,UserDataLastPlayedDate,UserDataPlayCount"

    def items_path(self, user_id: str) -> tuple[str, dict[str, str]]:
        return f"/Users/{user_id}/Items", {}

    async def write(self, access: Access, state: ItemState, action: Action, delivery: Delivery) -> None:
        user = f"/Users/{user_of(access)}"
        if action is Action.UNWATCHED:
            self.accept(await self.ask(access, "DELETE", f"{user}/PlayedItems/{state.key}"))
            return
        path = f"{user}/Items/{state.key}"
        there = child(await self.ask_object(access, "GET", path), "UserData")
        changed = {"Rating": None} if action is Action.UNRATE else marks_of(state, action, delivery)
        kept = {name: there[name] for name in KEPT if there.get(name) is not None}
        self.accept(await self.ask(access, "POST", f"{path}/UserData", json={**kept, **changed}))

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        signed = {"X-Emby-Token": str(tokens["token"])} if tokens.get("token") else {}
        return {"X-Emby-Authorization": CLIENT, **signed}
