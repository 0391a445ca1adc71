"""The marks: what is marked here goes into the inbox as an event, and from there where every webhook goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from webhook import clock, history, inbox, library, people
from webhook.compat.tvtime import shelf
from webhook.compat.tvtime.who import Guest
from webhook.event import Action, Event, Item, Show
from webhook.play import keys, same_item
from webhook.service import Service
from webhook.tables import webhook

SOURCE, BY = "tvtime", "tvtime-api"
PATIENCE = 3.0
"""Seconds that an answer waits for what was marked to be interpreted."""

STEP = 0.02
TAKEN = frozenset({"received", "interpreted"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request marks.

    `again` counts an item that is marked watched already once more. `follows`: a mark follows the show here.
    """

    guest: Guest
    action: Action
    items: tuple[Item, ...]
    at: datetime
    again: bool = False
    follows: bool = True


@dataclass(frozen=True, slots=True)
class Kept:
    """What a request came to: the ids of its webhooks and their states, none for what is marked already."""

    webhooks: Sequence[int] = ()
    states: Sequence[str] = ()

    @property
    def taken(self) -> bool:
        return all(state in TAKEN for state in self.states)

    @property
    def unread(self) -> bool:
        """Whether it was not interpreted yet; what is to be told of it is not known then."""
        return "received" in self.states


class Marks:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.database = service.database

    async def watched(self, guest: Guest, items: Sequence[Item], *, again: bool = False) -> bool:
        """Mark them watched now; whether they were taken. What is marked already stays as it is."""
        return (await self.put(Asked(guest, Action.WATCHED, tuple(items), clock.now(), again))).taken

    async def unwatched(self, guest: Guest, item: Item) -> bool:
        return (await self.put(Asked(guest, Action.UNWATCHED, (item,), clock.now()))).taken

    async def put(self, asked: Asked) -> Kept:
        """Keep it, committed, and wait a little until it is in the history."""
        await self.settled()
        made = await self.database.write(kept, asked)
        if not made:
            return Kept()
        self.service.interpreter.news.set()
        return Kept(made, await self.awaited(made))

    async def awaited(self, made: Sequence[int]) -> list[str]:
        """The states of these webhooks, once they are interpreted, or after a while."""
        ends = time.monotonic() + PATIENCE
        while True:
            states = await self.database.read(lambda connection: states_of(connection, made))
            if "received" not in states or time.monotonic() > ends:
                return states
            await asyncio.sleep(STEP)

    async def settled(self) -> None:
        """Wait for what was marked before: whether an item is marked already depends on it."""
        waiting = await self.database.read(unread)
        if waiting:
            self.service.interpreter.news.set()
            await self.awaited(waiting)

    # --- shows

    async def follow(self, guest: Guest, show: Show) -> None:
        await self.database.write(followed, (guest.id, show, clock.now()))

    async def unfollow(self, guest: Guest, tvdb: int) -> None:
        await self.database.write(unfollowed, (guest.id, show_key(tvdb)))

    async def follows(self, guest: Guest, tvdb: int) -> bool:
        """Whether the show is followed here."""
        key = show_key(tvdb)
        found = await self.database.read(lambda connection: library.following(connection, guest.id, key))
        return found is not None


def show_key(tvdb: int) -> str:
    return f"tvdb:{tvdb}"


def states_of(connection: Connection, made: Sequence[int]) -> list[str]:
    return list(connection.execute(select(webhook.c.state).where(webhook.c.id.in_(made))).scalars())


def unread(connection: Connection) -> list[int]:
    """The marks that wait to be interpreted."""
    waiting = (webhook.c.state == "received", webhook.c.source == SOURCE)
    return list(connection.execute(select(webhook.c.id).where(*waiting)).scalars())


def kept(connection: Connection, waiting: list[Asked]) -> list[list[int]]:
    """The ids of the webhooks kept for each; none for what is marked already."""
    return [keep(connection, asked) for asked in waiting]


def keep(connection: Connection, asked: Asked) -> list[int]:
    user = people.claim_user(connection, asked.guest.id, SOURCE, asked.at)
    fresh = [item for item in asked.items if news(connection, asked, item)]
    for item in asked.items:
        on_the_shelf(connection, asked, item)
    events = [Event(action=asked.action, item=item, at=asked.at, user=user) for item in fresh]
    received = [inbox.of_event(SOURCE, event, asked.at, BY, person_id=asked.guest.id) for event in events]
    return inbox.kept(connection, received) if received else []


def news(connection: Connection, asked: Asked, item: Item) -> bool:
    if asked.action is not Action.WATCHED or asked.again:
        return True
    return shelf.seen(connection, asked.guest.id, item) is None


def on_the_shelf(connection: Connection, asked: Asked, item: Item) -> None:
    """What a mark does beside the history: it follows the show; taken back, it leaves no tick without a play."""
    person_id = asked.guest.id
    if asked.action is Action.UNWATCHED:
        unticked(connection, person_id, item)
        return
    key = library.show_key_of(item) if asked.follows else None
    if key is not None and library.following(connection, person_id, key) is None:
        library.follow_show(connection, person_id, item, asked.at)


def unticked(connection: Connection, person_id: int, item: Item) -> None:
    plays = shelf.viewings(connection, person_id, shelf.among(keys(item)))
    if not any(same_item(one.item, item) for one in plays.values()):
        history.unmark_one(connection, person_id, item)


def followed(connection: Connection, waiting: list[tuple[int, Show, datetime]]) -> list[bool]:
    return [library.follow_show(connection, *entry) for entry in waiting]


def unfollowed(connection: Connection, waiting: list[tuple[int, str]]) -> list[bool]:
    return [library.unfollow_show(connection, *entry) for entry in waiting]
