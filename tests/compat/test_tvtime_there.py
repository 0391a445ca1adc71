"""The TV Time REST API through a server: for whom, what is read there, what is told there, and its trouble."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from tests.compat._tvtime import (
    BOYS,
    OFFICE,
    OTHER,
    THRONES,
    Box,
    Programme,
    boxed,
    connect,
    fill,
    see,
    somebody,
)
from tests.fakes._server import Server
from tests.fakes.tvtime import TVTime, User
from tests.running import eventually
from webhook import clock
from webhook.accounts import accounts
from webhook.compat.tvtime import remote_backend as there
from webhook.compat.tvtime.pending import DELIVERY_TIMEOUT, PendingMark, PendingMarks
from webhook.domain.event import Action, Episode, Event, Ids
from webhook.history import plays
from webhook.storage import tables

OK = {"status": "OK"}
REFUSED = {"reason": "502 - PUT request failed!", "status": "KO"}
FOLLOW = "https://api2.tozelabs.com/v2/show/{id}/follow"
UPSTREAM = "/sidecar/api2.tozelabs.com/v2"
ACCOUNT = f"GET {UPSTREAM}/user/"
EXTENDED = f"GET {UPSTREAM}/show/"
MARKS = f"POST {UPSTREAM}/watched_episodes"
UNMARKS = f"DELETE {UPSTREAM}/watched_episodes"
LISTED = "GET /sidecar/msapi.tvtime.com/v1/series"
WATCHES = "GET /sidecar/msapi.tvtime.com/prod/v1/tracking/watches"
PAGE = "<!DOCTYPE html><html><title>Oops</title></html>"


@dataclass
class Place:
    """Somebody here who is signed in to the server as somebody there."""

    box: Box
    fake: TVTime
    user: User
    account_id: int
    client: httpx.Client

    def ask(self, method: str, path: str) -> httpx.Response:
        return self.client.request(method, f"/tvtime{path}")

    def shows(self) -> list[dict[str, Any]]:
        answer = self.ask("GET", "/shows")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["series"])

    def ids(self) -> set[int]:
        return {show["id"] for show in self.shows()}

    def seen(self, show: Programme) -> set[int]:
        """The ids of the episodes that it says were watched."""
        answer = self.ask("GET", f"/show/{show.tvdb}")
        assert answer.status_code == 200, answer.text
        parts = [one for season in answer.json()["seasons"] for one in season["episodes"]]
        return {int(one["id"]) for one in parts if one["watched"]}

    def told(self) -> list[tuple[str, str]]:
        """What the account's deliveries say, and what became of them."""
        wanted = select(tables.delivery).where(tables.delivery.c.account_id == self.account_id)
        rows = self.box.home.do(lambda c: c.execute(wanted.order_by(tables.delivery.c.id)).all())
        return [(row.action, row.state) for row in rows]

    def rules(self, **rules: Any) -> None:
        mine = update(tables.account).where(tables.account.c.id == self.account_id)
        self.box.home.do(lambda c: c.execute(mine.values(rules=rules)))

    def saw(self, episode: Episode) -> None:
        """A play in the history here, of which the server knows nothing."""
        event = Event(action=Action.WATCHED, item=episode, at=clock.now())
        self.box.home.do(lambda c: plays.apply(c, self.box.person_id, event, "plex", 80))

    def parked(self) -> str | None:
        wanted = select(tables.account.c.parked).where(tables.account.c.id == self.account_id)
        return self.box.home.do(lambda c: c.execute(wanted).scalar())


def placed(box: Box, fake: TVTime) -> Place:
    user = fake.add_user(box.name, "secret")
    return Place(box, fake, user, connect(box, user.tokens), box.signed_in())


@contextmanager
def opened(folder: Path, **settings: str) -> Iterator[Place]:
    with Server(fill(TVTime())) as server:
        given = {"TVTIME_URL": server.url, "TVTIME_WRITES_PER_SECOND": "0", **settings}
        with boxed(folder, **given) as box:
            yield placed(box, server.fake)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(tmp_path_factory.mktemp("there")) as place:
        yield place


@pytest.fixture
def anna(first: Place) -> Place:
    """Somebody new, at a server that is well."""
    first.fake.faults.clear()
    first.fake.switches = type(first.fake.switches)(open_world=False)
    return placed(somebody(first.box.home), first.fake)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Place]:
    """A service of one's own, for what is told of a host that is in trouble."""
    with opened(tmp_path) as place:
        yield place


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Place]:
    """The server has a call to follow a show."""
    with opened(tmp_path, TVTIME_FOLLOW_URL=FOLLOW) as place:
        place.fake.switches.follow_hint = True
        yield place


# --- what is read


