"""Tautulli with Watchmark's template, as contracts/webhooks.md section 5 has it: it watches the Plex server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.household.catalogue import Agent, Kind, Title
from tests.household.senders import Message, Setup, Shows
from tests.household.senders.plex import SERVER, TYPES, guid, rating_key
from tests.household.story import PEOPLE, Ending, Sitting, Tick

WATCHED = 0.85
"""Tautulli's own watched percentage, which is a setting of it."""

LIBRARIES = {Kind.FILM: "Films", Kind.EPISODE: "Series", Kind.TRACK: "Music"}
SPACES = {"imdb": "imdb_id", "tvdb": "thetvdb_id", "tmdb": "themoviedb_id"}


class Tautulli:
    """Sees every session of the Plex server, and tells a position with everything."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def ticked(self, tick: Tick) -> Iterator[Message]:
        return iter(())

    def sat(self, sitting: Sitting) -> Iterator[Message]:
        yield self.message(sitting, "play", sitting.at, sitting.first, Shows.START)
        watched = sitting.when(WATCHED * sitting.title.runtime)
        if watched is not None:
            yield self.message(sitting, "watched", watched + 4, sitting.position(watched + 4), Shows.FINISH)
        for number, (at, stretch) in enumerate(sitting.timed()):
            end = at + stretch.end - stretch.start
            if number and sitting.stretches[number - 1].rest:
                yield self.message(sitting, "resume", at, stretch.start, Shows.ON)
            if stretch.rest:
                yield self.message(sitting, "pause", end, stretch.end, Shows.REST)
        if sitting.ending is not Ending.NONE:
            late = 2.0 if sitting.ending is Ending.LATE else 0.0
            yield self.message(sitting, "stop", sitting.ends + late, sitting.last, Shows.END)

    def message(self, sitting: Sitting, action: str, at: float, position: int, shows: Shows) -> Message:
        title, device = sitting.title, sitting.device
        known: dict[str, Any] = {
            "template": "watchmark", "action": action, "live": "0", "session_key": str(sitting.at % 997),
            "server_machine_id": SERVER["uuid"], "server_name": SERVER["title"],
            "username": sitting.who, "user_id": str(PEOPLE.index(sitting.who) * 1_000_003 or 1),
            "player": device.player, "machine_id": device.uid, "library_name": LIBRARIES[title.kind],
            "duration_ms": str(title.runtime * 1000), "view_offset": str(position * 1000),
            "progress_percent": str(100 * position // title.runtime),
            **describe(title, self.setup.copy(sitting)),
        }  # fmt: skip
        return Message(
            at=at + 1.5,
            source="tautulli",
            body=known,
            act=sitting,
            shows=shows,
            position=position,
            runtime=title.runtime,
        )


def describe(title: Title, copy: int) -> dict[str, str]:
    """The item: of an episode the named ids are its show's."""
    known = {
        "media_type": TYPES[title.kind], "title": title.title, "year": str(title.year or ""),
        "guid": guid(title), "rating_key": rating_key(title, copy),
    }  # fmt: skip
    if title.show is not None:
        known |= {
            "show_name": title.show.name, "episode_name": title.title, "season_num": str(title.season),
            "episode_num": str(title.number), "show_year": str(title.show.year),
        }  # fmt: skip
        if title.agent is Agent.PLEX:
            known |= {SPACES[space]: str(title.show.ids[space]) for space in ("tvdb", "tmdb")}
    elif title.kind is Kind.FILM and title.agent is not Agent.LOCAL:
        known |= {SPACES[space]: str(title.ids[space]) for space in ("imdb", "tmdb")}
    else:
        known |= {"track_name": title.title, "artist_name": str(title.artist), "album_name": str(title.album)}
    return known
