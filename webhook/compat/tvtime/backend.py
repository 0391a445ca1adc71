"""The backend of a person's shows: the library here, or a server that speaks the protocol of TV Time's app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

PUT_FAILED = "PUT request failed!"
"""The original's message for anything that could not be changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowedShow:
    """A followed show by its TheTVDB id, with its numbers of aired and watched regular episodes.

    `seconds` is the total time watched; `via` names the origin of its episodes, None if nobody has listed
    them.
    """

    tvdb: int
    title: str | None
    watched: int
    aired: int
    seconds: int
    via: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowEpisode:
    """An episode of a show, by its TheTVDB id if known; `aired` is a day, `2026-11-22`."""

    tvdb: int | None
    season: int
    number: int
    title: str | None
    aired: str | None
    watched: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowEpisodes:
    """The episodes of a show in order; `via` names their origin."""

    parts: Sequence[ShowEpisode]
    via: str


class Backend(Protocol):
    """One person's shows. Each call raises Problem 502, in words for the caller, if it fails."""

    async def shows(self) -> list[FollowedShow]: ...

    async def show(self, tvdb: int) -> ShowEpisodes:
        """A show, followed or not; without episodes if it is not known."""
        ...

    async def follow(self, tvdb: int) -> None: ...

    async def unfollow(self, tvdb: int) -> None: ...

    async def mark(self, tvdb: int) -> None:
        """Mark an episode watched; one that is already marked stays as it is."""
        ...

    async def unmark(self, tvdb: int) -> None: ...
