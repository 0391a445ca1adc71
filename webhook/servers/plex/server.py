"""Plex, by the history that a Plex Media Server keeps: https://python-plexapi.readthedocs.io

An entry is a viewing that Plex took for complete: from 90 % on, as for its `media.scrobble`. Items that
were deleted since stay in it by their titles. It also held a mark set by hand until Plex Media Server
1.40 (February 2024); since then only marks of whole shows, seasons, artists and albums leave entries.
None says which it was, so none is read as set by hand. What one watched without being signed in, or as
somebody who is no longer let in, is nobody's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.domain import values
from webhook.domain.event import Action, Episode, Event, Ids, Item, Kind, Movie, Track
from webhook.domain.guids import parse_guids
from webhook.domain.items import same_item
from webhook.domain.outcome import Dead
from webhook.servers import Audience, Found, ServerItem, ServerReport
from webhook.servers._http import Address, JsonRow, ServerAddress, remember_item
from webhook.servers.plex.account import PlexAccount
from webhook.servers.plex.api import PlexApi
from webhook.servers.plex.listening import OWNER, Listening
from webhook.settings import BY_ITSELF
from webhook.sources import _plexlike

if TYPE_CHECKING:
    from webhook.servers.plex.pms import Pms

LABEL = "Plex"
PURPOSE = "Tells Watchmark what is played, without webhooks and without a Plex Pass, and what was missed."
SETUP: tuple[str, ...] = (
    "Enter the address of your Plex Media Server as this machine reaches it, or leave it to Plex, which knows it.",
    "Sign in with Plex, and enter the code at https://plex.tv/link. The server is asked before anything is kept.",
    "Or enter the X-Plex-Token of the server's owner: https://support.plex.tv/articles/204059436",
    "That is all: no webhook is needed. If you have set one up as well, each viewing still counts once.",
)
ENTRIES_PER_CALL = 100
PICTURES, EPISODE_PICTURES = ("thumb", "art"), ("grandparentThumb", "grandparentArt")
SEASON_PICTURES = ("parentThumb",)
PICTURE_PATH = re.compile(r"/library/metadata/[0-9]+/(?:thumb|art)/[0-9]+")
"""A picture's address on its own server; no other place is asked for one."""

NOT_THE_OWNERS = (
    "Plex does not show this token who is playing. If it is not the token of the server's owner, set PLEX_USER "
    "to the name of its person in Plex. If Plex has only just started, try again in a minute."
)
MAX_KEYS = 20
"""Keys that are tried to find a show."""

