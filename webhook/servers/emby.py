"""Emby: https://dev.emby.media/reference/RestAPI.html

It is listened to by its sessions, and knows the latest play of each item only (see `_mediabrowser`).
"""

from __future__ import annotations

from typing import ClassVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.servers._http import Address, ServerAddress
from webhook.servers._mediabrowser import MediaBrowser

LABEL = "Emby"
PURPOSE = "Tells Watchmark what is played, without webhooks and without Emby Premiere, and what was missed."
SETUP: tuple[str, ...] = (
    "Find the address of your Emby as this machine reaches it, such as http://192.168.1.10:8096",
    "In Emby's dashboard under Advanced, API Keys, make a new key.",
    "Copy both into their fields, and save. The server is asked before they are kept.",
    "That is all: no webhook is needed. If you have set one up as well, each viewing still counts once.",
)


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: Address = Field(description="Address of your Emby, e.g. http://192.168.1.10:8096")
    api_key: SecretStr = Field(description="API key, from Emby's dashboard, Advanced, API Keys")


def build(settings: Settings, http: httpx.AsyncClient) -> Emby:
    mend = "Make a new key in Emby's dashboard under Advanced, API Keys, and set it there."
    address = ServerAddress(label=LABEL, name="emby", url=settings.url, key="EMBY_API_KEY", mend=mend)
    key = settings.api_key.get_secret_value()
    return Emby(http, address, key, {"X-Emby-Token": key})


class Emby(MediaBrowser):
    name: ClassVar[str] = "emby"
    label: ClassVar[str] = LABEL
    fields: ClassVar[str] = "ProviderIds,ProductionYear,UserDataLastPlayedDate,UserDataPlayCount"
    socket_at: ClassVar[tuple[str, str]] = ("/embywebsocket", "api_key")

    def items_of(self, user_id: str) -> tuple[str, dict[str, str]]:
        return f"/Users/{user_id}/Items", {}
