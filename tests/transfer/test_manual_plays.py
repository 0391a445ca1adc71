"""Plays added by hand: what is refused beside which field, what is kept once, and what trackers are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from tests.transfer.test_bringing import Home, event, seen
from webhook.accounts import accounts
from webhook.domain.event import Action, Episode, Ids, Item, Kind, Movie
from webhook.domain.outcome import Park
from webhook.domain.play import Dated
from webhook.history import edits
from webhook.pipeline import lanes
from webhook.queues import parking
from webhook.storage.db import Database
from webhook.storage.tables import account, delivery, edit, play, unresolved
from webhook.transfer import manual_plays
from webhook.transfer.manual_plays import Added, Invalid, NewPlay, read_date, read_item

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
TODAY = NOW.date()
EVENING = datetime(2024, 3, 1, 20, 15, tzinfo=UTC)
FILM = Movie(title="The Lighthouse Keeper", year=2019, ids=Ids(tmdb=900001))
PART = Episode(show="Tidewater", season=1, number=3, show_ids=Ids(tvdb=88))
TOKYO = ZoneInfo("Asia/Tokyo")


class Service(NamedTuple):
    """A tracker, as far as telling goes."""

    tells: frozenset[Action]
    kinds: frozenset[Kind] = frozenset({Kind.MOVIE, Kind.EPISODE})
    one_mark: bool = False


CAN = {
    "trakt": Service(frozenset({Action.START, Action.STOP, Action.WATCHED})),
    "tvtime": Service(frozenset({Action.WATCHED})),
    "lastfm": Service(frozenset({Action.WATCHED}), frozenset({Kind.TRACK})),
}


@pytest.fixture
def home(database: Database) -> Home:
    made = Home(database)
    for name in CAN:
        database.do(
            lambda connection, name=name: accounts.insert_account(  # type: ignore[misc]
                connection, made.me, name, [Action.STOP, Action.WATCHED], NOW
            )
        )
    return made


def add(
    home: Home, item: Item = FILM, at: datetime = EVENING, dated: Dated = Dated.EXACT, **more: Any
) -> Added:
    assert isinstance(item, Movie | Episode)
    new = NewPlay(item=item, watched_at=at, dated=dated, **more)
    return home.database.do(lambda connection: manual_plays.add(connection, home.me, new, CAN, "me", NOW))


def deliveries(home: Home) -> list[Any]:
    wanted = select(delivery, account.c.tracker).join(account, delivery.c.account_id == account.c.id)
    return home.database.ask(
        lambda connection: list(connection.execute(wanted.order_by(delivery.c.id)).all())
    )


# --- what it is


@pytest.mark.parametrize(
    ("kind", "given", "item"),
    [
        ("movie", {"title": " Salt Road ", "year": 1999}, Movie(title="Salt Road", year=1999)),
        ("movie", {"ids": {"imdb": "tt0903747"}}, Movie(ids=Ids(imdb="tt0903747"))),
        ("episode", {"show": "Tidewater", "season": 0, "number": 3}, Episode(show="Tidewater", season=0, number=3)),
        ("episode", {"show_ids": {"tvdb": 88}, "season": 1, "number": 3, "title": None},
         Episode(season=1, number=3, show_ids=Ids(tvdb=88))),
        ("episode", {"ids": {"tvdb": 8803}}, Episode(ids=Ids(tvdb=8803))),
    ],
)  # fmt: skip
def test_a_film_or_an_episode_is_read(kind: str, given: dict[str, Any], item: Item) -> None:
    assert read_item(kind, given, TODAY) == item


@pytest.mark.parametrize(
    ("kind", "given", "field", "says"),
    [
        ("show", {"title": "Tidewater"}, "kind", "A show or a season as a whole is no viewing"),
        ("track", {"title": "Low Tide"}, "kind", "A film or an episode can be added"),
        ("movie", {}, "title", "Say which film"),
        ("movie", {"title": "  "}, "title", "Say which film"),
        ("movie", {"title": "x" * 501}, "title", "at most 500 characters"),
        ("movie", {"title": "two\nlines"}, "title", "in one line"),
        ("movie", {"title": "x", "year": 1850}, "year", "from 1870 to 2027"),
        ("movie", {"title": "x", "year": 2030}, "year", "from 1870 to 2027"),
        ("movie", {"title": "x", "year": "soon"}, "year", "from 1870 to 2027"),
        ("movie", {"title": "x", "show": "y"}, "show", "is nothing that a film has"),
        ("movie", {"ids": {"tmdb": "many"}}, "ids", "are numbers"),
        ("movie", {"ids": {"imdb": "903747"}}, "ids", "looks like tt0903747"),
        ("movie", {"ids": {"isbn": "1"}}, "ids", "are numbers"),
        ("episode", {"season": 1, "number": 3}, "show", "Say of which show"),
        ("episode", {"show": "Tidewater"}, "season", "A show as a whole is no viewing"),
        ("episode", {"show": "Tidewater", "season": 1}, "number", "by season and number"),
        ("episode", {"show": "Tidewater", "season": -1, "number": 3}, "season", "from 0 to 9,999"),
        ("episode", {"show": "Tidewater", "season": 1, "number": 100_000}, "number", "from 0 to 99,999"),
        ("episode", {"show": "Tidewater", "season": True, "number": 3}, "season", "a whole number"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_beside_its_field(
    kind: str, given: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        read_item(kind, given, TODAY)

    assert refused.value.field == field


# --- when it was


@pytest.mark.parametrize(
    ("given", "at", "dated"),
    [
        ("2024-03-01T20:15:00Z", EVENING, Dated.EXACT),
        ("2024-03-02T05:15", EVENING, Dated.EXACT),  # there where the person is
        ("2024-03-01", EVENING.replace(hour=12, minute=0), Dated.DAY),
        ("2026-11-23", NOW, Dated.DAY),  # there it is that day already
        ("2026-11-22T20:00:30Z", NOW, Dated.EXACT),  # a clock that is a little ahead
        (None, NOW, Dated.TICKED),
    ],
)
def test_a_date_is_as_exact_as_it_is_given(given: str | None, at: datetime, dated: Dated) -> None:
    assert read_date(given, TOKYO, NOW) == (at, dated)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("2026-11-24", "lies in the future"),
        ("2026-11-22T20:05:00Z", "lies in the future"),
        ("1899-12-31", "from 1900 on"),
        ("0001-01-01T00:00:00+14:00", "Say when|from 1900 on"),
        ("9999-12-31T23:59:00-14:00", "Say when|future"),
        ("2026-02-30", "Say when"),
        ("yesterday", "Say when"),
        ("", "Say when"),
    ],
)
def test_a_date_that_cannot_be_is_refused_beside_its_field(given: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        read_date(given, TOKYO, NOW)

    assert refused.value.field == "watched_at"


# --- kept


def test_it_becomes_a_play_of_that_person_by_hand(home: Home) -> None:
    done = add(home)

    (row,) = home.plays()
    assert (row.id, row.manual, row.source, row.dated) == (done.play_id, True, "watchmark", "exact")
    assert (row.watched_at, row.started_at, row.state) == (EVENING, EVENING, "stopped")
    assert home.plays(home.other) == []
    made = home.database.ask(lambda connection: connection.execute(select(edit)).one())
    assert (made.what, made.before, made.by) == ("added", None, "me")


@pytest.mark.parametrize(
    ("at", "dated"), [(EVENING, Dated.EXACT), (EVENING.replace(hour=12), Dated.DAY), (NOW, Dated.TICKED)]
)
def test_sent_twice_it_is_added_once(home: Home, at: datetime, dated: Dated) -> None:
    first, second = add(home, at=at, dated=dated), add(home, at=at, dated=dated)

    assert second == replace(first, is_new=False, told=[])
    assert len(home.plays()) == 1
    assert len(deliveries(home)) == 2


def test_a_form_that_is_sent_twice_adds_one_rewatch_and_another_form_another(home: Home) -> None:
    add(home, at=NOW, dated=Dated.TICKED)
    for key in ("a", "a", "b"):
        add(home, at=NOW, dated=Dated.TICKED, rewatch=True, key=key)

    assert len(home.plays()) == 3


def test_what_a_server_reported_is_not_added_beside_it_unless_it_was_another_viewing(home: Home) -> None:
    home.apply(event(Action.WATCHED, FILM, EVENING))

    with pytest.raises(Invalid, match="in the history already, watched on 1 March 2024") as refused:
        add(home, at=EVENING + timedelta(hours=1))
    again = add(home, at=EVENING + timedelta(hours=1), rewatch=True)

    assert refused.value.field == "rewatch"
    assert again.is_new
    assert len(home.plays()) == 2


def test_an_unknown_date_may_be_any_viewing_that_is_there(home: Home) -> None:
    home.bring(seen(FILM, EVENING))

    with pytest.raises(Invalid, match="in the history already"):
        add(home, at=NOW, dated=Dated.TICKED)

    assert add(home, at=NOW, dated=Dated.TICKED, rewatch=True).is_new


def test_what_was_removed_can_be_added_again(home: Home) -> None:
    first = add(home)
    home.database.do(lambda connection: edits.remove_play(connection, first.play_id, CAN, "me", NOW))

    assert add(home, key="another form").is_new


def test_a_later_import_finds_it(home: Home) -> None:
    add(home)

    counts = home.bring(seen(FILM, EVENING + timedelta(minutes=20)))

    assert (counts.added, counts.known) == (0, 1)


def test_what_has_no_id_is_looked_up(home: Home) -> None:
    add(home, Movie(title="Salt Road", year=1999))

    keys = home.database.ask(lambda connection: connection.execute(select(unresolved.c.key)).scalars().all())
    assert keys == ["movie:title:saltroad:1999"]


def test_a_film_by_its_title_alone_is_found_again(home: Home) -> None:
    film = Movie(title="Salt Road")

    assert add(home, film).is_new
    assert not add(home, film).is_new


# --- told


def test_trackers_that_take_it_are_told_with_its_date(home: Home) -> None:
    done = add(home, PART)

    found = deliveries(home)
    assert done.told == ["trakt", "tvtime"]
    assert [(one.tracker, one.action, one.mark, one.state) for one in found] == [
        ("trakt", "stop", True, "waiting"), ("tvtime", "watched", True, "waiting")
    ]  # fmt: skip
    assert {(one.happened_at, one.play_id) for one in found} == {(EVENING, done.play_id)}


@pytest.mark.parametrize("dated", [Dated.TICKED, Dated.DAY])
def test_it_is_never_told_as_happening_now(home: Home, dated: Dated) -> None:
    add(home, at=NOW, dated=dated)

    for row in deliveries(home):
        assert row.details["dated"] == dated.value
        assert lanes.delivery_of(row, NOW).late


def test_what_is_corrected_at_once_is_not_told_as_happening_now_either(home: Home) -> None:
    done = add(home, at=NOW, dated=Dated.TICKED)

    home.database.do(lambda connection: edits.correct_play(connection, done.play_id, PART, CAN, "me", NOW))

    anew = [row for row in deliveries(home) if row.state == "waiting"]
    assert {(row.details["dated"], lanes.delivery_of(row, NOW).late) for row in anew} == {("ticked", True)}


def test_a_rewatch_is_told_as_one(home: Home) -> None:
    add(home)
    add(home, at=EVENING + timedelta(days=400))

    assert [one.details["rewatch"] for one in deliveries(home)] == [False, False, True, True]


def test_the_rules_of_an_account_hold_for_it(home: Home) -> None:
    def ruled(connection: Any) -> None:
        mine = account.c.tracker == "trakt"
        connection.execute(update(account).where(mine).values(rules={"kinds": ["episode"]}))
        connection.execute(update(account).where(account.c.tracker == "tvtime").values(tells=[]))

    home.database.do(ruled)

    done = add(home)

    assert done.told == []
    assert [(one.state, "kinds" in one.reason or "only" in one.reason) for one in deliveries(home)] == [
        ("skipped", True),
        ("skipped", False),
    ]


def test_a_parked_account_gets_it_once_it_is_mended(home: Home) -> None:
    home.database.do(lambda connection: parking.park(connection, 1, Park.SIGNED_OUT, "refused", NOW))

    add(home)

    assert {one.tracker: one.state for one in deliveries(home)} == {"trakt": "parked", "tvtime": "waiting"}


def test_it_can_be_removed_redated_and_merged_like_any_other(home: Home) -> None:
    first, second = add(home), add(home, at=EVENING + timedelta(days=400))

    home.database.do(
        lambda connection: edits.redate_play(
            connection, first.play_id, datetime(2020, 1, 1, tzinfo=UTC), CAN, "me", NOW
        )
    )
    home.database.do(lambda connection: edits.remove_play(connection, second.play_id, CAN, "me", NOW))

    (row,) = home.plays()
    assert row.watched_at.date() == date(2020, 1, 1)
    gone = select(play.c.removed_at).where(play.c.id == second.play_id)
    assert home.database.ask(lambda connection: connection.execute(gone).scalar()) == NOW
