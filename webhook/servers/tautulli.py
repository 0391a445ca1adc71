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

from webhook.client import excerpt
from webhook.domain import values
from webhook.domain.event import Action, Episode, Event, Ids, Item, Kind, Movie, Track
from webhook.domain.guids import Guid, parse_guid, parse_guids
from webhook.domain.outcome import Dead, Undelivered
from webhook.servers import Found
from webhook.servers._http import Address, JsonRow, ServerAddress, read_json, remember_item, send
from webhook.sources._shared import is_findable

LABEL = "Tautulli"
PURPOSE = "Is asked at every start and every night (or as often as you set) what was played while no webhook arrived."
SETUP: tuple[str, ...] = (
    "Find the address of your Tautulli as this machine reaches it, with its HTTP root, such as http://192.168.1.10:8181",
    "In Tautulli's Settings under Web Interface, API: tick Enable API and copy the key.",
    "Copy both into their fields, and save. Tautulli is asked before they are kept.",
    "To hear of plays at once, also set up a notification agent in Tautulli, with its address under Webhook addresses.",
)
SITTINGS_PER_CALL = 100
"""Sessions per page: at 1.3 KB each, a page stays below the limit of a response."""

MAX_SITTING = timedelta(days=7)
"""The longest sitting: Tautulli looks for sittings by the local day on which they began."""


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: Address = Field(
        description="Address of your Tautulli, with its HTTP root, e.g. http://192.168.1.10:8181"
    )
    api_key: SecretStr = Field(description="API key, from Tautulli's Settings, Web Interface, API")


def build(settings: Settings, http: httpx.AsyncClient) -> Tautulli:
    mend = "Copy the key from Tautulli's Settings, Web Interface, API, where Enable API must be ticked."
    address = ServerAddress(label=LABEL, name="tautulli", url=settings.url, key="TAUTULLI_API_KEY", mend=mend)
    return Tautulli(http, address, settings.api_key.get_secret_value())


class Tautulli:
    name = "tautulli"
    label = LABEL

    def __init__(self, http: httpx.AsyncClient, address: ServerAddress, key: str) -> None:
        self.http = http
        self.address = address
        self.key = key

    async def check(self) -> str:
        return values.text((await self.server()).get("pms_name")) or LABEL

    async def plays(self, since: datetime | None) -> AsyncIterator[Found]:
        """Everybody's viewings in the order in which they ended; a page at a time."""
        server = await self.server()
        known: dict[str, JsonRow] = {}
        sent: dict[str, bool] = {}
        async for row in self.sittings(since):
            at, key = values.moment(row.get("stopped")), viewing_key(row)
            if at is None or not is_watched(row) or key in sent:
                continue
            remember_item(sent, key, True)
            event = read_viewing(server, row, await self.metadata(known, row), at)
            if event is not None and (since is None or at > since):
                yield Found(event=event, key=key, logged=True)

    async def sittings(self, since: datetime | None) -> AsyncIterator[JsonRow]:
        params = {
            "grouping": "0",
            "order_column": "stopped",
            "order_dir": "asc",
            "length": str(SITTINGS_PER_CALL),
        }
        if since is not None:
            params["after"] = (since - MAX_SITTING).date().isoformat()
        start, total = 0, 1
        while start < total:
            answer = values.mapping(await self.ask("get_history", {**params, "start": str(start)}))
            page, count = values.objects(answer.get("data")), values.position(answer.get("recordsFiltered"))
            if count is None:
                raise self.address.wrong_answer(f"{LABEL} answered without a history", str(answer)[:500])
            if not page:
                return
            for row in page:
                yield row
            start, total = start + len(page), count

    async def metadata(self, known: dict[str, JsonRow], row: JsonRow) -> JsonRow:
        """The metadata of the row's item; none where it is gone from Plex. Each item is asked for once."""
        key = values.text(row.get("rating_key"))
        if key is None:
            return {}
        if key not in known:
            found = values.mapping(await self.ask("get_metadata", {"rating_key": key}))
            remember_item(known, key, {name: found.get(name) for name in METADATA_FIELDS})
        return known[key]

    async def server(self) -> JsonRow:
        found = values.mapping(await self.ask("get_server_info"))
        if values.text(found.get("pms_identifier")) is None:
            raise Dead(
                f"{LABEL} does not say which Plex server it watches. Finish its setup: Settings, Plex Media Server."
            )
        return found

    async def ask(self, command: str, params: Mapping[str, str] | None = None) -> Any:
        """The data that a command answers; raises Retry and Dead."""
        # Up to 2.17 the key is read from the parameters only, and clients of 2.18 send the header only.
        asked = {"apikey": self.key, "cmd": command, **(params or {})}
        response = await send(self.http, self.address, "/api/v2", asked, {"X-Api-Key": self.key})
        if response.is_success or response.status_code == 400:
            answer = values.mapping(values.mapping(read_json(self.address, response)).get("response"))
            if answer.get("result") == "success":
                return answer.get("data")
            raise self.failure(response, answer)
        raise self.address.rejection(response.status_code, response.headers, excerpt(response))

    def failure(self, response: httpx.Response, answer: JsonRow) -> Undelivered:
        """It answers every mistake with 400, a wrong key too, and says in words what it was."""
        said = values.text(answer.get("message"))
        if said is None:
            return self.address.wrong_answer(f"{LABEL} answered with no answer of its API", excerpt(response))
        if "apikey" in said.lower() or "api not enabled" in said.lower():
            return Dead(
                f"{LABEL} does not accept {self.address.key} ({said}). {self.address.mend}",
                answer=excerpt(response),
            )
        return Dead(f"{LABEL} refuses what was asked: {said}", answer=excerpt(response))


