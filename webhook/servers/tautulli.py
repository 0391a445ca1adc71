"""Tautulli, by its API: https://github.com/Tautulli/Tautulli/wiki/Tautulli-API-Reference

It keeps a row for each sitting. Rows of one viewing share a `reference_id`; the viewing is told once, when
the first of its sittings that Tautulli took for watched had stopped. That is up to Tautulli's own setting
(85 % by default).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.client import shown
from webhook.domain.event import Action, Episode, Event, Ids, Item, Kind, Movie, Track
from webhook.domain.guids import Guid, read, read_all
from webhook.domain.outcome import Dead, Undelivered
from webhook.servers import Found, _values
from webhook.servers._asking import Address, Door, reached, understood

LABEL = "Tautulli"
FOR = "Catch-up: is asked, at start and every night or as often as Settings say, for what was played while webhooks could not arrive."
SETUP: tuple[str, ...] = (
    "Find the address of your Tautulli as this machine reaches it, with its HTTP root, such as http://192.168.1.10:8181",
    "In Tautulli's Settings under Web Interface, API: tick Enable API and copy the key.",
    "Copy both into the fields below, and save. Tautulli is asked before they are kept.",
    "Its notification agent is set up in Tautulli, with the address on the page Set-up.",
)
PAGE = 100
"""How many sittings one call asks for: with a row of 1.3 KB a page stays below what one answer may hold."""

LONGEST_SITTING = timedelta(days=7)
"""Tautulli looks for sittings by the local day on which they began; how much earlier that may have been."""

Row = Mapping[str, Any]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: Address = Field(
        description="Where your Tautulli is, with its HTTP root, e.g. http://192.168.1.10:8181"
    )
    api_key: SecretStr = Field(description="API key, from Tautulli's Settings, Web Interface, API")


def build(settings: Settings, http: httpx.AsyncClient) -> Tautulli:
    mend = "Copy the key from Tautulli's Settings, Web Interface, API, where Enable API must be ticked."
    door = Door(label=LABEL, name="tautulli", url=settings.url, key="TAUTULLI_API_KEY", mend=mend)
    return Tautulli(http, door, settings.api_key.get_secret_value())


class Tautulli:
    name = "tautulli"
    label = LABEL

    def __init__(self, http: httpx.AsyncClient, door: Door, key: str) -> None:
        self.http = http
        self.door = door
        self.key = key

    async def check(self) -> str:
        return _values.text((await self.server()).get("pms_name")) or LABEL

    async def played(self, since: datetime | None) -> AsyncIterator[Found]:
        """Everybody's viewings in the order in which they ended; a page at a time."""
        server = await self.server()
        known: dict[str, Row] = {}
        told: dict[str, bool] = {}
        async for row in self.sittings(since):
            at, key = _values.stamp(row.get("stopped")), known_by(row)
            if at is None or not is_watched(row) or key in told:
                continue
            _values.remember(told, key, True)
            event = viewing(server, row, await self.described(known, row), at)
            if event is not None and (since is None or at > since):
                yield Found(event=event, key=key)

    async def sittings(self, since: datetime | None) -> AsyncIterator[Row]:
        asked = {"grouping": "0", "order_column": "stopped", "order_dir": "asc", "length": str(PAGE)}
        if since is not None:
            asked["after"] = (since - LONGEST_SITTING).date().isoformat()
        start, total = 0, 1
        while start < total:
            answer = _values.table(await self.ask("get_history", {**asked, "start": str(start)}))
            page, count = _values.rows(answer.get("data")), _values.count(answer.get("recordsFiltered"))
            if count is None:
                raise self.door.stranger(f"{LABEL} answered without a history", str(answer)[:500])
            if not page:
                return
            for row in page:
                yield row
            start, total = start + len(page), count

    async def described(self, known: dict[str, Row], row: Row) -> Row:
        """What Plex still knows of the row's item; nothing where it is gone. Each item is asked for once."""
        key = _values.text(row.get("rating_key"))
        if key is None:
            return {}
        if key not in known:
            found = _values.table(await self.ask("get_metadata", {"rating_key": key}))
            _values.remember(known, key, {name: found.get(name) for name in WANTED})
        return known[key]

    async def server(self) -> Row:
        found = _values.table(await self.ask("get_server_info"))
        if _values.text(found.get("pms_identifier")) is None:
            raise Dead(
                f"{LABEL} does not say which Plex server it watches. Finish its setup: Settings, Plex Media Server."
            )
        return found

    async def ask(self, command: str, params: Mapping[str, str] | None = None) -> Any:
        """The data that a command answers; raises Retry and Dead."""
        # Up to 2.17 the key is read from the parameters only, and clients of 2.18 send the header only.
        asked = {"apikey": self.key, "cmd": command, **(params or {})}
        response = await reached(self.http, self.door, "/api/v2", asked, {"X-Api-Key": self.key})
        if response.is_success or response.status_code == 400:
            answer = _values.table(_values.table(understood(self.door, response)).get("response"))
            if answer.get("result") == "success":
                return answer.get("data")
            raise self.failed(response, answer)
        raise self.door.refused(response.status_code, response.headers, shown(response))

    def failed(self, response: httpx.Response, answer: Row) -> Undelivered:
        """It answers every mistake with 400, a wrong key too, and says in words what it was."""
        said = _values.text(answer.get("message"))
        if said is None:
            return self.door.stranger(f"{LABEL} answered with no answer of its API", shown(response))
        if "apikey" in said.lower() or "api not enabled" in said.lower():
            return Dead(
                f"{LABEL} does not accept {self.door.key} ({said}). {self.door.mend}", answer=shown(response)
            )
        return Dead(f"{LABEL} refuses what was asked: {said}", answer=shown(response))


