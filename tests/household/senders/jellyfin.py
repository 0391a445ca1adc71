"""Jellyfin with its official Webhook plugin, as contracts/webhooks.md section 2 has it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.household.catalogue import Kind, Title
from tests.household.senders import Message, Setup, Shows
from tests.household.senders.mediabrowser import TICKS, States, runtime
from tests.household.story import PEOPLE, Act, Ending, Sitting, Tick, Whole, utc

SERVER = "b2" * 16
TYPES = {Kind.FILM: "Movie", Kind.EPISODE: "Episode", Kind.TRACK: "Audio"}
WHOLES: Mapping[Whole | None, str] = {Whole.SEASON: "Season", Whole.SHOW: "Series"}
SAVED = "UserDataSaved"
PROGRESS = 600
"""Seconds between reports of progress. The real plugin sends one every few seconds."""

PROVIDERS = {"mbid": "musicbrainztrack"}
DASHED = ("ItemId", "SeriesId", "ServerId", "UserId")


class JellyfinServer:
    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.states = States()

    def sat(self, sitting: Sitting) -> Iterator[Message]:
        for message in self.reported(sitting):
            if message.body["NotificationType"] == SAVED or not self.setup.saved_only:
                yield message

    def reported(self, sitting: Sitting) -> Iterator[Message]:
        report = Report(self, sitting)
        yield from report.start()
        yield from report.during()
        if sitting.ending is not Ending.NONE:
            yield from report.stop()

    def ticked(self, tick: Tick) -> Iterator[Message]:
        state = self.states.toggle(tick.who, tick.title, played=tick.watched)
        values = saved("TogglePlayed", 0, played=tick.watched, plays=state.plays)
        values |= self.last_played(tick.at) if tick.seen is None else last_played(tick.seen)
        shows = Shows.TICK if tick.watched else Shows.UNTICK
        yield self.message(tick, tick.at + 0.4, SAVED, values, shows)
        if tick.whole is not None:
            yield self.message(tick, tick.at + 0.5, SAVED, values | describe_whole(tick), Shows.NOTHING)

    def marked(self, sitting: Sitting, at: float) -> Iterator[Message]:
        """What a tool that carries marks over from Plex leaves: a toggle with the date of the viewing."""
        title = sitting.title
        if "jellyfin" not in title.servers:
            return
        state = self.states.toggle(sitting.who, title, played=True)
        seen = at if sitting.when(title.runtime * 0.9) is None else sitting.when(title.runtime * 0.9)
        values = saved("TogglePlayed", 0, played=True, plays=state.plays) | last_played(seen or at)
        yield self.message(sitting, at, SAVED, values, Shows.TICK)

    def last_played(self, at: float) -> dict[str, Any]:
        """The date that the server sets itself, by its own clock."""
        return last_played(at + self.setup.ahead)

    def message(
        self,
        act: Act,
        at: float,
        name: str,
        values: Mapping[str, Any],
        shows: Shows,
        position: int | None = None,
    ) -> Message:
        moment = utc(at + self.setup.ahead)
        body = {
            "ServerId": SERVER, "ServerName": "Cellar", "ServerVersion": "10.11.2", "NotificationType": name,
            "Timestamp": moment.isoformat(timespec="microseconds").replace("+00:00", "0+00:00"),
            "UtcTimestamp": moment.isoformat(timespec="microseconds").replace("+00:00", "0Z"),
            **describe(act.title, self.setup.copy(act)), "UserId": user_id(act.who), "NotificationUsername": act.who, **values,
        }  # fmt: skip
        return Message(
            at=at + 0.3,
            source="jellyfin",
            body=WRITERS[self.setup.jellyfin](body),
            act=act,
            shows=shows,
            position=position,
            runtime=runtime(act.title) or None,
            player="DeviceId" in body,
            parts=True,
        )


class Report:
    """One sitting, as the server reports it."""

    def __init__(self, server: JellyfinServer, sitting: Sitting) -> None:
        self.server = server
        self.sitting = sitting
        self.dice: random.Random = server.setup.dice(sitting, "jellyfin")
        self.completed = False

    def start(self) -> Iterator[Message]:
        position = self.server.states.start(self.sitting)
        yield self.playback("PlaybackStart", self.sitting.at, position, Shows.START)
        yield self.save("PlaybackStart", self.sitting.at + self.dice.uniform(-0.3, 0.3), position)

    def during(self) -> Iterator[Message]:
        for _ in range(self.dice.randint(0, 3)):
            at = self.dice.uniform(self.sitting.at + 1, self.sitting.ends)
            yield self.save("PlaybackProgress", at, self.sitting.position(at))
        if self.server.setup.progress:
            yield from self.progress()

    def progress(self) -> Iterator[Message]:
        for at in range(self.sitting.at + 20, self.sitting.ends - 20, PROGRESS):
            if not self.rests(at):
                yield self.playback("PlaybackProgress", at, self.sitting.position(at), Shows.ON)
        for at, stretch in self.sitting.timed():
            if stretch.rest:
                end = at + stretch.end - stretch.start
                yield self.playback("PlaybackProgress", end, stretch.end, Shows.REST)
                if stretch is not self.sitting.stretches[-1]:
                    yield self.playback("PlaybackProgress", end + stretch.rest, stretch.end, Shows.ON)

    def rests(self, at: float) -> bool:
        """Whether it rests then, or is about to."""
        return any(
            begins + stretch.end - stretch.start - 3 <= at <= begins + stretch.end - stretch.start + stretch.rest + 3
            for begins, stretch in self.sitting.timed() if stretch.rest
        )  # fmt: skip

    def stop(self) -> Iterator[Message]:
        """The stop, said again now and then for a session that idles, and what it saved, before or after."""
        sitting, position = self.sitting, self.position()
        completed = self.server.states.stop(sitting, position)
        at = sitting.ends + (2.0 if sitting.ending is Ending.LATE else 0.1)
        shows = Shows.FINISH if completed else Shows.END
        values = {"PlayedToCompletion": completed}
        yield self.playback("PlaybackStop", at, position or 0, shows, values, told=position)
        if self.dice.random() < 0.08:
            again = at + self.dice.choice((3, 20))
            yield self.playback("PlaybackStop", again, position or 0, shows, values, told=position)
        yield self.save(
            "PlaybackFinished", at + self.dice.choice((-0.15, 0.2, 1.0)), 0 if completed else position or 0,
            Shows.FINISH if completed else Shows.NOTHING, played=completed,
        )  # fmt: skip

    def position(self) -> int | None:
        """Where it ended; now and then a client sends none, after which Jellyfin takes it for played."""
        played = self.sitting.last > 0.9 * self.sitting.title.runtime
        return None if played and self.dice.random() < 0.04 else self.sitting.last

    def playback(
        self, name: str, at: float, position: int, shows: Shows,
        values: Mapping[str, Any] | None = None, told: int | None = -1,
    ) -> Message:  # fmt: skip
        device = self.sitting.device
        given = {
            "PlaybackPositionTicks": position * TICKS, "IsPaused": shows is Shows.REST, "IsAutomated": False,
            "DeviceId": device.uid, "DeviceName": device.player, "ClientName": "Jellyfin Android TV",
            **(values or {}),
        }  # fmt: skip
        return self.server.message(
            self.sitting, at, name, given, shows, position=position if told == -1 else told
        )

    def save(
        self,
        reason: str,
        at: float,
        position: int,
        shows: Shows = Shows.NOTHING,
        *,
        played: bool | None = None,
    ) -> Message:
        state = self.server.states[self.sitting.who, self.sitting.title]
        far = position > 0.9 * self.sitting.title.runtime
        values = saved(reason, position, played=far if played is None else played, plays=state.plays)
        values |= self.server.last_played(self.sitting.at)
        return self.server.message(self.sitting, at, SAVED, values, shows)


def last_played(at: float) -> dict[str, Any]:
    return {"LastPlayedDate": utc(at).isoformat().replace("+00:00", "Z")}


def saved(reason: str, position: int, *, played: bool, plays: int) -> dict[str, Any]:
    return {
        "SaveReason": reason, "Played": played, "PlayCount": plays, "Favorite": False, "Likes": None,
        "Rating": None, "PlaybackPositionTicks": position * TICKS,
    }  # fmt: skip


def describe(title: Title, copy: int) -> dict[str, Any]:
    key = 0xC0000000 + title.serial + copy * 0x1000000
    known: dict[str, Any] = {
        "Name": title.title, "ItemId": f"{key:032x}", "ItemType": TYPES[title.kind],
        "RunTimeTicks": runtime(title) * TICKS, "Year": title.year,
    }  # fmt: skip
    if title.show is not None:
        known |= {
            "SeriesName": title.show.name, "SeriesId": f"{0xD0000000 + title.show.serial:032x}",
            "SeasonNumber": title.season, "EpisodeNumber": title.number,
        }  # fmt: skip
        if title.last is not None:
            known["EpisodeNumberEnd"] = title.last
    if title.kind is Kind.TRACK:
        known |= {"Artist": title.artist, "Album": title.album}
    spaces = ("mbid",) if title.kind is Kind.TRACK else title.providers
    return known | {f"Provider_{PROVIDERS.get(space, space)}": str(title.ids[space]) for space in spaces}


def describe_whole(tick: Tick) -> dict[str, Any]:
    """The season or the show that was ticked, with the keys of an episode that it has not."""
    show, season = tick.title.show, tick.title.season or 0
    assert show is not None
    none = {
        "EpisodeNumber": None,
        "EpisodeNumberEnd": None,
        "RunTimeTicks": 0,
        "ItemType": WHOLES[tick.whole],
    }
    none |= {f"Provider_{space}": None for space in tick.title.providers}
    if tick.whole is Whole.SEASON:
        return {
            **none,
            "Name": f"Season {season}",
            "ItemId": f"{0xD1000000 + 40 * show.serial + season:032x}",
        }
    of_show = {"Name": show.name, "ItemId": f"{0xD0000000 + show.serial:032x}", "SeasonNumber": None}
    return {**none, **of_show, "SeriesName": None, "SeriesId": None}


def user_id(who: str) -> str:
    return f"{0xE0000000 + PEOPLE.index(who):032x}"


def as_template(body: Mapping[str, Any]) -> dict[str, str]:
    """The same by a Handlebars template: every value a text, ids with dashes, nothing where there is nothing."""
    return {
        name: dashed(value) if name in DASHED and value else as_text(value) for name, value in body.items()
    }


def without_server(body: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in as_template(body).items() if not name.startswith("Server")}


WRITERS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "properties": dict, "template": as_template, "nameless": without_server,
}  # fmt: skip


def dashed(value: str) -> str:
    return str(uuid.UUID(value))


def as_text(value: Any) -> str:
    return "" if value is None else str(value)
