"""The tracker `lastfm`, over real HTTP, against the fake."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.lastfm import LastFM as FakeLastFM
from tests.fakes.lastfm import signed
from tests.trackers._access import Access
from webhook.domain.event import Action, Ids, Movie, Track
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.trackers import Delivery, SignInFailed
from webhook.trackers.lastfm import LastFM, Settings, build, signature

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
SONG = Track(
    title="Some Resolve",
    artist="Röyksopp",
    album="Junior",
    album_artist="Röyksopp",
    number=3,
    ids=Ids(musicbrainz="98255a8c-017a-4bc7-8dd6-1fa36124572b"),
)
MARK = Delivery(
    id=1,
    action=Action.WATCHED,
    item=SONG,
    at=NOW,
    started_at=NOW - timedelta(minutes=6),
    duration_ms=402_000,
    mark=True,
)
START = replace(MARK, action=Action.START, mark=False)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(FakeLastFM()) as server:
        yield server


@pytest.fixture
def server(loopback: Server) -> Server:
    loopback.fake = FakeLastFM(clock=Clock(NOW))
    return loopback


@pytest.fixture
def fake(server: Server) -> FakeLastFM:
    fake: FakeLastFM = server.fake
    return fake


def using(server: Server, work: Callable[[LastFM, Access], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    """What `work` comes to with a fresh tracker and Anna's sign-in; a raised decision is an outcome too."""
    app = {"api_key": "a" * 32, "secret": SecretStr("b" * 32), "writes_per_second": 0}
    places = {"api_url": f"{server.url}/2.0/", "auth_url": f"{server.url}/api/auth/"}

    async def inside() -> Any:
        async with httpx.AsyncClient(timeout=2, verify=False) as http:
            tracker = build(Settings(**{**app, **places, **settings}), http)
            try:
                return await work(tracker, Access(server.fake.sign_in("anna"), tracker=tracker))
            except (Undelivered, SignInFailed) as decision:
                return decision

    return asyncio.run(inside())


def send(server: Server, delivery: Delivery, **settings: Any) -> Any:
    return using(server, lambda tracker, access: tracker.send(delivery, access), **settings)


def send_many(server: Server, *deliveries: Delivery) -> Any:
    return using(server, lambda tracker, access: tracker.send_many(deliveries, access))


def played(number: int, **other: Any) -> Delivery:
    """A mark of a track of its own, played an hour after the one before."""
    at = NOW - timedelta(hours=20) + timedelta(minutes=number)
    item = replace(SONG, title=f"Track {number}", **other)
    return replace(MARK, id=number, item=item, at=at, started_at=at - timedelta(seconds=50))


def scrobbles(fake: FakeLastFM) -> list[dict[str, str]]:
    return fake.user("anna").scrobbles


# What it is


def test_its_settings_have_a_line_each_and_hide_the_secret() -> None:
    settings = Settings(api_key="key", secret=SecretStr("hush"))

    assert all(field.description for field in Settings.model_fields.values())
    assert "hush" not in repr(settings)


def test_it_hears_of_no_stop_so_that_its_mark_is_watched() -> None:
    assert Action.WATCHED in LastFM.tells
    assert Action.STOP not in LastFM.tells


# The signature


def test_the_signature_is_the_one_that_pylast_sends() -> None:
    params = {"method": "auth.getToken", "api_key": "a" * 32, "format": "json"}

    assert signature(params, "b" * 32) == "516d3f44dbfc22e69ab4d473a32e56ea"


def test_the_signature_puts_the_tenth_track_before_the_first() -> None:
    said = "artist[0]aartist[10]cartist[1]b"

    assert signature({"artist[1]": "b", "artist[10]": "c", "artist[0]": "a"}, "s") == md5(f"{said}s")


