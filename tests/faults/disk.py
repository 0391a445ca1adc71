"""A data directory on a disk that loses at a power cut what was not synced (shim.c)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build_shim(folder: Path) -> str:
    """Compile the library that is preloaded into the service."""
    assert COMPILER is not None
    built = folder / "shim.so"
    command = [COMPILER, "-O1", "-shared", "-fPIC", "-o", str(built), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return str(built)


class Disk:
    """The directory as the service sees it, and as it is after a power cut."""

    def __init__(self, folder: Path, shim: str) -> None:
        self.data, self.kept, self.shim = folder / "data", folder / "kept", shim
        self.data.mkdir()
        self.kept.mkdir()
        self.settings = {"POWER_CUT_OF": str(self.data), "POWER_CUT_TO": str(self.kept)}

    def sync(self) -> None:
        """Put everything that is there now on the disk."""
        replace_files(self.kept, self.data)

    def lose_unsynced(self) -> None:
        replace_files(self.data, self.kept)

    def raw_webhooks(self) -> dict[int, bytes]:
        """The webhooks as they came, out of a database that is whole."""
        with sqlite3.connect(self.data / "watchmark.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found = dict(connection.execute("SELECT id, raw FROM webhook").fetchall())
        connection.close()
        return found


def replace_files(folder: Path, by: Path) -> None:
    """Put the files of one directory in place of those of another."""
    for old in folder.iterdir():
        old.unlink()
    for new in by.iterdir():
        if not new.name.endswith(".fresh"):
            shutil.copyfile(new, folder / new.name)
            os.chmod(folder / new.name, 0o600)  # noqa: PTH101
