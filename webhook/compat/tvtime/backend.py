"""The home of a person's shows: the library here, or a server that speaks the protocol of TV Time's app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

PUT_FAILED = "PUT request failed!"
"""What the original said of anything that could not be changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowedShow:
    """A show that is followed, by its TheTVDB id: how many of its regular episodes have aired and were watched.

    `seconds` is what all that was watched of it took; `via` says who listed its episodes, None where nobody has.
    """

    tvdb: int
    title: str | None
    watched: int
    aired: int
    seconds: int
    via: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowEpisode:
    """An episode of a show, by its TheTVDB id where that is known; `aired` is a day, `2026-11-22`."""

    tvdb: int | None
    season: int
    number: int
    title: str | None
    aired: str | None
    watched: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowEpisodes:
    """The episodes of a show in order, and who listed them."""

    parts: Sequence[ShowEpisode]
    via: str


class Backend(Protocol):
    """One person's; each call raises Problem 502, in words for whoever asked, where it cannot be done."""

    async def shows(self) -> list[FollowedShow]: ...

    async def show(self, tvdb: int) -> ShowEpisodes:
        """A show, followed or not, with nothing in it where it is not known."""
        ...

    async def follow(self, tvdb: int) -> None: ...

    async def unfollow(self, tvdb: int) -> None: ...

    async def mark(self, tvdb: int) -> None:
        """Mark an episode watched; what is marked already stays as it is."""
        ...

    async def unmark(self, tvdb: int) -> None: ...