PARAMS = st.dictionaries(
    st.one_of(
        st.builds("{}[{}]".format, st.sampled_from(["artist", "track", "timestamp"]), st.integers(0, 60)),
        st.sampled_from(["method", "sk", "album", "albumArtist", "format", "callback", "api_sig"]),
    ),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the table of all characters is made once
@given(PARAMS, st.text(st.characters(exclude_categories=["Cs"])), st.randoms())
def test_the_signature_depends_on_names_and_values_but_never_on_their_order(
    params: dict[str, str], secret: str, dice: Any
) -> None:
    names = list(params)
    dice.shuffle(names)
    mixed = {name: params[name] for name in names}
    bare = {name: params[name] for name in params if name not in ("format", "callback", "api_sig")}

    assert signature(mixed, secret) == signature(bare, secret) == signed(params, secret)
    assert signature({**bare, "artist[61]": "x"}, secret) != signature(bare, secret)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


# Now playing


def test_a_start_is_shown_as_now_playing(server: Server, fake: FakeLastFM) -> None:
    done = send(server, START)

    assert done == Done(answer="now playing: Röyksopp – Some Resolve")
    assert fake.user("anna").now_playing == {
        "artist": "Röyksopp",
        "track": "Some Resolve",
        "album": "Junior",
        "albumArtist": "Röyksopp",
        "trackNumber": "3",
        "duration": "402",
    }
    assert scrobbles(fake) == []


@pytest.mark.parametrize("how", [{"status": 503}, {"status": 200, "body": "<html>"}, {"reset": True}])
def test_a_start_that_fails_is_settled_and_never_told_again(
    server: Server, fake: FakeLastFM, how: dict[str, Any]
) -> None:
    fake.faults.add("/2.0", **how)

    done = send(server, START)

    assert isinstance(done, Done)
    assert done.answer.startswith("not shown as playing now: ")
    assert len(fake.calls) == 1


def test_a_start_that_is_ignored_or_has_no_artist_is_settled_too(server: Server, fake: FakeLastFM) -> None:
    fake.switches.ignore = {"Some Resolve": 2}

    ignored = send(server, START)
    nameless = send(server, replace(START, item=replace(SONG, artist=None)))

    assert "its filter ignores the title" in ignored.answer
    assert nameless.answer.startswith("not shown as playing now: ")


# Scrobbles


def test_a_mark_is_a_scrobble_dated_when_the_play_began(server: Server, fake: FakeLastFM) -> None:
    done = send(server, MARK)

    assert done == Done(answer="Röyksopp – Some Resolve")
    (kept,) = scrobbles(fake)
    assert kept["timestamp"] == str(int((NOW - timedelta(minutes=6)).timestamp()))
    assert kept["duration"] == "402"
    assert "mbid" not in kept


@pytest.mark.parametrize(
    ("started_at", "progress", "seconds"), [(None, None, 402), (NOW, None, 402), (None, 50.0, 201)]
)
def test_where_no_start_was_seen_it_is_reckoned_back(
    server: Server, fake: FakeLastFM, started_at: datetime | None, progress: float | None, seconds: int
) -> None:
    send(server, replace(MARK, started_at=started_at, progress=progress))

    assert scrobbles(fake)[0]["timestamp"] == str(int(NOW.timestamp()) - seconds)


def test_a_mark_sent_twice_counts_once(server: Server, fake: FakeLastFM) -> None:
    fake.faults.add("/2.0", record_then="reset")

    lost = send(server, MARK)
    again = send(server, replace(MARK, unsure=True))

    assert isinstance(lost, Retry)
    assert isinstance(again, Done)
    assert len(scrobbles(fake)) == 1


@pytest.mark.parametrize(("seconds", "kept"), [(29, 0), (30, 0), (31, 1), (None, 1)])
def test_only_what_is_longer_than_30_seconds_is_scrobbled(
    server: Server, fake: FakeLastFM, seconds: int | None, kept: int
) -> None:
    done = send(server, replace(MARK, duration_ms=seconds and seconds * 1000))

    assert isinstance(done, Done)
    assert len(scrobbles(fake)) == len(fake.calls) == kept


@pytest.mark.parametrize("item", [replace(SONG, artist=None), replace(SONG, title="  ")])
def test_a_track_without_artist_or_title_is_unmatched_without_a_call(
    server: Server, fake: FakeLastFM, item: Track
) -> None:
    assert isinstance(send(server, replace(MARK, item=item)), Unmatched)
    assert fake.calls == []


def test_a_film_is_dead_without_a_call(server: Server, fake: FakeLastFM) -> None:
    outcome = send(server, replace(MARK, item=Movie(title="TRON: Legacy", year=2010)))

    assert isinstance(outcome, Dead)
    assert fake.calls == []


def test_empty_parameters_are_left_out_and_blanks_trimmed(server: Server, fake: FakeLastFM) -> None:
    bare = Track(title=" Some Resolve ", artist="Röyksopp", album=" ", number=0)

    send(server, replace(MARK, item=bare, duration_ms=None))

    assert scrobbles(fake) == [
        {"artist": "Röyksopp", "track": "Some Resolve", "timestamp": str(int(NOW.timestamp()) - 360)}
    ]


def test_a_correction_is_noted(server: Server, fake: FakeLastFM) -> None:
    fake.switches.corrections = {"Röyksopp": "Röyksopp!"}

    assert send(server, MARK).note == "Last.fm corrected it to Röyksopp! – Some Resolve"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (1, Dead, "artist"),
        (2, Dead, "title"),
        (3, Dead, "two weeks"),
        (4, Dead, "clock"),
        (5, Snooze, "no more scrobbles"),
        (77, Dead, "code 77"),
    ],
)
def test_an_ignored_scrobble_is_no_success_and_says_why(
    server: Server, fake: FakeLastFM, code: int, kind: type[Undelivered], words: str
) -> None:
    fake.switches.ignore = {"Some Resolve": code}

    outcome = send(server, MARK)

    assert isinstance(outcome, kind)
    assert words in outcome.reason
    if isinstance(outcome, Snooze):
        assert (outcome.after, outcome.park) == (timedelta(days=1), None)