def test_the_shows_are_the_server_s_with_its_progress_and_time(anna: Place) -> None:
    see(anna.fake, anna.user, OFFICE, 1, 2)
    anna.user.watched[OFFICE.id_of(1, 2)].rewatch_count = 2
    anna.user.followed[BOYS.tvdb] = anna.fake.clock.now()

    answer = anna.ask("GET", "/shows")

    assert answer.json() == {
        "count": 2,
        "series": [
            {"id": 73244, "name": "The Office", "progress": "3%", "time": "3h 0m"},
            {"id": 355567, "name": "The Boys", "progress": "0%", "time": "0h 0m"},
        ],
    }
    assert answer.headers["x-watchmark-episodes"] == "server"


def test_where_the_server_tells_no_length_there_is_no_time(anna: Place) -> None:
    anna.fake.switches.runtimes = False
    see(anna.fake, anna.user, BOYS, 1, 8)

    assert anna.shows() == [{"id": 355567, "name": "The Boys", "progress": "100%", "time": "0h 0m"}]


def test_where_the_server_has_no_list_of_what_was_watched_there_is_no_time(anna: Place) -> None:
    anna.fake.faults.add(WATCHES, status=404, body={"status": "error", "message": "Not found"})
    see(anna.fake, anna.user, BOYS, 1, 4)

    assert anna.shows() == [{"id": 355567, "name": "The Boys", "progress": "50%", "time": "0h 0m"}]


def test_a_show_that_the_server_lists_and_does_not_follow_is_left_out(anna: Place) -> None:
    see(anna.fake, anna.user, BOYS, 1, 1)
    anna.user.unfollowed.append(OFFICE.tvdb)

    assert anna.ids() == {BOYS.tvdb}


@pytest.mark.parametrize(
    ("paging", "calls", "found"), [("kept", 3, 1001), ("ignored", 1, 1001), ("repeated", 2, 500)]
)
def test_more_shows_than_a_page_holds_are_read_however_they_are_paged(
    anna: Place, paging: str, calls: int, found: int
) -> None:
    anna.fake.switches.open_world, anna.fake.switches.paging = True, paging
    anna.user.followed |= dict.fromkeys(range(1, 1002), anna.fake.clock.now())
    before = len(anna.fake.made(ACCOUNT))

    assert len(anna.ids()) == found
    asked = [call.query for call in anna.fake.made(ACCOUNT)[before:] if "shows" in call.query]
    assert len(asked) == calls
    assert "offset%280%29.limit%28500%29" in asked[0]


def test_more_watches_than_a_page_holds_are_added_up(anna: Place) -> None:
    see(anna.fake, anna.user, THRONES, 7, 7)
    see(anna.fake, anna.user, OFFICE, 3, 25)

    times = {show["id"]: show["time"] for show in anna.shows()}

    assert times == {THRONES.tvdb: "50h 15m", OFFICE.tvdb: "39h 45m"}


def test_a_show_has_the_server_s_names_days_and_marks(anna: Place) -> None:
    see(anna.fake, anna.user, OFFICE, 1, 1)

    answer = anna.ask("GET", "/show/73244")

    assert answer.headers["x-watchmark-episodes"] == "server"
    told = answer.json()
    assert [(one["name"], one["number_of_episodes"]) for one in told["seasons"]] == [
        ("Season 0", "2"), ("Season 1", "6"), ("Season 2", "22"), ("Season 3", "25"),
    ]  # fmt: skip
    assert told["seasons"][1]["episodes"][0] == {
        "air_date": "2010-01-02", "id": "5000001", "name": "Part 1.1", "number": "1", "watched": True
    }  # fmt: skip
    assert anna.seen(OFFICE) == {OFFICE.id_of(1, 1)}


def test_a_show_that_the_server_does_not_know_is_empty(anna: Place) -> None:
    assert anna.ask("GET", "/show/1").json() == {"count": 0, "seasons": []}


@pytest.mark.parametrize("body", [{"status": "success", "data": None}, {"status": "success", "data": []}])
def test_episodes_that_the_server_only_marks_are_shown_too(anna: Place, body: Any) -> None:
    see(anna.fake, anna.user, BOYS, 1, 2)
    anna.fake.faults.add(LISTED, body=body)

    (season,) = anna.ask("GET", f"/show/{BOYS.tvdb}").json()["seasons"]

    assert [(one["number"], one["name"], one["watched"]) for one in season["episodes"][:3]] == [
        ("1", "", True), ("2", "", True), ("3", "", False),
    ]  # fmt: skip


def test_a_show_with_thousands_of_episodes_is_read(anna: Place) -> None:
    daily = Programme(777, "The Daily Planet", 6_000_001, {1: 3000})
    fill(anna.fake, [daily])
    see(anna.fake, anna.user, daily, 1, 2999)
    try:
        assert len(anna.seen(daily)) == 2999
        assert anna.ids() == {777}
    finally:
        fill(anna.fake)


# --- for whom


