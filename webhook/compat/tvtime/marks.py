"""Marks: an item marked here goes into the inbox as an event and on through the pipeline like a webhook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, select

from webhook import clock
from webhook.compat.tvtime import shelf, shelf_episodes
from webhook.compat.tvtime.auth import Guest
from webhook.domain.event import Action, Episode, Event, Item, Show
from webhook.domain.items import keys, same_item
from webhook.domain.states import WebhookState
from webhook.history import library
from webhook.history.shelf import unmark_item
from webhook.people import identities
from webhook.queues import inbox
from webhook.service import Service
from webhook.storage.tables import webhook

T = TypeVar("T")

SOURCE, BY = "tvtime", "tvtime-api"
INTERPRET_TIMEOUT = 3.0
"""Seconds that a response waits for the marks to be interpreted."""

MARKS_PER_WRITE = 100
"""How many items are written in one transaction, so that a long list does not hold up others."""

Besides = Callable[[Connection, Sequence[int]], int | None]
MAX_WEBHOOKS_PER_QUERY = 500
"""How many webhooks one query asks for."""

ACCEPTED_STATES = frozenset({WebhookState.RECEIVED, WebhookState.INTERPRETED})


@dataclass(frozen=True, slots=True)
class MarkRequest:
    """The items that one request marks.

    `again` counts a rewatch of an item that is already marked. `follows` makes a mark follow the show here.
    `besides` enqueues a delivery in the transaction that stores the webhooks: it gets their ids and returns
    its own id, or None.
    """

    guest: Guest
    action: Action
    items: tuple[Item, ...]
    at: datetime
    again: bool = False
    follows: bool = True
    besides: Besides | None = None


@dataclass(frozen=True, slots=True)
class StoredMarks:
    """The webhooks of a request and their states, without items that were already marked.

    `delivery` is the id that `besides` returned.
    """

    webhooks: Sequence[int] = ()
    states: Sequence[str] = ()
    delivery: int | None = None

    @property
    def is_accepted(self) -> bool:
        return all(state in ACCEPTED_STATES for state in self.states)

    @property
    def is_pending(self) -> bool:
        """True while a webhook is not interpreted yet, so that its deliveries are not known."""
        return WebhookState.RECEIVED in self.states


class Marks:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.database = service.database

    async def add_watches(self, guest: Guest, items: Sequence[Item], *, again: bool = False) -> bool:
        """Mark them watched now; True if all were accepted. An item that is already marked stays as it is."""
        return (
            await self.submit(MarkRequest(guest, Action.WATCHED, tuple(items), clock.now(), again))
        ).is_accepted

    async def take_back_watch(self, guest: Guest, item: Item) -> bool:
        return (await self.submit(MarkRequest(guest, Action.UNWATCHED, (item,), clock.now()))).is_accepted

    async def submit(self, asked: MarkRequest) -> StoredMarks:
        """Store the marks and wait a little until they are in the history."""
        await self.await_earlier(asked.guest)
        parts = [
            await self.store(replace(asked, items=part)) for part in chunks(asked.items, MARKS_PER_WRITE)
        ]
        made = [one for part in parts for one in part.webhooks]
        put = next((part.delivery for part in parts if part.delivery is not None), None)
        return StoredMarks(made, await self.await_states(made), put)

    async def store(self, asked: MarkRequest) -> StoredMarks:
        """Store the marks in one transaction and wake the interpreter and the dispatcher."""
        made = await self.database.write(store_marks, asked)
        if made.webhooks:
            self.service.interpreter.news.set()
        if made.delivery is not None:
            self.service.interpreter.told.set()
        return made

    async def await_states(self, made: Sequence[int]) -> list[str]:
        """The states of these webhooks, once all are interpreted or the timeout is over."""
        if not made:
            return []
        return await self.database.read_until(
            lambda connection: states_of(connection, made),
            lambda states: WebhookState.RECEIVED not in states,
            INTERPRET_TIMEOUT,
        )

    async def await_earlier(self, guest: Guest) -> None:
        """Wait for the guest's earlier marks, which decide whether an item is already marked."""
        waiting = await self.database.read(lambda connection: pending_webhooks(connection, guest.id))
        if waiting:
            self.service.interpreter.news.set()
            await self.await_states(waiting)

    # --- shows

    async def follow(self, guest: Guest, show: Show) -> None:
        await self.database.write(follow_shows, (guest.id, show, clock.now()))

    async def unfollow(self, guest: Guest, tvdb: int) -> None:
        await self.database.write(unfollow_shows, (guest.id, show_key(tvdb)))

    async def follows(self, guest: Guest, tvdb: int) -> bool:
        """True if the person follows the show here."""
        key = show_key(tvdb)
        found = await self.database.read(lambda connection: library.find_follow(connection, guest.id, key))
        return found is not None


