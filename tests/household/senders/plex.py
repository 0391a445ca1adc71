"""Plex, as contracts/webhooks.md section 1 has it: few positions, half the durations, and a view count."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.household.catalogue import Agent, Durations, Kind, Title
from tests.household.senders import Message, Setup, Shows
from tests.household.senders.jellyfin import JellyfinServer
from tests.household.story import PEOPLE, Device, Ending, Sitting, Stretch, Tick, utc

SERVER = {"title": "Attic", "uuid": "a1" * 20}
SCROBBLE = 0.9
OFFSETS: Mapping[str, float] = {"media.play": 1 / 12, "media.pause": 7 / 8, "media.resume": 3 / 4}
"""How often an event has a viewOffset, as long as the item is not watched."""

DURATIONS: Mapping[str, float] = {
    "media.play": 0.25, "media.pause": 0.6, "media.resume": 0.5, "media.scrobble": 0.45, "media.stop": 0.4,
}  # fmt: skip
LIBRARIES = {Kind.FILM: ("movie", "Films"), Kind.EPISODE: ("show", "Series"), Kind.TRACK: ("artist", "Music")}
TYPES = {Kind.FILM: "movie", Kind.EPISODE: "episode", Kind.TRACK: "track"}


@dataclass
class State:
    """What the server keeps of one account and one item."""

    views: int = 0
    viewed_at: float | None = None
    offset: int = 0


class PlexServer:
    """The server of the household, whose owner's webhook reports everybody."""

    def __init__(self, setup: Setup, synced: JellyfinServer | None = None) -> None:
        self.setup = setup
        self.synced = synced
        self.states: dict[tuple[str, Title], State] = defaultdict(State)

    def ticked(self, tick: Tick) -> Iterator[Message]:
        """Plex reports no marks that are set by hand."""
        return iter(())

    def sat(self, sitting: Sitting) -> Iterator[Message]:
        for message in self.reported(sitting):
            if message.shows is Shows.FINISH or not self.setup.scrobbles_only:
                yield message

    def reported(self, sitting: Sitting) -> Iterator[Message]:
        session = Session(self, sitting)
        yield from session.started()
        for number, (at, stretch) in enumerate(sitting.timed()):
            if number and sitting.stretches[number - 1].rest:
                yield from session.resumed(at)
            yield from session.scrobbled_in(at, stretch)
            if stretch.rest:
                yield session.event("media.pause", at + stretch.end - stretch.start, Shows.REST)
        if sitting.ending is not Ending.NONE:
            yield from session.stopped()
        session.state.offset = 0 if session.scrobbled else sitting.last


class Session:
    """One sitting, as the server sees it."""

    def __init__(self, server: PlexServer, sitting: Sitting) -> None:
        self.server = server
        self.sitting = sitting
        self.dice = server.setup.dice(sitting, "plex")
        self.state = server.states[sitting.who, sitting.title]
        self.scrobbled = False

    def started(self) -> Iterator[Message]:
        yield self.event("media.play", self.sitting.at, Shows.START)
        if self.sitting.who != PEOPLE[0] and self.dice.random() < 0.3:
            yield self.event("playback.started", self.sitting.at, Shows.NOTHING)

    def resumed(self, at: float) -> Iterator[Message]:
        """After the scrobble a client goes on with media.play."""
        again = self.scrobbled and self.dice.random() < 0.5
        yield self.event("media.play" if again else "media.resume", at, Shows.ON)

    def scrobbled_in(self, begins: int, stretch: Stretch) -> Iterator[Message]:
        """The scrobble, once the 90 % are passed; where it began behind them, some time later if at all."""
        mark = SCROBBLE * self.sitting.title.runtime
        at = begins + max(0.0, mark - stretch.start)
        if self.sitting.first >= mark:
            at += self.dice.randint(2, 50)
        if self.scrobbled or stretch.end < mark or at > begins + stretch.end - stretch.start:
            return
        self.scrobbled = True
        self.state.views += 1
        self.state.viewed_at = at
        yield self.event("media.scrobble", at, Shows.FINISH)
        if self.server.synced is not None and not self.sitting.title.twin:
            yield from self.server.synced.marked(self.sitting, at + self.dice.choice((40, 300, 1500)))

    def stopped(self) -> Iterator[Message]:
        """The stop; PlexKodiConnect leaves three sessions of one, and each of them ends."""
        delay = 2.5 if self.sitting.ending is Ending.LATE else 0.2
        yield self.event("media.stop", self.sitting.ends + delay, Shows.END)
        if self.server.setup.kodi and self.sitting.device.name == "tv":
            for later in (1, self.dice.randint(5, 40)):
                yield self.event("media.stop", self.sitting.ends + delay + later, Shows.NOTHING)

    def event(self, name: str, at: float, shows: Shows) -> Message:
        position, runtime = self.offset(name, at), self.duration(name)
        state = self.state
        metadata = describe(self.sitting.title, self.server.setup.copy(self.sitting))
        if position is not None:
            metadata["viewOffset"] = position * 1000
        if runtime is not None:
            metadata["duration"] = runtime * 1000
        if state.views and (name == "media.scrobble" or self.dice.random() < 0.7):
            metadata["viewCount"] = state.views
        if state.viewed_at is not None:
            metadata["lastViewedAt"] = int(utc(state.viewed_at + self.server.setup.ahead).timestamp())
        if name == "media.stop" and self.dice.random() < 1 / 8:
            metadata["viewOffset"] = 0
        return Message(
            at=at + self.dice.uniform(0.1, 0.9),
            source="plex",
            body=envelope(name, self.sitting.who, self.sitting.device, metadata),
            act=self.sitting,
            shows=shows,
            position=position,
            runtime=runtime,
            views=metadata.get("viewCount"),
        )

    def offset(self, name: str, at: float) -> int | None:
        """The position, now and then; never again once the item was watched."""
        given = not self.state.views and self.dice.random() < OFFSETS.get(name, 0)
        return self.sitting.position(at) if given else None

    def duration(self, name: str) -> int | None:
        return self.sitting.title.runtime if given(self.dice, self.sitting.title, name) else None


