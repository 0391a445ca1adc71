"""Emby, as contracts/webhooks.md section 4 has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.household.catalogue import Kind, Title
from tests.household.senders import Message, Setup, Shows
from tests.household.senders.mediabrowser import TICKS, States, runtime
from tests.household.story import PEOPLE, Act, Ending, Sitting, Tick, utc

SERVER = {"Name": "Loft", "Id": "c3" * 16, "Version": "4.9.1.2"}
TYPES = {Kind.FILM: "Movie", Kind.EPISODE: "Episode", Kind.TRACK: "Audio"}


class EmbyServer:
    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.states = States()

    def sat(self, sitting: Sitting) -> Iterator[Message]:
        yield self.playback(sitting, "playback.start", sitting.at, self.states.start(sitting), Shows.START)
        for number, (at, stretch) in enumerate(sitting.timed()):
            end = at + stretch.end - stretch.start
            if number and sitting.stretches[number - 1].rest:
                yield self.playback(sitting, "playback.unpause", at, stretch.start, Shows.ON)
            if stretch.rest:
                yield self.playback(sitting, "playback.pause", end, stretch.end, Shows.REST)
        if sitting.ending is not Ending.NONE:
            yield from self.stop(sitting)

    def stop(self, sitting: Sitting) -> Iterator[Message]:
        """The stop; after one that completed the item's mark is reported too, now and then."""
        completed = self.states.stop(sitting, sitting.last)
        at = sitting.ends + (2.0 if sitting.ending is Ending.LATE else 0.1)
        shows = Shows.FINISH if completed else Shows.END
        info = {"PlayedToCompletion": completed}
        yield self.playback(sitting, "playback.stop", at, sitting.last, shows, info)
        if completed and self.setup.dice(sitting, "emby").random() < 0.3:
            yield self.message(sitting, "item.markplayed", at + 0.8, {}, Shows.FINISH)

    def ticked(self, tick: Tick) -> Iterator[Message]:
        self.states.toggle(tick.who, tick.title, played=tick.watched)
        name = "item.markplayed" if tick.watched else "item.markunplayed"
        shows = Shows.TICK if tick.watched else Shows.UNTICK
        yield self.message(tick, name, tick.at + 0.4, {}, shows)

    def playback(
        self, sitting: Sitting, name: str, at: float, position: int, shows: Shows,
        info: Mapping[str, Any] | None = None,
    ) -> Message:  # fmt: skip
        device = sitting.device
        values = {
            "Session": {"Client": "Emby Theater", "DeviceName": device.player, "DeviceId": device.uid},
            "PlaybackInfo": {"PositionTicks": position * TICKS, **(info or {})},
        }
        return self.message(sitting, name, at, values, shows, position)

    def message(
        self,
        act: Act,
        name: str,
        at: float,
        values: Mapping[str, Any],
        shows: Shows,
        position: int | None = None,
    ) -> Message:
        own = act.who == self.setup.own_address
        user = {} if own else {"User": {"Name": act.who, "Id": f"{0xF0000000 + PEOPLE.index(act.who):032x}"}}
        return Message(
            at=at + 0.3,
            source="emby",
            body={
                "Title": "Something on Loft", "Date": stamp(at + self.setup.ahead), "Event": name, **user,
                "Item": describe(act.title), "Server": SERVER, **values,
            },
            act=act,
            shows=shows,
            position=position,
            runtime=runtime(act.title) or None,
            player="Session" in values,
            parts=True,
            address=act.who if own else None,
        )  # fmt: skip


def stamp(at: float) -> str:
    return utc(at).isoformat(timespec="microseconds").replace("+00:00", "0Z")


def describe(title: Title) -> dict[str, Any]:
    known: dict[str, Any] = {
        "Name": title.title, "Id": str(240_000 + title.serial), "ServerId": SERVER["Id"],
        "Type": TYPES[title.kind], "ProductionYear": title.year,
        "ProviderIds": {space.title(): str(title.ids[space]) for space in title.providers},
    }  # fmt: skip
    if runtime(title):
        known["RunTimeTicks"] = runtime(title) * TICKS
    if title.show is not None:
        known |= {
            "SeriesName": title.show.name, "SeriesId": str(230_000 + title.show.serial),
            "ParentIndexNumber": title.season, "IndexNumber": title.number,
        }  # fmt: skip
        if title.last is not None:
            known["IndexNumberEnd"] = title.last
    return known
