"""Plex, by the history that a Plex Media Server keeps: https://python-plexapi.readthedocs.io

An entry is a viewing that Plex took for complete: from 90 % on, as for its `media.scrobble`. Items that
were deleted since stay in it by their titles. It also held a mark set by hand until Plex Media Server
1.40 (February 2024); since then only marks of whole shows, seasons, artists and albums leave entries.
None says which it was, so none is read as set by hand. What one watched without being signed in, or as
somebody who is no longer let in, is nobody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.domain.event import Action, Episode, Event, Ids, Item, Kind, Movie, Track
from webhook.domain.guids import Form, Guid, read, read_all
from webhook.servers import Found, _values
from webhook.servers._asking import Address, Door

if TYPE_CHECKING:
    from webhook.servers._plexapi import Pms

LABEL = "Plex"
FOR = "Catch-up: is asked, at start and every night or as often as Settings say, for what was played while webhooks could not arrive."
SETUP: tuple[str, ...] = (
    "Find the address of your Plex Media Server as this machine reaches it, such as http://192.168.1.10:32400",
    "Find the X-Plex-Token of the server's owner: https://support.plex.tv/articles/204059436",
    "Copy both into the fields below, and save. The server is asked before they are kept.",
    "The webhooks themselves are set up in Plex, with the address on the page Set-up.",
)
PAGE = 100
KEYS = 20
"""How many keys are tried to find a show."""

HOME_GENRES = frozenset(("home", "home video", "home videos", "home movie", "home movies"))

Row = Mapping[str, Any]
Names = Mapping[str, str]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: Address = Field(description="Where your Plex Media Server is, e.g. http://192.168.1.10:32400")
    token: SecretStr = Field(
        description="X-Plex-Token of the server's owner, see https://support.plex.tv/articles/204059436"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Plex:
    mend = "It takes the token of the server's owner; find it anew and set it there."
    door = Door(label=LABEL, name="plex", url=settings.url, key="PLEX_TOKEN", mend=mend)
    return Plex(door, settings.token.get_secret_value())


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """What the entries of a history leave to be looked up: which server it is, and names by number."""

    server: str | None
    server_name: str | None
    accounts: Names
    players: Names
    libraries: Names


class Plex:
    name = "plex"
    label = LABEL

    def __init__(self, door: Door, token: str) -> None:
        self.door = door
        self.token = token

    async def check(self) -> str:
        pms = await self.connected()
        try:
            await asyncio.to_thread(pms.names)  # which only the owner may read
        finally:
            pms.close()
        return _values.text(pms.friendlyName) or LABEL

    async def played(self, since: datetime | None) -> AsyncIterator[Found]:
        """Everybody's viewings, oldest first; a page and its items at a time."""
        pms = await self.connected()
        try:
            accounts, players, libraries = await asyncio.to_thread(pms.names)
            around = Around(
                server=_values.text(pms.machineIdentifier),
                server_name=_values.text(pms.friendlyName),
                accounts=accounts,
                players=players,
                libraries=libraries,
            )
            async for entry, metadata in self.entries(pms, since):
                found = told(around, entry, metadata)
                if found is not None and (since is None or found.event.at > since):
                    yield found
        finally:
            pms.close()

    async def entries(self, pms: Pms, since: datetime | None) -> AsyncIterator[tuple[Row, Row]]:
        """Each entry, and what the server still knows of its item; each item is asked for once."""
        earliest = None if since is None else int(since.timestamp())
        known: dict[str, Row] = {}
        start, total = 0, 1
        while start < total:
            page, total = await asyncio.to_thread(pms.history_page, earliest, start, PAGE)
            if not page:
                return
            keys = dict.fromkeys(key for entry in page if (key := _values.text(entry.get("ratingKey"))))
            new = [key for key in keys if key not in known]
            here = {key: known[key] for key in keys if key in known}
            here |= await asyncio.to_thread(pms.described, new)
            for key in new:
                _values.remember(known, key, here.get(key, {}))
            for entry in page:
                yield entry, here.get(entry.get("ratingKey", ""), {})
            start += len(page)

    async def show_ids(self, plex: str, shows: Sequence[str], episodes: Sequence[str]) -> Ids | None:
        """The ids of a show by Plex's own id of it; None where this server has it not. Raises Retry and Dead.

        `shows` and `episodes` are keys that it and some of its episodes have, maybe on another server: what is
        found by them is compared.
        """
        pms = await self.connected()
        try:
            guid = f"plex://show/{plex}"
            row = await asyncio.to_thread(pms.show, guid, shows[:KEYS], episodes[:KEYS])
        finally:
            pms.close()
        return None if row is None else read_all(_values.texts(row.get("Guid")), Kind.SHOW).ids

    async def connected(self) -> Pms:
        from webhook.servers._plexapi import Pms

        return await asyncio.to_thread(Pms, self.door, self.token)


