"""The watchlist's page and its operations: what is on it, what services know, and what is put on and taken off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from tests.watchlist.home import HARBOUR, PARASITE, TIDEWATER, films, listed
from tests.web.conftest import Household, form_token
from tests.web.test_needs_you import badge
from webhook import clock
from webhook.accounts.accounts import insert_account
from webhook.domain.event import Action, Ids, Item, Kind, Movie
from webhook.history import library, watchlist_reads
from webhook.history.watchlist import HAND, Watchlist
from webhook.storage.tables import account, delivery

PAGE = "/library/watchlist"


@dataclass
class ListTracker:
    """A tracker with a watchlist, which nothing asks here."""

    name: str = "trakt"
    label: str = "Trakt"
    sign_in: str = "device"
    local: bool = False
    one_mark: bool = False
    undated: bool = False
    kinds: frozenset[Kind] = frozenset({Kind.MOVIE, Kind.SHOW})
    tells: frozenset[Action] = frozenset({Action.WATCHLIST, Action.UNWATCHLIST})
    needs: dict[Kind, tuple[str, ...]] = field(default_factory=dict)
    writes_per_second: float = 0.0
    host: str = "trakt.test"

    async def watchlist(self, access: object) -> list[Any]:
        return []


@pytest.fixture
def trakt(home: Household) -> int:
    """Somebody's account at a service that keeps a watchlist."""
    home.service.trackers = {**home.service.trackers, "trakt": ListTracker()}  # type: ignore[dict-item]
    made = home.do(lambda connection: insert_account(connection, 1, "trakt", set(), clock.now()))
    home.do(
        lambda connection: connection.execute(
            update(account).where(account.c.id == made).values(tokens=home.service.seal.seal({"token": "t"}))
        )
    )
    return int(made)


def change(home: Household, work: Any) -> Any:
    can = home.service.trackers
    return home.do(lambda connection: work(Watchlist(connection, 1, can, clock.now())))


def put(home: Household, *items: Item) -> None:
    change(home, lambda mine: [mine.add(item, mine.now, HAND) for item in items])


def read(home: Household, account_id: int, *items: Item) -> None:
    change(home, lambda mine: watchlist_reads.apply_read(mine, account_id, "Trakt", listed(items)))


