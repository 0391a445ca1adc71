"""The local backend: a person's shows from their own history and library."""

from __future__ import annotations

from datetime import date

from webhook import clock
from webhook.compat.tvtime import shelf
from webhook.compat.tvtime.auth import Guest
from webhook.compat.tvtime.backend import PUT_FAILED, FollowedShow, ShowEpisode, ShowEpisodes
from webhook.compat.tvtime.catalog import Catalogue
from webhook.compat.tvtime.marks import Marks
from webhook.compat.tvtime.shelf import Series
from webhook.domain.event import Episode
from webhook.web.http.errors import Problem


class LocalBackend:
    def __init__(self, guest: Guest, catalogue: Catalogue, marks: Marks) -> None:
        self.guest, self.catalogue, self.marks = guest, catalogue, marks
        self.database = marks.database

    async def shows(self) -> list[FollowedShow]:
        found = await self.database.read(
            lambda connection: shelf.read_followed_shows(connection, self.guest.id)
        )
        today = clock.now().date()
        return [to_followed_show(series, today) for series in found]

    async def show(self, tvdb: int) -> ShowEpisodes:
        return to_show_episodes(await self.catalogue.series(self.guest.id, tvdb))

    async def follow(self, tvdb: int) -> None:
        show = await self.catalogue.show(self.guest.id, tvdb)
        if show is None:
            raise Problem(502, PUT_FAILED)
        await self.marks.follow(self.guest, show)

    async def unfollow(self, tvdb: int) -> None:
        await self.marks.unfollow(self.guest, tvdb)

    async def mark(self, tvdb: int) -> None:
        if not await self.marks.add_watches(self.guest, [await self.episode(tvdb)]):
            raise Problem(502, PUT_FAILED)

    async def unmark(self, tvdb: int) -> None:
        if not await self.marks.take_back_watch(self.guest, await self.episode(tvdb)):
            raise Problem(502, PUT_FAILED)

    async def episode(self, tvdb: int) -> Episode:
        found = await self.catalogue.episode(self.guest.id, tvdb)
        if found is None:
            raise Problem(502, PUT_FAILED)
        return found


def to_followed_show(series: Series, today: date) -> FollowedShow:
    return FollowedShow(
        tvdb=series.tvdb,
        title=series.title,
        watched=series.watched_count(today),
        aired=len(series.watchable(today)),
        seconds=sum(one.duration_ms for one in series.seen.values()) // 1000,
        via=series.via if series.episodes else None,
    )


def to_show_episodes(series: Series) -> ShowEpisodes:
    found = [
        ShowEpisode(
            tvdb=one.ids.tvdb, season=one.season, number=one.number, title=one.title, aired=one.aired,
            watched=series.watch_of(one) is not None,
        )
        for one in series.episodes
    ]  # fmt: skip
    return ShowEpisodes(parts=found, via=series.via if found else shelf.HISTORY)