def test_somebody_without_an_account_there_has_the_library_here(anna: Place) -> None:
    ben = anna.box.other()
    client = ben.signed_in()
    see(anna.fake, anna.user, OFFICE, 1, 3)

    client.put(f"/tvtime/episode/{BOYS.id_of(1, 1)}/watched")
    client.put(f"/tvtime/show/{OTHER.tvdb}/follow")

    answer = client.get("/tvtime/shows")
    assert {show["id"] for show in answer.json()["series"]} == {BOYS.tvdb, OTHER.tvdb}
    assert answer.headers["x-watchmark-episodes"] == "tvdb"
    assert anna.user.followed.keys() == {OFFICE.tvdb}


def test_one_person_never_sees_or_changes_another_s(anna: Place) -> None:
    ben = placed(anna.box.other(), anna.fake)
    see(anna.fake, anna.user, BOYS, 1, 2)

    ben.ask("PUT", f"/episode/{BOYS.id_of(1, 5)}/watched")
    ben.ask("DELETE", f"/episode/{BOYS.id_of(1, 1)}/watched")
    ben.ask("PUT", f"/show/{OTHER.tvdb}/follow")

    assert anna.seen(BOYS) == {BOYS.id_of(1, 1), BOYS.id_of(1, 2)}
    assert ben.seen(BOYS) == {BOYS.id_of(1, 5)}
    assert (anna.ids(), ben.ids()) == ({BOYS.tvdb}, {BOYS.tvdb, OTHER.tvdb})
    assert len(anna.user.watched) == 2


def test_a_login_is_with_the_password_here(anna: Place) -> None:
    given = {"username": anna.box.name, "password": "secret"}

    assert anna.box.client().post("/tvtime/login", data=given).status_code == 401


def test_whoever_disconnects_has_the_library_here_again(anna: Place) -> None:
    """Though the account stays for the sake of what it was told."""
    see(anna.fake, anna.user, OFFICE, 1, 3)
    anna.ask("PUT", f"/episode/{OFFICE.id_of(1, 4)}/watched")
    before = anna.ids()

    gone = anna.box.home.do(
        lambda connection: accounts.drop_sign_in(connection, anna.account_id, clock.now())
    )

    assert not gone
    assert (before, anna.ids()) == ({OFFICE.tvdb}, set())


# --- following


def test_a_show_is_followed_here_where_no_call_for_it_is_known(anna: Place) -> None:
    see(anna.fake, anna.user, BOYS, 1, 1)
    before = len(anna.fake.calls)

    assert anna.ask("PUT", f"/show/{OTHER.tvdb}/follow").json() == OK

    assert anna.fake.calls[before:] == []
    assert [(show["id"], show["progress"]) for show in anna.shows()] == [
        (BOYS.tvdb, "12%"),
        (OTHER.tvdb, "0%"),
    ]
    assert anna.ask("GET", "/shows").headers["x-watchmark-episodes"] == "server, tvdb"
    assert anna.ask("DELETE", f"/show/{OTHER.tvdb}/follow").json() == OK
    assert anna.ids() == {BOYS.tvdb}


def test_a_show_that_is_followed_both_here_and_there_is_one(anna: Place) -> None:
    see(anna.fake, anna.user, BOYS, 1, 1)

    anna.ask("PUT", f"/show/{BOYS.tvdb}/follow")

    assert [show["id"] for show in anna.shows()] == [BOYS.tvdb]


def test_a_show_that_the_server_follows_is_not_unfollowed_without_a_call_for_it(anna: Place) -> None:
    see(anna.fake, anna.user, BOYS, 1, 1)

    answer = anna.ask("DELETE", f"/show/{BOYS.tvdb}/follow")

    assert (answer.status_code, answer.json()["status"]) == (502, "KO")
    assert answer.json()["reason"].startswith("502 - The server follows this show")
    assert "TVTIME_FOLLOW_URL" in answer.json()["reason"]
    assert anna.ids() == {BOYS.tvdb}


def test_what_nobody_follows_is_unfollowed_by_doing_nothing(anna: Place) -> None:
    assert anna.ask("DELETE", f"/show/{BOYS.tvdb}/follow").json() == OK


def test_a_show_is_followed_and_unfollowed_by_the_call_that_is_set(following: Place) -> None:
    see(following.fake, following.user, BOYS, 1, 1)

    followed = following.ask("PUT", f"/show/{OTHER.tvdb}/follow").json()
    during = following.ids()
    left = following.ask("DELETE", f"/show/{OTHER.tvdb}/follow").json()

    assert (followed, left) == (OK, OK)
    assert (during, following.ids()) == ({BOYS.tvdb, OTHER.tvdb}, {BOYS.tvdb})
    made = [call for call in following.fake.calls if call.path.endswith("/follow")]
    assert [(call.method, call.path) for call in made] == [
        ("PUT", f"{UPSTREAM}/show/295829/follow"), ("DELETE", f"{UPSTREAM}/show/295829/follow"),
    ]  # fmt: skip
    assert made[0].user == following.box.name


