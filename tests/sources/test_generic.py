"""The generic source: one plain JSON object, the schema that describes it, and Kodi's add-on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Movie, Season, Show, Track, Unreadable
from webhook.sources import _generic_fields, generic
from webhook.sources.generic import parse, schema

AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
NOW = AT + timedelta(seconds=9)
FILM = {"action": "watched", "kind": "movie", "title": "Quiet Harbour"}
SEEN = {"action": "watched", "kind": "episode", "show": "Harbour Street", "season": 3, "number": 9}
SCHEMA = Draft202012Validator(schema())


def only(payload: dict[str, Any]) -> Event:
    outcome = parse(payload, NOW)
    assert not isinstance(outcome, Ignored), outcome
    (event,) = outcome
    return event


def test_an_episode_tells_all_that_is_known(load: Any) -> None:
    assert only(load("generic/episode-watched")) == Event(
        action=Action.WATCHED,
        item=Episode(
            title="The Lantern Room",
            show="Harbour Street",
            season=3,
            number=9,
            year=2021,
            ids=Ids(tvdb=9900009, imdb="tt7700009"),
            show_ids=Ids(tvdb=8800008),
        ),
        at=AT,
        user="nora",
        server="attic",
        server_name="attic",
        player="Sofa",
        player_id="Sofa",
        library="Shows",
        duration_ms=2_700_000,
    )


def test_seconds_and_milliseconds_are_told_apart(load: Any) -> None:
    event = only(load("generic/movie-paused"))

    assert (event.action, event.position_ms, event.duration_ms) == (Action.PAUSE, 61_500, 6_000_000)


def test_a_form_of_texts_is_as_good(load: Any) -> None:
    event = only(load("generic/movie-stopped-in-texts"))

    assert event.item == Movie(title="Quiet Harbour", year=2001, ids=Ids(tmdb=9000001))
    assert (event.position_ms, event.duration_ms, event.completed) == (5_900_000, 6_000_000, True)


def test_a_track(load: Any) -> None:
    event = only(load("generic/track-watched"))

    assert event.item == Track(
        title="Low Tide", artist="The Moorings", album="Slack Water", number=4,
        ids=Ids(musicbrainz="0a1b2c3d-0000-4000-8000-000000000001"),
    )  # fmt: skip
    assert event.duration_ms == 241_500


def test_a_show_is_rated(load: Any) -> None:
    event = only(load("generic/show-rated"))

    assert event.item == Show(title="Harbour Street", ids=Ids(tvdb=8800008))
    assert (event.action, event.rating, event.at) == (Action.RATE, 8.5, AT)


def test_a_season_is_loved() -> None:
    event = only({"action": "favourite", "kind": "season", "show": "Harbour Street", "season": 0})

    assert event.item == Season(show="Harbour Street", season=0)


@pytest.mark.parametrize("action", [one for one in Action if "watchlist" not in one])
def test_every_action_is_taken(action: Action) -> None:
    assert only({**FILM, "action": action.value, "rating": 7}).action is action


def test_a_title_may_be_a_number() -> None:
    assert only({**FILM, "title": 1917}).item.title == "1917"


def test_nothing_known_is_none_and_not_zero() -> None:
    event = only({**FILM, "position": None, "year": "", "rating": None, "duration": 0})

    assert (event.position_ms, event.duration_ms, event.item.year, event.user) == (None, None, None, None)
    assert event.at == NOW


def test_a_start_of_zero_is_one() -> None:
    assert only({**FILM, "action": "start", "position": 0}).position_ms == 0


def test_a_time_that_is_yet_to_come_is_that_of_the_receipt() -> None:
    assert only({**FILM, "at": (NOW + timedelta(hours=2)).isoformat()}).at == NOW
    assert only({**FILM, "at": (NOW - timedelta(hours=2)).isoformat()}).at == NOW - timedelta(hours=2)


def test_what_was_watched_days_ago_is_read_from_a_record() -> None:
    assert only({**FILM, "at": "2023-10-01T10:00:00Z"}).recorded
    assert not only({**FILM, "at": "2023-11-14T10:00:00Z"}).recorded
    assert not only({**FILM, "action": "start", "at": "2023-10-01T10:00:00Z"}).recorded


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({"kind": "movie", "title": "x"}, r"Generic webhook has no action\. .* one of these: start, pause"),
        ({**FILM, "action": "seen"}, r'^action is "seen"\. Expected is one of these: start, pause, '),
        ({**FILM, "kind": ["movie"]}, r"^kind is a list\. Expected is one of these: movie, "),
        ({**SEEN, "season": "three"}, r'^season is "three"\. Expected is the season, a whole number from 0'),
        ({**SEEN, "number": -1}, r"^number is -1\. "),
        ({**SEEN, "number": 1.5}, r"^number is 1\.5\. "),
        ({**SEEN, "season": True}, r"^season is true\. "),
        ({**FILM, "year": 20001}, r"^year is 20001\. Expected is a year from 1800 to 2199"),
        ({**FILM, "progress": 101}, r"^progress is 101\. .* from 0 to 100"),
        ({**FILM, "position": -0.1}, r"^position is -0\.1\. .* in seconds"),
        ({**FILM, "position": 10**400}, r"^position is a number of too many digits"),
        ({**FILM, "rating": 11}, r"^rating is 11\. .* from 0 to 10"),
        ({**FILM, "completed": "yes"}, r'^completed is "yes"\. .*: true or false'),
        ({**FILM, "user": {"name": "nora"}}, r"^user is an object\. Expected is who did it, a text"),
        ({**FILM, "at": "2023-11-14T22:13:20"}, r"^at is .* with its offset"),
        ({**FILM, "at": "2023-02-31T22:13:20Z"}, r"^at is "),
        ({**FILM, "at": 12}, r"^at is 12\. "),
        ({**FILM, "at": "2023-12-24T00:00:00Z"}, r"^at is 2023-12-24.* not yet to come"),
        ({**FILM, "ids": "tt0903747"}, r'^ids is "tt0903747"\. Expected is an object'),
        ({**FILM, "ids": {"imdb": 903747}}, r"^ids\.imdb is 903747\. .* tt0903747"),
        ({**FILM, "ids": {"tmdb": 0}}, r"^ids\.tmdb is 0\. .* greater than 0"),
        ({**SEEN, "show_ids": {"tvdb": "x"}}, r'^show_ids\.tvdb is "x"\. '),
        ({**FILM, "action": "rate"}, r"^rating is missing\. "),
        ({**FILM, "kind": "show"}, r"^action is watched and kind is show\. "),
        ({"action": "watched", "kind": "movie"}, r"which movie it is\. Expected is one of: title; or ids"),
        ({**SEEN, "season": None}, r"which episode it is\. .* show and season and number"),
        ({"action": "watched", "kind": "track", "title": "Low Tide"}, r"which track it is\. "),
        ({**FILM, "title": "  "}, r"which movie it is"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_is_expected(
    payload: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Unreadable, match=sentence):
        parse(payload, NOW)


# --- Kodi


def test_kodis_add_on_is_read(load: Any) -> None:
    event = only(load("generic/kodi-episode-ended"))

    assert event == Event(
        action=Action.STOP,
        item=Episode(
            title="The Lantern Room", show="Harbour Street", season=3, number=9, year=2021,
            ids=Ids(tvdb=9900009, imdb="tt7700009"),
        ),
        at=NOW,
        player="Kodi",
        player_id="Kodi",
        position_ms=2_700_000,
        duration_ms=2_700_000,
        progress=100.0,
        completed=True,
    )  # fmt: skip


def test_kodis_film_starts_at_its_beginning(load: Any) -> None:
    event = only(load("generic/kodi-movie-started"))

    assert (event.action, event.position_ms, event.completed) == (Action.START, 0, None)
    assert event.item == Movie(title="Quiet Harbour", year=2001, ids=Ids(tmdb=9000001))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event": "seek"}, "unsupported_event"),
        ({"mediaType": "musicvideo"}, "unsupported_kind"),
        ({"mediaType": None}, "unknown_kind"),
        ({"title": "", "tvShowTitle": None, "uniqueIds": None}, "no_ids"),
    ],
)
def test_what_kodi_plays_besides_is_ignored(load: Any, change: dict[str, Any], reason: str) -> None:
    assert parse({**load("generic/kodi-episode-ended"), **change}, NOW) == Ignored(reason)


def test_the_captured_payload_of_kodi_is_read() -> None:
    file = Path(__file__).parents[3] / "shared" / "payloads" / "kodi" / "end_episode_http-scrobbler.json"
    if not file.exists():
        pytest.skip("no captured payloads here")

    event = only(json.loads(file.read_text(encoding="utf-8")))

    assert isinstance(event.item, Episode)
    assert (event.item.show, event.item.season, event.item.number) == ("Friends", 1, 1)
    assert (event.completed, event.duration_ms, event.percent) == (True, 1_320_000, 100)


# --- the schema


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_schema_has_every_field_that_is_read() -> None:
    assert {*schema()["properties"]} == {*_generic_fields.PLAIN_FIELDS, *_generic_fields.NESTED_FIELDS}


@pytest.mark.parametrize("name", ["episode-watched", "movie-paused", "track-watched", "show-rated"])
def test_the_schema_takes_our_examples(load: Any, name: str) -> None:
    assert list(SCHEMA.iter_errors(load(f"generic/{name}"))) == []
    assert list(SCHEMA.iter_errors(json.loads(generic.template()))) == []


GOOD: dict[str, list[Any]] = {
    "action": list(_generic_fields.ACTION_NAMES),
    "kind": list(_generic_fields.KIND_NAMES),
    "at": [1_700_000_000, "1700000000", "2023-11-14T22:13:20Z", "2023-11-14 23:13:20.5+01:00"],
    "ids": [{"tvdb": 7}, {"imdb": "tt0903747"}, {"tmdb": "12", "trakt": None}, "", None],
    "show_ids": [{"tvdb": 7}, "", None],
    "completed": [True, "false"],
    "manual": [False, "true"],
    "year": [1999, "2001"],
    "library": ["x", ""],
    **{name: ["x", 1917] for name in ("user", "title", "show", "artist", "album", "server", "player")},
    **{name: [0, 12, "7", 3.0] for name in ("season", "number", "position_ms", "duration_ms")},
    **{name: [0, 7.5, "9.25", 10] for name in ("position", "duration", "progress", "rating")},
}
ODD = [
    *(None, "", " ", "x", "-1", "007", "1e3", "10.5.1", True, -1, 0, 2.5, 11, 101, 1700, 10**6, 10**19),
    *(-(10**19), 1e300, 2**33, [], ["a"], {}, {"tvdb": 0}, {"tvdb": None}, {"imdb": ""}, {"imdb": 5}),
    *({"musicbrainz": "x"}, "2023-11-14", "tt1", "true ", "TRUE", "٣"),
]


@st.composite
def payloads(draw: st.DrawFn, odd: int) -> dict[str, Any]:
    """Payloads that are right but for so many values; some are without a field."""
    names = draw(st.sets(st.sampled_from([*GOOD]), max_size=12)) | {"action", "kind"}
    payload = {name: draw(st.sampled_from(GOOD[name])) for name in sorted(names)}
    for name in draw(st.lists(st.sampled_from(sorted(names)), min_size=odd, max_size=odd)):
        payload[name] = draw(st.sampled_from(ODD))
    for name in draw(st.lists(st.sampled_from(sorted(names)), max_size=1)):
        payload.pop(name, None)
    return payload


@pytest.mark.parametrize("odd", range(3))
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_schema_takes_exactly_what_is_read(odd: int, data: st.DataObject) -> None:
    payload = data.draw(payloads(odd))
    # The schema does not look whether a text is more than blanks.
    payload = {name: "" if value == " " else value for name, value in payload.items()}
    try:
        read = bool(parse(payload, NOW))
    except Unreadable:
        read = False

    assert SCHEMA.is_valid(payload) == read, list(SCHEMA.iter_errors(payload))
