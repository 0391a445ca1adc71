"""A Jellyfin and an Emby that are listened to: the real listener looks at their sessions and polls their marks.

The server keeps what it knows of each user over the whole story; then the listener is led past it, look by look: every
few seconds while something happens and now and then while something only plays on, which says the same.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from typing import Any, ClassVar

import orjson
import time_machine

from tests.household.catalogue import Title
from tests.household.senders import Message, Setup, Shows, emby, jellyfin
from tests.household.senders.emby import EmbyServer
from tests.household.senders.jellyfin import JellyfinServer
from tests.household.senders.mediabrowser import TICKS, State, States, runtime
from tests.household.story import EPOCH, PEOPLE, Act, Ending, Sitting, Tick, utc
from webhook.clock import now
from webhook.domain.event import Action
from webhook.servers._mediabrowser.listening import Listening
from webhook.servers._mediabrowser.polling import MarksPoller
from webhook.servers._mediabrowser.socket import HintSocket
from webhook.sources._listened import Statement

Row = dict[str, Any]
BUSY, IDLE, STEADY = 3, 15, 20
LOOKS = 5
"""The looks that follow something at once; after these nothing changes any more."""

REPORTS = 5
"""Seconds between two reports of a client to its server."""

SILENCE = 300
"""Seconds after which a server ends the session of a client that no longer reports."""

SHOWN = {
    Action.START: Shows.START, Action.PAUSE: Shows.REST, Action.RESUME: Shows.ON, Action.PROGRESS: Shows.ON,
    Action.STOP: Shows.END, Action.WATCHED: Shows.TICK, Action.UNWATCHED: Shows.UNTICK,
}  # fmt: skip


class Due(IntEnum):
    """What the listener does at a time."""

    LOOK = 0
    POLL = 1
    WHOLE = 2


@dataclass(frozen=True)
class Change:
    """What a server has of a user and an item from then on, and why."""

    at: float
    user: str
    item: str
    data: Row
    act: Act


@dataclass(frozen=True)
class Showing:
    """A sitting as a session of the server: from its begin until it is seen no longer."""

    sitting: Sitting
    item: str
    user: Row
    until: float

    def is_on(self, at: float) -> bool:
        return self.sitting.at <= at < self.until

    def boundaries(self) -> Iterator[float]:
        """When something happens in it."""
        for at, stretch in self.sitting.timed():
            end = at + stretch.end - stretch.start
            yield from (moment for moment in (at, end) if moment < self.until)
        yield self.until

    def row(self, at: float, items: Mapping[str, Row]) -> Row:
        sitting = self.sitting
        reported = max(float(sitting.at), at - at % REPORTS)
        return {
            "Id": f"session of {sitting.device.uid}",
            **{f"User{name}": value for name, value in self.user.items()},
            "Client": "Player", "DeviceId": sitting.device.uid, "DeviceName": sitting.device.player,
            "PlayState": {"PositionTicks": sitting.position(reported) * TICKS, "IsPaused": self.rests(at)},
            "NowPlayingItem": items[self.item],
        }  # fmt: skip

    def rests(self, at: float) -> bool:
        ends = (
            (begins + stretch.end - stretch.start, stretch.rest) for begins, stretch in self.sitting.timed()
        )
        return any(end <= at < end + rest for end, rest in ends)


@dataclass
class Memory:
    """What happens on a server over the whole story."""

    setup: Setup
    source: str
    about: Row
    first_user: int
    items: dict[str, Row] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    sittings: list[tuple[Sitting, str]] = field(default_factory=list)

    def user(self, who: str) -> Row:
        return {"Id": f"{self.first_user + PEOPLE.index(who):032x}", "Name": who}

    def store(self, act: Act, who: str, item: str, state: State, at: float, dated: float) -> None:
        """Keep what the server has of this user and item from now on; what was taken back has no date."""
        data: Row = {
            "Played": state.played,
            "PlayCount": state.plays,
            "PlaybackPositionTicks": state.position * TICKS,
            "IsFavorite": False,
        }
        if state.plays:
            data["LastPlayedDate"] = utc(dated).isoformat().replace("+00:00", "Z")
        self.changes.append(Change(at, self.user(who)["Id"], item, data, act))

    def showings(self) -> list[Showing]:
        """The sittings, each until it ends, or the next one on its player begins."""
        begins: dict[str, list[float]] = defaultdict(list)
        for sitting, _ in self.sittings:
            begins[sitting.device.uid].append(sitting.at)
        found = []
        for sitting, item in self.sittings:
            later = (at for at in begins[sitting.device.uid] if at > sitting.at)
            until = min(chain([end_of(sitting)], later))
            found.append(Showing(sitting, item, self.user(sitting.who), until))
        return found


def end_of(sitting: Sitting) -> float:
    """When the server takes note of the end."""
    return sitting.ends + (SILENCE if sitting.ending is Ending.NONE else 0.1)


class Live:
    """What both servers do while they are listened to, beside what their webhooks report."""

    memory: Memory
    setup: Setup
    states: States

    def sat(self, sitting: Sitting) -> Iterator[Message]:
        state, item = self.states[sitting.who, sitting.title], self.item(sitting)
        left = state.position
        sent = list(super().sat(sitting))  # type: ignore[misc]
        if sitting.ending is Ending.NONE:
            self.states.stop(sitting, sitting.last)
        begun = State(position=left, played=False, plays=state.plays)
        dated = sitting.at + self.setup.ahead
        self.memory.store(sitting, sitting.who, item, begun, sitting.at, dated)
        self.memory.store(sitting, sitting.who, item, state, end_of(sitting), dated)
        self.memory.sittings.append((sitting, item))
        if self.setup.webhooks:
            yield from sent

    def ticked(self, tick: Tick) -> Iterator[Message]:
        sent = list(super().ticked(tick))  # type: ignore[misc]
        dated = tick.at + self.setup.ahead if tick.seen is None else tick.seen
        state = self.states[tick.who, tick.title]
        self.memory.store(tick, tick.who, self.item(tick), state, tick.at + 0.1, dated)
        if self.setup.webhooks:
            yield from sent

    def heard(self) -> list[Message]:
        """What the listener makes of the whole story."""
        self.memory.changes.sort(key=lambda change: change.at)
        return asyncio.run(Ear(self.memory).listen())

    def item(self, act: Act) -> str:
        described = self.describe(act.title, self.setup.copy(act))
        self.memory.items[described["Id"]] = described
        return str(described["Id"])

    def describe(self, title: Title, copy: int) -> Row:
        raise NotImplementedError


class LiveJellyfin(Live, JellyfinServer):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        about = {"Id": jellyfin.SERVER, "ServerName": "Cellar", "Version": "10.11.2"}
        self.memory = Memory(setup, "jellyfin", about, 0xE0000000)

    def marked(self, sitting: Sitting, at: float) -> Iterator[Message]:
        sent = list(super().marked(sitting, at))
        if sent:
            seen = sitting.when(sitting.title.runtime * 0.9) or at
            state = self.states[sitting.who, sitting.title]
            self.memory.store(sitting, sitting.who, self.item(sitting), state, at, seen)
        if self.setup.webhooks:
            yield from sent

    def describe(self, title: Title, copy: int) -> Row:
        """The item as its sessions show it."""
        told = jellyfin.describe(title, copy)
        providers = {
            name.removeprefix("Provider_").title(): value
            for name, value in told.items()
            if name.startswith("Provider_")
        }
        names = {
            "ItemId": "Id", "ItemType": "Type", "Year": "ProductionYear", "SeasonNumber": "ParentIndexNumber",
            "EpisodeNumber": "IndexNumber", "EpisodeNumberEnd": "IndexNumberEnd", "Artist": "AlbumArtist",
        }  # fmt: skip
        kept = {
            names.get(name, name): value
            for name, value in told.items()
            if not name.startswith("Provider_") and (name != "RunTimeTicks" or value)
        }
        return {
            **kept,
            "ProviderIds": {PROVIDERS.get(name, name): value for name, value in providers.items()},
        }


PROVIDERS = {"Musicbrainztrack": "MusicBrainzTrack"}


class LiveEmby(Live, EmbyServer):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        about = {
            "Id": emby.SERVER["Id"],
            "ServerName": emby.SERVER["Name"],
            "Version": emby.SERVER["Version"],
        }
        self.memory = Memory(setup, "emby", about, 0xF0000000)

    def describe(self, title: Title, copy: int) -> Row:
        return emby.describe(title)


class Ear:
    """The listener, led past the server by the clock, and its audience."""

    POLL: ClassVar[int] = 60
    WHOLE: ClassVar[int] = 1800

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.at = 0.0
        self.found: list[Message] = []
        self.remembered: dict[str, bytes] = {}
        self.of_pair: dict[tuple[str, str], list[Change]] = defaultdict(list)
        for change in memory.changes:
            self.of_pair[change.user, change.item].append(change)
        self.shown = memory.showings()

    async def listen(self) -> list[Message]:
        listening = Listening(self)
        listening.about = dict(self.memory.about)
        poller = MarksPoller(self, self, listening.about, listening, asyncio.Event())
        with time_machine.travel(EPOCH, tick=False) as machine:
            await poller.poll()
            for at, what in self.timetable():
                self.at = at
                machine.move_to(utc(at))
                if what is Due.LOOK:
                    await listening.look(self)
                    continue
                poller.whole_at = None if what is Due.WHOLE else poller.whole_at
                await poller.poll()
        return self.found

    # --- when it looks

    def timetable(self) -> list[tuple[float, Due]]:
        """All the looks and polls of the story."""
        due: set[tuple[float, Due]] = set()
        for showing in self.shown:
            dice = self.memory.setup.dice(showing.sitting, self.memory.source + " looks")
            for place, at in enumerate(showing.boundaries()):
                # The socket says at once that something began; without it the next look comes when it comes.
                first = at + dice.uniform(0, dice.choice((1, IDLE if place == 0 else BUSY)))
                due |= {(first + BUSY * number, Due.LOOK) for number in range(LOOKS)}
            steady = range(showing.sitting.at + STEADY, int(showing.until), STEADY)
            due |= {(float(at), Due.LOOK) for at in steady}
        for change in self.memory.changes:
            dice = self.memory.setup.dice(change.act, self.memory.source + " polls")
            due.add((change.at + dice.uniform(1, self.POLL), Due.POLL))
            due.add((change.at + dice.uniform(self.POLL, self.WHOLE), Due.WHOLE))
        return sorted(due)

    # --- the server's answers

    async def system(self) -> Mapping[str, Any]:
        return self.memory.about

    async def sessions(self) -> list[Any]:
        return [showing.row(self.at, self.memory.items) for showing in self.shown if showing.is_on(self.at)]

    def socket(self, on_sessions: object, on_marks: object) -> HintSocket:
        raise AssertionError("the looks come by the clock")

    async def named_users(self) -> list[dict[str, str]]:
        return [self.memory.user(who) for who in PEOPLE]

    async def marks_page(
        self, user: str, wanted: Mapping[str, str], start: int, size: int
    ) -> tuple[list[Mapping[str, Any]], int]:
        rows = [] if wanted["Filters"] == "IsFavorite" else list(self.played(user))
        if wanted["SortBy"] == "DatePlayed":
            rows.sort(key=lambda row: str(row["UserData"].get("LastPlayedDate", "")), reverse=True)
        return list(rows[start : start + size]), len(rows)

    def played(self, user: str) -> Iterator[Mapping[str, Any]]:
        for whose, item in self.of_pair:
            data = self.data(user, item) if whose == user else None
            if data is not None and data["Played"] and self.memory.items[item]["Type"] != "Audio":
                yield {**self.memory.items[item], "UserData": data}

    def data(self, user: str, item: str) -> Row | None:
        change = self.change(user, item)
        return None if change is None else change.data

    def change(self, user: str, item: str) -> Change | None:
        known = self.of_pair.get((user, item), [])
        place = bisect_right(known, self.at, key=lambda change: change.at)
        return known[place - 1] if place else None

    async def items_by_key(self, user: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for key in keys:
            if key in self.memory.items:
                found[key] = {**self.memory.items[key], "UserData": self.data(user, key) or {"Played": False}}
        return found

    # --- the audience

    async def connect(self) -> None:
        raise AssertionError("the line stands")

    def catch_up(self) -> None:
        raise AssertionError("nothing is missed")

    async def recall(self, name: str) -> Any:
        return orjson.loads(self.remembered[name]) if name in self.remembered else None

    async def sign_ins(self) -> dict[str, str]:
        return {}

    async def remember(self, name: str, value: Any) -> None:
        self.remembered[name] = orjson.dumps(value)

    async def keep(self, statement: Statement) -> None:
        act = self.act_of(statement)
        position = statement.position_ms
        self.found.append(
            Message(
                at=now().timestamp() - EPOCH.timestamp() + 0.2,
                source=self.memory.source,
                body=orjson.loads(orjson.dumps(statement.to_json())),
                act=act,
                shows=shows(statement),
                position=None if position is None else position // 1000,
                runtime=runtime(act.title) or None,
                player=statement.by == "sessions",
                parts=True,
            )
        )

    def act_of(self, statement: Statement) -> Act:
        item, user = statement.said["item"]["Id"], statement.said["user"]["Id"]
        if statement.by == "poll":
            change = self.change(user, item)
            assert change is not None
            return change.act
        at, device = (statement.at - EPOCH).total_seconds(), statement.said["session"]["DeviceId"]
        known = [
            showing.sitting
            for showing in self.shown
            if (showing.item, showing.sitting.device.uid) == (item, device) and showing.sitting.at <= at
        ]
        return known[-1]


def shows(statement: Statement) -> Shows:
    if statement.action is Action.STOP:
        data = statement.said.get("user_data", {})
        is_completed = data.get("Played") and not data.get("PlaybackPositionTicks")
        return Shows.FINISH if is_completed else Shows.END
    return SHOWN[statement.action]
