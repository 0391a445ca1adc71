"""Commands of Watchmark in processes that are forked from one that has everything imported.

A process that is started anew takes a second of a core before it answers, most of it imports. The forked one is
a process of its own all the same: it has its environment, its folder and its log, serves, and is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from tests.faults import altered

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["tests.faults.altered", "webhook.cli.serve", "webhook.web.routes", "webhook.compat", "tests.warm"]
)


class Forked:
    """A forked command with what `tests.running.Process` asks of a process; `names` are alterations of it."""

    def __init__(
        self,
        words: Sequence[str],
        environ: dict[str, str],
        log: Path,
        *,
        names: Sequence[str] = (),
        limit: int | None = None,
    ) -> None:
        read, write = os.pipe()
        limits = [] if limit is None else [limit]
        self.inner = FORKS.Process(
            target=start,
            args=(list(names), list(words), environ, str(log), DupFd(write), limits),
            daemon=True,
        )
        self.inner.start()
        os.close(write)
        self.stdout = os.fdopen(read)
        assert self.inner.pid is not None
        self.pid = self.inner.pid

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def poll(self) -> int | None:
        return self.inner.exitcode

    def wait(self, timeout: float) -> int:
        self.inner.join(timeout)
        if self.inner.exitcode is None:
            raise subprocess.TimeoutExpired("watchmark", timeout)
        return self.inner.exitcode


def start(
    names: list[str], words: list[str], environ: dict[str, str], log: str, said: Any, limits: list[int]
) -> None:
    altered.forked(names, words, environ, log, said.detach(), limits)
