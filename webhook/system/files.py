"""Files of our own: private, whole or not there at all, and on the disk for good."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str, *, replace: bool = True) -> bool:
    """Write the file beside its place and move it there; False where one is there that must stay. Mode 0600.

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
    """Move the file to a place where there is none yet; whether there was none."""
    try:
        os.link(beside, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links, as of many network drives
        if path.exists():
            return False
        beside.replace(path)
    return True


def give_to_owner(handle: int, folder: Path) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid:
        os.fchown(handle, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """A new, renamed or removed file outlives a power cut once its folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