ANSWERS: dict[str, tuple[dict[str, Any], Any]] = {
    "nothing": ({"status": 204}, OK),
    "text": ({"status": 200, "body": "done"}, OK),
    "KO": ({"status": 200, "body": {"result": "KO", "message": "No"}}, REFUSED),
    "an error in its envelope": ({"status": 200, "body": {"status": "error", "message": "No"}}, REFUSED),
    "not found": ({"status": 404, "body": {"message": "Not found"}}, REFUSED),
    "internal error": ({"status": 500}, REFUSED),
    "bad gateway page": ({"status": 502, "body": PAGE}, REFUSED),
    "a page": ({"status": 200, "body": PAGE}, REFUSED),
    "busy": ({"status": 429, "headers": {"Retry-After": "7"}}, REFUSED),
}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_each_answer_to_the_call_that_follows_is_done_or_refused(following: Place, method: str) -> None:
    for name, (fault, said) in ANSWERS.items():
        following.fake.faults.add(f"{method} {UPSTREAM}/show", **fault)

        answer = following.ask(method, f"/show/{OTHER.tvdb}/follow")

        assert (answer.status_code, answer.json()) == (200 if said == OK else 502, said), name


def test_a_call_that_follows_and_does_not_arrive_says_so(following: Place) -> None:
    following.fake.faults.add(f"PUT {UPSTREAM}/show", reset=True)

    answer = following.ask("PUT", f"/show/{OTHER.tvdb}/follow")

    assert answer.status_code == 502
    assert answer.json()["reason"].startswith("502 - TV Time broke off")


def test_a_show_that_is_followed_here_only_is_unfollowed_without_a_call(following: Place) -> None:
    following.box.follow(OTHER)

    assert following.ask("DELETE", f"/show/{OTHER.tvdb}/follow").json() == OK

    assert following.ids() == set()
    assert not [call for call in following.fake.calls if call.path.endswith("/follow")]


def test_in_a_dry_run_nothing_is_followed(following: Place) -> None:
    following.rules(dry_run=True)

    answer = following.ask("PUT", f"/show/{OTHER.tvdb}/follow")

    assert answer.status_code == 502
    assert "dry run, so nothing was sent: it would send PUT" in answer.json()["reason"]
    assert following.user.followed == {}
    assert following.ids() == set()


# --- marks


def test_a_mark_is_there_right_after_it_was_answered(anna: Place) -> None:
    number = BOYS.id_of(1, 3)

    for method, watched in (("PUT", True), ("DELETE", False), ("PUT", True)):
        answer = anna.ask(method, f"/episode/{number}/watched")

        assert (answer.status_code, answer.json()) == (200, OK)
        assert (number in anna.user.watched) is watched
        assert anna.seen(BOYS) == ({number} if watched else set())
    assert anna.ids() == {BOYS.tvdb}


def test_a_mark_told_again_is_one_call_and_one_play(anna: Place) -> None:
    number, before = BOYS.id_of(1, 3), len(anna.fake.made(MARKS))

    for _ in range(3):
        assert anna.ask("PUT", f"/episode/{number}/watched").json() == OK

    assert len(anna.fake.made(MARKS)) == before + 1
    assert len(anna.box.plays()) == len(anna.box.webhooks()) == 1


def test_a_mark_of_what_the_server_has_marked_changes_nothing_there(anna: Place) -> None:
    number = BOYS.id_of(1, 2)
    see(anna.fake, anna.user, BOYS, 1, 2)
    first = anna.user.watched[number].at

    answers = [anna.ask("PUT", f"/episode/{number}/watched").json() for _ in range(2)]

    assert answers == [OK, OK]
    assert (anna.user.watched[number].at, anna.user.watched[number].rewatch_count) == (first, 0)
    assert len(anna.box.plays()) == 1


def test_a_mark_of_what_only_the_history_knows_is_told(anna: Place) -> None:
    number = BOYS.id_of(1, 2)
    anna.saw(Episode(show="The Boys", season=1, number=2, ids=Ids(tvdb=number), show_ids=Ids(tvdb=BOYS.tvdb)))

    answers = [anna.ask("PUT", f"/episode/{number}/watched").json() for _ in range(2)]

    assert answers == [OK, OK]
    assert anna.user.watched.keys() == {number}
    assert len(anna.box.plays()) == 1
    assert anna.told() == [("watched", "done")]


def test_what_only_the_server_has_marked_is_taken_back_there(anna: Place) -> None:
    see(anna.fake, anna.user, BOYS, 1, 2)

    answer = anna.ask("DELETE", f"/episode/{BOYS.id_of(1, 1)}/watched")

    assert answer.json() == OK
    assert anna.seen(BOYS) == {BOYS.id_of(1, 2)}
    (webhook,) = anna.box.webhooks()
    wanted = select(tables.delivery.c.webhook_id).where(tables.delivery.c.account_id == anna.account_id)
    assert anna.box.home.do(lambda c: c.execute(wanted).scalar()) == webhook.id


def test_what_is_not_marked_is_taken_back_by_telling_nobody(anna: Place) -> None:
    before = len(anna.fake.made(UNMARKS))

    assert anna.ask("DELETE", f"/episode/{BOYS.id_of(1, 1)}/watched").json() == OK

    assert len(anna.fake.made(UNMARKS)) == before


