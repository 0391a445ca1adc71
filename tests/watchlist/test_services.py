"""Each service with a watchlist, over HTTP: whole reads are taken over, broken ones never, and what is sent arrives once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.watchlist.keepers import HARBOUR, KEEPERS, PARASITE, TIDEWATER, many
from tests.watchlist.services import Lists
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Episode, Ids
from webhook.history.watchlist_reads import ReadResult
from webhook.storage.tables import account, delivery

Make = Callable[..., Lists]
HOUR = timedelta(hours=1)
EVERY = sorted(KEEPERS)
BROKEN: dict[str, dict[str, Any]] = {
    "unauthorized": {"status": 401},
    "forbidden": {"status": 403},
    "not found": {"status": 404},
    "too many": {"status": 429, "headers": {"Retry-After": "30"}},
    "down": {"status": 503},
    "html": {"status": 200, "body": "<html>Please sign in</html>"},
    "another shape": {"status": 200, "body": {"items": "none"}},
    "cut": {"status": 200, "body": '[{"id": 1, "movie": {', "cut": 12},
    "reset": {"reset": True},
}


@pytest.mark.parametrize("name", EVERY)
def test_a_list_is_taken_over_with_what_it_knows(make_lists: Make, name: str) -> None:
    house = make_lists(name)
    house.keepers[name].put(PARASITE, TIDEWATER)

    (report,) = house.read()

    assert report.error is None, report.error
    assert house.titles() == {"Parasite", "Saltmarsh"}
    assert house.deliveries() == []


@pytest.mark.parametrize("name", EVERY)
def test_a_list_longer_than_a_page_is_read_whole(make_lists: Make, name: str) -> None:
    house = make_lists(name)
    house.keepers[name].put(*many(61), PARASITE)

    house.read()

    assert len(house.titles()) == 62


@pytest.mark.parametrize("what", sorted(BROKEN))
@pytest.mark.parametrize("name", EVERY)
def test_a_broken_read_removes_nothing_and_says_why(make_lists: Make, name: str, what: str) -> None:
    house = make_lists(name)
    house.keepers[name].put(PARASITE, HARBOUR, TIDEWATER)
    house.read()
    house.keepers[name].take(PARASITE)
    house.keepers[name].fake.faults.add(house.keepers[name].route, times=-1, **BROKEN[what])

    (report,) = house.read()

    assert report.error
    assert house.error(name) == report.error
    assert house.titles() == {"Parasite", "Harbour", "Saltmarsh"}
    house.keepers[name].fake.faults.clear()
    house.read()
    assert house.titles() == {"Harbour", "Saltmarsh"}
    assert house.error(name) is None


@pytest.mark.parametrize("name", EVERY)
def test_a_list_that_is_suddenly_empty_is_held(make_lists: Make, name: str) -> None:
    house = make_lists(name)
    house.keepers[name].put(*many(61))
    house.read()
    house.keepers[name].take(*many(61))

    (report,) = house.read()

    assert report.result is not None
    assert report.result.held == 61
    assert len(house.titles()) == 61
    assert house.held(name) == 61


@pytest.mark.parametrize("name", EVERY)
def test_what_is_put_on_and_taken_off_here_arrives_there_once(make_lists: Make, name: str) -> None:
    house = make_lists(name)

    house.add(PARASITE, TIDEWATER)
    house.send()
    assert house.keepers[name].listed() == {"Parasite", "Saltmarsh"}
    house.sync()
    house.remove(PARASITE)
    house.send()
    house.sync()

    assert house.keepers[name].listed() == {"Saltmarsh"}
    assert house.titles() == {"Saltmarsh"}
    assert house.outcomes(name) == [("watchlist", "done"), ("watchlist", "done"), ("unwatchlist", "done")]


@pytest.mark.parametrize("name", EVERY)
def test_putting_on_what_is_there_and_taking_off_what_is_not_succeeds(make_lists: Make, name: str) -> None:
    house = make_lists(name)
    house.keepers[name].put(PARASITE)

    house.add(PARASITE, HARBOUR)
    house.send()
    house.keepers[name].take(HARBOUR)
    house.remove(HARBOUR)
    house.send()

    assert {state for _, state in house.outcomes(name)} == {"done"}
    assert house.keepers[name].listed() == {"Parasite"}


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_sent_where_it_is_not_switched_on(make_lists: Make, name: str) -> None:
    house = make_lists(name, told=False)

    house.add(PARASITE)
    house.send()

    assert house.deliveries() == []
    assert house.keepers[name].listed() == set()


@pytest.mark.parametrize("name", EVERY)
def test_a_title_that_the_service_does_not_know_is_asked_for_again_in_a_week(
    make_lists: Make, name: str
) -> None:
    house = make_lists(name)
    unknown = type(PARASITE)(title="Nowhere", year=1931, ids=Ids(tmdb=999_999_1))

    house.add(unknown, PARASITE)
    house.send()

    (first, second) = house.deliveries(name)
    assert (first["state"], second["state"]) == ("waiting", "done")
    assert "a week" in str(first["reason"])


def test_a_show_that_trakt_drops_at_its_first_episode_stays_here_and_elsewhere(make_lists: Make) -> None:
    house = make_lists("trakt")
    house.keepers["trakt"].put(TIDEWATER, PARASITE)
    house.read()

    house.watch(Episode(show="Saltmarsh", season=1, number=1, show_ids=TIDEWATER.ids, ids=Ids(tvdb=8118901)))
    house.send()
    assert house.keepers["trakt"].listed() == {"Parasite"}
    house.read()

    assert house.titles() == {"Parasite", "Saltmarsh"}


def test_what_was_watched_at_trakt_alone_was_not_taken_off(make_lists: Make) -> None:
    house = make_lists("trakt")
    trakt = house.keepers["trakt"]
    trakt.put(TIDEWATER, PARASITE)
    house.read()
    house.advance(HOUR)
    at = trakt.fake.clock.now().isoformat()
    entry = trakt.fake.catalogue.by_ids("movie", {"tmdb": 496243})
    row = {"id": 1, "watched_at": at, "action": "watch", "type": "movie", **entry.wire()}
    trakt.fake.user("anna").history.append(row)
    trakt.take(PARASITE)

    house.read()

    assert house.titles() == {"Parasite", "Saltmarsh"}


def test_a_read_that_trakt_sends_short_is_no_read(make_lists: Make) -> None:
    house = make_lists("trakt")
    house.keepers["trakt"].put(PARASITE, HARBOUR)
    house.read()
    house.keepers["trakt"].fake.switches.watchlist_loses = 1

    (report,) = house.read()

    assert "1 of 2 titles" in str(report.error)
    assert house.titles() == {"Parasite", "Harbour"}


def test_a_full_list_at_trakt_is_said_once_and_keeps_nothing_else_back(make_lists: Make) -> None:
    house = make_lists("trakt")
    house.keepers["trakt"].fake.switches.watchlist_limit = 1
    house.keepers["trakt"].fake.switches.limit_headers = False

    house.add(PARASITE, HARBOUR, TIDEWATER)
    house.send()
    house.watch(HARBOUR)
    house.send()

    assert [state for _, state in house.outcomes("trakt")] == ["done", "parked", "parked"]
    calls = house.keepers["trakt"].fake.made("POST /sync/watchlist")
    assert [call.status for call in calls] == [201, 420]
    assert len(house.keepers["trakt"].fake.user("anna").history) == 1


# --- Simkl, whose list is one status of several


def test_what_is_completed_at_simkl_keeps_that_when_it_is_put_on_a_list(make_lists: Make) -> None:
    house = make_lists("plex", "simkl")
    simkl = house.keepers["simkl"]
    her = simkl.fake.user("anna")
    her.lists[simkl.key(PARASITE)] = "completed"  # type: ignore[attr-defined]
    house.keepers["plex"].put(PARASITE)

    house.sync()

    assert her.lists == {simkl.key(PARASITE): "completed"}  # type: ignore[attr-defined]
    ((_, state),) = house.outcomes("simkl")
    assert state == "skipped"
    assert house.titles() == {"Parasite"}


def test_what_has_plays_is_never_removed_from_simkl(make_lists: Make) -> None:
    house = make_lists("simkl")
    simkl = house.keepers["simkl"]
    simkl.put(TIDEWATER, PARASITE)
    house.read()
    house.watch(Episode(show="Saltmarsh", season=1, number=1, show_ids=TIDEWATER.ids, ids=Ids(tvdb=8118901)))
    house.send()
    simkl.put(TIDEWATER)  # she plans to watch it again
    plays = dict(simkl.fake.user("anna").history)
    assert plays

    house.remove(TIDEWATER, PARASITE)
    house.send()

    assert simkl.fake.user("anna").history == plays
    assert simkl.fake.complaints == []
    assert simkl.listed() == {"Saltmarsh"}
    assert [one["state"] for one in house.deliveries("simkl")] == ["skipped", "done"]


def test_what_was_begun_at_simkl_was_not_taken_off(make_lists: Make) -> None:
    house = make_lists("simkl")
    simkl = house.keepers["simkl"]
    simkl.put(TIDEWATER, PARASITE, HARBOUR)
    house.read()
    her = simkl.fake.user("anna")
    her.lists[simkl.key(TIDEWATER)] = "watching"  # type: ignore[attr-defined]
    her.lists[simkl.key(PARASITE)] = "dropped"  # type: ignore[attr-defined]

    house.read()

    assert house.titles() == {"Saltmarsh", "Harbour"}


def test_an_unchanged_list_at_simkl_is_not_read_again(make_lists: Make) -> None:
    house = make_lists("simkl")
    simkl = house.keepers["simkl"]
    simkl.put(TIDEWATER)
    house.read_due()
    reads = len(simkl.fake.made("GET /sync/all-items"))

    (again,) = house.read_due()

    assert (again.result, again.error) == (ReadResult(), None)
    assert len(simkl.fake.made("GET /sync/all-items")) == reads

    simkl.put(PARASITE)
    house.read_due()

    assert house.titles() == {"Saltmarsh", "Parasite"}
    before = len(simkl.fake.made("GET /sync/all-items"))
    house.read()
    assert len(simkl.fake.made("GET /sync/all-items")) == before + 3  # asked for by a person


# --- Plex, whose list is of the account and not of a server


def test_a_title_whose_ids_plex_has_forgotten_stays(make_lists: Make) -> None:
    house = make_lists("plex", "trakt")
    plex = house.keepers["plex"]
    plex.put(PARASITE, HARBOUR)
    house.sync()
    assert house.keepers["trakt"].listed() == {"Parasite", "Harbour"}
    plex.fake.discover.lists_guids = False
    plex.fake.forgotten.add(plex.keys["Parasite"])  # type: ignore[attr-defined]

    house.sync()

    assert house.titles() == {"Parasite", "Harbour"}
    assert house.keepers["trakt"].listed() == {"Parasite", "Harbour"}


def test_a_list_without_ids_is_looked_up_title_by_title_and_once(make_lists: Make) -> None:
    house = make_lists("plex")
    house.keepers["plex"].fake.discover.lists_guids = False
    house.keepers["plex"].put(PARASITE, TIDEWATER)

    house.read()
    house.read()

    assert house.titles() == {"Parasite", "Saltmarsh"}
    assert len(house.keepers["plex"].fake.made("GET /metadata/library/metadata")) == 2


@pytest.mark.parametrize("repeats", [0, 7, 100])
def test_a_list_that_changes_while_it_is_paged_is_read_whole_or_not_at_all(
    make_lists: Make, repeats: int
) -> None:
    house = make_lists("plex")
    plex = house.keepers["plex"]
    titles = [
        plex.fake.know("movie", f"Long {number}", 1980, {"tmdb": 90_000 + number}) for number in range(240)
    ]
    plex.wanted.update(dict.fromkeys(titles, plex.fake.clock.now()))  # type: ignore[attr-defined]
    plex.fake.discover.repeats = repeats

    (report,) = house.read()

    assert (report.error is None) is (len(house.titles()) == 240)
    assert len(house.titles()) in (0, 240)
    assert repeats or report.error is None


def test_the_answer_of_another_film_is_not_put_on(make_lists: Make) -> None:
    house = make_lists("plex")
    unknown = type(PARASITE)(title="Parasite", year=1982, ids=Ids(tmdb=48311))

    house.add(unknown)
    house.send()

    assert house.keepers["plex"].listed() == set()
    assert house.outcomes("plex") == [("watchlist", "waiting")]


def test_a_title_that_plex_says_in_words_is_on_it_already_is_a_success(make_lists: Make) -> None:
    house = make_lists("plex")
    house.keepers["plex"].fake.discover.answers_409 = False
    house.keepers["plex"].put(PARASITE)

    house.add(PARASITE)
    house.send()

    assert house.outcomes("plex") == [("watchlist", "done")]


def test_a_sign_in_from_before_asks_for_another_and_leaves_the_rest_alone(make_lists: Make) -> None:
    house = make_lists("plex")
    tracker, tokens = house.service.trackers["plex"], house.keepers["plex"].sign_in()
    del tokens["account_token"]
    house.run(accounts.store_sign_in(house.database, house.service.seal, house.me, tracker, tokens, "anna"))

    (report,) = house.read()
    house.add(PARASITE)
    house.send()

    assert "sign in to Plex again" in str(report.error)
    assert house.outcomes("plex") == [("watchlist", "waiting")]
    row = house.database.ask(lambda connection: connection.execute(account.select()).first())
    assert row is not None
    assert row.parked is None


# --- several services


def test_three_services_come_to_agree_and_stay_so(make_lists: Make) -> None:
    house = make_lists("plex", "simkl", "trakt")
    house.keepers["plex"].put(PARASITE)
    house.keepers["trakt"].put(TIDEWATER)
    house.keepers["simkl"].put(HARBOUR)

    house.sync()
    sent = len(house.deliveries())
    house.sync()
    house.sync()

    for keeper in house.keepers.values():
        assert keeper.listed() == {"Parasite", "Saltmarsh", "Harbour"}
    assert len(house.deliveries()) == sent == 6


def test_what_is_taken_off_at_one_goes_from_all_and_is_never_brought_back(make_lists: Make) -> None:
    house = make_lists("plex", "simkl", "trakt")
    house.keepers["plex"].put(PARASITE, HARBOUR)
    house.sync()

    house.keepers["simkl"].take(PARASITE)
    house.sync()
    house.sync()

    assert house.titles() == {"Harbour"}
    for keeper in house.keepers.values():
        assert keeper.listed() == {"Harbour"}


def test_what_is_put_on_again_after_that_is_back_everywhere(make_lists: Make) -> None:
    house = make_lists("plex", "trakt")
    house.keepers["plex"].put(PARASITE, HARBOUR)
    house.sync()
    house.remove(PARASITE)
    house.sync()
    assert house.titles() == {"Harbour"}

    house.advance(timedelta(minutes=5))
    house.keepers["trakt"].put(PARASITE)
    house.sync()

    assert house.titles() == {"Parasite", "Harbour"}
    assert house.keepers["plex"].listed() == {"Parasite", "Harbour"}


def test_a_service_that_is_down_is_told_once_it_is_up(make_lists: Make) -> None:
    house = make_lists("trakt")
    house.keepers["trakt"].fake.faults.add("POST /sync/watchlist", status=503, times=1)

    house.add(PARASITE)
    house.send()
    assert house.outcomes("trakt") == [("watchlist", "waiting")]
    house.hold_on()
    house.database.do(
        lambda connection: connection.execute(delivery.update().values(due_at=clock.now() - HOUR))
    )
    house.send()

    assert house.outcomes("trakt") == [("watchlist", "done")]
    assert house.keepers["trakt"].listed() == {"Parasite"}


def test_a_change_that_is_tried_again_does_not_undo_a_later_one(make_lists: Make) -> None:
    house = make_lists("trakt")
    house.keepers["trakt"].fake.faults.add("POST /sync/watchlist", record_then=502, times=1)
    house.add(PARASITE)
    house.send()
    assert house.keepers["trakt"].listed() == {"Parasite"}

    house.remove(PARASITE)
    house.hold_on()
    later = delivery.update().where(delivery.c.action == "watchlist").values(due_at=clock.now())
    house.database.do(lambda connection: connection.execute(later))
    house.send()
    house.send()

    assert house.outcomes("trakt") == [("watchlist", "superseded"), ("unwatchlist", "done")]
    assert house.keepers["trakt"].listed() == set()
