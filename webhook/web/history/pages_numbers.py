"""Pages of a person's statistics by year, beside another year or person, and the year in review."""

from __future__ import annotations

import asyncio
from typing import Literal

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.history import stats
from webhook.history.stats import StatsJson
from webhook.history.stats_span import zone_for
from webhook.storage.tables import PersonRow
from webhook.web.history.review import Review, embed_posters, review_of
from webhook.web.http import charts
from webhook.web.http.errors import Problem
from webhook.web.http.language import gettext
from webhook.web.http.page import Page
from webhook.web.http.params import Params
from webhook.web.http.templating import draw
from webhook.web.visible import Visitor

SVG_HEADERS = {"Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'"}
KINDS: tuple[Literal["films", "episodes", "tracks"], ...] = ("films", "episodes", "tracks")
"""The kinds that a month is made of, from the bottom up."""


class Numbers(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history/numbers", self.page(self.numbers)),
            Route("/history/numbers/{year}/review", self.page(self.review)),
            Route("/history/numbers/{year}/review.svg", self.page(self.picture)),
        ]

    async def numbers(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        wanted = parse_year(params)
        other_year, other = await self.comparison(params, visitor, owner)

        def read(
            connection: Connection,
        ) -> tuple[list[int], int | None, StatsJson, StatsJson | None]:
            zone = zone_for(connection, owner.id)
            years = stats.list_years(connection, owner.id, zone)
            year = (
                wanted if wanted is not None else (years[0] if years else clock.now().astimezone(zone).year)
            ) or None
            found = stats.year_stats(connection, owner.id, year, zone)
            if other is None:
                return years, year, found, None
            its_year, its_zone = other_year or year, zone_for(connection, other.id)
            return years, year, found, stats.year_stats(connection, other.id, its_year, its_zone)

        years, year, found, versus = await self.database.read(read)
        drawn = {
            "heat": charts.heat(year, found["days"]) if year else [],
            "months": charts.stacked_months(
                {kind: found["months_by_kind"][kind] for kind in KINDS},
                versus["months_time_ms"] if versus else None,
            ),
            "week": charts.week(found["weekday_hours"]),
        }
        known = {
            "owner": owner.name,
            "names": names,
            "years": years,
            "year": year,
            "found": found,
            "versus": versus,
            "compared": params.text("with"),
            "in_words": comparison_words(other_year, other),
        }
        return self.render(request, "numbers.html", {**known, **drawn}, visitor)

    async def comparison(
        self, params: Params, visitor: Visitor, owner: PersonRow
    ) -> tuple[int | None, PersonRow | None]:
        """The year of the same person, or the person of the same year, that the numbers are compared with."""
        given = params.text("with")
        if given is None:
            return None, None
        if is_year(given):
            return int(given), owner
        person, _ = await self.chosen_person(Params({"person": given}), visitor)
        return None, person

    # --- the year in review

    async def review(self, request: Request, visitor: Visitor) -> Response:
        review, owner, names = await self.read_review(request, visitor)
        known = {"owner": owner.name, "names": names, "review": review, "year": review.year}
        return self.render(request, "review.html", known, visitor)

    async def picture(self, request: Request, visitor: Visitor) -> Response:
        """The year in review as a picture that needs nothing else: no font, no other file."""
        review, _, _ = await self.read_review(request, visitor)
        posters = await asyncio.to_thread(embed_posters, self.service.pictures.store, review.shows)
        drawn = draw("review.svg", {"review": review, "posters": posters}, request.state.zone)
        return Response(drawn, media_type="image/svg+xml", headers=SVG_HEADERS)

    async def read_review(self, request: Request, visitor: Visitor) -> tuple[Review, PersonRow, list[str]]:
        given = request.path_params["year"]
        if not is_year(given):
            raise Problem(404, "There is no such year.")
        year = int(given)
        owner, names = await self.chosen_person(Params(request.query_params), visitor)

        def read(connection: Connection) -> StatsJson:
            return stats.year_stats(connection, owner.id, year, zone_for(connection, owner.id))

        return review_of(owner.name, year, await self.database.read(read)), owner, names


def comparison_words(year: int | None, person: PersonRow | None) -> str:
    if year:
        return gettext("in %(year)s", year=year)
    return gettext("for %(name)s", name=person.name) if person else ""


def parse_year(params: Params) -> int | None:
    """Parse the requested year: None if not given, 0 for all years."""
    value = params.text("year")
    if value is None:
        return None
    if value == "all":
        return 0
    if not is_year(value):
        raise Problem(400, "year must be a year such as 2026, or all.")
    return int(value)


def is_year(value: str) -> bool:
    return value.isdecimal() and value.isascii() and len(value) == 4 and 1900 <= int(value) <= 2999
