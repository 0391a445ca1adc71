"""The base class of trackers of music."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar

from webhook.domain.event import Action, Ids, Kind, Track, describe_kind
from webhook.domain.outcome import Dead, Done, Undelivered, Unmatched
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import BatchTracker
from webhook.trackers._viewings import is_since

ViewingPages = AsyncIterator[list[WatchedItem]]


class MusicTracker(BatchTracker):
    """Base class of trackers that show the track that plays, and keep those that were played.

    There is no stop: neither service has a call for it, so that what makes the mark is a WATCHED. A subclass has
    `show_current`, `payload`, `submit`, `set_love`, `pages` and `check`.
    """

    kinds = frozenset({Kind.TRACK})
    actions: ClassVar[Mapping[Action, str]] = {
        Action.START: "start",
        Action.WATCHED: "mark",
        Action.FAVOURITE: "love",
        Action.UNFAVOURITE: "unlove",
    }

    async def send(self, delivery: Delivery, access: Access) -> Done:
        if delivery.action in self.actions:
            self.track(delivery)
        return await super().send(delivery, access)

    async def start(self, delivery: Delivery, access: Access) -> Done:
        """Show it as playing; a start is never sent again, so a failure is only noted."""
        try:
            return await self.show_current(delivery, access)
        except Undelivered as error:
            return Done(answer=f"not shown as playing now: {error.reason}")

    async def show_current(self, delivery: Delivery, access: Access) -> Done:
        raise NotImplementedError

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        return await self.send_alone(delivery, access)

    async def love(self, delivery: Delivery, access: Access) -> Done:
        await self.set_love(delivery, access, loved=True)
        return Done(answer="loved")

    async def unlove(self, delivery: Delivery, access: Access) -> Done:
        await self.set_love(delivery, access, loved=False)
        return Done(answer="no longer loved")

    async def set_love(self, delivery: Delivery, access: Access, *, loved: bool) -> None:
        raise NotImplementedError

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The tracks that were played, the newest first."""
        async for page in self.pages(await self.user_name(access), access, since):
            for viewing in page:
                if is_since(viewing.at, since):
                    yield viewing

    def pages(self, name: str, access: Access, since: datetime | None) -> ViewingPages:
        """The user's tracks page by page, each once, of since a time at least."""
        raise NotImplementedError

    async def check(self, access: Access) -> str:
        raise NotImplementedError

    async def user_name(self, access: Access) -> str:
        return str(access.tokens.get("name") or await self.check(access))

    def track(self, delivery: Delivery) -> Track:
        if not isinstance(delivery.item, Track):
            raise Dead(f"{self.label} takes music, not {describe_kind(delivery.item.kind)}")
        return delivery.item

    def artist_and_title(self, delivery: Delivery) -> tuple[str, str]:
        """The names by which the service knows a track; raises Unmatched where one is missing."""
        item = self.track(delivery)
        artist, title = clean_name(item.artist), clean_name(item.title)
        if not artist or not title:
            raise Unmatched(
                f"{self.label} knows a track by artist and title, and one of them is missing here"
            )
        return artist, title


def track_viewing(
    seconds: int,
    title: str | None,
    artist: str | None,
    album: str | None,
    number: int | None = None,
    ids: Ids | None = None,
    remote_id: str | None = None,
) -> WatchedItem:
    """A track that was played at a time in seconds since 1970."""
    item = Track(
        title=clean_name(title) or None,
        artist=clean_name(artist) or None,
        album=clean_name(album) or None,
        number=number,
        ids=ids or Ids(),
    )
    return WatchedItem(item=item, at=datetime.fromtimestamp(seconds, UTC), remote_id=remote_id)


def clean_name(name: str | None) -> str:
    return (name or "").replace("\0", "").strip()