def told(around: Around, entry: Row, metadata: Row) -> Found | None:
    """The viewing, or None where it is of nothing that is tracked."""
    row = {**entry, **metadata}
    at, item = _values.stamp(entry.get("viewedAt")), item_of(row)
    if at is None or item is None:
        return None
    account = _values.text(entry.get("accountID"))
    event = Event(
        action=Action.WATCHED,
        item=item,
        at=at,
        user=_values.text(around.accounts.get(account or "")),
        user_id=account,
        server=around.server,
        server_name=around.server_name,
        player=_values.text(around.players.get(entry.get("deviceID", ""))),
        library=_values.text(row.get("librarySectionTitle"))
        or _values.text(around.libraries.get(entry.get("librarySectionID", ""))),
        item_key=_values.text(entry.get("ratingKey")),
        duration_ms=_values.length(row.get("duration")),
        recorded=True,
        home_video=is_home_video(row),
    )
    return Found(event=event, key=known_by(entry))


def known_by(entry: Row) -> str:
    """The entry's own key; the oldest servers wrote none, and there it is who watched what and when."""
    parts = (entry.get(name) for name in ("accountID", "ratingKey", "title", "viewedAt"))
    return _values.text(entry.get("historyKey")) or ":".join(str(part) for part in parts)


def item_of(row: Row) -> Item | None:
    """The item, read as the webhook's Metadata is; None for trailers, television and what has no name."""
    kind = KINDS.get(row.get("type", ""))
    if kind is None or row.get("live") == "1" or _values.length(row.get("extraType")):
        return None
    own = read(_values.text(row.get("guid")) or "", kind)
    if own.form in (Form.LIVE, Form.EXTRA):
        return None
    item = BUILDERS[kind](row, own.merged(read_all(_values.texts(row.get("Guid")), kind)))
    return item if _values.findable(item) else None


def movie(row: Row, guid: Guid) -> Item:
    # Of a film that was deleted the history keeps the date of its release, and not the year.
    year = _values.year(row.get("year")) or _values.year((row.get("originallyAvailableAt") or "")[:4])
    return Movie(title=_values.text(row.get("title")), year=year, ids=guid.ids)


def episode(row: Row, guid: Guid) -> Item:
    season, number = _values.count(row.get("parentIndex")), _values.count(row.get("index"))
    show = read(_values.text(row.get("grandparentGuid")) or "", Kind.SHOW)
    return Episode(
        title=_values.text(row.get("title")),
        show=_values.text(row.get("grandparentTitle")),
        season=season if season is not None else guid.season,
        number=number if number is not None else guid.number,
        year=_values.year(row.get("year")),
        ids=guid.ids,
        show_ids=guid.show_ids.merged(show.ids),
        numbering=guid.numbering,
    )


def track(row: Row, guid: Guid) -> Item:
    # On a compilation the artist is the originalTitle, and "Various Artists" the album's.
    album_artist = _values.text(row.get("grandparentTitle"))
    return Track(
        title=_values.text(row.get("title")),
        artist=_values.text(row.get("originalTitle")) or album_artist,
        album=_values.text(row.get("parentTitle")),
        album_artist=album_artist,
        number=_values.count(row.get("index")),
        year=_values.year(row.get("year")),
        ids=guid.ids,
    )


def is_home_video(row: Row) -> bool:
    """Whether it was filmed at home: a clip no agent knows, in a library of films, or so tagged."""
    form = read(_values.text(row.get("guid")) or "").form
    clip = row.get("subtype") == "clip" and form in (Form.NONE, Form.LOCAL)
    return clip or any(genre.lower() in HOME_GENRES for genre in _values.texts(row.get("Genre")))


KINDS = {kind.value: kind for kind in (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)}
BUILDERS: Mapping[Kind, Callable[[Row, Guid], Item]] = {
    Kind.MOVIE: movie,
    Kind.EPISODE: episode,
    Kind.TRACK: track,
}
