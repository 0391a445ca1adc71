"""The base class of trackers that take one play with its date a call, each known by an id of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar

import httpx

from webhook.client import excerpt
from webhook.domain.event import Action, Episode
from webhook.domain.outcome import Dead, Done, Retry, Undelivered, Unmatched
from webhook.domain.play import Dated
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import require_date
from webhook.trackers._json import as_text, as_time, parse_object
from webhook.trackers._listings import ListedHistory, existing_play, is_play_of
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._sign_in import PastedToken
from webhook.trackers._viewings import is_fitting, is_undated, noon, viewing_date

UNDATED = "undated"
"""The handle of a play without a date whose id is not known yet."""

NOBODYS_DETAILS = ("", "Not Found", "Not found.")
"""The details of a 404 for an address that does not exist."""

TMDB_PAUSE = timedelta(minutes=5)
TMDB_TRIES = 3
"""The tries of a play that the service does not find at TMDB, before it counts as unmatched."""


class DatedPlays(ListedHistory, PastedToken):
    """Looks for a play before it adds it, and again afterwards for its id, by which it is taken back.

    A subclass has `plays`, `add_play` and `remove_play`, `list_item` where the service can be asked for one item, and says by `wrong_address` what a 404 means
    that is none of the service's.
    """

    undated = True
    wrong_address: ClassVar[str]
    actions: ClassVar[Mapping[Action, str]] = {Action.WATCHED: "mark", Action.UNWATCHED: "unmark"}

    async def list_item(self, delivery: Delivery, access: Access, *, fresh: bool) -> Sequence[WatchedItem]:
        """The plays that can be of this viewing, by item and time; those of a while ago unless `fresh`.

        Out of the listed history, unless the service can be asked for one item.
        """
        listing = await self.list_since([delivery], access, fresh=fresh)
        return listing.undated if is_undated(delivery) else listing.plays

    async def add_play(self, delivery: Delivery, access: Access) -> str:
        """Put the play into the history; returns what the service answered."""
        raise NotImplementedError

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        if not self.undated:
            require_date(delivery, self.label)
        self.require_ids(delivery)
        fresh = delivery.unsure or not delivery.late
        if (
            play := nearest_viewing(delivery, await self.list_item(delivery, access, fresh=fresh))
        ) is not None:
            return existing_play(play, ours=delivery.unsure)
        answer = await self.add_play(delivery, access)
        self.remember(delivery, None, access)
        try:
            held = await self.list_item(delivery, access, fresh=not delivery.late)
        except Undelivered as decision:
            raise unsettled_retry(self.label, decision) from decision
        if (play := find_exact(delivery, held)) is None:
            reason = f"{self.label} took this and lists no such play: it may refuse repeats"
            raise Dead(reason, answer=answer)
        return Done(answer=answer, remote_id=play.remote_id or date_handle(delivery))

    async def find_play(self, delivery: Delivery, access: Access) -> str | None:
        """The id of a play of ours of which only the time is known, to the second."""
        at = as_time(delivery.remote_id)
        dated = Dated.TICKED if at is None else Dated.EXACT
        told = replace(delivery, at=at or delivery.at, dated=dated)
        one = find_exact(told, await self.list_item(told, access, fresh=True))
        return None if one is None else one.remote_id

    def require_ids(self, delivery: Delivery) -> None:
        """Raise before anything is asked where this item cannot be sent."""
        if isinstance(delivery.item, Episode):
            self.require_place(delivery)
        else:
            self.require_film(delivery)

    def require_tmdb(self, delivery: Delivery, response: httpx.Response, refusal: str) -> None:
        """Raises Retry where the service did not find an item at TMDB, which may be away; after some tries it is unknown."""
        words = detail_of(response)
        if response.status_code == 404 and words.startswith(refusal) and delivery.attempts < TMDB_TRIES:
            reason = (
                f"{self.label} answered 404: {words}. TMDB may be away, or {self.label} has no key for it"
            )
            raise Retry(reason, answer=excerpt(response), after=TMDB_PAUSE, lane=False)

    def refuse(self, response: httpx.Response) -> Undelivered:
        """A 404 says what was not found; one that does not is none of the service's, as where it is being restarted."""
        if response.status_code != 404:
            return super().refuse(response)
        words = detail_of(response)
        if words in NOBODYS_DETAILS:
            return Retry(self.wrong_address, answer=excerpt(response), after=UNSURE_PAUSE)
        return Unmatched(f"{self.label} answered 404: {words}", answer=excerpt(response))


def detail_of(response: httpx.Response) -> str:
    """The `detail` of an answer, by which such services say what was wrong; empty if it has none."""
    return as_text(parse_object(response).get("detail")) or ""


def nearest_viewing(delivery: Delivery, plays: Sequence[WatchedItem]) -> WatchedItem | None:
    """Of these plays the one nearest to this viewing that can be of it."""
    at = noon(delivery.at) if delivery.dated is Dated.DAY else delivery.at
    fitting = [play for play in plays if is_fitting(delivery, play.at) and is_play_of(delivery.item, play)]
    return min(fitting, key=lambda play: abs((play.at or at) - at), default=None)


def find_exact(delivery: Delivery, plays: Sequence[WatchedItem]) -> WatchedItem | None:
    """Of these plays the one with the date under which this viewing was sent."""
    date = viewing_date(delivery)
    fitting = (play for play in plays if is_same_second(play.at, date) and is_play_of(delivery.item, play))
    return next(fitting, None)


def is_same_second(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < timedelta(seconds=1)


def date_handle(delivery: Delivery) -> str:
    date = viewing_date(delivery)
    return UNDATED if date is None else date.isoformat()
