"""Pages of a person's statistics by year, and of shows by season."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain.event import Ids, item_from_json
from webhook.domain.pictures import picture_key
from webhook.history import library, shows
from webhook.history import stats as numbers
from webhook.history.library import show_key
from webhook.history.shows import NextEpisodeJson
from webhook.history.stats import StatsJson
from webhook.history.stats_span import zone_for
from webhook.storage.tables import follow, play
from webhook.web.history.episodes import EpisodeJson, follow_show, parse_show_key, whole_show
from webhook.web.http import charts
from webhook.web.http.errors import Problem
from webhook.web.http.page import Page
from webhook.web.http.params import Params, whole
from webhook.web.visible import Visitor

RECENT = 500
"""The latest plays searched for recently watched shows."""

LATELY = 50
"""The maximum of recently watched shows listed."""

FOLLOWED = 30
"""Followed shows per page of next episodes."""

EPISODES_PER_PART = 200
"""Episodes per part of a season, and those shown open on one page."""

EPISODE_PLACE = re.compile(r"([0-9]+)x([0-9]+)")


class Shows(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history/numbers", self.page(self.numbers)),
            Route("/history/shows", self.page(self.shows)),
            Route("/history/shows/follow", self.change(self.follow), methods=["POST"]),
            Route("/history/shows/{key:path}", self.page(self.show)),
        ]

    # --- numbers

    async def numbers(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        wanted = parse_year(params)

        def read(connection: Connection) -> tuple[list[int], int | None, StatsJson]:
            zone = zone_for(connection, owner.id)
            years = numbers.list_years(connection, owner.id, zone)
            year = (
                wanted if wanted is not None else (years[0] if years else clock.now().astimezone(zone).year)
            )
            return years, year or None, numbers.year_stats(connection, owner.id, year or None, zone)

        years, year, found = await self.database.read(read)
        drawn = {
            "heat": charts.heat(year, found["days"]) if year else [],
            "hours": charts.bars([f"{hour}:00" for hour in range(24)], found["hours"]),
            "weekdays": charts.bars(charts.WEEKDAYS, found["weekdays"]),
            "months": charts.bars(charts.MONTHS, found["months_time_ms"], charts.duration_text),
            "week": charts.week(found["weekday_hours"]),
        }
        known = {"owner": owner.name, "names": names, "years": years, "year": year, "found": found}
        return self.render(request, "numbers.html", {**known, **drawn}, visitor)

    # --- shows

    async def shows(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        after = params.after() or 0

        def read(connection: Connection) -> tuple[list[NextEpisodeJson], set[str], dict[str, dict[str, Any]]]:
            return (
                shows.next_episodes(connection, owner.id, limit=FOLLOWED + 1, after=after),
                followed_shows(connection, owner.id),
                watched_lately(connection, owner.id) if not after else {},
            )

        followed, keys, watched = await self.database.read(read)
        others = [entry for key, entry in watched.items() if key not in keys][:LATELY]
        more = after + FOLLOWED if len(followed) > FOLLOWED else None
        known = {"owner": owner.name, "names": names, "followed": followed[:FOLLOWED], "others": others}
        return self.render(request, "shows.html", {**known, "count": len(keys), "more": more}, visitor)

    async def show(self, request: Request, visitor: Visitor) -> Response:
        key, params = parse_show_key(request.path_params["key"]), Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        found = await self.database.read(lambda connection: whole_show(connection, owner.id, key))
        if found is None:
            raise Problem(404, "This show is not in the history.")
        parts = in_parts(found["episodes"])
        known = {"owner": owner.name, "names": names, "show": {**found, "parts": parts}}
        open_ = open_parts(parts, whole(params.text("part") or ""))
        return self.render(request, "show.html", {**known, "opened": open_}, visitor)

    async def follow(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Follow or unfollow a show of the visitor's own."""
        key, person_id = parse_show_key(fields.get("key", "")), visitor.person_id or 0
        unfollows = fields.get("does") == "unfollow"
        change = library.unfollow_show if unfollows else follow_show
        await self.database.run(lambda connection: change(connection, person_id, key))
        return self.back(request, fields, "saved")


def parse_year(params: Params) -> int | None:
    """Parse the requested year: None if not given, 0 for all years."""
    value = params.text("year")
    if value is None:
        return None
    if value == "all":
        return 0
    if not (value.isdecimal() and value.isascii() and len(value) == 4 and 1900 <= int(value) <= 2999):
        raise Problem(400, "year must be a year such as 2026, or all.")
    return int(value)


def followed_shows(connection: Connection, person_id: int) -> set[str]:
    wanted = select(follow.c.show_key).where(
        follow.c.person_id == person_id, follow.c.state == library.FOLLOWING
    )
    return set(connection.execute(wanted).scalars())


def watched_lately(connection: Connection, person_id: int) -> dict[str, dict[str, Any]]:
    """The shows of the person's latest plays, latest first, by key."""
    mine = (play.c.person_id == person_id, play.c.removed_at.is_(None))
    wanted = select(play.c.kind, play.c.item, play.c.started_at).where(*mine)
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(wanted.order_by(play.c.started_at.desc()).limit(RECENT)):
        item = row.item
        key = (
            show_key(item.get("show"), Ids.from_json(item.get("show_ids"))) if row.kind == "episode" else None
        )
        if key is not None:
            entry = found.setdefault(
                key,
                {
                    "show_key": key,
                    "show": item.get("show"),
                    "picture": picture_key(item_from_json(item)),
                    "last": None,
                    "plays": 0,
                },
            )
            entry["last"] = entry["last"] or clock.stamp(row.started_at)
            entry["plays"] += 1
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class SeasonPart:
    """A season or, of a very long one, a part of its episodes; `whole` if it is all of it."""

    season: int
    episodes: Sequence[EpisodeJson]
    whole: bool

    @property
    def watched_count(self) -> int:
        return sum(bool(episode["plays"]) for episode in self.episodes)

    @property
    def has_episode_list(self) -> bool:
        """True if the number of its episodes is known."""
        return any(episode["listed"] for episode in self.episodes)

    @property
    def is_started(self) -> bool:
        return 0 < self.watched_count < len(self.episodes)


def in_parts(episodes: Iterable[EpisodeJson]) -> list[SeasonPart]:
    """The seasons in parts, in the order of the episodes."""
    seasons: dict[int, list[EpisodeJson]] = {}
    for episode in episodes:
        seasons.setdefault(episode["season"], []).append(episode)
    return [
        SeasonPart(
            season=season,
            episodes=all_[start : start + EPISODES_PER_PART],
            whole=len(all_) <= EPISODES_PER_PART,
        )
        for season, all_ in seasons.items()
        for start in range(0, len(all_), EPISODES_PER_PART)
    ]


def open_parts(parts: Sequence[SeasonPart], wanted: int | None) -> set[int]:
    """The numbers (from 1) of the parts shown open: all of a short show, else the requested or the started one."""
    if sum(len(part.episodes) for part in parts) <= EPISODES_PER_PART:
        return set(range(1, len(parts) + 1))
    if wanted is not None and wanted <= len(parts):
        return {wanted}
    return {next((place for place, part in enumerate(parts, 1) if part.is_started), 1)}