def test_an_account_that_is_told_of_what_is_taken_back_is_told_once(anna: Place) -> None:
    number, before = BOYS.id_of(1, 3), len(anna.fake.made(UNMARKS))
    switch = lambda connection: accounts.set_action(connection, anna.account_id, Action.UNWATCHED, True)  # noqa: E731
    anna.box.home.do(switch)

    for method in ("PUT", "DELETE"):
        assert anna.ask(method, f"/episode/{number}/watched").json() == OK

    assert len(anna.fake.made(UNMARKS)) == before + 1
    assert anna.told() == [("watched", "done"), ("unwatched", "done")]


def test_what_the_person_asks_for_is_told_whatever_the_account_is_told_of_otherwise(anna: Place) -> None:
    number = BOYS.id_of(1, 3)
    anna.box.home.do(lambda c: accounts.set_action(c, anna.account_id, Action.WATCHED, False))

    assert anna.ask("PUT", f"/episode/{number}/watched").json() == OK

    assert number in anna.user.watched


def test_an_account_s_own_filter_keeps_a_mark_from_the_server_and_says_so(anna: Place) -> None:
    anna.rules(kinds=["movie"])

    answer = anna.ask("PUT", f"/episode/{BOYS.id_of(1, 3)}/watched")

    assert answer.status_code == 502
    assert answer.json()["reason"] == (
        "502 - It is kept here and was not sent to the server: this account's filter: only films, and this is an "
        "episode. Change that under Connections"
    )
    assert anna.user.watched == {}
    assert len(anna.box.plays()) == 1


def test_a_dry_run_keeps_a_mark_from_the_server_and_says_so(anna: Place) -> None:
    anna.rules(dry_run=True)

    answer = anna.ask("PUT", f"/episode/{BOYS.id_of(1, 3)}/watched")

    assert answer.status_code == 502
    assert answer.json()["reason"] == (
        "502 - It is kept here and was not sent to the server: dry run: shown, not sent"
    )
    assert anna.user.watched == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_episode_that_the_server_does_not_know_is_refused(anna: Place, method: str) -> None:
    answer = anna.ask(method, "/episode/424242/watched")

    assert (answer.status_code, answer.json()) == (502, REFUSED)


def test_a_mark_that_the_server_refuses_is_refused(anna: Place) -> None:
    anna.fake.faults.add(MARKS, body={"result": "KO", "message": "Show is hidden"})

    answer = anna.ask("PUT", f"/episode/{BOYS.id_of(1, 3)}/watched")

    assert (answer.status_code, answer.json()) == (502, REFUSED)
    assert anna.told() == [("watched", "dead")]


# --- marks that wait


def test_a_mark_that_waits_is_shown_as_it_will_be_and_arrives_by_itself(alone: Place) -> None:
    number = OFFICE.id_of(1, 3)
    see(alone.fake, alone.user, OFFICE, 1, 2)
    alone.fake.faults.add(MARKS, status=503, times=-1)

    answer = alone.ask("PUT", f"/episode/{number}/watched")

    assert (answer.status_code, answer.json()) == (200, OK)
    assert (
        answer.elapsed.total_seconds() < DELIVERY_TIMEOUT / 2
    )  # once it was tried there is nothing to wait for
    assert number not in alone.user.watched
    assert alone.seen(OFFICE) == {OFFICE.id_of(1, one) for one in (1, 2, 3)}
    assert [show["progress"] for show in alone.shows()] == ["5%"]
    assert alone.ask("PUT", f"/episode/{number}/watched").json() == OK
    alone.fake.faults.clear()
    eventually(lambda: number in alone.user.watched, "the mark arrives")
    eventually(lambda: alone.told() == [("watched", "done")], "it is settled")
    assert [show["progress"] for show in alone.shows()] == ["5%"]


def test_a_mark_that_waits_follows_its_show(alone: Place) -> None:
    alone.fake.faults.add(MARKS, status=503, times=-1)

    alone.ask("PUT", f"/episode/{BOYS.id_of(1, 1)}/watched")

    assert [(show["id"], show["progress"]) for show in alone.shows()] == [(BOYS.tvdb, "12%")]


def test_taking_back_a_mark_that_waits_leaves_nothing_to_tell(alone: Place) -> None:
    number = BOYS.id_of(1, 1)
    alone.fake.faults.add(MARKS, status=429, headers={"Retry-After": "60"}, times=-1)
    alone.ask("PUT", f"/episode/{number}/watched")

    answer = alone.ask("DELETE", f"/episode/{number}/watched")

    assert answer.json() == OK
    assert alone.told()[0] == ("watched", "superseded")
    assert alone.seen(BOYS) == set()


