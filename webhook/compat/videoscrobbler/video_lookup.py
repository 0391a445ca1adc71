"""Looking up a video by its id: its title from a lookup, or that the id does not exist."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from webhook.compat.videoscrobbler.remote_ids import Remote
from webhook.domain.event import Episode, Item, Movie
from webhook.domain.outcome import Undelivered
from webhook.lookups import Checks, Lookup, apply_match, id_pairs

TIMEOUT = 3.0
"""Seconds that a response waits for the lookups; after that the video has no title."""

ANSWER_TTL = 3600.0
"""Seconds that an answer is cached; a service may list tomorrow what it does not list today."""

RETRY = 300.0
"""Seconds until a failed lookup is asked again."""

MAX_ANSWERS = 2000


class NoSuchVideo(Exception):
    """The id's own service does not list it; the message names the service."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The lookups' answer for an id: the item, or the service that denies that it exists."""

    item: Item
    denied_by: str | None
    until: float


class VideoLookup:
    """Asks the lookups for remote ids and caches each answer for an hour."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self.lookups = lookups
        self.answers: OrderedDict[tuple[str, ...], Answer] = OrderedDict()

    async def describe(self, remote: Remote) -> Remote:
        """The remote id with the facts of its item; raises NoSuchVideo."""
        if not self.lookups or remote.item.title is not None:
            return remote
        answer = self.answers.get(remote.keys)
        if answer is None or time.monotonic() > answer.until:
            answer = await self.ask(remote.item)
            self.remember(remote.keys, answer)
        if answer.denied_by is not None:
            raise NoSuchVideo(f"{answer.denied_by} lists nothing of this id")
        return replace(remote, item=answer.item)

    def remember(self, keys: tuple[str, ...], answer: Answer) -> None:
        self.answers[keys] = answer
        while len(self.answers) > MAX_ANSWERS:
            self.answers.popitem(last=False)

    async def ask(self, item: Item) -> Answer:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self.first_answer(item)
        except (Undelivered, TimeoutError):
            return Answer(item, None, time.monotonic() + RETRY)

    async def first_answer(self, item: Item) -> Answer:
        """The answer of the first lookup that knows the id; the id's own service may deny it."""
        until = time.monotonic() + ANSWER_TTL
        denied_by: str | None = None
        for lookup in sorted(self.lookups, key=lambda lookup: lookup.name not in item.ids.by_namespace()):
            found = await find(lookup, item)
            if found is not None:
                return Answer(found, None, until)
            if lookup.name in item.ids.by_namespace():
                # A wrong base address answers 404 to everything.
                await cast(Checks, lookup).check()
                denied_by = lookup.label
        return Answer(item, denied_by, until)


async def find(lookup: Lookup, item: Item) -> Item | None:
    """The film or episode as this lookup has it; None if it knows none of its ids."""
    if isinstance(item, Movie):
        for namespace, value in id_pairs(item.ids, lookup.film_ids):
            for film in await lookup.films(namespace, value):
                if not film.ids.contradicts(item.ids):
                    return replace(item, title=film.title, year=film.year, ids=item.ids.merge(film.ids))
    if isinstance(item, Episode):
        for namespace, value in id_pairs(item.ids, lookup.episode_ids):
            for part in await lookup.parts(namespace, value):
                if not part.episode.ids.contradicts(item.ids):
                    return replace(cast(Episode, apply_match(item, part)), year=part.episode.year)
    return None
