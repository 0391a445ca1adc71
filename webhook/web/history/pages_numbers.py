"""Pages of a person's statistics by year."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.history import stats
from webhook.history.stats import StatsJson
from webhook.history.stats_span import zone_for
from webhook.web.http import charts
from webhook.web.http.errors import Problem
from webhook.web.http.page import Page
from webhook.web.http.params import Params
from webhook.web.visible import Visitor


class Numbers(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/history/numbers", self.page(self.numbers))]

    async def numbers(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        wanted = parse_year(params)

        def read(connection: Connection) -> tuple[list[int], int | None, StatsJson]:
            zone = zone_for(connection, owner.id)
            years = stats.list_years(connection, owner.id, zone)
            year = (
                wanted if wanted is not None else (years[0] if years else clock.now().astimezone(zone).year)
            )
            return years, year or None, stats.year_stats(connection, owner.id, year or None, zone)

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