def test_what_is_still_to_be_taken_back_is_shown_as_not_watched(alone: Place) -> None:
    see(alone.fake, alone.user, BOYS, 1, 2)
    alone.fake.faults.add(UNMARKS, status=503, times=-1)

    answer = alone.ask("DELETE", f"/episode/{BOYS.id_of(1, 1)}/watched")

    assert answer.json() == OK
    assert BOYS.id_of(1, 1) in alone.user.watched
    assert alone.seen(BOYS) == {BOYS.id_of(1, 2)}
    assert [show["progress"] for show in alone.shows()] == ["12%"]
    alone.fake.faults.clear()
    eventually(lambda: BOYS.id_of(1, 1) not in alone.user.watched, "it is taken back")


def test_a_mark_while_the_server_is_away_is_kept_and_arrives(tmp_path: Path) -> None:
    fake = fill(TVTime())
    with Server(fake) as server:
        url = server.url
        user = fake.add_user("anna", "secret")
    with boxed(tmp_path, TVTIME_URL=url, TVTIME_WRITES_PER_SECOND="0") as box:
        connect(box, user.tokens)
        client, number = box.signed_in(), BOYS.id_of(1, 1)

        marked = client.put(f"/tvtime/episode/{number}/watched")
        read = client.get("/tvtime/shows")

        assert (marked.status_code, marked.json()) == (200, OK)
        assert read.status_code == 502
        assert read.json()["reason"].startswith("502 - TV Time cannot be reached")
        with Server(fake, int(url.rpartition(":")[2])):
            eventually(lambda: number in user.watched, "the mark arrives")
            assert client.get("/tvtime/shows").json()["count"] == 1


def test_many_marks_at_once_all_arrive(alone: Place) -> None:
    numbers = [OFFICE.id_of(2, one) for one in range(1, 23)]
    answers: list[int] = []

    def mark(number: int) -> None:
        with httpx.Client(base_url=alone.box.url, cookies=alone.client.cookies, timeout=30) as client:
            answers.append(client.put(f"/tvtime/episode/{number}/watched").status_code)

    threads = [threading.Thread(target=mark, args=[number]) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * len(numbers)
    assert alone.seen(OFFICE) == set(numbers)
    eventually(lambda: alone.user.watched.keys() == set(numbers), "all arrive")


@pytest.mark.e2e  # two processes, and nobody to wait for
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_mark_that_nobody_had_time_to_interpret_is_told_after_the_next_start(
    tmp_path: Path, method: str
) -> None:
    """What was answered with 200 reaches the server, whatever happens to the process after that."""
    fake, number = fill(TVTime()), BOYS.id_of(1, 3)
    user = fake.add_user("anna", "secret")
    if method == "DELETE":
        see(fake, user, BOYS, 1, 3)
    with Server(fake) as server:
        settings = {"TVTIME_URL": server.url, "TVTIME_WRITES_PER_SECOND": "0"}
        with boxed(tmp_path, WORKER="false", **settings) as box:
            connect(box, user.tokens)
            answer = box.signed_in().request(method, f"/tvtime/episode/{number}/watched")
        before = number in user.watched

        with boxed(tmp_path, **settings):
            eventually(lambda: (number in user.watched) is (method == "PUT"), "the server is told")

    assert (answer.status_code, answer.json(), before) == (200, OK, method == "DELETE")


@pytest.mark.e2e  # the answer waits for an interpreter that never comes
def test_what_is_taken_back_and_not_interpreted_yet_is_shown_so(tmp_path: Path) -> None:
    fake = fill(TVTime())
    with Server(fake) as server, boxed(tmp_path, TVTIME_URL=server.url, WORKER="false") as box:
        anna = placed(box, fake)
        see(fake, anna.user, BOYS, 1, 2)

        anna.ask("DELETE", f"/episode/{BOYS.id_of(1, 1)}/watched")

        assert anna.told() == [("unwatched", "waiting")]
        assert anna.seen(BOYS) == {BOYS.id_of(1, 2)}


# --- the server's trouble


TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "internal error": ({"status": 500, "body": {"error": {"code": 500, "message": None}}}, "answered 500"),
    "bad gateway page": ({"status": 502, "body": PAGE}, "answered 502"),
    "a page": ({"status": 200, "body": PAGE}, "a web page: something before it blocks the call"),
    "Cloudflare": ({"status": 403, "body": PAGE}, "a web page: something before it blocks the call"),
    "forbidden": ({"status": 403, "body": {"message": "No"}}, "answered 403"),
    "truncated": ({"status": 200, "body": '{"id": "2000'}, "something that is no JSON"),
    "cut off": ({"body": {"id": "1", "shows": []}, "cut": 5}, "broke off"),
    "reset": ({"reset": True}, "broke off"),
    "KO": ({"body": {"result": "KO", "message": "Not today"}}, "answered KO: Not today"),
    "fail": ({"body": {"status": "fail", "message": "Not today"}}, "answered fail: Not today"),
    "a list": ({"body": []}, "holds no list"),
    "another object": ({"body": {"shows": {}, "data": {}, "seasons": {}}}, "holds no list"),
    "nothing": ({"status": 200}, "holds no list"),
    "busy": ({"status": 429, "headers": {"Retry-After": "17"}}, "slower pace"),
}


