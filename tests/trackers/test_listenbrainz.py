"""The tracker `listenbrainz`, over real HTTP, against the fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Server
from tests.fakes.listenbrainz import ListenBrainz as FakeListenBrainz
from tests.trackers._access import Access
from webhook.client import version
from webhook.domain.event import Action, Ids, Movie, Track
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.trackers import Delivery, SignInFailed
from webhook.trackers.listenbrainz import LISTENS_PAGE_SIZE, ListenBrainz, Settings, build

NOW = datetime.now(UTC).replace(microsecond=0)  # it looks at the clock: nothing begins in the future
MBID = "98255a8c-017a-4bc7-8dd6-1fa36124572b"
SONG = Track(
    title="Some Resolve",
    artist="Röyksopp",
    album="Junior",
    album_artist="Röyksopp",
    number=3,
    ids=Ids(musicbrainz="3D1F6A52-0000-4000-8000-0123456789AB"),
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
LOVED = replace(MARK, action=Action.FAVOURITE, mark=False)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(FakeListenBrainz()) as server:
        yield server


@pytest.fixture
def server(loopback: Server) -> Server:
    loopback.fake = FakeListenBrainz()
    return loopback


@pytest.fixture
def fake(server: Server) -> FakeListenBrainz:
    fake: FakeListenBrainz = server.fake
    return fake


def using(server: Server, work: Callable[[ListenBrainz, Access], Coroutine[Any, Any, Any]]) -> Any:
    """What `work` comes to with a fresh tracker and Anna's sign-in; a raised decision is an outcome too."""

    async def inside() -> Any:
        async with httpx.AsyncClient(timeout=2, verify=False) as http:
            tracker = build(Settings(api_url=server.url + "/"), http)
            return await decided(work(tracker, Access(server.fake.sign_in("anna"), tracker=tracker)))

    return asyncio.run(inside())


