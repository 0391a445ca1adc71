"""Turns: which of the webhooks that wait one of several interpreters takes.

On SQLite there is one interpreter, and it takes the oldest. On PostgreSQL any number run at once: each locks the
conflict keys of the webhooks that it takes until its transaction ends, and leaves a webhook alone while an earlier
one that shares a key with it waits. Locks are only tried, never waited for, so that interpreters cannot deadlock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from webhook.domain.states import WebhookState
from webhook.people.ownership import share_ownership, try_to_change_ownership
from webhook.pipeline.conflicts import ConflictReader, Conflicts, person_key, player_key
from webhook.pipeline.parsed import Parsed
from webhook.storage.locks import try_locks
from webhook.storage.prepared import Prepared, inline
from webhook.storage.rows import fetch_all
from webhook.storage.tables import WebhookRow, token, webhook

MAX_WINDOW = 512
"""Webhooks that an interpreter looks through for some that nobody else has taken."""


class Head(NamedTuple):
    """A webhook that waits, with all that may change about it meanwhile."""

    id: int
    interpreted_at: datetime | None
    token_id: int | None
    bound: int | None
    """The person of its token."""


class Entry(NamedTuple):
    head: Head
    parsed: Parsed


@dataclass(frozen=True, slots=True)
class Window:
    """The oldest webhooks that wait, parsed, of which up to `most` are taken."""

    most: int
    entries: Sequence[Entry]
    whole: bool
    """True if there may be more behind these."""


# Built once: putting a statement together costs more than running it.
OLDEST = (
    select(webhook.c.id, webhook.c.interpreted_at, webhook.c.token_id, token.c.person_id)
    .outerjoin(token, token.c.id == webhook.c.token_id)
    .where(webhook.c.state == inline(WebhookState.RECEIVED.value))
    .order_by(webhook.c.id)
    .limit(bindparam("count"))
)
HEADS = Prepared(OLDEST)
HEADS_UNTIL = Prepared(OLDEST.where(webhook.c.id <= bindparam("last")))
ROWS = Prepared(select(webhook).where(webhook.c.id.in_(bindparam("ids", expanding=True))))


class Turns:
    """Takes webhooks for an interpreter."""

    def __init__(self, parse: Callable[[WebhookRow], Parsed]) -> None:
        self.parse = parse
        self.reach = 0  # how far to look: as far as others have taken what comes first
        self._entries: dict[Head, Entry] = {}  # the window before, which is not parsed again

    def read_window(self, connection: Connection, most: int, *, uncommitted: bool = False) -> Window:
        """Read and parse the oldest webhooks that wait, before the transaction; they are remembered for the next window.

        What is `uncommitted` is not: where it fails, or the server does before it is on its disk, another webhook may
        get its id. On SQLite nothing is remembered, since it gives the id of an insert that failed to the next.
        """
        count = max(self.reach, most)
        heads = [Head(*row) for row in HEADS.rows(connection, {"count": count})]
        known = self._entries
        missing = [head.id for head in heads if head not in known]
        rows = fetch_all(connection, ROWS, WebhookRow, {"ids": missing}) if missing else []
        read = {(row.id, row.interpreted_at, row.token_id): row for row in rows}
        entries = {}
        for head in heads:
            if (entry := known.get(head)) is not None:
                entries[head] = entry
            elif (row := read.get(head[:3])) is not None:
                entries[head] = Entry(head, self.parse(row))
        if connection.dialect.name != "sqlite" and not uncommitted:
            self._entries = entries
        return Window(most, list(entries.values()), len(heads) == count)

    def take(self, reader: ConflictReader, window: Window) -> list[Parsed]:
        """The webhooks of the window to interpret in this transaction, oldest first.

        What was read before the transaction is read again under the locks: a webhook that was interpreted, was
        queued again or came in meanwhile is parsed first, and nothing behind it is taken.
        """
        connection = reader.connection
        if connection.dialect.name == "sqlite":
            return [entry.parsed for entry in recheck(connection, window.entries, window.entries)]
        if not window.entries or not share_ownership(connection):
            return []
        taken = choose(reader, window)
        self.adjust_reach(window, len(taken))
        return [entry.parsed for entry in recheck(connection, taken, window.entries)]

    def adjust_reach(self, window: Window, taken: int) -> None:
        """Look further where others were first, and less far where they were not."""
        looked = len(window.entries)
        if taken < window.most and window.whole:
            self.reach = min(2 * looked, MAX_WINDOW)
        elif taken == window.most:
            self.reach = max(looked * 7 // 8, window.most)


def recheck(connection: Connection, taken: Sequence[Entry], known: Sequence[Entry]) -> Iterator[Entry]:
    """Those of the taken that still wait as they did, up to the first webhook that is not known."""
    if not taken:
        return
    wanted = {"last": taken[-1].head.id, "count": len(known) + 1}
    waiting = [Head(*row) for row in HEADS_UNTIL.rows(connection, wanted)]
    seen, still = {entry.head for entry in known}, set(waiting)
    unknown = next((head.id for head in waiting if head not in seen), None)
    for entry in taken:
        if entry.head in still and (unknown is None or entry.head.id < unknown):
            yield entry


# --- on PostgreSQL


def choose(reader: ConflictReader, window: Window) -> list[Entry]:
    conflicts = reader.read([(entry.parsed, entry.head.bound) for entry in window.entries])
    if conflicts[0] is not None:
        return choose_free(reader.connection, window, conflicts)
    return list(window.entries[: window.most]) if try_to_change_ownership(reader.connection) else []


def choose_free(connection: Connection, window: Window, conflicts: Sequence[Conflicts | None]) -> list[Entry]:
    """The oldest webhooks that conflict neither with what others hold nor with an earlier one left alone."""
    locks, left = Locks(connection), Left()
    users: defaultdict[str, set[str]] = defaultdict(set)
    taken: list[Entry] = []
    place = 0
    while len(taken) < window.most and place < len(window.entries):
        end = min(place + window.most - len(taken), len(window.entries))
        lock_all(locks, users, [one for one in conflicts[place:end] if one], left)
        for entry, one in zip(window.entries[place:end], conflicts[place:end], strict=True):
            if one is None:
                return taken  # nothing behind a barrier goes before it
            keys = one.keys.union(*(users[player] for player in one.players))
            if left.meets(keys) or not locks.hold(keys):
                left.add(keys)
                continue
            taken.append(entry)
            for player in one.players:
                users[player] |= one.keys
        place = end
    return taken


def lock_all(
    locks: Locks, users: defaultdict[str, set[str]], conflicts: Sequence[Conflicts], left: Left
) -> None:
    """Lock the keys of those that may be taken, and the people whose open plays their players would close.

    Whose these are is read for the others as well: a person's webhook waits behind one that would end their play.
    """
    wanted = [one for one in conflicts if not left.meets(one.keys)]
    locks.take({key for one in wanted for key in one.keys})
    for player, key in fetch_users(locks.connection, {player for one in conflicts for player in one.players}):
        users[player].add(key)
    held = {player for one in wanted for player in one.players if locks.hold([player_key(player)])}
    locks.take({key for player in held for key in users[player]})


class Left:
    """The keys of the webhooks that were left alone."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def meets(self, keys: Collection[str]) -> bool:
        return not self.keys.isdisjoint(keys)

    def add(self, keys: Iterable[str]) -> None:
        self.keys.update(keys)


class Locks:
    """Advisory locks on conflict keys, held until the transaction ends."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.results: dict[str, bool] = {}

    def take(self, keys: Collection[str]) -> None:
        """Try to lock each key that was not tried yet."""
        self.results |= try_locks(self.connection, [key for key in keys if key not in self.results])

    def hold(self, keys: Iterable[str]) -> bool:
        return all(self.results.get(key, False) for key in keys)


USERS = "SELECT player_id, person_id FROM play WHERE player_id = ANY(%(players)s) AND state <> 'stopped'"


def fetch_users(connection: Connection, players: Collection[str]) -> Iterator[tuple[str, str]]:
    """The players with the people who have an open play there."""
    if players:
        for player, person_id in connection.exec_driver_sql(USERS, {"players": list(players)}):
            yield player, person_key(person_id)