@pytest.mark.parametrize(("fault", "says"), TROUBLE.values(), ids=TROUBLE)
@pytest.mark.parametrize(
    ("path", "route"),
    [("/shows", ACCOUNT), ("/shows", WATCHES), ("/show/355567", LISTED), ("/show/355567", EXTENDED)],
    ids=["shows", "watches", "listed", "extended"],
)
def test_trouble_at_the_server_is_told_in_words(
    anna: Place, path: str, route: str, fault: dict[str, Any], says: str
) -> None:
    see(anna.fake, anna.user, BOYS, 1, 1)
    anna.fake.faults.add(route, times=2, user=anna.box.name, **fault)

    answer = anna.ask("GET", path)

    assert (answer.status_code, answer.json()["status"]) == (502, "KO")
    assert answer.json()["reason"].startswith("502 - TV Time")
    assert says in answer.json()["reason"]
    assert answer.headers.get("retry-after") == ("17" if "17" in str(fault) else None)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/shows"), ("GET", f"/show/{BOYS.tvdb}"), ("DELETE", f"/show/{BOYS.tvdb}/follow")],
)
def test_a_server_that_dribbles_is_not_waited_for(
    anna: Place, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr(there, "SERVER_TIMEOUT", 0.5)
    anna.fake.switches.slow_body = 3

    answer = anna.ask(method, path)

    assert (answer.status_code, answer.json()["status"]) == (502, "KO")
    assert "too slow" in answer.json()["reason"]
    assert answer.elapsed.total_seconds() < 2.5


def test_a_server_without_the_list_of_shows_is_said_to_be_without_it(anna: Place) -> None:
    anna.fake.faults.add(ACCOUNT, status=404, body={"message": "Not found"}, user=anna.box.name)

    answer = anna.ask("GET", "/shows")

    assert answer.status_code == 502
    assert "does not offer the list of what is followed" in answer.json()["reason"]
    assert "TVTIME_URL" in answer.json()["reason"]


def test_a_name_that_is_no_text_is_none(anna: Place) -> None:
    body = {"id": anna.user.id, "shows": [{"id": 7, "name": {"en": "Seven"}}, {"id": 8, "name": 8}]}
    anna.fake.faults.add(ACCOUNT, body=body, user=anna.box.name)

    assert [show["name"] for show in anna.shows()] == ["Show 7", "Show 8"]


def test_a_server_that_has_closed_is_told_in_words(anna: Place) -> None:
    anna.fake.switches.service_closed = True

    answer = anna.ask("GET", "/shows")

    assert answer.status_code == 502
    assert "TV Time has closed" in answer.json()["reason"]
    assert anna.parked() == "service_closed"


@pytest.mark.parametrize("path", ["/shows", f"/show/{BOYS.tvdb}"])
def test_a_sign_in_that_expired_is_renewed_once_and_kept(anna: Place, path: str) -> None:
    see(anna.fake, anna.user, BOYS, 1, 1)
    anna.fake.end(anna.box.name, "access")
    renewal = f"GET {UPSTREAM}/user/{anna.user.id}/jwt"

    answers = [anna.ask("GET", path) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["count"] == 1
    assert len(anna.fake.made(renewal)) == 1


def test_an_expired_sign_in_that_reads_empty_lists_is_renewed(anna: Place) -> None:
    see(anna.fake, anna.user, BOYS, 1, 2)
    anna.fake.switches.expired_reads_are_empty = True
    anna.fake.faults.add(WATCHES, body={"status": "success", "data": {"objects": []}}, user=anna.box.name)
    anna.fake.faults.add(f"GET {UPSTREAM}/user/{anna.user.id}", status=401, skip=1, user=anna.box.name)

    assert [show["time"] for show in anna.shows()] == ["1h 30m"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/shows"), ("GET", "/show/355567"), ("DELETE", "/show/355567/follow")],
)
def test_a_sign_in_that_cannot_be_renewed_says_what_to_do(anna: Place, method: str, path: str) -> None:
    anna.fake.end(anna.box.name, "access", "refresh")

    answer = anna.ask(method, path)

    assert (answer.status_code, answer.json()["status"]) == (502, "KO")
    reason = answer.json()["reason"]
    assert "the sign-in is not accepted" in reason
    assert (
        f"watchmark connect tvtime --person {anna.box.name}; or in the browser, under Connections" in reason
    )
    assert anna.parked() == "signed_out"


def test_a_mark_of_whoever_is_signed_out_is_kept_and_goes_out_after_the_next_sign_in(anna: Place) -> None:
    number = BOYS.id_of(1, 1)
    anna.fake.end(anna.box.name, "access", "refresh")

    answers = [anna.ask("PUT", f"/episode/{number}/watched") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [502, 502]
    for answer in answers:
        assert "It is kept here and goes out once that is mended. Sign in again" in answer.json()["reason"]
    connect(anna.box, {"id": str(anna.user.id), **anna.fake.grant(anna.user)})
    anna.box.home.service.interpreter.told.set()
    eventually(lambda: number in anna.user.watched, "the mark arrives")
    assert anna.seen(BOYS) == {number}
    assert anna.told() == [("watched", "done")]


def test_a_sign_in_that_was_sealed_with_another_key_says_so(anna: Place) -> None:
    mine = update(tables.account).where(tables.account.c.id == anna.account_id)
    anna.box.home.do(lambda c: c.execute(mine.values(tokens="gAAAAAB")))

    answer = anna.ask("GET", "/shows")

    assert answer.status_code == 502
    assert answer.json()["reason"] == (
        "502 - The stored sign-in cannot be opened with the key that is here. Sign in again: "
        f"watchmark connect tvtime --person {anna.box.name}; or in the browser, under Connections"
    )


# --- one Watchmark at another


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Box, Box]]:
    """Anna's own, which has no shows of its own, and the Watchmark that it points to."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    with boxed(tmp_path / "there") as there:
        settings = {"TVTIME_URL": f"{there.url}/tvtime", "TVTIME_WRITES_PER_SECOND": "0"}
        with boxed(tmp_path / "here", **settings) as here:
            told = there.client().post(
                "/tvtime/sidecar",
                params={"o": "https://auth.tvtime.com/v1/login"},
                json={"username": there.name, "password": "correct horse"},
            )
            data = told.json()["data"]
            connect(here, {**data, "id": str(data["id"])})
            yield here, there


def test_one_watchmark_is_the_server_of_another(two: tuple[Box, Box]) -> None:
    here, there = two
    event = Event(
        action=Action.WATCHED,
        item=Episode(
            show="The Office", season=1, number=1, ids=Ids(tvdb=OFFICE.id_of(1, 1)),
            show_ids=Ids(tvdb=OFFICE.tvdb),
        ),
        at=clock.now(),
        duration_ms=1_380_000,
    )  # fmt: skip
    there.home.do(lambda c: plays.apply(c, there.person_id, event, "plex", 80))
    there.follow(OFFICE)
    there.follow(THRONES)
    mine, theirs = here.signed_in(), there.signed_in()

    marked = mine.put(f"/tvtime/episode/{OFFICE.id_of(1, 2)}/watched").json()
    shows, their_shows = mine.get("/tvtime/shows"), theirs.get("/tvtime/shows")
    show, their_show = (client.get(f"/tvtime/show/{OFFICE.tvdb}") for client in (mine, theirs))
    taken = mine.delete(f"/tvtime/episode/{OFFICE.id_of(1, 1)}/watched").json()

    assert (marked, taken) == (OK, OK)
    assert shows.json() == their_shows.json()
    assert [(one["id"], one["progress"], one["time"]) for one in shows.json()["series"]] == [
        (OFFICE.tvdb, "3%", "0h 23m"), (THRONES.tvdb, "0%", "0h 0m"),
    ]  # fmt: skip
    assert show.json() == their_show.json()
    assert show.json()["count"] == 4
    assert shows.headers["x-watchmark-episodes"] == "server"
    left = json.dumps(theirs.get(f"/tvtime/show/{OFFICE.tvdb}").json()).count('"watched": true')
    assert left == 1


def test_more_shows_than_a_page_are_read_from_another_watchmark(two: tuple[Box, Box]) -> None:
    here, there = two
    there.follow(*(Programme(number, f"Show {number}", 1, {}) for number in range(1, 1101)))

    found = here.signed_in().get("/tvtime/shows").json()

    assert (found["count"], len({show["id"] for show in found["series"]})) == (1100, 1100)


def test_a_show_that_another_watchmark_does_not_know_is_empty(two: tuple[Box, Box]) -> None:
    assert two[0].signed_in().get("/tvtime/show/1").json() == {"count": 0, "seasons": []}


# --- the marks that wait, by themselves


def mark(number: int, episode: Episode, *, watched: bool = True) -> PendingMark:
    return PendingMark(number, episode, watched)


def part(number: int, tvdb: int | None = None, show: int | None = 7) -> Episode:
    return Episode(season=1, number=number, ids=Ids(tvdb=tvdb), show_ids=Ids(tvdb=show))


def test_the_last_word_of_an_episode_counts_whatever_it_is_known_by() -> None:
    ahead = PendingMarks(
        [
            mark(1, part(1, 101)),
            mark(2, part(2, 102)),
            mark(3, part(1), watched=False),
            mark(4, part(3, show=None, tvdb=103)),
        ]
    )

    found = [ahead.find(one) for one in (part(1, 101), part(2), part(3, 103), part(4, 104))]

    assert [one and one.delivery_id for one in found] == [3, 2, 4, None]
    assert sorted(one.delivery_id for one in ahead.marks()) == [2, 3, 4]


def test_two_ids_at_one_place_are_two_episodes() -> None:
    ahead = PendingMarks([mark(1, part(1, 101))])

    assert ahead.find(part(1, 999)) is None
