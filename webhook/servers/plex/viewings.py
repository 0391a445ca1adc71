"""The viewings that are heard of over one connection to a Plex Media Server: alerts in, statements out. Pure.

An alert names no person, and the key of a session is used again: who plays is known by the session that was read
while it played, and what is not known of is said of nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from webhook.domain.event import Action
from webhook.servers.plex.alerts import Alert
from webhook.sources._listened import Statement

SETTLE = timedelta(seconds=5)
"""How long a state holds before the next one is told, so that a seek is no pause."""

PROGRESS_INTERVAL = timedelta(minutes=1)
STEADY_INTERVAL = timedelta(minutes=5)
"""How often the position is told of what plays on as the clock does, which adds nothing to the one before."""

SILENCE = timedelta(minutes=5)
"""The silence after which a session is over: a client that crashes says nothing."""

COUNTED_LATE = timedelta(minutes=15)
"""How long after its end a viewing may be counted by its server."""

MAX_ASK_INTERVAL = timedelta(seconds=5)
MAX_PERCENT = 105
"""The percent beyond which a position is of the next item, which an autoplay moves before the key."""

ITEM_FIELDS = (
    *(
        "type",
        "subtype",
        "extraType",
        "live",
        "librarySectionType",
        "librarySectionTitle",
        "librarySectionID",
    ),
    *(
        "ratingKey",
        "parentRatingKey",
        "grandparentRatingKey",
        "guid",
        "parentGuid",
        "grandparentGuid",
        "Guid",
    ),
    *("Genre", "title", "parentTitle", "grandparentTitle", "originalTitle", "index", "parentIndex", "year"),
    *("duration", "originallyAvailableAt"),
)
"""What is kept of an item: without the addresses of players, and without whose marks the token shows."""

RAN_THROUGH, BEGINS = 0.9, 0.1
"""The parts of an item after which it ran through, and up to which it begins."""

PLAYING, PAUSED, STOPPED = "playing", "paused", "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Who plays what and where, in the server's own words.

    `is_own` is True if the token is this person's, and `view_count` how often they had then watched the item.
    `is_tracked` is False for what nobody tracks, such as a photo or live television.
    """

    user: Mapping[str, Any]
    player: Mapping[str, Any]
    session: Mapping[str, Any]
    item: Mapping[str, Any]
    duration_ms: int | None = None
    is_own: bool = False
    view_count: int | None = None
    is_tracked: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A state of a session at a time."""

    state: str
    at: datetime
    position_ms: int | None


@dataclass(kw_only=True, slots=True)
class Viewing:
    """What is heard under one session key of one item. `told` is the state that was told last.

    `rests_at` is since when it rests that was not yet heard playing, and `is_rest_told` whether that was told.
    """

    alert: Alert
    began: Moment | None = None
    rests_at: datetime | None = None
    is_rest_told: bool = False
    told: Moment | None = None
    changed: Moment | None = None
    heard_at: datetime
    position_ms: int | None = None
    placed: Moment | None = None
    """The position that was told last."""

    asked_at: datetime | None = None
    session: Session | None = None

    def move(self, alert: Alert, now: datetime) -> None:
        """Take in an alert and its position, where that can be one."""
        self.alert, self.heard_at = alert, now
        if alert.position_ms is not None and self.is_sane(alert.position_ms):
            self.position_ms = alert.position_ms

    def is_over_again(self, alert: Alert) -> bool:
        """True if the item begins again under its key after it ran through, as where it is set to repeat."""
        length = self.session.duration_ms if self.session is not None else None
        if length is None or self.position_ms is None or alert.position_ms is None or alert.state == STOPPED:
            return False
        return self.position_ms >= RAN_THROUGH * length and alert.position_ms <= BEGINS * length

    def is_steady(self, now: datetime) -> bool:
        """True if it is where the position that was told last and the clock say."""
        if self.placed is None or self.placed.position_ms is None or self.position_ms is None:
            return False
        moved = timedelta(milliseconds=self.position_ms - self.placed.position_ms)
        return abs(moved - (now - self.placed.at)) <= SETTLE

    def is_sane(self, position_ms: int) -> bool:
        length = self.session.duration_ms if self.session is not None else None
        return length is None or 100 * position_ms <= MAX_PERCENT * length


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A viewing that is over, of which is still to be asked whether the server counts it."""

    session: Session
    item: str
    began_at: datetime
    at: datetime
    position_ms: int | None
    alert: Alert


