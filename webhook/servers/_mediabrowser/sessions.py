"""The sessions of a Jellyfin or an Emby: who plays what, where, and how far. Pure.

A session may be of several people. A session without an item is idle, and our own key's is one of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.domain import values
from webhook.domain.event import Ignored
from webhook.servers._http import JsonRow
from webhook.sources import _dto

PRODUCT = "Watchmark"
NOBODY = "0" * 32
"""The user of a session that is a key's."""

SESSION_FIELDS = ("Id", "Client", "DeviceId", "DeviceName", "ApplicationVersion")
ITEM_FIELDS = (
    *("Id", "ServerId", "Type", "ExtraType", "Name", "ProductionYear", "RunTimeTicks", "ProviderIds"),
    *("SeriesName", "SeriesId", "ParentIndexNumber", "IndexNumber", "IndexNumberEnd"),
    *("Artists", "Album", "AlbumArtist"),
)
"""What is kept of an item: without paths and pictures."""

SERIES_FIELDS = ("Id", "Name", "ProductionYear", "ProviderIds")
USER_DATA_FIELDS = (
    *("Played", "PlayCount", "PlaybackPositionTicks", "LastPlayedDate"),
    *("IsFavorite", "Rating", "Likes"),
)

Key = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Playing:
    """One person's playing of an item in a session, in the server's own words.

    `is_tracked` is False for what nobody tracks, such as a photo or live television.
    """

    session: str
    item_id: str
    user_id: str
    user: JsonRow
    client: JsonRow
    item: JsonRow
    position_ms: int | None = None
    duration_ms: int | None = None
    is_paused: bool = False
    is_tracked: bool = True

    @property
    def key(self) -> Key:
        return (self.session, self.item_id, self.user_id)


def read_sessions(rows: Iterable[Any]) -> list[Playing]:
    """Everybody who plays something, of all sessions that are listed."""
    return [playing for row in rows if isinstance(row, Mapping) for playing in read_session(row)]


def read_session(row: JsonRow) -> Iterator[Playing]:
    item, state = values.mapping(row.get("NowPlayingItem")), values.mapping(row.get("PlayState"))
    session, item_id = values.text(row.get("Id")), values.hex_id(item.get("Id"))
    if session is None or item_id is None or row.get("Client") == PRODUCT:
        return
    described = pick(item, ITEM_FIELDS)
    for user in read_users(row):
        yield Playing(
            session=session,
            item_id=item_id,
            user_id=user["Id"],
            user=user,
            client=pick(row, SESSION_FIELDS),
            item=described,
            position_ms=values.milliseconds(values.position(state.get("PositionTicks"))),
            duration_ms=values.milliseconds(values.duration(item.get("RunTimeTicks"))) or None,
            is_paused=values.flag(state.get("IsPaused")) is True,
            is_tracked=not isinstance(_dto.read_items(described, {}), Ignored),
        )


def read_users(row: JsonRow) -> list[dict[str, str]]:
    """The people of a session, each once."""
    found: dict[str, dict[str, str]] = {}
    for one in (row, *values.objects(row.get("AdditionalUsers"))):
        user_id, name = values.hex_id(one.get("UserId")), values.text(one.get("UserName"))
        if user_id is not None and user_id != NOBODY:
            found.setdefault(user_id, {"Id": user_id} | ({"Name": name} if name else {}))
    return list(found.values())


def pick(row: JsonRow, names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if row.get(name) is not None}