Names = Mapping[str, str]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: Address = Field(description="Address of your Plex Media Server, e.g. http://192.168.1.10:32400")
    token: SecretStr = Field(
        description="X-Plex-Token of the server's owner, see https://support.plex.tv/articles/204059436"
    )
    user: str | None = Field(
        None, description="Whose token it is, by the name shown in Plex, where it is not the server's owner's"
    )
    account_url: Address = Field(
        "https://plex.tv", description="Address of the sign-in to Plex", json_schema_extra=BY_ITSELF
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Plex:
    mend = "It takes the token of the server's owner; find it anew and set it there."
    address = ServerAddress(label=LABEL, name="plex", url=settings.url, key="PLEX_TOKEN", mend=mend)
    token = settings.token.get_secret_value()
    account = PlexAccount(http, settings.account_url, token)
    return Plex(address, token, http, settings.user, account)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerNames:
    """The server, and the names of accounts, players and libraries by the numbers that a history has."""

    server: str | None
    server_name: str | None
    accounts: Names
    players: Names
    libraries: Names
    own: str | None = None
    """The person whose token reads nobody's viewings but their own."""

    def user(self, account: str | None) -> str | None:
        own = self.own if account not in (None, OWNER) else None
        return values.text(self.accounts.get(account or "")) or own


class Plex:
    name = "plex"
    label = LABEL

    def __init__(
        self,
        address: ServerAddress,
        token: str,
        http: httpx.AsyncClient,
        user: str | None = None,
        account: PlexAccount | None = None,
    ) -> None:
        self.address = address
        self.token = token
        self.ca_file: str = getattr(http, "ca_file", "")
        self.listening = Listening(api=PlexApi(http, address, token), user=user, account=account)
        self.calls = self.listening.api.calls
        self.remark = None

    async def listen(self, audience: Audience) -> None:
        await self.listening.run(audience)

    async def check(self) -> str:
        pms = await self.connect()
        try:
            await asyncio.to_thread(pms.names)  # which only the owner may read
        finally:
            pms.close()
        return values.text(pms.friendlyName) or LABEL

    async def report(self) -> ServerReport:
        api, user = self.listening.api, self.listening.user
        about = await api.get("/")
        found = ServerReport(
            label=LABEL,
            name=values.text(about.get("friendlyName")) or LABEL,
            version=await api.version(),
            user=user,
        )
        if await api.hears_everybody():
            return replace(found, user=None, people=len(await api.account_names()))
        if user is None:
            raise Dead(NOT_THE_OWNERS)
        return found

    async def plays(self, since: datetime | None) -> AsyncIterator[Found]:
        """Everybody's viewings, oldest first; a page and its items at a time."""
        pms = await self.connect()
        try:
            (accounts, players, libraries), own = await self.names(pms)
            names = ServerNames(
                server=values.text(pms.machineIdentifier),
                server_name=values.text(pms.friendlyName),
                accounts=accounts,
                players=players,
                libraries=libraries,
                own=own,
            )
            async for entry, metadata in self.entries(pms, since):
                if since is not None and self.is_uncounted(entry, metadata):
                    continue
                found = read_play(names, entry, metadata)
                if found is not None and (since is None or found.event.at > since):
                    yield found
        finally:
            pms.close()

    async def names(self, pms: Pms) -> tuple[tuple[Names, Names, Names], str | None]:
        """The names of accounts, players and libraries, and None; or the person who is not shown them."""
        try:
            return await asyncio.to_thread(pms.names), None
        except Dead:
            if self.listening.user is None:
                raise
            return ({}, {}, {}), self.listening.user

    def is_uncounted(self, entry: JsonRow, metadata: JsonRow) -> bool:
        """True if the server itself does not count what its history lists: it was only begun, or taken back since.

        Its count is told of the token's own person alone, and of what it still has.
        """
        is_own = self.listening.user is None and values.text(entry.get("accountID")) == OWNER
        return is_own and bool(metadata) and not values.ordinal(metadata.get("viewCount"))

    async def entries(self, pms: Pms, since: datetime | None) -> AsyncIterator[tuple[JsonRow, JsonRow]]:
        """Each entry with the metadata of its item, where the server still has it; each item is asked for once."""
        earliest = None if since is None else int(since.timestamp())
        known: dict[str, JsonRow] = {}
        start, total = 0, 1
        while start < total:
            page, total = await asyncio.to_thread(pms.history_page, earliest, start, ENTRIES_PER_CALL)
            if not page:
                return
            keys = dict.fromkeys(key for entry in page if (key := values.text(entry.get("ratingKey"))))
            new = [key for key in keys if key not in known]
            items = {key: known[key] for key in keys if key in known}
            items |= await asyncio.to_thread(pms.describe, new)
            for key in new:
                remember_item(known, key, items.get(key, {}))
            for entry in page:
                yield entry, items.get(entry.get("ratingKey", ""), {})
            start += len(page)

    async def show_ids(self, plex: str, shows: Sequence[str], episodes: Sequence[str]) -> Ids | None:
        """The ids of a show by Plex's own id of it; None where this server has it not. Raises Retry and Dead.

        `shows` and `episodes` are keys that it and some of its episodes have, maybe on another server: what is
        found by them is compared.
        """
        pms = await self.connect()
        try:
            guid = f"plex://show/{plex}"
            row = await asyncio.to_thread(pms.show, guid, shows[:MAX_KEYS], episodes[:MAX_KEYS])
        finally:
            pms.close()
        return None if row is None else parse_guids(values.texts(row.get("Guid")), Kind.SHOW).ids

    async def server_id(self) -> str | None:
        pms = await self.connect()
        pms.close()
        return values.text(pms.machineIdentifier)

    async def pictures(self, place: ServerItem) -> list[bytes]:
        pms = await self.connect()
        try:
            is_part = isinstance(place.item, Episode)
            names = EPISODE_PICTURES if is_part else PICTURES
            return await asyncio.to_thread(read_pictures, pms, place, names)
        finally:
            pms.close()

    async def season_posters(self, place: ServerItem) -> list[bytes]:
        pms = await self.connect()
        try:
            return await asyncio.to_thread(read_pictures, pms, place, SEASON_PICTURES)
        finally:
            pms.close()

    async def connect(self) -> Pms:
        from webhook.servers.plex.pms import Pms

        return await asyncio.to_thread(Pms, self.address, self.token, self.ca_file)


def read_pictures(pms: Pms, place: ServerItem, names: Sequence[str]) -> list[bytes]:
    """The pictures that an item names so, where what has its key here is still the item."""
    row = pms.describe([place.item_key]).get(place.item_key, {})
    item = _read_item(row)
    if item is None or not same_item(item, place.item):
        return []
    paths = [path for name in names if PICTURE_PATH.fullmatch(path := row.get(name) or "")]
    return [found for path in paths if (found := pms.picture(path)) is not None]


def read_play(names: ServerNames, entry: JsonRow, metadata: JsonRow) -> Found | None:
    """The viewing, or None where it is of nothing that is tracked."""
    row = {**entry, **metadata}
    at, item = values.moment(entry.get("viewedAt")), _read_item(row)
    if at is None or item is None:
        return None
    account = values.text(entry.get("accountID"))
    event = Event(
        action=Action.WATCHED,
        item=item,
        at=at,
        user=names.user(account),
        user_id=account,
        server=names.server,
        server_name=names.server_name,
        player=values.text(names.players.get(entry.get("deviceID", ""))),
        library=values.text(row.get("librarySectionTitle"))
        or values.text(names.libraries.get(entry.get("librarySectionID", ""))),
        item_key=values.text(entry.get("ratingKey")),
        duration_ms=values.duration(row.get("duration")),
        recorded=True,
        home_video=_plexlike.is_home_video(cast(_plexlike.PlexMetadata, row)),
    )
    return Found(event=event, key=entry_key(entry), logged=True)


def entry_key(entry: JsonRow) -> str:
    """The entry's own key; the oldest servers wrote none, and there it is who watched what and when."""
    parts = (entry.get(name) for name in ("accountID", "ratingKey", "title", "viewedAt"))
    return values.text(entry.get("historyKey")) or ":".join(str(part) for part in parts)


def _read_item(row: JsonRow) -> Item | None:
    """The item, parsed like the webhook's Metadata; None for trailers, live television and nameless items."""
    if row.get("type") == Kind.MOVIE and not values.year(row.get("year")):
        # For a deleted film the history keeps the release date, but not the year.
        row = {**row, "year": (row.get("originallyAvailableAt") or "")[:4]}
    item = _plexlike.read_item(cast(_plexlike.PlexMetadata, row)) if row.get("type") else None
    return item if isinstance(item, Movie | Episode | Track) else None