async def decided(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await work
    except (Undelivered, SignInFailed) as decision:
        return decision


def send(server: Server, delivery: Delivery) -> Any:
    return using(server, lambda tracker, access: tracker.send(delivery, access))


def send_many(server: Server, *deliveries: Delivery) -> Any:
    return using(server, lambda tracker, access: tracker.send_many(deliveries, access))


def played(number: int, **other: Any) -> Delivery:
    """A mark of a track of its own, played a minute after the one before."""
    at = NOW - timedelta(days=2) + timedelta(minutes=number)
    item = replace(SONG, **{"title": f"Track {number}", **other})
    return replace(MARK, id=number, item=item, at=at, started_at=at - timedelta(seconds=50))


def listens(fake: FakeListenBrainz) -> list[Any]:
    return fake.user("anna").listens


def titles(fake: FakeListenBrainz) -> list[str]:
    return [one["track_metadata"]["track_name"] for one in listens(fake)]


# What it is


def test_it_needs_no_setting_and_hears_of_no_stop() -> None:
    assert Settings().api_url == "https://api.listenbrainz.org"
    assert all(field.description for field in Settings.model_fields.values())
    assert Action.WATCHED in ListenBrainz.tells
    assert Action.STOP not in ListenBrainz.tells


# What is told


def test_a_mark_is_a_listen_dated_when_the_play_began(server: Server, fake: FakeListenBrainz) -> None:
    done = send(server, MARK)

    assert done == Done(answer="listened", remote_id=str(listens(fake)[0]["listened_at"]))
    assert listens(fake) == [
        {
            "listened_at": int((NOW - timedelta(minutes=6)).timestamp()),
            "track_metadata": {
                "artist_name": "Röyksopp",
                "track_name": "Some Resolve",
                "release_name": "Junior",
                "additional_info": {
                    "submission_client": "Watchmark",
                    "submission_client_version": version(),
                    "duration_ms": 402_000,
                    "tracknumber": 3,
                    "track_mbid": "3d1f6a52-0000-4000-8000-0123456789ab",
                },
            },
        }
    ]


def test_our_musicbrainz_id_is_never_told_as_a_recording_s(server: Server, fake: FakeListenBrainz) -> None:
    send(server, MARK)
    send(server, START)

    assert all("recording_mbid" not in str(call.body) for call in fake.calls)


@pytest.mark.parametrize(
    ("started_at", "progress", "seconds"), [(None, None, 402), (NOW, None, 402), (None, 50.0, 201)]
)
def test_where_no_start_was_seen_it_is_reckoned_back(
    server: Server, fake: FakeListenBrainz, started_at: datetime | None, progress: float | None, seconds: int
) -> None:
    send(server, replace(MARK, started_at=started_at, progress=progress))

    assert listens(fake)[0]["listened_at"] == int(NOW.timestamp()) - seconds


def test_a_start_is_playing_now_and_has_no_time(server: Server, fake: FakeListenBrainz) -> None:
    done = send(server, START)

    playing = fake.user("anna").playing_now
    assert done == Done(answer="playing now")
    assert playing is not None
    assert playing.keys() == {"track_metadata"}
    assert listens(fake) == []


@pytest.mark.parametrize(
    "how", [{"status": 503}, {"status": 429}, {"status": 200, "body": "<html>"}, {"reset": True}]
)
def test_a_start_that_fails_is_settled_and_never_told_again(
    server: Server, fake: FakeListenBrainz, how: dict[str, Any]
) -> None:
    fake.faults.add("/1/submit-listens", **how)

    done = send(server, START)

    assert isinstance(done, Done)
    assert done.answer.startswith("not shown as playing now: ")
    assert len(fake.calls) == 1


def test_a_mark_sent_twice_counts_once(server: Server, fake: FakeListenBrainz) -> None:
    fake.faults.add("/1/submit-listens", record_then="reset")

    lost = send(server, MARK)
    again = send(server, replace(MARK, unsure=True))

    assert isinstance(lost, Retry)
    assert isinstance(again, Done)
    assert len(listens(fake)) == 1


# Its rules, kept before it has to refuse


def test_names_are_trimmed_and_what_is_empty_or_broken_is_left_out(
    server: Server, fake: FakeListenBrainz
) -> None:
    odd = Track(title=" Some\0 Resolve ", artist="Röyksopp", album=" ", number=0, ids=Ids(musicbrainz="x"))

    done = send(server, replace(MARK, item=odd, duration_ms=25 * 86_400_000))

    assert isinstance(done, Done)
    metadata = listens(fake)[0]["track_metadata"]
    assert (metadata["track_name"], metadata["artist_name"]) == ("Some Resolve", "Röyksopp")
    assert metadata.keys() == {"track_name", "artist_name", "additional_info"}
    assert metadata["additional_info"].keys() == {"submission_client", "submission_client_version"}


@pytest.mark.parametrize(
    ("at", "words"),
    [(datetime(2002, 9, 30, 23, tzinfo=UTC), "October 2002"), (NOW + timedelta(hours=3), "clock")],
)
def test_a_time_that_cannot_be_is_dead_without_a_call(
    server: Server, fake: FakeListenBrainz, at: datetime, words: str
) -> None:
    outcome = send(server, replace(MARK, at=at, started_at=None))

    assert isinstance(outcome, Dead)
    assert words in outcome.reason
    assert fake.calls == []


@pytest.mark.parametrize("item", [replace(SONG, artist=None), replace(SONG, title=" \0 ")])
def test_a_track_without_artist_or_title_is_unmatched_without_a_call(
    server: Server, fake: FakeListenBrainz, item: Track
) -> None:
    assert isinstance(send(server, replace(MARK, item=item)), Unmatched)
    assert fake.calls == []


def test_a_film_is_dead_without_a_call(server: Server, fake: FakeListenBrainz) -> None:
    assert isinstance(send(server, replace(MARK, item=Movie(title="TRON: Legacy"))), Dead)
    assert fake.calls == []


# Many at once


def test_a_thousand_go_in_one_call_with_their_own_times(server: Server, fake: FakeListenBrainz) -> None:
    marks = [played(number) for number in range(ListenBrainz.batch)]

    outcomes = send_many(server, *marks)

    assert {outcome.answer for outcome in outcomes} == {"listened"}
    assert [outcome.remote_id for outcome in outcomes] == [str(one["listened_at"]) for one in listens(fake)]
    assert [call.body["listen_type"] for call in fake.calls] == ["import"]
    assert [one["listened_at"] for one in listens(fake)] == [int(mark.at.timestamp()) - 50 for mark in marks]


def test_one_bad_listen_among_many_is_found_by_halves(server: Server, fake: FakeListenBrainz) -> None:
    marks = [played(number, **({"title": "x" * 400_000} if number == 11 else {})) for number in range(32)]

    outcomes = send_many(server, *marks)

    bad = outcomes.pop(11)
    assert isinstance(bad, Dead)
    assert "too large" in bad.reason
    assert {outcome.answer for outcome in outcomes} == {"listened"}
    assert [outcome.remote_id for outcome in outcomes] == [str(one["listened_at"]) for one in listens(fake)]
    assert len(listens(fake)) == 31
    assert len(fake.calls) == 11


def test_each_of_many_has_its_own_outcome_in_its_place(server: Server, fake: FakeListenBrainz) -> None:
    early = replace(played(2), at=datetime(1999, 1, 1, tzinfo=UTC), started_at=None)

    outcomes = send_many(server, played(0), played(1, artist=None), early, played(3))

    assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Unmatched", "Dead", "Done"]
    assert titles(fake) == ["Track 0", "Track 3"]


def test_what_concerns_all_of_many_is_raised(server: Server, fake: FakeListenBrainz) -> None:
    fake.switches.queue_down = True

    assert isinstance(send_many(server, played(0), played(1)), Retry)
    assert len(fake.calls) == 1


def test_what_breaks_off_the_search_leaves_the_rest_for_later(server: Server, fake: FakeListenBrainz) -> None:
    fake.faults.add("/1/submit-listens", status=503, skip=2, times=1)
    marks = [played(0), played(1), played(2), played(3, title="x" * 60_000)]

    outcomes = send_many(server, *marks)

    assert [type(outcome) for outcome in outcomes] == [Done, Done, Retry, Retry]
    assert titles(fake) == ["Track 0", "Track 1"]


def test_nothing_is_called_where_nothing_can_be_told(server: Server, fake: FakeListenBrainz) -> None:
    (outcome,) = send_many(server, played(0, artist=""))

    assert isinstance(outcome, Unmatched)
    assert fake.calls == []


# Errors


def test_a_token_that_is_not_accepted_signs_the_account_out(server: Server, fake: FakeListenBrainz) -> None:
    fake.switches.no_mail = True

    outcome = send(server, MARK)

    assert isinstance(outcome, Snooze)
    assert outcome.park is Park.SIGNED_OUT
    assert "email" in outcome.reason


def test_a_refusal_is_dead_with_its_words(server: Server, fake: FakeListenBrainz) -> None:
    fake.faults.add("/1/submit-listens", status=400, body={"code": 400, "error": "Too blue."})

    outcome = send(server, MARK)

    assert isinstance(outcome, Dead)
    assert "Too blue." in outcome.reason


@pytest.mark.parametrize(("status", "kind"), [(403, Snooze), (404, Dead)])
def test_a_guard_in_front_is_waited_for_and_a_wrong_address_is_named(
    server: Server, fake: FakeListenBrainz, status: int, kind: type[Undelivered]
) -> None:
    fake.faults.add("/1/submit-listens", status=status, body="<html>")

    outcome = send(server, MARK)

    assert isinstance(outcome, kind)
    assert getattr(outcome, "park", None) is None
    assert ("LISTENBRAINZ_API_URL" in outcome.reason) == (status == 404)


def test_a_full_queue_is_tried_again(server: Server, fake: FakeListenBrainz) -> None:
    fake.switches.queue_down = True

    assert isinstance(send(server, MARK), Retry)


@pytest.mark.parametrize("body", ["<html>", [], {}, {"status": "maybe"}])
def test_a_success_that_does_not_say_so_is_tried_again(
    server: Server, fake: FakeListenBrainz, body: Any
) -> None:
    fake.faults.add("/1/submit-listens", status=200, body=body)

    outcome = send(server, MARK)

    assert isinstance(outcome, Retry)
    assert outcome.unsure


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Reset-In": "7", "Retry-After": "9"}, 7),
        ({"X-RateLimit-Reset-In": "0"}, 0),
        ({"Retry-After": "9"}, 9),
        ({}, 300),
    ],
)
def test_429_waits_as_long_as_it_says(
    server: Server, fake: FakeListenBrainz, headers: dict[str, str], seconds: int
) -> None:
    fake.faults.add("/1/submit-listens", status=429, headers=headers)

    outcome = send(server, MARK)

    assert isinstance(outcome, Snooze)
    assert (outcome.after, outcome.park) == (timedelta(seconds=seconds), None)


