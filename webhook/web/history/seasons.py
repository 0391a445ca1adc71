"""The seasons of a show as its page shows them, in parts where they are very long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webhook.web.history.episodes import EpisodeJson

EPISODES_PER_PART = 200
"""Episodes per part of a season, and those shown open on one page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeasonPart:
    """A season or, of a very long one, a part of its episodes; `whole` if it is all of it."""

    season: int
    episodes: Sequence[EpisodeJson]
    whole: bool

    @property
    def watched_count(self) -> int:
        return sum(bool(episode["plays"]) for episode in self.episodes)

    def aired_count(self, today: str) -> int:
        """The episodes that can have been watched by a day: those that have aired, and those that were watched before."""
        return sum(bool(one["plays"]) or has_aired(one, today) for one in self.episodes)

    @property
    def has_episode_list(self) -> bool:
        """True if the number of its episodes is known."""
        return any(episode["listed"] for episode in self.episodes)

    @property
    def is_started(self) -> bool:
        return 0 < self.watched_count < len(self.episodes)


def has_aired(episode: EpisodeJson, today: str) -> bool:
    """False for an episode that is listed for a later day, or for no day yet."""
    return not episode["listed"] or bool(episode["aired"] and episode["aired"] <= today)


def in_parts(episodes: Iterable[EpisodeJson]) -> list[SeasonPart]:
    """The seasons in parts, in the order of the episodes."""
    seasons: dict[int, list[EpisodeJson]] = {}
    for episode in episodes:
        seasons.setdefault(episode["season"], []).append(episode)
    return [
        SeasonPart(
            season=season,
            episodes=all_[start : start + EPISODES_PER_PART],
            whole=len(all_) <= EPISODES_PER_PART,
        )
        for season, all_ in seasons.items()
        for start in range(0, len(all_), EPISODES_PER_PART)
    ]


def open_parts(parts: Sequence[SeasonPart], wanted: int | None) -> set[int]:
    """The numbers (from 1) of the parts shown open: all of a short show, else the requested or the started one."""
    if sum(len(part.episodes) for part in parts) <= EPISODES_PER_PART:
        return set(range(1, len(parts) + 1))
    if wanted is not None and wanted <= len(parts):
        return {wanted}
    return {next((place for place, part in enumerate(parts, 1) if part.is_started), 1)}