WANTED = ("guids", "grandparent_guids", "grandparent_guid", "duration", "library_name")


def known_by(row: Row) -> str:
    """What all sittings of a viewing share."""
    return f"{_values.text(row.get('reference_id')) or _values.text(row.get('row_id'))}"


def is_watched(row: Row) -> bool:
    return row.get("watched_status") == 1 and not _values.count(row.get("live"))


def viewing(server: Row, row: Row, metadata: Row, at: datetime) -> Event | None:
    """The viewing; None where it is of nothing that is tracked."""
    kind = KINDS.get(_values.text(row.get("media_type")) or "")
    item = BUILDERS[kind](row, guid_of(row, metadata, kind), show_ids(metadata)) if kind else None
    if item is None or not _values.findable(item):
        return None
    return Event(
        action=Action.WATCHED,
        item=item,
        at=at,
        user=_values.text(row.get("user")),
        user_id=_values.text(row.get("user_id")),
        server=_values.text(server.get("pms_identifier")),
        server_name=_values.text(server.get("pms_name")),
        player=_values.text(row.get("player")),
        player_id=_values.text(row.get("machine_id")),
        library=_values.text(metadata.get("library_name")),
        item_key=_values.text(row.get("rating_key")),
        duration_ms=_values.length(metadata.get("duration")),
        recorded=True,
    )


def guid_of(row: Row, metadata: Row, kind: Kind) -> Guid:
    own = read(_values.text(row.get("guid")) or "", kind)
    return own.merged(read_all(_values.texts(metadata.get("guids")), kind))


def show_ids(metadata: Row) -> Ids:
    """What is known of an episode's show: its guids, and its own guid."""
    said = [
        *_values.texts(metadata.get("grandparent_guids")),
        _values.text(metadata.get("grandparent_guid")) or "",
    ]
    return read_all(said, Kind.SHOW).ids


def movie(row: Row, guid: Guid, show: Ids) -> Item:
    return Movie(title=_values.text(row.get("title")), year=_values.year(row.get("year")), ids=guid.ids)


def episode(row: Row, guid: Guid, show: Ids) -> Item:
    season, number = _values.count(row.get("parent_media_index")), _values.count(row.get("media_index"))
    return Episode(
        title=_values.text(row.get("title")),
        show=_values.text(row.get("grandparent_title")),
        season=season if season is not None else guid.season,
        number=number if number is not None else guid.number,
        year=_values.year(row.get("year")),
        ids=guid.ids,
        show_ids=guid.show_ids.merged(show),
        numbering=guid.numbering,
    )


def track(row: Row, guid: Guid, show: Ids) -> Item:
    album_artist = _values.text(row.get("grandparent_title"))
    return Track(
        title=_values.text(row.get("title")),
        artist=_values.text(row.get("original_title")) or album_artist,
        album=_values.text(row.get("parent_title")),
        album_artist=album_artist,
        number=_values.count(row.get("media_index")),
        year=_values.year(row.get("year")),
        ids=guid.ids,
    )


KINDS = {kind.value: kind for kind in (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)}
BUILDERS: Mapping[Kind, Callable[[Row, Guid, Ids], Item]] = {
    Kind.MOVIE: movie,
    Kind.EPISODE: episode,
    Kind.TRACK: track,
}