def test_where_no_call_is_left_the_next_waits_without_being_made(
    server: Server, fake: FakeListenBrainz
) -> None:
    fake.switches.limit, fake.switches.window = 2, 5

    async def work(tracker: ListenBrainz, access: Access) -> Any:
        other = Access(fake.sign_in("berta"))
        mine = [await decided(tracker.send(played(number), access)) for number in range(3)]
        return mine, await decided(tracker.send(MARK, other))

    (first, second, third), of_another = using(server, work)

    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert isinstance(third, Snooze)
    assert third.after is not None
    assert timedelta(seconds=3) < third.after <= timedelta(seconds=5)
    assert isinstance(of_another, Done)
    assert [call.status for call in fake.calls] == [200, 200, 200]


def test_once_the_window_is_over_calls_go_out_again(server: Server, fake: FakeListenBrainz) -> None:
    fake.switches.limit, fake.switches.window = 1, 1

    async def work(tracker: ListenBrainz, access: Access) -> Any:
        held = [await decided(tracker.send(played(number), access)) for number in range(2)][1]
        await asyncio.sleep(1.1)
        return held, await decided(tracker.send(played(1), access))

    held, later = using(server, work)

    assert isinstance(held, Snooze)
    assert isinstance(later, Done)


# Love


def test_a_favourite_is_loved_by_the_recording_of_just_that_name(
    server: Server, fake: FakeListenBrainz
) -> None:
    fake.know("Röyksopp", "Some Resolve", MBID)

    loved = send(server, LOVED)
    there = dict(fake.user("anna").feedback)
    unloved = send(server, replace(LOVED, action=Action.UNFAVOURITE))

    assert (loved.answer, unloved.answer) == ("loved", "no longer loved")
    assert there == {MBID: 1}
    assert fake.user("anna").feedback == {}