def post(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    token = form_token(browser.get(PAGE).text)
    answer = browser.post(f"{PAGE}/{path}", data={"form_token": token, "back": PAGE, **fields})
    return browser.get(answer.headers["location"]) if answer.status_code == 303 else answer


def titles(home: Household) -> list[str]:
    return [one["title"] for one in home.api().get("/api/v1/watchlist").json()["items"]]


def test_an_empty_watchlist_says_how_it_fills(home: Household) -> None:
    page = home.browser().get(PAGE).text

    assert "Nothing here yet." in page
    assert 'href="/library/watchlist/add"' in page


def test_its_page_shows_posters_and_what_each_service_knows(home: Household, trakt: int) -> None:
    put(home, PARASITE, TIDEWATER)
    read(home, trakt, PARASITE)

    page = home.browser().get(PAGE).text

    for words in (
        "Parasite",
        "Tidewater",
        "2 titles",
        "Trakt",
        "1 title · read",
        "Changes are not sent there.",
    ):
        assert words in page


def test_a_title_is_put_on_by_hand_and_taken_off_again(home: Household) -> None:
    browser = home.browser()

    page = post(browser, "add", kind="movie", title="Parasite", year="2019", **{"ids.tmdb": "496243"}).text
    assert "Added to the watchlist." in page
    assert titles(home) == ["Parasite"]
    assert "on the watchlist already" in post(browser, "add", kind="movie", **{"ids.tmdb": "496243"}).text
    page = post(browser, "remove", **{"off-1": "movie:tmdb:496243"}).text

    assert "Taken off the watchlist: 1." in page
    assert titles(home) == []


def test_a_show_that_an_app_keeps_for_later_is_on_it_and_comes_off(home: Household) -> None:
    home.do(lambda connection: library.follow_show(connection, 1, TIDEWATER, clock.now(), "for_later"))
    browser = home.browser()
    page = browser.get(f"{PAGE}?remove=1").text
    assert 'value="follow:tvdb:81189"' in page

    page = post(browser, "remove", **{"off-1": "follow:tvdb:81189"}).text

    assert "Tidewater" not in page
    assert "Nothing here yet." in page


def test_a_show_that_a_search_found_is_put_on_with_its_ids(home: Household) -> None:
    query = "kind=episode&picked=1&show=Tidewater&show_ids.tvdb=81189"

    post(home.browser(), "add", kind="show", picked=query)

    (entry,) = home.api().get("/api/v1/watchlist").json()["items"]
    assert (entry["kind"], entry["title"], entry["ids"]) == ("show", "Tidewater", {"tvdb": 81189})


@pytest.mark.parametrize(
    "fields",
    [{"kind": "movie"}, {"kind": "movie", "title": "Parasite"}, {"kind": "movie", "ids.tmdb": "none"}],
)
def test_what_nothing_names_for_sure_is_not_put_on(home: Household, fields: dict[str, str]) -> None:
    answer = post(home.browser(), "add", **fields)

    assert answer.status_code == 422
    assert titles(home) == []


def test_the_page_that_adds_finds_titles_of_the_history(home: Household) -> None:
    page = home.browser().get(f"{PAGE}/add?kind=show&q=Tidewater").text

    assert "Add to the watchlist" in page
    assert "Type it in instead" in page


def test_scripts_put_on_and_take_off(home: Household) -> None:
    api = home.api()

    made = api.post("/api/v1/watchlist", json={"kind": "movie", "title": "Parasite", "ids": {"tmdb": 496243}})
    again = api.post("/api/v1/watchlist", json={"kind": "movie", "ids": {"tmdb": 496243}}).json()

    assert (made.json()["changed"], again["changed"]) == (True, False)
    (entry,) = api.get("/api/v1/watchlist").json()["items"]
    assert (entry["key"], entry["via"], entry["on"]) == ("movie:tmdb:496243", "hand", [])
    assert api.delete("/api/v1/watchlist/movie:tmdb:496243").json()["changed"] is True
    assert api.delete("/api/v1/watchlist/movie:tmdb:496243").status_code == 404
    assert api.post("/api/v1/watchlist", json={"kind": "episode", "title": "x"}).status_code == 422
    assert api.post("/api/v1/watchlist", json={"kind": "movie", "title": "x"}).status_code == 422


def test_a_person_chooses_when_an_item_leaves_by_itself(home: Household) -> None:
    assert home.api().get("/api/v1/watchlist").json()["until"] == "finished"

    assert home.api().patch("/api/v1/watchlist", json={"until": "begun"}).json()["until"] == "begun"
    post(home.browser(), "until", until="never")

    assert home.api().get("/api/v1/watchlist").json()["until"] == "never"


def test_a_service_is_switched_and_sent_what_it_lacks(home: Household, trakt: int) -> None:
    put(home, PARASITE, HARBOUR)
    read(home, trakt, HARBOUR)
    api = home.api()
    address = "/api/v1/watchlist/services/trakt"
    assert api.patch(address, json={"send_missing": True}).status_code == 422
    assert api.patch(address, json={"sends": True, "reads": False}).json() == {"count": 0}
    (service,) = api.get("/api/v1/watchlist").json()["services"]
    assert (service["sends"], service["reads"]) == (True, False)

    assert "Send the 1 missing title" in home.browser().get(PAGE).text
    assert post(home.browser(), "services/trakt", does="send").status_code == 200

    wanted = select(delivery.c.action, delivery.c.item)
    ((action, item),) = home.do(lambda connection: connection.execute(wanted).all())
    assert (action, item["title"]) == ("watchlist", "Parasite")
    post(home.browser(), "services/trakt", does="options", reads="on", can_send="1")
    (service,) = api.get("/api/v1/watchlist").json()["services"]
    assert (service["sends"], service["reads"]) == (False, True)
    assert api.patch("/api/v1/watchlist/services/simkl", json={}).status_code == 404


@pytest.mark.parametrize(("does", "left"), [("keep", 12), ("remove", 1)])
def test_what_is_suddenly_gone_is_shown_and_decided_by_a_person(
    home: Household, trakt: int, does: str, left: int
) -> None:
    read(home, trakt, *films(12))
    read(home, trakt, *films(1))
    browser = home.browser()
    page = browser.get(PAGE).text
    assert "11 titles are gone from Trakt" in page
    assert "Nothing was removed here." in page
    assert len(titles(home)) == 12

    post(browser, "services/trakt", does=does)

    assert len(titles(home)) == left
    assert "are gone from" not in browser.get(PAGE).text


def test_what_is_suddenly_gone_needs_its_person_and_is_decided_there(home: Household, trakt: int) -> None:
    read(home, trakt, *films(12))
    read(home, trakt, *films(1))
    browser = home.browser()
    home.person("bob")
    other = home.browser("bob")

    (waits,) = home.api().get("/api/v1/needs-you").json()["held_lists"]
    assert (waits["person"], waits["tracker"], waits["count"]) == ("me", "trakt", 11)
    assert waits["titles"] == [f"Film {number}" for number in range(2, 7)]
    assert "11 titles are gone from Trakt" in browser.get("/needs-you").text
    assert "Did you take them off?" in browser.get("/").text
    assert "11 titles are gone" not in other.get("/needs-you").text
    assert (badge(browser), badge(other)) == (1, 0)

    post(browser, "services/trakt", does="keep", person="me", back="/needs-you")

    kept = home.api().get("/api/v1/watchlist?person=me").json()["items"]
    assert (badge(browser), len(kept)) == (0, 12)


def test_a_script_decides_about_what_is_held(home: Household, trakt: int) -> None:
    read(home, trakt, *films(12))
    read(home, trakt)

    (service,) = home.api().get("/api/v1/watchlist").json()["services"]
    answer = home.api().patch("/api/v1/watchlist/services/trakt", json={"held": "keep"}).json()

    assert (service["held"], service["held_titles"][0]) == (12, "Film 1")
    assert answer == {"count": 12}
    assert home.api().get("/api/v1/watchlist").json()["services"][0]["held"] == 0


def test_all_services_are_read_when_asked(home: Household, trakt: int) -> None:
    assert home.api().post("/api/v1/watchlist/read").json() == {"count": 1}
    assert "The lists are read now." in post(home.browser(), "read").text

    asked = home.do(lambda connection: watchlist_reads.find_read(connection, trakt))
    assert asked.asked is True


def test_one_person_neither_sees_nor_changes_the_list_of_another(home: Household) -> None:
    other = home.person("bob")
    put(home, Movie(title="Parasite", year=2019, ids=Ids(tmdb=496243)))
    api = home.api(other)

    assert api.get("/api/v1/watchlist").json()["items"] == []
    assert api.get("/api/v1/watchlist?person=me").status_code == 403
    assert api.delete("/api/v1/watchlist/movie:tmdb:496243").status_code == 404
    assert api.delete("/api/v1/watchlist/movie:tmdb:496243?person=me").status_code == 403
    assert home.api().get("/api/v1/watchlist").status_code == 400  # whose, that token does not say
    assert len(home.api().get("/api/v1/watchlist?person=me").json()["items"]) == 1
