"""Here: the shows of a person, over their own history and library."""

from __future__ import annotations

from datetime import date

from webhook import clock
from webhook.compat.tvtime import shelf
from webhook.compat.tvtime.auth import Guest
from webhook.compat.tvtime.backend import REFUSED, Followed, Part, Parts
from webhook.compat.tvtime.catalog import Catalogue
from webhook.compat.tvtime.marks import Marks
from webhook.compat.tvtime.shelf import Series
from webhook.domain.event import Episode
from webhook.web.http.errors import Problem


class Here:
    def __init__(self, guest: Guest, catalogue: Catalogue, marks: Marks) -> None:
        self.guest, self.catalogue, self.marks = guest, catalogue, marks
        self.database = marks.database

    async def shows(self) -> list[Followed]:
        found = await self.database.read(lambda connection: shelf.every(connection, self.guest.id))
        today = clock.now().date()
        return [followed(series, today) for series in found]

    async def show(self, tvdb: int) -> Parts:
        return parts(await self.catalogue.series(self.guest.id, tvdb))

    async def follow(self, tvdb: int) -> None:
        show = await self.catalogue.show(self.guest.id, tvdb)
        if show is None:
            raise Problem(502, REFUSED)
        await self.marks.follow(self.guest, show)

    async def unfollow(self, tvdb: int) -> None:
        await self.marks.unfollow(self.guest, tvdb)

    async def mark(self, tvdb: int) -> None:
        if not await self.marks.watched(self.guest, [await self.episode(tvdb)]):
            raise Problem(502, REFUSED)

    async def unmark(self, tvdb: int) -> None:
        if not await self.marks.unwatched(self.guest, await self.episode(tvdb)):
            raise Problem(502, REFUSED)

    async def episode(self, tvdb: int) -> Episode:
        found = await self.catalogue.episode(self.guest.id, tvdb)
        if found is None:
            raise Problem(502, REFUSED)
        return found


def followed(series: Series, today: date) -> Followed:
    return Followed(
        tvdb=series.tvdb,
        title=series.title,
        watched=series.watched(today),
        aired=len(series.shown(today)),
        seconds=sum(one.duration_ms for one in series.seen.values()) // 1000,
        via=series.via if series.episodes else None,
    )


def parts(series: Series) -> Parts:
    found = [
        Part(
            tvdb=one.ids.tvdb, season=one.season, number=one.number, title=one.title, aired=one.aired,
            watched=series.seen_of(one) is not None,
        )
        for one in series.episodes
    ]  # fmt: skip
    return Parts(parts=found, via=series.via if found else shelf.HISTORY)
