"""A Plex server that is listened to: its alerts, as the contract has them, and what the listener makes of them.

Every ten seconds an alert says where a session is; a session that is paused for long says nothing any more. The
server's own count is asked for at the end of each viewing. A mark by hand is found by a poll, of the owner's alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from tests.household.senders import Message, Shows
from tests.household.senders.plex import SERVER, PlexServer, State, describe, rating_key
from tests.household.story import PEOPLE, Ending, Sitting, Story, Tick, utc
from webhook.domain.event import Action
from webhook.servers.plex.alerts import Alert
from webhook.servers.plex.viewings import Ended, Session, Viewings, count_statement
from webhook.sources._listened import Statement

CADENCE = 10
SPEAKS = 200
"""Seconds for which a paused client goes on to say so."""

SILENCE = 300
SHOWN = {
    Action.START: Shows.START, Action.PAUSE: Shows.REST, Action.RESUME: Shows.ON, Action.PROGRESS: Shows.ON,
    Action.STOP: Shows.END, Action.WATCHED: Shows.FINISH,
}  # fmt: skip


class Point(NamedTuple):
    at: float
    state: str
    position: int


class LivePlex(PlexServer):
    """The server of the household, with its webhooks or without."""

    def look_ahead(self, story: Story) -> None:
        """Take note of what is played next on each player, which ends what was left without a stop."""
        self.next_at: dict[Sitting, tuple[int, bool]] = {}
        last: dict[str, Sitting] = {}
        for act in story.acts:
            if isinstance(act, Sitting):
                if (before := last.get(act.device.uid)) is not None:
                    self.next_at[before] = act.at, act.title == before.title
                last[act.device.uid] = act

    def sat(self, sitting: Sitting) -> Iterator[Message]:
        before = self.states[sitting.who, sitting.title].views
        sent = list(super().sat(sitting))
        if self.setup.plex:
            yield from sent
        yield from Heard(self, sitting, before).messages()

    def ticked(self, tick: Tick) -> Iterator[Message]:
        if tick.who != PEOPLE[0]:
            return
        state = self.states[tick.who, tick.title]
        dice = self.setup.dice(tick, "poll")
        if tick.watched:
            state.views += 1
            state.viewed_at = tick.at
            at = tick.at + dice.uniform(1, 60)
        elif state.views:
            self.states[tick.who, tick.title] = State()
            at = tick.at + dice.uniform(1, 3600)
        else:
            return
        action = Action.WATCHED if tick.watched else Action.UNWATCHED
        when = utc(min(tick.at + self.setup.ahead, at)) if tick.watched else utc(at)
        item = {**describe(tick.title, self.setup.copy(tick)), "duration": tick.title.runtime * 1000}
        said = {"server": SERVER, "user": {"id": "1", "title": tick.who}, "item": item}
        statement = Statement(action=action, at=when, by="poll", said=said, manual=True)
        yield Message(
            at=at, source="plex", body=statement.to_json(), act=tick,
            shows=Shows.TICK if tick.watched else Shows.UNTICK, runtime=tick.title.runtime, player=False,
        )  # fmt: skip


class Heard:
    """One sitting, as the listener hears it."""

    def __init__(self, server: LivePlex, sitting: Sitting, before: int) -> None:
        self.server, self.setup, self.sitting, self.before = server, server.setup, sitting, before
        self.state = server.states[sitting.who, sitting.title]
        self.viewings = Viewings(server=SERVER)
        number = PEOPLE.index(sitting.who)
        item = {**describe(sitting.title, self.setup.copy(sitting)), "duration": sitting.title.runtime * 1000}
        self.session = Session(
            user={"id": str(number * 1_000_003 or 1), "title": sitting.who},
            player={"machineIdentifier": sitting.device.uid, "title": sitting.device.player},
            session={},
            item=item,
            duration_ms=sitting.title.runtime * 1000,
            is_own=number == 0,
            view_count=before if number == 0 else None,
        )
        self.is_open = False

    def messages(self) -> Iterator[Message]:
        last = self.sitting.at
        for point in self.points():
            yield from self.pass_time(last, point.at)
            alert = Alert(
                session="7", item=rating_key(self.sitting.title, self.setup.copy(self.sitting)), state=point.state,
                said={}, position_ms=point.position * 1000, client=self.sitting.device.uid,
            )  # fmt: skip
            now = utc(point.at)
            yield from self.told(self.viewings.hear(alert, now), point.at)
            for viewing in self.viewings.wait(now):
                yield from self.told(self.viewings.introduce(viewing, self.session), point.at)
            last = int(point.at)
        next_at, repeats = self.server.next_at.get(self.sitting, (last + 2 * SILENCE, False))
        if repeats and next_at < last + SILENCE:
            alert = replace(alert, session="8", state="playing", position_ms=0)
            yield from self.told(self.viewings.hear(alert, utc(next_at)), next_at - 0.2)
        else:
            yield from self.pass_time(last, last + SILENCE + 1)

    def points(self) -> Iterator[Point]:
        """The alerts of the sitting."""
        for at, stretch in self.sitting.timed():
            length = stretch.end - stretch.start
            for later in range(0, max(length, 1), CADENCE):
                yield Point(at + later, "playing", stretch.start + later)
            for later in range(0, min(stretch.rest, SPEAKS), CADENCE):
                yield Point(at + length + later, "paused", stretch.end)
        if self.sitting.ending is not Ending.NONE:
            delay = 2.5 if self.sitting.ending is Ending.LATE else 0.2
            yield Point(self.sitting.ends + delay, "stopped", self.sitting.last)

    def pass_time(self, since: float, until: float) -> Iterator[Message]:
        """What is said by the clock alone, as it is looked at every second."""
        for second in range(5, int(until - since) + 1, 5):
            yield from self.told(self.viewings.pass_time(utc(since + second)), since + second)

    def told(self, statements: list[Statement], at: float) -> Iterator[Message]:
        for statement in statements:
            yield self.message(statement, at)
        for ended in self.viewings.ended:
            if self.state.views > self.before and (self.state.viewed_at or 0) <= at:
                yield self.message(self.count(ended), at + 0.4)
        self.viewings.ended.clear()

    def count(self, ended: Ended) -> Statement:
        assert self.state.viewed_at is not None
        counted = utc(self.state.viewed_at) + timedelta(seconds=self.setup.ahead)
        views = self.state.views if self.session.is_own else None
        return count_statement(SERVER, ended, counted, views)

    def message(self, statement: Statement, at: float) -> Message:
        position = statement.position_ms
        return Message(
            at=at + 0.3,
            source="plex",
            body=statement.to_json(),
            act=self.sitting,
            shows=self.shows(statement, at),
            position=None if position is None else position // 1000,
            runtime=self.sitting.title.runtime,
            views=statement.said["item"].get("viewCount"),
        )

    def shows(self, statement: Statement, at: float) -> Shows:
        """A stop in the midst of it, by silence, is a rest; a start after that goes on."""
        if statement.action is Action.STOP and at < self.sitting.ends:
            return Shows.REST
        if statement.action is Action.START and self.is_open:
            return Shows.ON
        self.is_open = self.is_open or statement.action is Action.START
        return SHOWN[statement.action]