def show_key(tvdb: int) -> str:
    return f"tvdb:{tvdb}"


def chunks(whole: Sequence[T], size: int) -> list[tuple[T, ...]]:
    return [tuple(whole[start : start + size]) for start in range(0, len(whole), size)]


def states_of(connection: Connection, made: Sequence[int]) -> list[str]:
    states: list[str] = []
    for part in chunks(made, MAX_WEBHOOKS_PER_QUERY):
        states += connection.execute(select(webhook.c.state).where(webhook.c.id.in_(part))).scalars()
    return states


def pending_webhooks(connection: Connection, person_id: int) -> list[int]:
    """The person's marks that are not interpreted yet."""
    whose = webhook.c.content_type.endswith(f"; for={person_id}")
    waiting = (webhook.c.state == WebhookState.RECEIVED, webhook.c.source == SOURCE, whose)
    return list(connection.execute(select(webhook.c.id).where(*waiting)).scalars())


def store_marks(connection: Connection, waiting: list[MarkRequest]) -> list[StoredMarks]:
    """Store each request; an item that is already marked gets no webhook."""
    return [store_mark(connection, asked) for asked in waiting]


def store_mark(connection: Connection, asked: MarkRequest) -> StoredMarks:
    user = identities.claim_own_name(connection, asked.guest.id, SOURCE, asked.at)
    fresh = changed_items(connection, asked)
    update_library(connection, asked)
    events = [
        Event(action=asked.action, item=item, at=asked.at, user=user, manual=True, rewatch=asked.again)
        for item in fresh
    ]
    received = [
        inbox.event_webhook(SOURCE, event, asked.at, BY, person_id=asked.guest.id) for event in events
    ]
    made = inbox.store_webhooks(connection, received) if received else []
    return StoredMarks(made, delivery=None if asked.besides is None else asked.besides(connection, made))


def changed_items(connection: Connection, asked: MarkRequest) -> list[Item]:
    """The items that the request changes."""
    if asked.action is not Action.WATCHED or asked.again:
        return list(asked.items)
    known = shelf.watch_summaries(connection, asked.guest.id, asked.items)
    return [item for item, one in zip(asked.items, known, strict=True) if one is None]


def update_library(connection: Connection, asked: MarkRequest) -> None:
    """Update the library after a mark: follow its show, or remove a tick that has no play any more."""
    if asked.action is Action.UNWATCHED:
        for item in asked.items:
            remove_tick(connection, asked.guest.id, item)
    elif asked.follows:
        shows = {key: item for item in asked.items if (key := library.show_key_of(item)) is not None}
        for key, item in shows.items():
            follow_by_mark(connection, asked, key, item)


def follow_by_mark(connection: Connection, asked: MarkRequest, key: str, item: Item) -> None:
    row = library.find_follow(connection, asked.guest.id, key)
    if row is None:
        library.follow_show(connection, asked.guest.id, item, asked.at)
    elif row.show is None and isinstance(item, Episode):
        shelf_episodes.name_show(connection, asked.guest.id, key, item.show)


def remove_tick(connection: Connection, person_id: int, item: Item) -> None:
    plays = shelf.viewings(connection, person_id, shelf.key_among(keys(item)))
    if not any(same_item(one.item, item) for one in plays.values()):
        unmark_item(connection, person_id, item)


def follow_shows(connection: Connection, waiting: list[tuple[int, Show, datetime]]) -> list[bool]:
    return [follow_show(connection, *entry) for entry in waiting]


def follow_show(connection: Connection, person_id: int, show: Show, at: datetime) -> bool:
    made = library.follow_show(connection, person_id, show, at)
    if not made and show.ids.tvdb is not None:
        shelf_episodes.name_show(connection, person_id, show_key(show.ids.tvdb), show.title)
    return made


def unfollow_shows(connection: Connection, waiting: list[tuple[int, str]]) -> list[bool]:
    return [library.unfollow_show(connection, *entry) for entry in waiting]