METADATA_FIELDS = ("guids", "grandparent_guids", "grandparent_guid", "duration", "library_name")


def viewing_key(row: JsonRow) -> str:
    """The key that all sittings of a viewing share."""
    return f"{values.text(row.get('reference_id')) or values.text(row.get('row_id'))}"


def is_watched(row: JsonRow) -> bool:
    return row.get("watched_status") == 1 and not values.position(row.get("live"))


def read_viewing(server: JsonRow, row: JsonRow, metadata: JsonRow, at: datetime) -> Event | None:
    """The viewing; None where it is of nothing that is tracked."""
    kind = PLAYED_KINDS.get(values.text(row.get("media_type")) or "")
    item = BUILDERS[kind](row, guid_of(row, metadata, kind), show_ids(metadata)) if kind else None
    if item is None or not is_findable(item):
        return None
    return Event(
        action=Action.WATCHED,
        item=item,
        at=at,
        user=values.text(row.get("user")),
        user_id=values.text(row.get("user_id")),
        server=values.text(server.get("pms_identifier")),
        server_name=values.text(server.get("pms_name")),
        player=values.text(row.get("player")),
        player_id=values.text(row.get("machine_id")),
        library=values.text(metadata.get("library_name")),
        item_key=values.text(row.get("rating_key")),
        duration_ms=values.duration(metadata.get("duration")),
        recorded=True,
    )


def guid_of(row: JsonRow, metadata: JsonRow, kind: Kind) -> Guid:
    own = parse_guid(values.text(row.get("guid")) or "", kind)
    return own.merge(parse_guids(values.texts(metadata.get("guids")), kind))


def show_ids(metadata: JsonRow) -> Ids:
    """The ids of an episode's show, by its guids and its own guid."""
    said = [
        *values.texts(metadata.get("grandparent_guids")),
        values.text(metadata.get("grandparent_guid")) or "",
    ]
    return parse_guids(said, Kind.SHOW).ids


def _movie(row: JsonRow, guid: Guid, show: Ids) -> Item:
    return Movie(title=values.text(row.get("title")), year=values.year(row.get("year")), ids=guid.ids)


def _episode(row: JsonRow, guid: Guid, show: Ids) -> Item:
    season, number = values.ordinal(row.get("parent_media_index")), values.ordinal(row.get("media_index"))
    return Episode(
        title=values.text(row.get("title")),
        show=values.text(row.get("grandparent_title")),
        season=season if season is not None else guid.season,
        number=number if number is not None else guid.number,
        year=values.year(row.get("year")),
        ids=guid.ids,
        show_ids=guid.show_ids.merge(show),
        numbering=guid.numbering,
    )


def _track(row: JsonRow, guid: Guid, show: Ids) -> Item:
    album_artist = values.text(row.get("grandparent_title"))
    return Track(
        title=values.text(row.get("title")),
        artist=values.text(row.get("original_title")) or album_artist,
        album=values.text(row.get("parent_title")),
        album_artist=album_artist,
        number=values.ordinal(row.get("media_index")),
        year=values.year(row.get("year")),
        ids=guid.ids,
    )


PLAYED_KINDS = {kind.value: kind for kind in (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)}
BUILDERS: Mapping[Kind, Callable[[JsonRow, Guid, Ids], Item]] = {
    Kind.MOVIE: _movie,
    Kind.EPISODE: _episode,
    Kind.TRACK: _track,
}