@dataclass(kw_only=True, slots=True)
class Viewings:
    """The sessions of one connection. A new connection begins with none."""

    server: Mapping[str, Any]
    ended: list[Ended] = field(default_factory=list)
    """What ended since it was looked at last."""
    is_any_missed: bool = False
    """True if something ended of which too little was heard to say anything; whoever looks at it sets it back."""
    _open: dict[str, Viewing] = field(default_factory=dict)
    _ended_at: dict[tuple[str, frozenset[str]], datetime] = field(default_factory=dict)

    def hear(self, alert: Alert, now: datetime) -> list[Statement]:
        """Take in an alert; the statements that follow from it."""
        viewing, told = self._open.get(alert.session), []
        if viewing is not None and (viewing.alert.item != alert.item or viewing.is_over_again(alert)):
            told = self.end(viewing, viewing.position_ms, viewing.heard_at)
            viewing = None
        if alert.state == STOPPED:
            viewing = viewing or self.same_elsewhere(alert)
            if viewing is None:
                self.is_any_missed |= not self.covers(alert.item, now)
                return told
            return told + self.stop(viewing, alert, now)
        if viewing is None:
            if (before := self.same_elsewhere(alert)) is not None:
                told += self.end(before, before.position_ms, before.heard_at)
            viewing = self._open[alert.session] = Viewing(alert=alert, heard_at=now)
        viewing.move(alert, now)
        return told + self.follow(viewing, alert.state, now)

    def same_elsewhere(self, alert: Alert) -> Viewing | None:
        """The viewing on the same player of the same item: what follows may come under a new key."""
        here = (one for one in self._open.values() if alert.client and one.alert.client == alert.client)
        return next((one for one in here if one.alert.item == alert.item), None)

    def stop(self, viewing: Viewing, alert: Alert, now: datetime) -> list[Statement]:
        last = viewing.position_ms
        viewing.move(alert, now)
        # A server that has counted it may already have forgotten the position.
        return self.end(viewing, viewing.position_ms or last, now)

    def follow(self, viewing: Viewing, state: str, now: datetime) -> list[Statement]:
        """Follow a session that goes on."""
        if state not in (PLAYING, PAUSED):
            return []
        current = Moment(state=state, at=now, position_ms=viewing.position_ms)
        if viewing.began is None and state == PLAYING:
            viewing.began = current
        if viewing.told is None:
            return self.begin(viewing) if viewing.began is not None else self.rest(viewing, now)
        if viewing.told.state == state:
            viewing.changed = None
            return self.progress(viewing, now) if state == PLAYING else []
        viewing.changed = viewing.changed or current
        return self.change(viewing, now)

    def rest(self, viewing: Viewing, now: datetime) -> list[Statement]:
        """Say where something rests that was not heard playing, once it has held: its begin may have been told elsewhere."""
        viewing.rests_at = viewing.rests_at or now
        is_told = viewing.is_rest_told or not is_tracked(viewing)
        if is_told or not viewing.position_ms or now - viewing.rests_at < SETTLE:
            return []
        viewing.is_rest_told = True
        here = Moment(state=PAUSED, at=viewing.rests_at, position_ms=viewing.position_ms)
        return [self.say(viewing, Action.PAUSE, here)]

    def begin(self, viewing: Viewing) -> list[Statement]:
        """Say that it began, once it is known who plays."""
        if viewing.began is None or viewing.session is None:
            return []
        viewing.told = viewing.placed = viewing.began
        return [self.say(viewing, Action.START, viewing.began)]

    def change(self, viewing: Viewing, now: datetime) -> list[Statement]:
        """Say that the state changed, once the one before has held long enough."""
        changed, told = viewing.changed, viewing.told
        if changed is None or told is None or now - told.at < SETTLE or not is_tracked(viewing):
            return []
        viewing.told, viewing.placed, viewing.changed = changed, changed, None
        return [self.say(viewing, Action.PAUSE if changed.state == PAUSED else Action.RESUME, changed)]

    def progress(self, viewing: Viewing, now: datetime) -> list[Statement]:
        """Say how far it is, at most once a minute; less often while it plays on as the clock does."""
        if viewing.placed is None or now - viewing.placed.at < PROGRESS_INTERVAL:
            return []
        is_due = now - viewing.placed.at >= STEADY_INTERVAL or not viewing.is_steady(now)
        return self.say_progress(viewing) if is_due else []

    def say_progress(self, viewing: Viewing) -> list[Statement]:
        if viewing.position_ms is None or not is_tracked(viewing):
            return []
        here = Moment(state=PLAYING, at=viewing.heard_at, position_ms=viewing.position_ms)
        viewing.placed = here
        return [self.say(viewing, Action.PROGRESS, here)]

    def end(self, viewing: Viewing, position_ms: int | None, at: datetime) -> list[Statement]:
        """End a viewing; nothing is said of one that was never heard playing, or of whom nobody knows who it is."""
        self._open = {key: one for key, one in self._open.items() if one is not viewing}
        self.is_any_missed |= viewing.session is None
        if viewing.told is None or viewing.session is None or not is_tracked(viewing):
            return []
        if viewing.began is not None:
            over = Ended(
                session=viewing.session,
                item=viewing.alert.item,
                began_at=viewing.began.at,
                at=at,
                position_ms=position_ms,
                alert=viewing.alert,
            )
            self.ended.append(over)
            self._ended_at[viewing.alert.item, names_of(viewing.session)] = at
        return [self.say(viewing, Action.STOP, Moment(state=STOPPED, at=at, position_ms=position_ms))]

    def wait(self, now: datetime) -> list[Viewing]:
        """The viewings of which is to be asked now who plays."""
        seen = [one for one in self._open.values() if one.began is not None or one.rests_at is not None]
        unknown = [one for one in seen if one.session is None]
        due = [one for one in unknown if one.asked_at is None or now - one.asked_at >= MAX_ASK_INTERVAL]
        for viewing in due:
            viewing.asked_at = now
        return due

    def introduce(self, viewing: Viewing, session: Session) -> list[Statement]:
        """Take in who plays."""
        viewing.session = session
        if viewing.position_ms is not None and not viewing.is_sane(viewing.position_ms):
            viewing.position_ms = None
        if viewing.began is not None and viewing.position_ms is None:
            viewing.began = Moment(state=PLAYING, at=viewing.began.at, position_ms=None)
        return self.begin(viewing)

    def pass_time(self, now: datetime) -> list[Statement]:
        """The statements that are due by the clock alone."""
        told: list[Statement] = []
        for viewing in list(self._open.values()):
            if now - viewing.heard_at >= SILENCE:
                told += self.end(viewing, viewing.position_ms, viewing.heard_at)
            else:
                told += self.change(viewing, now)
        return told

    def leave(self) -> list[Statement]:
        """The last that is known of what plays, before the connection is given up."""
        playing = [one for one in self._open.values() if one.told is not None and one.told.state == PLAYING]
        apart = [one for one in playing if one.placed is None or one.placed.at != one.heard_at]
        return [said for one in apart for said in self.say_progress(one)]

    def covers(self, item: str, now: datetime, user: Mapping[str, Any] | None = None) -> bool:
        """True if the item is played, or was until just now, so that its count is that of this viewing.

        By this user, if one is named; a session of whom is not known yet may be theirs.
        """
        self._ended_at = {key: at for key, at in self._ended_at.items() if now - at <= COUNTED_LATE}
        players = [names for key, names in self._ended_at if key == item]
        players += [names_of(one.session) for one in self._open.values() if one.alert.item == item]
        wanted = None if user is None else names_of_user(user)
        return any(wanted is None or not names or names & wanted for names in players)

    def say(self, viewing: Viewing, action: Action, moment: Moment) -> Statement:
        assert viewing.session is not None
        said = statement_body(self.server, viewing.session, viewing.alert)
        return Statement(
            action=action, at=moment.at, by="alert", said=said, position_ms=moment.position_ms
        )  # fmt: skip


def names_of(session: Session | None) -> frozenset[str]:
    """What a session's user is known by; nothing while that is not known."""
    return frozenset() if session is None else names_of_user(session.user)


def names_of_user(user: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(f"{key}:{user[key]}" for key in ("id", "title") if user.get(key) is not None)


def is_tracked(viewing: Viewing) -> bool:
    return viewing.session is not None and viewing.session.is_tracked


def count_statement(
    server: Mapping[str, Any], ended: Ended, counted_at: datetime | None, view_count: int | None
) -> Statement:
    """What is said once the server counts a viewing, dated as the server has it where that lies within the viewing."""
    said = statement_body(server, ended.session, ended.alert)
    if view_count is not None:
        said["item"] = {**ended.session.item, "viewCount": view_count}
    during = counted_at is not None and ended.began_at <= counted_at <= ended.at
    at = counted_at if during and counted_at is not None else ended.at
    return Statement(action=Action.WATCHED, at=at, by="count", said=said)


def pick(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def statement_body(server: Mapping[str, Any], session: Session, alert: Alert) -> dict[str, Any]:
    """What the server said, for the source."""
    return {
        "server": server,
        "user": session.user,
        "player": session.player,
        "alert": alert.said,
        "session": session.session,
        "item": session.item,
    }
