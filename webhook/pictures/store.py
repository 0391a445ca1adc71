"""The store of pictures: files in one bounded folder, and their index in memory.

A picture has one file for each of its widths, `{digest of the key}.{shape}.{version}.{width}.webp`. The version names
the content, so that a browser may keep what it has. What was not shown for the longest time goes first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import structlog

log = structlog.get_logger()

POSTER, BACKDROP = "poster", "backdrop"
WIDTHS: Mapping[str, tuple[int, ...]] = {POSTER: (64, 128, 360), BACKDROP: (780,)}
MEDIA_TYPE_WEBP = "image/webp"
TOUCH_INTERVAL = 86_400.0
"""Seconds after which it is noted on disk that a picture is still shown."""

PRUNE_TO = 0.9
"""The share of the bound that pruning leaves."""

FILE = re.compile(r"([0-9a-f]{32})\.(poster|backdrop)\.([0-9][0-9a-f]{10})\.([0-9]{2,3})\.webp")


class Stored(NamedTuple):
    """A stored picture of one shape: its version, its size in bytes and when it was last shown."""

    version: str
    size: int
    used_at: float

    @property
    def rank(self) -> int:
        """How good its source is."""
        return int(self.version[0])


@dataclass(frozen=True, slots=True)
class PictureName:
    """The place of a picture in the store: the digest of its key, and its shape."""

    digest: str
    shape: str


def picture_name(key: str, shape: str) -> PictureName:
    return PictureName(hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32], shape)


class PictureStore:
    """The folder of pictures. What reads or writes files is called in a thread; `path` asks the memory alone."""

    def __init__(self, folder: Path, max_bytes: int, reserve: int = 0) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.reserve = reserve
        """Bytes that are left free on the disk."""
        self.index: dict[PictureName, Stored] = {}
        self.writing = threading.Lock()

    def find(self, key: str, shape: str) -> Stored | None:
        return self.index.get(picture_name(key, shape))

    def path(self, key: str, shape: str, width: int) -> str | None:
        """The address of a picture below the root of the pages; None if there is none."""
        stored = self.find(key, shape)
        return (
            None if stored is None else f"/pictures/{quote(key, safe=':')}/{shape}-{width}?v={stored.version}"
        )

    def read(self, key: str, shape: str, width: int) -> bytes | None:
        """A picture's bytes; None if there is none."""
        name = picture_name(key, shape)
        stored = self.index.get(name)
        if stored is None or width not in WIDTHS[shape]:
            return None
        try:
            found = self.file(name, stored.version, width).read_bytes()
        except OSError:  # another process pruned it, or somebody emptied the folder
            self.index.pop(name, None)
            return None
        self.touch(name, stored)
        return found

    def file(self, name: PictureName, version: str, width: int) -> Path:
        return self.folder / f"{name.digest}.{name.shape}.{version}.{width}.webp"

    def touch(self, name: PictureName, stored: Stored) -> None:
        """Note that a picture is still shown."""
        now = time.time()
        if now - stored.used_at < TOUCH_INTERVAL:
            return
        self.index[name] = stored._replace(used_at=now)
        try:
            for width in WIDTHS[name.shape]:
                os.utime(self.file(name, stored.version, width), (now, now))
        except OSError:
            return

    # --- changes

    def save(self, key: str, shape: str, rank: int, files: Mapping[int, bytes]) -> bool:
        """Store a picture in all its widths and drop an older one; a full disk costs the picture and nothing else."""
        name, size = picture_name(key, shape), sum(map(len, files.values()))
        digest = hashlib.sha256(b"".join(files[width] for width in sorted(files))).hexdigest()
        version = f"{rank}{digest[:10]}"
        with self.writing:
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if shutil.disk_usage(self.folder).free - size < self.reserve or size > self.max_bytes:
                    return False
                for width, content in files.items():
                    write_whole(self.file(name, version, width), content)
            except OSError as error:
                log.info("A picture could not be stored.", action="picture_lost", why=str(error))
                self.delete(name, version)
                return False
            before = self.index.get(name)
            self.index[name] = Stored(version, size, time.time())
            if before is not None and before.version != version:
                self.delete(name, before.version)
            self.prune()
        return True

    def copy(self, key: str, to: str, shape: str) -> bool:
        """Store a picture under another key as well; returns True if there is one."""
        stored = self.find(key, shape)
        files = {width: self.read(key, shape, width) for width in WIDTHS[shape]} if stored else {}
        found = {width: content for width, content in files.items() if content is not None}
        return (
            stored is not None
            and len(found) == len(WIDTHS[shape])
            and self.save(to, shape, stored.rank, found)
        )

    def remove(self, key: str) -> None:
        """Remove the picture of a key, which turned out to be that of something else."""
        with self.writing:
            for shape in WIDTHS:
                name = picture_name(key, shape)
                if (stored := self.index.pop(name, None)) is not None:
                    self.delete(name, stored.version)

    def delete(self, name: PictureName, version: str) -> None:
        for width in WIDTHS[name.shape]:
            self.file(name, version, width).unlink(missing_ok=True)

    def prune(self) -> None:
        """Delete what was not shown for the longest time, until the rest is within the bound."""
        entries = list(self.index.items())  # at once: pages read it meanwhile
        total = sum(stored.size for _, stored in entries)
        if total <= self.max_bytes:
            return
        for name, stored in sorted(entries, key=lambda entry: entry[1].used_at):
            self.index.pop(name, None)
            self.delete(name, stored.version)
            total -= stored.size
            if total <= self.max_bytes * PRUNE_TO:
                return

    def scan(self) -> None:
        """Read the index from the folder, delete what no picture needs, and prune."""
        with self.writing:
            found: dict[PictureName, Stored] = {}
            for name, stored in self.list_files():
                best = found.get(name)
                if best is None or best.version == stored.version:
                    size = stored.size + (best.size if best else 0)
                    found[name] = stored._replace(size=size)
                else:
                    newer, older = sorted(
                        (best, stored), key=lambda one: (one.rank, one.used_at), reverse=True
                    )
                    found[name] = newer
                    self.delete(name, older.version)
            self.index = found
            self.prune()

    def list_files(self) -> Iterator[tuple[PictureName, Stored]]:
        for entry in list_folder(self.folder):
            parsed = FILE.fullmatch(entry.name)
            try:
                status = entry.stat()
                if parsed is None:
                    if entry.is_file() and time.time() - status.st_mtime > 3600:  # half-written, long ago
                        Path(entry.path).unlink(missing_ok=True)
                    continue
            except OSError:
                continue
            digest, shape, version, _ = parsed.groups()
            yield PictureName(digest, shape), Stored(version, status.st_size, status.st_mtime)


def list_folder(folder: Path) -> Iterable[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return ()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