def given(dice: random.Random, title: Title, name: str) -> bool:
    if title.durations is Durations.SOMETIMES:
        return dice.random() < DURATIONS.get(name, 0.5)
    return title.durations is Durations.ALWAYS


def envelope(name: str, who: str, device: Device, metadata: Mapping[str, Any]) -> dict[str, Any]:
    number = PEOPLE.index(who)
    return {
        "event": name,
        "user": number == 0,
        "owner": True,
        "Account": {"id": number * 1_000_003 or 1, "title": who},
        "Server": SERVER,
        "Player": {"local": True, "publicAddress": "203.0.113.9", "title": device.player, "uuid": device.uid},
        "Metadata": metadata,
    }


def rating_key(title: Title, copy: int) -> str:
    return str(100_000 + title.serial + 300_000 * copy)


def describe(title: Title, copy: int) -> dict[str, Any]:
    """The item's Metadata: keys, names, numbers and guids."""
    section, library = LIBRARIES[title.kind]
    known: dict[str, Any] = {
        "librarySectionType": section, "librarySectionTitle": library, "type": TYPES[title.kind],
        "ratingKey": rating_key(title, copy), "title": title.title, "guid": guid(title),
    }  # fmt: skip
    if title.agent is Agent.PLEX:
        known["Guid"] = [{"id": f"{space}://{value}"} for space, value in title.ids.items()]
    return {**known, **BESIDES[title.kind](title)}


def of_film(title: Title) -> dict[str, Any]:
    return {"year": title.year}


def of_track(title: Title) -> dict[str, Any]:
    return {
        "grandparentTitle": title.artist, "parentTitle": title.album, "index": title.serial % 100,
        "grandparentRatingKey": "800", "parentRatingKey": "801",
    }  # fmt: skip


def of_episode(title: Title) -> dict[str, Any]:
    assert title.show is not None
    serial = title.show.serial
    return {
        "grandparentTitle": title.show.name, "parentTitle": f"Season {title.season}",
        "parentIndex": title.season, "index": title.number,
        "grandparentRatingKey": str(90_000 + serial), "parentRatingKey": str(91_000 + 10 * serial),
        "grandparentGuid": show_guid(title),
    }  # fmt: skip


BESIDES = {Kind.FILM: of_film, Kind.TRACK: of_track, Kind.EPISODE: of_episode}


def guid(title: Title) -> str:
    path = f"/{title.season}/{title.number}" if title.kind is Kind.EPISODE else ""
    match title.agent:
        case Agent.PLEX:
            return f"plex://{TYPES[title.kind]}/{title.serial:024x}"
        case Agent.LOCAL:
            return f"local://{100_000 + title.serial}"
        case Agent.IMDB:
            return f"com.plexapp.agents.imdb://{title.ids['imdb']}?lang=en"
    return f"{agent_guid(title)}{path}?lang=en"


def show_guid(title: Title) -> str:
    assert title.show is not None
    if title.agent in (Agent.PLEX, Agent.LOCAL):
        return f"plex://show/{title.show.serial:024x}"
    return f"{agent_guid(title)}?lang=en"


def agent_guid(title: Title) -> str:
    assert title.show is not None
    ids = title.show.ids
    forms = {
        Agent.TVDB: f"thetvdb://{ids['tvdb']}", Agent.TMDB: f"themoviedb://{ids['tmdb']}",
        Agent.HAMA_TVDB: f"hama://tvdb-{ids['tvdb']}", Agent.HAMA_ANIDB: f"hama://anidb-{ids['anidb']}",
    }  # fmt: skip
    return f"com.plexapp.agents.{forms[title.agent]}"