@pytest.mark.parametrize("other", [{"recording_name": "Some Resolve (live)"}, {"artist_credit_name": "Röyk"}])
def test_the_recording_of_another_name_is_never_loved(
    server: Server, fake: FakeListenBrainz, other: dict[str, str]
) -> None:
    fake.know("Röyksopp", "Some Resolve", MBID, **other)

    outcome = send(server, LOVED)

    assert isinstance(outcome, Unmatched)
    assert "recordings" in outcome.reason
    assert fake.user("anna").feedback == {}


def test_what_the_lookup_does_not_know_is_unmatched(server: Server, fake: FakeListenBrainz) -> None:
    assert isinstance(send(server, LOVED), Unmatched)


def test_what_it_has_no_call_for_is_dead(server: Server, fake: FakeListenBrainz) -> None:
    assert isinstance(send(server, replace(MARK, action=Action.RATE, rating=8)), Dead)
    assert fake.calls == []


# The sign-in


def test_a_token_is_taken_where_it_is_somebody_s(server: Server, fake: FakeListenBrainz) -> None:
    token = fake.sign_in("berta")["token"]

    tokens = using(server, lambda tracker, access: tracker.accept_token(f" {token}\n"))
    refused = using(server, lambda tracker, access: tracker.accept_token("nobody's"))

    assert tokens == {"token": token, "name": "berta"}
    assert isinstance(refused, SignInFailed)
    assert "listenbrainz.org/settings" in str(refused)


