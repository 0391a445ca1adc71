"""A change of the key that is killed like with kill -9, between any two things that it does to the disk."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sqlalchemy import event

from webhook import settings
from webhook.accounts import keys, rekey
from webhook.storage.db import Database

CHANGES = frozenset({"tempfile.mkstemp", "os.rename", "os.link", "os.remove", "os.truncate"})
"""What Python's audit events call that which changes a folder: https://docs.python.org/3/library/audit_events.html"""


class Killer:
    """Kills this process when it comes to the `step`-th thing that it would do to the disk."""

    def __init__(self, step: int) -> None:
        self.step = step

    def watch(self, database: Database) -> None:
        sys.addaudithook(self.hear)
        event.listen(database.engine, "commit", self.come)
        event.listen(database.engine, "checkin", self.come)  # after it

    def hear(self, name: str, given: Any) -> None:
        if name in CHANGES:
            self.come()

    def come(self, *given: Any) -> None:
        self.step -= 1
        if not self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def everywhere(name: str, template: str, place: str, said: Connection) -> None:
    """Copies of an installation, each killed one step later, until one is done; how many there are is said.

    Forks a process for each, from one with a single thread.
    """
    step, status = 0, int(signal.SIGKILL)
    while os.WIFSIGNALED(status):
        step += 1
        folder = Path(place) / str(step)
        shutil.copytree(template, folder)
        child = os.fork()
        if not child:
            work(name, folder, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    said.send((step, status))
    said.close()


def work(name: str, folder: Path, step: int) -> None:
    """`rekey` it, or `load` its key, which ends what was broken off, and die at that step."""
    kept = settings.load({"DATA_DIR": str(folder)})
    database = Database(kept.database, synchronous="OFF")  # a kill is no power cut
    Killer(step).watch(database)
    if name == "rekey":
        rekey.rekey(kept, database)
    else:
        keys.load_seal(kept, database)
