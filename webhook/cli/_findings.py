"""What the command doctor finds: results of its checks, each with the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One result of a check: OK, a NOTE or a PROBLEM, and the remedy."""

    level: Literal["OK", "NOTE", "PROBLEM"]
    about: str
    says: str
    do: str | None = None


def fine(about: str, says: str) -> Finding:
    return Finding(level="OK", about=about, says=says)


def note(about: str, says: str, do: str | None = None) -> Finding:
    return Finding(level="NOTE", about=about, says=says, do=do)


def problem_with(about: str, says: str, do: str | None = None) -> Finding:
    return Finding(level="PROBLEM", about=about, says=says, do=do)