def test_what_is_ignored_without_a_code_is_dead(server: Server, fake: FakeLastFM) -> None:
    row = {"artist": {"#text": "a"}, "ignoredMessage": {"code": "0"}}
    body = {"scrobbles": {"scrobble": row, "@attr": {"accepted": 0, "ignored": 1}}}
    fake.faults.add("/2.0", status=200, body=body)

    assert isinstance(send(server, MARK), Dead)


# Many at once


def test_fifty_go_in_one_call_with_their_own_times(server: Server, fake: FakeLastFM) -> None:
    marks = [played(number) for number in range(LastFM.batch)]

    outcomes = send_many(server, *marks)

    assert [outcome.answer for outcome in outcomes] == [f"Röyksopp – Track {n}" for n in range(LastFM.batch)]
    assert len(fake.calls) == 1
    assert {row["track"]: row["timestamp"] for row in scrobbles(fake)} == {
        mark.item.title: str(int(mark.at.timestamp()) - 50) for mark in marks
    }


def test_each_of_many_has_its_own_outcome_in_its_place(server: Server, fake: FakeLastFM) -> None:
    fake.switches.ignore = {"Track 1": 1, "Track 4": 5}
    marks = [played(0), played(1), played(2, artist=None), replace(played(3), duration_ms=20_000), played(4)]
    film = replace(played(5), item=Movie(title="TRON"))

    outcomes = send_many(server, *marks, film, played(6))

    assert [type(outcome) for outcome in outcomes] == [Done, Dead, Unmatched, Done, Snooze, Dead, Done]
    assert "30 seconds" in outcomes[3].answer
    assert [row["track"] for row in scrobbles(fake)] == ["Track 0", "Track 6"]


def test_nothing_is_called_where_nothing_can_be_told(server: Server, fake: FakeLastFM) -> None:
    (outcome,) = send_many(server, replace(MARK, duration_ms=1000))

    assert isinstance(outcome, Done)
    assert fake.calls == []


def test_an_answer_for_fewer_than_were_told_is_tried_again(server: Server, fake: FakeLastFM) -> None:
    row = {"ignoredMessage": {"code": "0"}}
    fake.faults.add("/2.0", status=200, body={"scrobbles": {"scrobble": row, "@attr": {"accepted": 1}}})

    outcome = send_many(server, played(0), played(1))

    assert isinstance(outcome, Retry)
    assert outcome.unsure


