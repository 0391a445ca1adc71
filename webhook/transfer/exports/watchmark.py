"""Watchmark's own format: everything, in JSON lines, so that an import of it on another install loses nothing.

The first line is `{"format":"watchmark","version":1}`. After it comes a line for each library entry,
`{"kept":{…}}`, and one for each play, `{"play":{…}}`, which holds the play's fields by name and its
`foreign_key`. Keys stand in a fixed order, what is unknown is left out, times are UTC to the
millisecond. The `version` rises when a reader of the version before would misread the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson

from webhook.domain.event import Item, Kind, item_to_json
from webhook.domain.play import Play
from webhook.transfer.exports._pieces import join_pieces
from webhook.transfer.exports._values import Exported, stamp
from webhook.transfer.records import Kept

LABEL = "Watchmark"
DESCRIPTION = "Everything that is known, to keep or to import into another Watchmark."
SUFFIX = "jsonl"
MEDIA_TYPE = "application/jsonl"
KINDS = frozenset(Kind)

FORMAT = {"format": "watchmark", "version": 1}


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """The whole library, then every play, watched or not."""
    return join_pieces(records(plays, library))


def records(plays: Iterable[Exported], library: Iterable[Kept]) -> Iterator[bytes]:
    yield line(FORMAT)
    for kept in library:
        yield line({"kept": library_entry_to_json(kept)})
    for entry in plays:
        yield line({"play": play_to_json(entry.play, entry.foreign_key)})


def line(value: Any) -> bytes:
    return orjson.dumps(value) + b"\n"


def library_entry_to_json(kept: Kept) -> dict[str, object]:
    return json_object({entry.name: getattr(kept, entry.name) for entry in fields(Kept)})


def play_to_json(play: Play, foreign_key: str | None) -> dict[str, object]:
    values = {entry.name: getattr(play, entry.name) for entry in fields(Play)}
    return json_object(values | {"foreign_key": foreign_key})


UNHEARD = frozenset({"played_ms", "replayed_ms", "by_position"})
"""The fields of a play that are omitted at zero."""


def json_object(values: dict[str, object]) -> dict[str, object]:
    """The known values, as JSON."""
    known = {name: value for name, value in values.items() if value or name not in UNHEARD}
    return {name: plain(value) for name, value in known.items() if value is not None}


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    return item(value) if isinstance(value, Item) else value


def item(value: Item) -> dict[str, object]:
    return {name: known for name, known in item_to_json(value).items() if known is not None and known != {}}
