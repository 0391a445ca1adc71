"""Limits of imports: what one file and one person may take, and the room on the disk that is left for webhooks."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MEBIBYTE = 1 << 20
ON_THE_MACHINE = "On the machine itself there is no limit: watchmark import KIND FILE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the settings say: bytes and rows of a file, minutes, files of one person at a time, bytes left free."""

    size: int = 1 << 30
    rows: int = 2_000_000
    minutes: int = 60
    per_person: int = 3
    reserve: int = 256 * MEBIBYTE


class TooMany(Exception):
    """So many files of one person are under way that no other is taken; the message is for the person."""


class TooLarge(Exception):
    """The file is larger than is taken; the message is for the person."""


class NoRoom(Exception):
    """The disk has not the room that it takes beside the webhooks; the message is for the person."""


@dataclass(slots=True)
class Upload:
    """One file that is being received."""

    uploads: Uploads
    person_id: int
    expected: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        """Count a piece before it is written; raises TooLarge and NoRoom."""
        self.size += size
        if self.size > self.uploads.limits.size:
            raise self.uploads.too_large()
        self.uploads.check_room(max(size, self.rest))

    @property
    def rest(self) -> int:
        """What is still to come, as far as the sender said."""
        return max(self.expected - self.size, 0)


@dataclass(slots=True)
class Uploads:
    """The files that are being received, of everybody."""

    folder: Path
    limits: Limits
    under_way: list[Upload] = field(default_factory=list)

    @contextmanager
    def receive(self, person_id: int, expected: int | None = None) -> Iterator[Upload]:
        """Take another file of this person; raises TooMany, TooLarge and NoRoom before anything of it is read."""
        self.check_number(Counter(one.person_id for one in self.under_way)[person_id])
        if expected is not None and expected > self.limits.size:
            raise self.too_large()
        upload = Upload(self, person_id, expected or 0)
        self.check_room(upload.rest + sum(one.rest for one in self.under_way))
        self.under_way.append(upload)
        try:
            yield upload
        finally:
            self.under_way.remove(upload)

    def check_number(self, number: int) -> None:
        """Raises TooMany where so many of one person are as many as may be."""
        if number >= self.limits.per_person:
            raise TooMany(
                f"{number} of your files are under way, and more are not taken at a time (IMPORTS_PER_PERSON). "
                "Wait until one of them is over, and send this one again."
            )

    def check_room(self, size: int = 0) -> None:
        """Raises NoRoom where this much would not leave the webhooks the room that is kept for them."""
        place = self.folder if self.folder.is_dir() else self.folder.parent
        free = shutil.disk_usage(place).free
        if free - size < self.limits.reserve:
            raise NoRoom(
                f"The disk has {free // MEBIBYTE:,} MiB left, of which {self.limits.reserve // MEBIBYTE:,} MiB are "
                "kept free for webhooks (DISK_RESERVE_BYTES). Make room, and do it again."
            )

    def too_large(self) -> TooLarge:
        most = self.limits.size // MEBIBYTE
        return TooLarge(f"The file is larger than {most:,} MiB (IMPORT_MAX_BYTES). {ON_THE_MACHINE}")