# Errors


@pytest.mark.parametrize("status", [200, 400, 403, 503])
@pytest.mark.parametrize(
    ("code", "kind", "park"),
    [
        (4, Snooze, Park.SIGNED_OUT),
        (6, Dead, None),
        (8, Retry, None),
        (9, Snooze, Park.SIGNED_OUT),
        (10, Snooze, Park.APP_DELETED),
        (11, Retry, None),
        (13, Snooze, Park.APP_DELETED),
        (16, Retry, None),
        (26, Snooze, Park.APP_DELETED),
        (29, Snooze, None),
    ],
)
def test_the_error_in_the_body_decides_whatever_the_status(
    server: Server, fake: FakeLastFM, status: int, code: int, kind: type[Undelivered], park: Park | None
) -> None:
    fake.fail(code, status=status)

    outcome = send(server, MARK)

    # A server in trouble may give any code; those that say nothing lasting are tried again.
    assert isinstance(outcome, Retry if status == 503 and kind is Dead else kind)
    assert getattr(outcome, "park", None) is park
    assert str(code) in (outcome.reason + str(outcome.answer))


@pytest.mark.parametrize("code", [2, 3, 5, 7, 17, 18, 25, 27, 99])
def test_an_error_that_will_not_get_better_is_dead(server: Server, fake: FakeLastFM, code: int) -> None:
    fake.fail(code, status=200)

    assert isinstance(send(server, MARK), Dead)


def test_a_page_with_status_502_and_one_with_200_are_tried_again(server: Server, fake: FakeLastFM) -> None:
    fake.faults.add("/2.0", status=502, body="<html>")
    fake.faults.add("/2.0", status=200, body="<html>")
    fake.faults.add("/2.0", status=200, body=[1])

    assert all(isinstance(send(server, MARK), Retry) for _ in range(3))


@pytest.mark.breaks_contracts
def test_a_wrong_address_is_named(server: Server, fake: FakeLastFM) -> None:
    outcome = send(server, MARK, api_url=f"{server.url}/elsewhere")

    assert isinstance(outcome, Dead)
    assert "LASTFM_API_URL" in outcome.reason


def test_a_slower_pace_is_kept_as_long_as_it_is_asked_for(server: Server, fake: FakeLastFM) -> None:
    fake.faults.add("/2.0", status=429, headers={"Retry-After": "7"}, body={"error": 29, "message": "slow"})

    assert send(server, MARK).after == timedelta(seconds=7)


def test_a_wrong_secret_is_named(server: Server, fake: FakeLastFM) -> None:
    outcome = send(server, MARK, secret=SecretStr("wrong"))

    assert outcome.park is Park.APP_DELETED
    assert "LASTFM_SECRET" in outcome.reason


# Love


def test_a_favourite_is_loved_and_no_longer_loved(server: Server, fake: FakeLastFM) -> None:
    loved = send(server, replace(MARK, action=Action.FAVOURITE, mark=False))
    there = list(fake.user("anna").loved)
    unloved = send(server, replace(MARK, action=Action.UNFAVOURITE, mark=False))

    assert (loved.answer, unloved.answer) == ("loved", "no longer loved")
    assert there == [("Röyksopp", "Some Resolve")]
    assert fake.user("anna").loved == []


def test_what_it_has_no_call_for_is_dead(server: Server, fake: FakeLastFM) -> None:
    assert isinstance(send(server, replace(MARK, action=Action.RATE, rating=8)), Dead)
    assert fake.calls == []


# The sign-in


def test_the_account_s_name_is_read_and_a_revoked_one_is_signed_out(server: Server, fake: FakeLastFM) -> None:
    name = using(server, lambda tracker, access: tracker.check(access))

    async def revoked(tracker: LastFM, access: Access) -> Any:
        fake.revoke("anna")
        return await tracker.check(access)

    assert name == "anna"
    assert using(server, revoked).park is Park.SIGNED_OUT


