"""Exports as TV Time and its extensions wrote them, made up, with the traps that real ones have."""

from __future__ import annotations

import csv
import io
import json
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Content = str | bytes

RECORDS = (
    *("created_at", "user_id", "key", "total_series_runtime", "updated_at", "total_movies_runtime"),
    *("movie_watch_count", "ep_watch_count", "series_follow_count", "uuid", "is_archived", "is_followed"),
    *(
        "s_id",
        "is_for_later",
        "most_recent_ep_watched",
        "followed_at",
        "runtime",
        "bulk_type",
        "s_no",
        "ep_no",
    ),
    *("is_unitary", "ep_id", "rewatch_count", "gsi", "is_special", "movie_name", "series_name"),
    *("season_number", "episode_number"),
)
"""The columns of tracking-prod-records-v2.csv."""

OLDER = (
    *("watch_count", "uuid", "type", "series_name", "type-uuid-n", "updated_at", "user_id", "created_at"),
    *("series_id", "watches", "runtime", "release_date_range_key", "release_date", "alpha_range_key"),
    *("movie_name", "entity_type", "follow_date_range_key", "rewatch_count", "watch_date", "series_uuid"),
    *("season_number", "episode_number", "episode_id", "total_movies_runtime", "total_series_runtime"),
    *("unitarian", "watched_episode_range_key", "bulk_type", "watch_date_range_key", "country"),
)
"""The columns of tracking-prod-records.csv."""

VOTES = (
    *("user_id", "uuid", "vote_key", "episode_id", "movie_name"),
    *("series_name", "season_number", "episode_number"),
)

SECRETS = ("access_token.csv", "refresh_token.csv", "auth-prod-login.csv", "ip_address.csv", "user.csv")


def table(columns: Sequence[str], *rows: Mapping[str, object], end: str = "\n") -> str:
    """A CSV file of these columns; what a row does not say is empty."""
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, lineterminator=end)
    writer.writeheader()
    writer.writerows({name: row.get(name, "") for name in columns} for row in rows)
    return written.getvalue()


def marked(number: int | str, at: str, **more: object) -> dict[str, object]:
    """A row of v2 for a watched episode of the show 1001."""
    told = {"key": f"watch-episode-s1001-e{number}", "created_at": at, "s_id": 1001, "ep_id": number}
    return {**told, "series_name": "Quiet Harbour", "s_no": 1, "ep_no": 1, **more}


def series(number: int, name: str, **more: object) -> dict[str, object]:
    """A row of v2 for the state of a show."""
    told = {"key": f"user-series-s{number}", "s_id": number, "series_name": name, "is_followed": "true"}
    return {**told, "is_archived": "false", "is_for_later": "false", **more}


def film(what: str, uuid: str, name: str, **more: object) -> dict[str, object]:
    """A row of the older file for a movie."""
    return {"type": what, "entity_type": "movie", "uuid": uuid, "movie_name": name, **more}


def as_json(*items: Mapping[str, Any]) -> str:
    return json.dumps(items, indent=1, ensure_ascii=False)


def zipped(
    path: Path,
    files: Mapping[str, Content] | Iterable[tuple[str, Content]],
    method: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """A zip of these files, by their path in it."""
    entries = files.items() if isinstance(files, Mapping) else files
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def locked(path: Path) -> Path:
    """The same zip, each file in it marked as encrypted."""
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = content.find(signature)
        while found >= 0:
            flags = struct.unpack_from("<H", content, found + place)[0]
            struct.pack_into("<H", content, found + place, flags | 1)
            found = content.find(signature, found + 4)
    path.write_bytes(content)
    return path


def spoiled(path: Path, name: str) -> Path:
    """The same zip, with a byte of this file changed so that its check sum is wrong."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    content = bytearray(path.read_bytes())
    content[info.header_offset + 30 + len(name) + info.compress_size - 1] ^= 0xFF
    path.write_bytes(content)
    return path
