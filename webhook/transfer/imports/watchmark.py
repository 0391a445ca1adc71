"""Watchmark's own format, as written by `webhook/transfer/exports/watchmark.py`.

Everything is imported unchanged, to the millisecond. A line that cannot be read, such as the last one of a
truncated copy, affects no other line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from webhook.domain.event import ITEMS, Item
from webhook.domain.play import Play
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.records import Bad, Entry, Kept, Unusable, Viewing

LABEL = "Watchmark"
VERSION = 1

RECOPY = "Copy the export again and import that: what was taken already is not taken twice."
PLAY, KEPT = TypeAdapter(Play), TypeAdapter(Kept)
ITEM: dict[str, TypeAdapter[Any]] = {kind: TypeAdapter(cls) for kind, cls in ITEMS.items()}

T = TypeVar("T", Play, Kept)


def read(bundle: Bundle) -> Iterator[Entry]:
    """The library entries and plays, in the order in which they were written."""
    name = find_file(bundle)
    bundle.plan([name])
    lines = bundle.lines(name)
    check(name, next(lines, None))
    for line in lines:
        yield line if isinstance(line, Bad) else entry(name, *line)


def find_file(bundle: Bundle) -> str:
    names = [name for name in bundle.names if name.lower().endswith(".jsonl")] or list(bundle.names)
    if len(names) != 1:
        raise Unusable(
            f"{bundle.path} holds {len(names)} files that could be a Watchmark export. Import the one that is meant."
        )
    return names[0]


def check(name: str, first: tuple[int, bytes] | Bad | None) -> None:
    """Raise Unusable unless the first line names a format and version known here."""
    try:
        said = orjson.loads(first[1]) if isinstance(first, tuple) else None
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or said.get("format") != "watchmark":
        raise Unusable(f"{name} is no export of Watchmark: its first line does not say so.")
    if said.get("version") != VERSION:
        raise Unusable(
            f"{name} has version {said.get('version')!r} of Watchmark's format, and this Watchmark reads "
            f"version {VERSION}. Update Watchmark and import it again."
        )


def entry(name: str, line: int, written: bytes) -> Entry:
    try:
        return entry_of(orjson.loads(written))
    except orjson.JSONDecodeError:
        why = "it is no whole line of JSON; most likely the file was cut off here"
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except ValueError as error:
        why = str(error)
    return Bad(file=name, line=line, why=why, do=RECOPY)


def entry_of(value: Any) -> Viewing | Kept:
    match value:
        case {"play": {"item": dict(item), **known}}:
            foreign_key = known.pop("foreign_key", None)
            if foreign_key is not None and not isinstance(foreign_key, str):
                raise ValueError("its foreign_key is no text")
            return Viewing(play=build(PLAY, known, item), foreign_key=foreign_key, verbatim=True)
        case {"kept": {"item": dict(item), **known}}:
            return build(KEPT, known, item)
        case _:
            raise ValueError("it is neither a play nor a library entry")


def build(adapter: TypeAdapter[T], known: dict[Any, Any], item: dict[Any, Any]) -> T:
    """The value with its item; its times in UTC."""
    made = adapter.validate_python({**known, "item": item_of(item)})
    times: dict[str, datetime] = {}
    for name in known:
        at = getattr(made, name, None)
        if isinstance(at, datetime):
            if at.tzinfo is None:
                raise ValueError(f"{name} names no time zone")
            times[name] = at.astimezone(UTC)
    change: Callable[..., T] = replace
    return change(made, **times)


def item_of(described: dict[Any, Any]) -> Item:
    kind = str(described.get("kind"))
    if kind not in ITEM:
        raise ValueError(f"“{kind[:40]}” is no kind of item")
    item: Item = ITEM[kind].validate_python(described)
    return item
