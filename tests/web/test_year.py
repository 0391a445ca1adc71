"""The pages of a year: its numbers, beside those of another year or person, and the year in review."""

from __future__ import annotations

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from tests.web.conftest import Household, Open
from tests.web.viewings import NOON, film, part, seen, viewing
from webhook.domain.event import Episode, Ids
from webhook.web.http import charts


@pytest.fixture
def household(opened: Open) -> Household:
    return opened()


def test_the_numbers_of_a_year_are_drawn_with_a_table_behind(household: Household) -> None:
    seen(household, film("Harbour"), part(1), part(2, NOON + timedelta(days=1)))
    browser = household.browser()

    page = browser.get("/history/numbers?year=2026").text

    assert "<dd>3 h 0 min</dd>" in page
    assert page.count("<table") >= 5
    assert "1 Mar: 2" in page
    assert "Time watched by month" in page
    assert re.search(r"<title>Sunday, 12:00: [0-9]+</title>", page)
    assert browser.get("/history/numbers?year=all").status_code == 200
    assert browser.get("/history/numbers?year=1066").status_code == 400
    assert "Nothing watched in 1999" in browser.get("/history/numbers?year=1999").text


def test_numbers_stand_beside_those_of_another_year(household: Household) -> None:
    seen(household, film("Harbour"), film("Slow Light"), film("Earlier", NOON - timedelta(days=365)))
    browser = household.browser()

    page = browser.get("/history/numbers?year=2026&with=2025").text

    assert "1 in 2025" in page
    assert "<title>March: 2 h 0 min, 1 h 0 min in 2025</title>" in page
    assert "in 2025" not in browser.get("/history/numbers?year=2026").text.replace("beside 2025", "")


def test_numbers_stand_beside_those_of_another_person_for_the_owner_alone(household: Household) -> None:
    ben = household.person("ben")
    seen(household, film("Harbour"))
    seen(household, film("Slow Light"), film("Salt Road"), person_id=ben)

    assert "2 for ben" in household.browser().get("/history/numbers?year=2026&with=ben").text
    assert household.browser("ben").get("/history/numbers?year=2026&with=me").status_code == 403
    assert household.browser().get("/history/numbers?year=2026&with=nobody").status_code == 404


def test_a_year_in_review_is_a_picture_of_its_own(household: Household) -> None:
    named = Episode(title="One", show="Sand & <Sea>", season=1, number=1, show_ids=Ids(tvdb=5))
    seen(household, viewing(named, NOON), film("Harbour"))
    browser = household.browser()

    page, picture = (browser.get(f"/history/numbers/2026/{name}") for name in ("review", "review.svg"))

    assert 'download="watchmark-2026.svg"' in page.text
    assert "Busiest month" in page.text
    assert picture.headers["content-type"].startswith("image/svg+xml")
    drawn = ElementTree.fromstring(picture.text)  # noqa: S314 (our own drawing)
    texts = [(one.text or "").strip() for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"2026", "Sand & <Sea>", "Busiest day"} <= set(texts)
    assert not re.search(r"(?:href|src)=\"(?!data:)|url\((?!#)|@import|<script", picture.text)
    assert browser.get("/history/numbers/1066/review").status_code == 404


def test_a_year_in_review_is_seen_by_its_person_and_the_owner(household: Household) -> None:
    household.person("ben")
    seen(household, film("Harbour"))

    for name in ("review", "review.svg"):
        assert household.browser("ben").get(f"/history/numbers/2026/{name}?person=me").status_code == 403
        assert "Harbour" not in household.browser().get(f"/history/numbers/2026/{name}?person=ben").text


# --- charts


def test_a_leap_year_has_all_its_days_and_each_its_square() -> None:
    halves = charts.heat(2024, {"2024-02-29": 4, "2024-12-31": 1})

    squares = [one for half in halves for one in half.days]
    assert [len({(one.x, one.y) for one in half.days}) for half in halves] == [182, 184]
    assert max(one.x for one in squares) + charts.CELL <= 394
    assert [month.number for half in halves for month in half.months] == list(range(1, 13))
    assert {one.day.isoformat(): one.level for one in squares if one.level} == {
        "2024-02-29": 4,
        "2024-12-31": 1,
    }


def test_a_month_is_stacked_by_kind_under_round_hours() -> None:
    hour = charts.HOUR_MS
    kinds = {"films": [2 * hour] + 11 * [0], "episodes": [5 * hour] + 11 * [0]}

    drawn = charts.stacked_months(kinds, [12 * hour, *(11 * [0])])

    january = drawn.bars[0]
    assert [line.hours for line in drawn.lines] == [0, 5, 10, 15]
    assert [piece.kind for piece in january.pieces] == ["films", "episodes"]
    assert january.pieces[0].y == pytest.approx(january.pieces[1].y + january.pieces[1].height, abs=0.2)
    assert january.other_y is not None
    assert january.other_y < january.pieces[1].y
    assert charts.stacked_months({"films": 12 * [0]}).lines


@pytest.mark.parametrize(
    ("ms", "said"), [(0, "0 min"), (3_600_000, "1 h 0 min"), (90_000_000, "1 day 1 h"), (59_999, "0 min")]
)
def test_times_are_said_in_words(ms: int, said: str) -> None:
    assert charts.duration_text(ms) == said
