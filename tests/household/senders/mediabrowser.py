"""What Emby and Jellyfin share: they keep a resume position and a played flag by one rule."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tests.household.catalogue import Durations, Title
from tests.household.story import Sitting

TICKS = 10_000_000
RESUME_FROM, FINISHED_FROM, SHORTEST = 0.05, 0.9, 300


@dataclass
class State:
    """What the server keeps of one user and one item."""

    position: int = 0
    played: bool = False
    plays: int = 0


class States:
    """Everybody's state on one server."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, Title], State] = defaultdict(State)

    def __getitem__(self, of: tuple[str, Title]) -> State:
        return self.known[of]

    def start(self, sitting: Sitting) -> int:
        """The position that the player starts from: where it was left, else the beginning."""
        state = self.known[sitting.who, sitting.title]
        state.plays += 1
        state.played = False
        resumes = state.position and abs(state.position - sitting.first) < 15
        return sitting.first if resumes else 0

    def stop(self, sitting: Sitting, position: int | None) -> bool:
        """Whether the server takes it for played to completion: the rule of section 2.4."""
        state = self.known[sitting.who, sitting.title]
        completed = is_completed(sitting.title, position)
        if completed:
            state.played, state.position = True, 0
        else:
            begun = position is not None and position >= RESUME_FROM * sitting.title.runtime
            state.position = position if begun and position is not None else 0
        return completed

    def toggle(self, who: str, title: Title, *, played: bool) -> State:
        state = self.known[who, title]
        state.played, state.position = played, 0
        state.plays = max(state.plays, 1) if played else 0
        return state


def is_completed(title: Title, position: int | None) -> bool:
    if position is None or title.durations is Durations.NEVER:
        return True
    part = position / title.runtime
    if part < RESUME_FROM:
        return False
    return part > FINISHED_FROM or title.runtime - position <= 1 or title.runtime < SHORTEST


def runtime(title: Title) -> int:
    """The runtime that the server knows; 0 where it does not."""
    return 0 if title.durations is Durations.NEVER else title.runtime
