"""Trying the lookups on the first titles of a file, so that a preview shows what they find and what will wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import TypedDict

from webhook.domain.event import item_to_json
from webhook.domain.json_shapes import ItemJson
from webhook.domain.outcome import Undelivered
from webhook.lookups import Lookup
from webhook.storage.json_fields import Count
from webhook.transfer.questions import is_open, question, text_sources
from webhook.transfer.records import Viewing
from webhook.transfer.text_lookup import TextLookup, TextPlay

MAX_QUESTIONS = 40
"""The shows and films that a preview looks up."""

MAX_TRIED = 2000
MAX_WAITING = 20
SECONDS = 10.0
"""How long a preview looks up; what is not asked by then is not counted."""


class TriedTitlesJson(TypedDict):
    """What the lookups find of the first titles of a file."""

    tried: Count
    found: Count
    waiting: list[ItemJson]


@dataclass(slots=True)
class FirstTitles:
    """The first plays of a file that are known by titles alone, by what is asked about them."""

    plays: dict[str, list[TextPlay]] = field(default_factory=dict)
    languages: dict[str, str | None] = field(default_factory=dict)
    count: int = 0

    def add(self, viewing: Viewing) -> None:
        """Add a play, if titles are all that is known of it and there is room."""
        told = viewing.play
        if told.source not in text_sources() or self.count >= MAX_TRIED or not is_open(told.item):
            return
        key = question(told.item)
        if key is None or (key not in self.plays and len(self.plays) >= MAX_QUESTIONS):
            return
        self.count += 1
        at = told.watched_at or told.last_at
        self.plays.setdefault(key, []).append(TextPlay(id=self.count, item=told.item, at=at))
        self.languages[key] = self.languages.get(key) or viewing.language


async def try_titles(
    lookups: Sequence[Lookup], titles: FirstTitles, seconds: float = SECONDS
) -> TriedTitlesJson | None:
    """What the lookups find within the time; None if nothing could be asked."""
    if not lookups or not titles.plays:
        return None
    answer: TriedTitlesJson = {"tried": 0, "found": 0, "waiting": []}
    with contextlib.suppress(TimeoutError, Undelivered):
        async with asyncio.timeout(seconds):
            for key, plays in titles.plays.items():
                found = (await TextLookup(lookups).find(plays, titles.languages[key])).found
                answer["tried"] += len(plays)
                answer["found"] += len(found)
                answer["waiting"] += [item_to_json(one.item) for one in plays if one.id not in found]
    answer["waiting"] = answer["waiting"][:MAX_WAITING]
    return answer if answer["tried"] else None