def test_a_token_that_cannot_be_tried_is_not_taken(server: Server, fake: FakeListenBrainz) -> None:
    fake.faults.add("/1/validate-token", status=503)

    assert isinstance(using(server, lambda tracker, access: tracker.accept_token("any")), SignInFailed)


def test_the_account_s_name_is_read_and_a_revoked_one_is_signed_out(
    server: Server, fake: FakeListenBrainz
) -> None:
    async def revoked(tracker: ListenBrainz, access: Access) -> Any:
        name = await tracker.check(access)
        fake.revoke("anna")
        return name, await decided(tracker.check(access))

    name, outcome = using(server, revoked)

    assert name == "anna"
    assert outcome.park is Park.SIGNED_OUT


# Taking back, and what the account holds


def undo(server: Server, delivery: Delivery, remote_id: str | None) -> Any:
    return send(server, replace(delivery, action=Action.UNWATCHED, mark=False, remote_id=remote_id))


def test_only_the_listen_that_we_made_is_deleted(server: Server, fake: FakeListenBrainz) -> None:
    same_song, same_second = (
        replace(MARK, started_at=NOW - timedelta(hours=1)),
        replace(MARK, item=replace(SONG, title="Else")),
    )
    done = send(server, MARK)
    send(server, same_song)
    send(server, same_second)

    first, again = undo(server, MARK, done.remote_id), undo(server, MARK, done.remote_id)

    assert (first.answer, again.answer) == (
        "to be deleted after the full hour",
        "it was gone already",
    )
    assert sorted(titles(fake)) == ["Else", "Some Resolve"]
    assert len(fake.made("POST /1/delete-listen")) == 1


@pytest.mark.parametrize("remote_id", [None, "", "abc"])
def test_what_we_did_not_make_is_not_deleted(
    server: Server, fake: FakeListenBrainz, remote_id: str | None
) -> None:
    outcome = undo(server, MARK, remote_id)

    assert isinstance(outcome, Dead)
    assert outcome.reason.startswith("Nothing of ours to undo")
    assert fake.calls == []


def held(server: Server, since: datetime | None = None) -> Any:
    async def read(tracker: ListenBrainz, access: Access) -> Any:
        return [one async for one in tracker.history(access, since)]

    return using(server, read)


def test_what_is_held_is_said_with_all_that_is_known_of_it(server: Server, fake: FakeListenBrainz) -> None:
    send(server, MARK)

    (one,) = held(server)

    mine = Ids(musicbrainz="3d1f6a52-0000-4000-8000-0123456789ab")
    assert one.item == replace(SONG, album_artist=None, ids=mine)
    assert (one.at, one.remote_id) == (MARK.started_at, str(listens(fake)[0]["listened_at"]))


def test_a_second_that_lies_on_two_pages_is_read_whole(server: Server, fake: FakeListenBrainz) -> None:
    at = NOW - timedelta(days=1)
    marks = [
        replace(played(number), started_at=at - timedelta(seconds=number // 4))
        for number in range(3 * LISTENS_PAGE_SIZE)
    ]
    send_many(server, *marks)

    found = held(server)

    assert len(found) == len({one.item.title for one in found}) == 3 * LISTENS_PAGE_SIZE


def test_a_server_that_takes_no_end_is_not_asked_for_ever(server: Server, fake: FakeListenBrainz) -> None:
    rows = [{"listened_at": 1_795_000_000, "track_metadata": {"artist_name": "A", "track_name": "T"}}]
    fake.faults.add("GET /1/user", body={"payload": {"listens": rows}}, times=-1)

    assert len(held(server)) == 1
    assert len(fake.calls) == 3


def test_reading_waits_until_more_calls_are_taken(server: Server, fake: FakeListenBrainz) -> None:
    send_many(server, *(played(number) for number in range(2 * LISTENS_PAGE_SIZE)))
    fake.windows.clear()
    fake.switches.limit, fake.switches.window = 2, 1

    assert len(held(server)) == 2 * LISTENS_PAGE_SIZE
    assert {call.status for call in fake.calls} == {200}