def test_the_sign_in_goes_by_a_page_and_ends_with_a_session(server: Server, fake: FakeLastFM) -> None:
    async def work(tracker: LastFM, access: Access) -> Any:
        code = await tracker.begin()
        pending = await tracker.poll(code)
        fake.approve("berta")
        return code, pending, await tracker.poll(code)

    code, pending, tokens = using(server, work)

    asked = parse_qs(urlsplit(code.url).query)
    assert code.url.startswith(f"{server.url}/api/auth/?")
    assert asked == {"api_key": ["a" * 32], "token": [code.device_code]}
    assert (code.user_code, code.interval, code.expires_in) == ("", timedelta(seconds=5), timedelta(hours=1))
    assert pending is None
    assert tokens == {"sk": next(reversed(fake.sessions)), "name": "berta"}


@pytest.mark.parametrize(("code", "words"), [(15, "expired"), (4, "used already"), (13, "LASTFM_SECRET")])
def test_a_sign_in_that_cannot_succeed_ends(server: Server, fake: FakeLastFM, code: int, words: str) -> None:
    fake.fail(code, method="auth.getSession")

    outcome = using(server, poll)

    assert isinstance(outcome, SignInFailed)
    assert words in str(outcome)


@pytest.mark.parametrize("code", [8, 11, 16, 29])
def test_a_sign_in_outlives_a_hiccup(server: Server, fake: FakeLastFM, code: int) -> None:
    fake.fail(code, method="auth.getSession")

    assert using(server, poll) is None


def test_a_sign_in_that_cannot_begin_says_why(server: Server, fake: FakeLastFM) -> None:
    fake.fail(10)
    fake.faults.add("/2.0", status=200, body={}, skip=1)

    wrong_key = using(server, lambda tracker, access: tracker.begin())
    no_token = using(server, lambda tracker, access: tracker.begin())

    assert "LASTFM_API_KEY" in str(wrong_key)
    assert isinstance(no_token, SignInFailed)


async def poll(tracker: LastFM, access: Access) -> Any:
    return await tracker.poll(await tracker.begin())


def test_nothing_secret_is_in_an_address_and_all_is_signed(server: Server, fake: FakeLastFM) -> None:
    send(server, MARK)
    using(server, lambda tracker, access: tracker.check(access))

    assert [call.query for call in fake.calls] == ["", ""]
    assert all(call.status == 200 for call in fake.calls)
    assert all(call.headers["user-agent"].startswith("Watchmark/") for call in fake.calls)


# What the account holds


def held(server: Server, since: datetime | None = None) -> Any:
    async def read(tracker: LastFM, access: Access) -> Any:
        return [one async for one in tracker.history(access, since)]

    return using(server, read)


def test_what_plays_now_is_not_held(server: Server, fake: FakeLastFM) -> None:
    send(server, START)
    assert fake.user("anna").now_playing
    assert held(server) == []

    send(server, MARK)
    (one,) = held(server)

    assert one.item == Track(title=SONG.title, artist=SONG.artist, album=SONG.album)
    assert one.at == MARK.started_at
    assert one.remote_id is None


def test_since_is_asked_of_last_fm_itself(server: Server, fake: FakeLastFM) -> None:
    send_many(server, *(played(number) for number in range(3)))
    fake.calls.clear()
    since = played(1).started_at
    assert since is not None

    assert sorted(one.item.title for one in held(server, since)) == ["Track 1", "Track 2"]
    assert fake.calls[-1].body["from"] == str(int(since.timestamp()) - 1)
    assert fake.calls[-1].body["user"] == "anna"


def test_an_answer_without_a_list_is_tried_again(server: Server, fake: FakeLastFM) -> None:
    fake.faults.add("POST /2.0", body={"recent": {}})

    assert isinstance(held(server), Retry)


def test_without_a_count_of_pages_one_that_brings_nothing_new_is_the_last(
    server: Server, fake: FakeLastFM
) -> None:
    row = {"name": "T", "artist": {"#text": "A"}, "date": {"uts": "1795000000"}}
    fake.faults.add("POST /2.0", body={"recenttracks": {"track": [row]}}, times=-1)

    assert [one.item.title for one in held(server)] == ["T"]
    assert len(fake.calls) == 2
