"""Limits of imports: the size of a file, the files of a person, and the disk space reserved for webhooks."""

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
    """The configured limits: bytes and rows of a file, minutes, files per person, reserved bytes of disk."""

    size: int = 1 << 30
    rows: int = 2_000_000
    minutes: int = 60
    per_person: int = 3
    reserve: int = 256 * MEBIBYTE


class TooMany(Exception):
    """The person has too many files in progress; the message is for them."""


class TooLarge(Exception):
    """The file is too large; the message is for the person."""


class NoRoom(Exception):
    """The disk lacks space beside the reserve for webhooks; the message is for the person."""


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
        """The remaining bytes, as announced by the sender."""
        return max(self.expected - self.size, 0)


@dataclass(slots=True)
class Uploads:
    """All files that are being received."""

    folder: Path
    limits: Limits
    under_way: list[Upload] = field(default_factory=list)

    @contextmanager
    def receive(self, person_id: int, expected: int | None = None) -> Iterator[Upload]:
        """Begin an upload; raises TooMany, TooLarge and NoRoom before anything is read."""
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
        """Raise TooMany if the person already has the most files in progress."""
        if number >= self.limits.per_person:
            raise TooMany(
                f"{number} of your files are under way, and more are not taken at a time (IMPORTS_PER_PERSON). "
                "Wait until one of them is over, and send this one again."
            )

    def check_room(self, size: int = 0) -> None:
        """Raise NoRoom if `size` more bytes would leave less than the reserve for webhooks."""
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
