"""Feeds of imports: a file, a media server, or a tracker's account, each giving its entries in parts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Protocol, cast

import orjson

from webhook import clock
from webhook.domain.advance import open_play
from webhook.domain.event import Event
from webhook.domain.play import Dated, Play, State
from webhook.servers import Found, Server
from webhook.trackers import Access, ListsHistory, Tracker, WatchedItem
from webhook.transfer import imports
from webhook.transfer.imports._archive import Bundle, files_within, open_bundle
from webhook.transfer.imports._streams import Allowance
from webhook.transfer.limits import Limits
from webhook.transfer.records import (
    Entry,
    Kept,
    Options,
    Question,
    Undecided,
    Unusable,
    Viewing,
    number_repeats,
    shorten,
)

BATCH_SIZE = 500
"""Entries in one transaction: few enough that webhooks do not wait for them."""

SAMPLE_SIZE = 20
"""The number of first entries read to check whether a kind can read the file."""


class Feed(Protocol):
    """A source of entries: a file, a media server, or a tracker's account."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str | None:
        """The SHA-256 of a file, by which an interrupted import is resumed; None for other sources."""
        ...

    def parts(self) -> AsyncIterator[list[Entry]]:
        """The entries in parts, in the same order each time; raises Unusable, Retry, Dead."""
        ...

    def progress(self) -> float | None:
        """The progress, 0 to 1; None if unknown."""
        ...


@dataclass(slots=True)
class FileFeed:
    """A person's export file, read in a thread."""

    kind: str
    path: Path
    name: str
    digest: str
    limits: Limits | None = None
    options: Options = field(default_factory=dict)
    bundle: Bundle | None = None

    @classmethod
    async def open(
        cls, kind: str, path: Path, name: str | None = None, options: Options | None = None
    ) -> FileFeed:
        """The feed of this file or folder; raises Unusable."""
        answers = options or {}
        try:
            digest = answered_digest(await asyncio.to_thread(digest_of, path), answers)
        except OSError as error:
            raise Unusable(f"{path} cannot be read: {error.strerror}.") from error
        return cls(kind, path, (name or path.name or "folder")[:200], digest, options=answers)

    async def questions(self) -> list[Question]:
        """What the file asks its owner; raises Unusable."""
        try:
            return await asyncio.to_thread(ask_file, self.kind, self.path, self.limits, self.options)
        except Unusable as error:
            raise with_name(error, self.path, self.name) from error

    async def parts(self) -> AsyncIterator[list[Entry]]:
        try:
            with open_bundle(self.path, allowance(self.limits), self.options) as self.bundle:
                entries = number_repeats(imports.modules()[self.kind].read(self.bundle))
                while part := await asyncio.to_thread(take, entries):
                    yield part
        except Unusable as error:
            raise with_name(error, self.path, self.name) from error

    def progress(self) -> float | None:
        return None if self.bundle is None else self.bundle.progress


@dataclass(slots=True)
class ServerFeed:
    """The history of a media server, reduced to the users that a person claims."""

    server: Server
    whose: Callable[[Event], Awaitable[bool]]
    digest: str | None = None

    @property
    def kind(self) -> str:
        return self.server.name

    @property
    def name(self) -> str:
        return self.server.label

    async def parts(self) -> AsyncIterator[list[Entry]]:
        """A part for every PART viewings of all users, so that cancelling takes effect soon."""
        part: list[Entry] = []
        read = 0
        async for found in self.server.plays(None):
            read += 1
            if await self.whose(found.event):
                part.append(viewing_of(found, self.server.name))
            if read % BATCH_SIZE == 0:
                yield part
                part = []
        if part:
            yield part

    def progress(self) -> float | None:
        return None


async def questions_of(feed: Feed) -> list[Question]:
    """What a feed asks its owner, which only files do; raises Unusable."""
    return await feed.questions() if isinstance(feed, FileFeed) else []


def viewing_of(found: Found, source: str) -> Viewing:
    event = found.event
    watched = replace(
        open_play(None, event, source), state=State.STOPPED, watched_at=event.at, duration_ms=event.duration_ms,
        manual=event.manual, position_ms=None, position_at=None, estimated=False,
    )  # fmt: skip
    return Viewing(play=watched, foreign_key=found.record_key(source))


@dataclass(slots=True)
class AccountFeed:
    """The history of a tracker's account, imported once on request."""

    tracker: Tracker
    access: Access
    digest: str | None = None

    @property
    def kind(self) -> str:
        return self.tracker.name

    @property
    def name(self) -> str:
        return self.tracker.label

    async def parts(self) -> AsyncIterator[list[Entry]]:
        part: list[Entry] = []
        async for held in cast(ListsHistory, self.tracker).history(self.access):
            part.append(viewing_from_item(held, self.tracker.name))
            if len(part) >= BATCH_SIZE:
                yield part
                part = []
        if part:
            yield part

    def progress(self) -> float | None:
        return None


def viewing_from_item(held: WatchedItem, source: str) -> Viewing:
    """A viewing from a tracker's item; one without a date is ticked, at the time of the import."""
    at, dated = (held.at, Dated.EXACT) if held.at is not None else (clock.now(), Dated.TICKED)
    watched = Play(
        item=held.item,
        state=State.STOPPED,
        started_at=at,
        last_at=at,
        watched_at=at,
        source=source,
        dated=dated,
    )
    return Viewing(play=watched, foreign_key=f"{source}:{held.remote_id}"[:200] if held.remote_id else None)


def take(entries: Iterator[Entry]) -> list[Entry]:
    return [shorten(entry) for entry in islice(entries, BATCH_SIZE)]


def with_name(error: Unusable, path: Path, name: str) -> Unusable:
    """The same error with the name by which the person knows the file."""
    return Unusable(str(error).replace(str(path), name))


def allowance(limits: Limits | None) -> Allowance | None:
    """The read limits of a file; its unpacked size may be four times that of the file."""
    if limits is None:
        return None
    return Allowance(rows=limits.rows, size=4 * limits.size, seconds=60 * limits.minutes)


def first_entries(
    kind: str, path: Path, limits: Limits | None = None, options: Options | None = None
) -> list[Entry]:
    """The first entries of a file; raises Unusable."""
    with open_bundle(path, allowance(limits), options) as bundle:
        return list(islice(imports.modules()[kind].read(bundle), SAMPLE_SIZE))


def ask_file(kind: str, path: Path, limits: Limits | None, options: Options) -> list[Question]:
    """The questions of a file, of which only some kinds have any, with the answers given; raises Unusable."""
    ask = getattr(imports.modules()[kind], "questions", None)
    if ask is None:
        return []
    with open_bundle(path, allowance(limits), options) as bundle:
        return list(ask(bundle))


def reads(kind: str, path: Path) -> bool:
    """True if this kind can read any of the file's first entries."""
    try:
        return any(isinstance(entry, Viewing | Kept) for entry in first_entries(kind, path))
    except Undecided:
        return True
    except Unusable:
        return False


def digest_of(path: Path) -> str:
    """The SHA-256 of a file; of a folder that of its files' names and digests."""
    if path.is_dir():
        listed = [[str(file.relative_to(path)), digest_of(file)] for file in sorted(files_within(path))]
        return hashlib.sha256(orjson.dumps(listed)).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def answered_digest(digest: str, options: Options) -> str:
    """The digest of a file together with the answers to its questions, since both say what is imported."""
    if not options:
        return digest
    return hashlib.sha256(orjson.dumps([digest, sorted(options.items())])).hexdigest()
