"""Private files, written atomically and durably, and large ones at a pace that leaves the disk to others."""

from __future__ import annotations

import io
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from typing_extensions import Buffer


def write_private(path: Path, text: str, *, replace: bool = True) -> bool:
    """Write a file atomically (mode 0600); returns False if one exists that must stay.

    It belongs to whoever owns the folder where root writes it, so that the service can read it afterwards.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            give_to_owner(file.fileno(), path.parent)
            os.fsync(file.fileno())
        if replace:
            beside.replace(path)
        elif not move_to_free(beside, path):
            return False
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def move_to_free(beside: Path, path: Path) -> bool:
    """Move the file unless the target exists; returns True if it was moved."""
    try:
        os.link(beside, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links, as of many network drives
        if path.exists():
            return False
        beside.replace(path)
    return True


def make_private_folder(folder: Path) -> None:
    """Make a folder (mode 0700) and those above it; where root makes it, it belongs to whoever owns the one above."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    give_to_owner(folder, folder.parent)


def open_private(path: Path, flags: int) -> int:
    """Open a file; where there is none it is made (mode 0600), by root for whoever owns the folder."""
    was_there = path.exists()
    handle = os.open(path, flags | os.O_CREAT, 0o600)
    if not was_there:
        with suppress(OSError):  # a network drive that knows no owners
            give_to_owner(handle, path.parent)
    return handle


def give_to_owner(made: int | Path, folder: Path) -> None:
    """Where root made it, hand a file or its handle to whoever owns the folder, so that the service can use it."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid:
        os.chown(made, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that new, renamed and removed files in it survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


FLUSH_BYTES = 4 * 1024 * 1024


class SteadyFile(io.FileIO):
    """A large file that is flushed every few megabytes, since a commit of another process waits for what is not."""

    flushed = 0

    def write(self, data: Buffer, /) -> int:
        written = super().write(data)
        self.keep_pace()
        return written

    def keep_pace(self) -> None:
        """Flush what has come since, and leave the disk to others for as long as that took."""
        size = os.fstat(self.fileno()).st_size
        if size - self.flushed < FLUSH_BYTES:
            return
        self.flushed = size
        began = time.monotonic()
        os.fsync(self.fileno())
        time.sleep(time.monotonic() - began)
