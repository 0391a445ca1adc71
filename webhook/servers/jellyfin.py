"""Jellyfin: https://api.jellyfin.org

It is listened to by its sessions, and knows the latest play of each item only (see `_mediabrowser`); every play
is known to its Playback Reporting plugin, which is not asked.
"""

from __future__ import annotations

from typing import ClassVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.servers._http import Address, ServerAddress
from webhook.servers._mediabrowser import MediaBrowser

LABEL = "Jellyfin"
PURPOSE = "Tells Watchmark what is played, without webhooks and without a plugin, and what was missed."
SETUP: tuple[str, ...] = (
    "Find the address of your Jellyfin as this machine reaches it, such as http://192.168.1.10:8096",
    "In Jellyfin's dashboard under Advanced, API Keys, make a new key.",
    "Copy both into their fields, and save. The server is asked before they are kept.",
    "That is all: no webhook is needed. If you have set one up as well, each viewing still counts once.",
)


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: Address = Field(description="Address of your Jellyfin, e.g. http://192.168.1.10:8096")
    api_key: SecretStr = Field(description="API key, from Jellyfin's dashboard, Advanced, API Keys")


def build(settings: Settings, http: httpx.AsyncClient) -> Jellyfin:
    mend = "Make a new key in Jellyfin's dashboard under Advanced, API Keys, and set it there."
    address = ServerAddress(label=LABEL, name="jellyfin", url=settings.url, key="JELLYFIN_API_KEY", mend=mend)
    # Jellyfin 12 no longer reads X-Emby-Token; this form is read by all that came before it as well.
    key = settings.api_key.get_secret_value()
    return Jellyfin(http, address, key, {"Authorization": f'MediaBrowser Token="{key}"'})


class Jellyfin(MediaBrowser):
    name: ClassVar[str] = "jellyfin"
    label: ClassVar[str] = LABEL
    fields: ClassVar[str] = "ProviderIds"
    socket_at: ClassVar[tuple[str, str]] = ("/socket", "ApiKey")

    def items_of(self, user_id: str) -> tuple[str, dict[str, str]]:
        return "/Items", {"userId": user_id}
