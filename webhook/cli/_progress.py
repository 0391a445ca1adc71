"""A progress bar on a terminal, and occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from webhook.cli._common import strip_control_characters

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Meter:
    """Shows the progress of work on standard error."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.said_at = time.monotonic()
        self.stack = ExitStack()
        self.bar: Progress | None = None

    def __enter__(self) -> Meter:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[says]}"))
            console = Console(stderr=True, markup=False, highlight=False)
            self.bar = self.stack.enter_context(Progress(*columns, TimeElapsedColumn(), console=console))
            self.task = self.bar.add_task(strip_control_characters(self.what), total=None, says="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()

    def show(self, done: float | None, says: str) -> None:
        """Show the progress; `done` is 0 to 1, or None if unknown."""
        if self.bar is not None:
            total = None if done is None else 1.0
            self.bar.update(
                self.task, total=total, completed=done or 0.0, says=strip_control_characters(says)
            )
        elif time.monotonic() - self.said_at >= EVERY:
            self.said_at = time.monotonic()
            far = "" if done is None else f"{done:.0%}, "
            typer.echo(strip_control_characters(f"{self.what}: {far}{says}"), err=True)
