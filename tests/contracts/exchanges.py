"""Requests to the services of trackers and what their contracts answer, as data: every fake is held to them.

A case is a service, and steps one after another from a fresh state: a request, and of its answer the status and the
parts that are named here. "fake.SWITCH=VALUE" in place of a request turns the fake, and "clock+60" its clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """`part` is compared where it has something: an object by its members, an error by its beginning."""

    request: str
    body: Any = None
    status: int = 200
    part: Any = None
    headers: Mapping[str, str] | None = None


Case = tuple[str, str, list[Step]]

# Trakt: https://docs.trakt.tv

TRON = {"movie": {"ids": {"imdb": "tt1104001"}}}
PILOT = {"show": {"ids": {"tvdb": 81189}}, "episode": {"season": 1, "number": 1}}
PLAY = {"watched_at": "2026-11-20T19:00:00.000Z", "ids": {"imdb": "tt1104001"}}
MANY_EPISODES = {"number": 1, "episodes": [{"number": number} for number in range(1, 3001)]}
WITHIN = {"watched_at": "2026-11-22T20:15:09.000Z", "expires_at": "2026-11-22T21:15:09.000Z"}


def start(form: Any, status: int = 201, part: Any = None, **headers: str) -> list[Step]:
    return [Step("POST /scrobble/start", {"progress": 1, **form}, status, part, headers or None)]


def trakt() -> Iterator[tuple[str, list[Step]]]:
    yield "no bearer", start(TRON, 401, authorization="")
    yield "no key", start(TRON, 403, **{"trakt-api-key": ""})
    yield "another key", start(TRON, 403, **{"trakt-api-key": "another"})
    yield "no version", start(TRON, 412, **{"trakt-api-version": ""})
    yield "no agent", start(TRON, 403, **{"user-agent": ""})
    yield "no JSON declared", start(TRON, 412, **{"content-type": "text/plain"})
    yield "broken JSON", [Step("POST /scrobble/start", "{", 400)]
    yield "a wrong verb", [Step("GET /scrobble/start", status=405)]
    yield "slashes", [Step("GET /users///settings/?unknown=1")]
    for verb, progress, status, action in (
        ("start", 0, 201, "start"), ("start", 100, 201, "start"),
        ("stop", 0.5, 422, None), ("stop", None, 422, None), ("stop", "50", 422, None),
        ("stop", 1, 201, "pause"), ("stop", 79.9, 201, "pause"), ("stop", 80, 201, "scrobble"),
        ("pause", 0.5, 422, None), ("pause", 1, 201, "pause"), ("pause", 79.9, 201, "pause"), ("pause", 80, 422, None),
    ):  # fmt: skip
        part = {"action": action, **({} if action == "scrobble" else {"id": 0})} if action else None
        step = Step(f"POST /scrobble/{verb}", {"progress": progress, **TRON}, status, part)
        yield f"{verb} at {progress!r}", [step]
    stop = Step("POST /scrobble/stop", {"progress": 95, **TRON}, 201, {"action": "scrobble"})
    again = Step("POST /scrobble/stop", {"progress": 95, **TRON}, 409, WITHIN)
    yield "twice within the window", [stop, Step("clock+3540"), again, Step("clock+60"), stop]
    yield "a movie by its TVDB id", start({"movie": {"ids": {"tvdb": 123}}}, 404)
    yield "an id of the wrong type", start({"movie": {"ids": {"tmdb": "20526"}}}, 422)
    yield "an unknown movie", start({"movie": {"ids": {"imdb": "tt7777777"}}}, 404)
    yield "another year", start({"movie": {"title": "TRON: Legacy", "year": 2011}}, 404)
    yield "an unknown episode", start({"episode": {"ids": {"tvdb": 7_777_777}}}, 404)
    yield "an unknown place", start({**PILOT, "episode": {"season": 9, "number": 9}}, 404)
    yield "a title without a year", start({"movie": {"title": "Tron"}}, 400)
    yield (
        "a show without a year",
        start({"show": {"title": "Galactica"}, "episode": {"season": 1, "number": 1}}, 400),
    )
    for name, form, title in (
        ("place", PILOT, "Pilot"),
        ("title", {**PILOT, "show": {"title": "breaking bad", "year": 2008}}, "Pilot"),
        ("absolute number", {**PILOT, "episode": {"number_abs": 1}}, "Pilot"),
        ("own id", {"episode": {"ids": {"tvdb": 349232}}}, "Pilot"),
        ("tmdb of an episode", {"episode": {"ids": {"tmdb": 62085}}}, "Pilot"),
        (
            "tmdb of its show",
            {"show": {"ids": {"tmdb": 1396}}, "episode": {"season": 1, "number": 1}},
            "Pilot",
        ),
        ("the same number elsewhere", {"episode": {"ids": {"tmdb": 1396}}}, "Low Tide"),
        ("the first id that is known", {"episode": {"ids": {"trakt": 1388, "tvdb": 349232}}}, "Low Tide"),
    ):
        yield f"an episode by {name}", start(form, part={"episode": {"title": title}})
    yield (
        "a movie by its tmdb id",
        start({"movie": {"ids": {"tmdb": 62085}}}, part={"movie": {"title": "The Fog Horn"}}),
    )
    yield "101 movies", [Step("POST /sync/history", {"movies": [PLAY] * 101}, 422)]
    yield "100 movies", [Step("POST /sync/history", {"movies": [PLAY] * 100}, 201)]
    shows = {"shows": [{"ids": {"trakt": 7000}, "seasons": [MANY_EPISODES]}]}
    yield "3000 episodes", [Step("POST /sync/history", shows, 422)]
    added = Step("POST /sync/history", {"movies": [PLAY]}, 201, {"added": {"movies": 1, "episodes": 0}})
    yield "the same play twice", [added, added]
    unknown = {"watched_at": "2026-11-20T19:00:00.000Z", "ids": {"imdb": "tt7777777"}}
    bare = {"watched_at": "2026-11-20T19:00:00.000Z"}
    for style, echo in (("echo", unknown), ("no_ids", bare), ("empty", {})):
        lost = {"added": {"movies": 0, "episodes": 0}, "not_found": {"movies": [echo]}}
        sent = Step("POST /sync/history", {"movies": [unknown]}, 201, lost)
        yield f"not found, {style}", [Step(f"fake.not_found={style}"), sent]
    for rating in (0, 11, None):
        rated = {"movies": [{"ids": {"imdb": "tt1104001"}, "rating": rating}]}
        yield f"a rating of {rating}", [Step("POST /sync/ratings", rated, 422)]


# Simkl: https://api.simkl.org

FILM = {"movie": {"title": "Inception", "year": 2010, "ids": {"imdb": "tt1375666"}}}
SIMKL_APP = "client_id=fake-client-id&app-name=watchmark&app-version=1"


def simkl() -> Iterator[tuple[str, list[Step]]]:
    for method, path in (("GET", "/oauth/pin"), ("POST", "/scrobble/stop"), ("GET", "/search/id")):
        wrong = SIMKL_APP.replace("fake-client-id", "other")
        yield (
            f"another app: {path}",
            [Step(f"{method} {path}?{wrong}", status=412, part={"error": "client_id_failed"})],
        )
    spent = [Step("fake.quota_spent=true"), Step(f"POST /users/settings?{SIMKL_APP}", status=412)]
    yield "an app whose calls are used up", spent
    nobody = {"authorization": "Bearer nobody"}
    signed_out = Step(f"POST /users/settings?{SIMKL_APP}", None, 401, {"error": "user_token_failed"}, nobody)
    yield "a token that holds no longer", [signed_out]
    yield "an unknown address", [Step(f"GET /nothing?{SIMKL_APP}", status=404, part={"error": "url_failed"})]
    call = f"POST /users/settings?{SIMKL_APP}"
    paced = [Step("fake.rate_limit=true"), Step(call), Step(call, status=429), Step("clock+1"), Step(call)]
    yield "a second post within a second", paced
    for verb, progress, action in (
        ("start", 0, "start"), ("start", 95, "start"), ("pause", 0.5, "pause"), ("pause", 85, "pause"),
        ("stop", 79.9, "pause"), ("stop", 80, "scrobble"), ("checkin", 0, "checkin"),
    ):  # fmt: skip
        part = {"action": action, **({"id": 0} if action == "start" else {})}
        step = Step(f"POST /scrobble/{verb}?{SIMKL_APP}", {"progress": progress, **FILM}, 201, part)
        yield f"{verb} at {progress}", [step]
    for name, body, status, error in (
        ("no item", {"progress": 50}, 400, "empty_field"),
        ("no progress", FILM, 400, "wrong_parameter"),
        ("101 %", {"progress": 101, **FILM}, 400, "wrong_parameter"),
        ("a show alone", {"progress": 50, "show": {"ids": {"tvdb": 1}}}, 400, "wrong_parameter"),
        (
            "an episode's id",
            {"progress": 50, **PILOT, "episode": {"ids": {"tvdb": 349232}}},
            400,
            "wrong_parameter",
        ),
        ("an unknown film", {"progress": 50, "movie": {"ids": {"imdb": "tt9"}}}, 404, "id_err"),
    ):
        step = Step(f"POST /scrobble/stop?{SIMKL_APP}", body, status, {"error": error, "code": status})
        yield name, [Step("fake.strict=true"), step]
    yield "nothing yet", [Step(f"GET /sync/all-items/movies?{SIMKL_APP}", part=None)]


# ListenBrainz: https://listenbrainz.readthedocs.io

PLAYED = 1795378209
NAMES = {"artist_name": "Röyksopp", "track_name": "Some Resolve"}


def listen(at: int | None = PLAYED, details: Any = None, **metadata: Any) -> dict[str, Any]:
    said = {**NAMES, **metadata} | ({} if details is None else {"additional_info": details})
    return {**({} if at is None else {"listened_at": at}), "track_metadata": said}


def listenbrainz() -> Iterator[tuple[str, list[Step]]]:
    for kind, listens, error in (
        ("single", [], "JSON document does not contain any listens"),
        ("hummed", [listen()], "JSON document requires a valid listen_type key."),
        ("single", [listen(), listen(1)], "JSON document contains more than listen for a single/playing_now."),
        ("import", [listen()] * 1001, "Too many listens."),
        ("single", [listen(track_name="x" * 10_300)], "JSON document is too large."),
        ("single", [{**listen(), "more": 1}], "JSON document may only contain"),
        ("playing_now", [listen()], "JSON document may only contain"),
        ("single", [listen(None)], "JSON document must contain an int"),
        ("single", [listen(1_033_430_399)], "Value for key listened_at is too low"),
        ("single", [listen(PLAYED + 8000)], "Value for key listened_at is too high."),
        ("single", [listen(artist_name=" ")], "field track_metadata.artist_name is empty."),
        ("single", [listen(track_name="")], "field track_metadata.track_name is empty."),
        ("single", [listen(track_name=None)], "JSON document does not contain required"),
        ("single", [listen(details={"tags": ["x"] * 51})], "JSON document may not contain that many"),
        ("single", [listen(details={"tags": ["x" * 65]})], "JSON document may not contain that many"),
        ("single", [listen(details={"duration": 1, "duration_ms": 1})], "JSON document should not contain both"),
        ("single", [listen(details={"duration_ms": 0})], "Value for duration_ms is invalid"),
        ("single", [listen(details={"duration_ms": 25 * 86_400_000})], "Value for duration_ms is too large"),
        ("single", [listen(details={"recording_mbid": "none"})], "recording_mbid MBID format invalid."),
        ("single", [listen(details={"artist_mbids": ["none"]})], "artist_mbids MBID format invalid."),
        ("single", [listen(release_name="a\0b")], "The listen contains a unicode null"),
    ):  # fmt: skip
        body = {"listen_type": kind, "payload": listens}
        yield error, [Step("POST /1/submit-listens", body, 400, {"code": 400, "error": error})]
    valid = {"code": 200, "message": "Token valid.", "valid": True, "user_name": "anna"}
    yield "a token", [Step("GET /1/validate-token", part=valid)]
    nobody = {"authorization": "Token nobody's"}
    yield "a token of nobody", [Step("GET /1/validate-token", None, 200, {"valid": False}, nobody)]
    yield "no token", [Step("GET /1/validate-token", None, 400, None, {"authorization": ""})]
    refused = {"error": "Invalid authorization token."}
    submit = {"listen_type": "single", "payload": [listen()]}
    yield "a listen of nobody", [Step("POST /1/submit-listens", submit, 401, refused, nobody)]
    ok = Step("POST /1/submit-listens", submit, 200, {"status": "ok"})
    too_many = Step("POST /1/submit-listens", submit, 429)
    yield "calls that count down", [Step("fake.limit=2"), ok, ok, too_many, Step("clock+10"), ok]
    down = Step("POST /1/submit-listens", submit, 503, {"code": 503})
    yield "a queue that is down", [Step("fake.queue_down=true"), down]
    named = {"artist_name": "a", "recording_name": "b"}
    query = "&".join(f"{name}={value}" for name, value in named.items())
    yield "an unknown recording", [Step(f"GET /1/metadata/lookup/?{query}", part={})]
    for one in (
        {"recording_mbid": "x", "score": 1},
        {"recording_mbid": "98255a8c-017a-4bc7-8dd6-1fa36124572b", "score": 5},
    ):
        yield f"feedback {one['score']}", [Step("POST /1/feedback/recording-feedback", one, 400)]


# TV Time: https://github.com/Zggis/plex-tvtime

TVTIME_API = "/sidecar?o=https://api2.tozelabs.com/v2"
MARKED = {"result": "OK", "id": 8685325, "number": 2, "show": {"id": 398096, "name": "Moonshine"}}


def tvtime() -> Iterator[tuple[str, list[Step]]]:
    episode = f"{TVTIME_API}/watched_episodes/episode/8685325&is_rewatch=0"
    yield "a mark", [Step(f"POST {episode}", part=MARKED)]
    yield "no token", [Step(f"POST {episode}", None, 401, None, {"authorization": ""})]
    yield "an address that leads nowhere", [Step(f"GET {TVTIME_API}/nothing", status=404)]
    yield "no address", [Step("GET /sidecar", status=404)]
    login = "POST /sidecar?o=https://auth.tvtime.com/v1/login"
    body = {"username": "anna", "password": "secret"}
    yield (
        "a login without a minted token",
        [
            Step(login, body, 400, None, {"authorization": ""}),
            Step("fake.login_needs_bearer=false"),
            Step(login, body, 200, {"status": "success"}, {"authorization": ""}),
        ],
    )
    closed = [Step("fake.service_closed=true"), Step(f"POST {episode}", status=404)]
    yield "the closed service", closed


# MDBList: https://api.mdblist.com/docs/

IN_SHOW = {"show": {"ids": {"tmdb": 1396}, "season": {"number": 1, "episode": {"number": 1}}}}
DATED = {"ids": {"tmdb": 20526}, "watched_at": "2026-11-20T19:00:00Z"}
BAD_SEASON = {"ids": {"tmdb": 1396}, "seasons": [{"number": 2008, "episodes": [{"number": 1}]}]}


def mdblist() -> Iterator[tuple[str, list[Step]]]:
    watched = "POST /sync/watched?report_added=true"
    plays = "GET /sync/watched?plays=all"
    for progress in (-1, 100.1, "50", None):
        body = {"progress": progress, **IN_SHOW}
        yield f"progress {progress!r}", [Step("POST /scrobble/stop", body, 400, {"error": "progress"})]
    no_key = {"authorization": ""}
    wrong = {"error": "Invalid API key"}
    yield "no key", [Step("GET /user", None, 403, wrong, no_key)]
    yield "a wrong key", [Step("GET /user?apikey=nobodys", None, 403, wrong, no_key)]
    yield "a key in a header", [Step("GET /user", None, 403, wrong, {**no_key, "x-api-key": "key"})]
    yield "a wrong token", [Step("GET /user", None, 401, None, {"authorization": "Bearer nobodys"})]
    limits = {"rate_limit": 1000, "rate_limit_remaining": 999, "rate_limit_reset": 1795392000}
    yield "the account", [Step("GET /user", part={"username": "anna", "plan": "Free", **limits})]
    yield "OAuth without its slash", [Step("POST /oauth/token", {}, 404)]
    stop = Step("POST /scrobble/stop", {"progress": 95, **IN_SHOW}, 201)
    lists_one = Step(plays, part={"pagination": {"has_more": False}})
    yield "a stop is a play", [stop, lists_one]
    lost = {"error": "Season not found in database"}
    season = {"show": {"ids": {"tmdb": 1396}, "season": {"number": 2008, "episode": {"number": 1}}}}
    yield "a season by its year", [Step("POST /scrobble/stop", {"progress": 95, **season}, 404, lost)]
    only_tvdb = {"show": {"ids": {"tvdb": 81189}, "season": 1, "episode": 1}}
    yield "an id of TheTVDB alone", [Step("POST /scrobble/stop", {"progress": 95, **only_tvdb}, 404)]
    added = {"added": {"movies": 1}, "updated": {"movies": 0}, "not_found": {"movies": []}}
    again = {"added": {"movies": 0}, "updated": {"movies": 1}}
    mark = Step(watched, {"movies": [DATED]}, 200, added)
    yield "a dated mark twice", [mark, Step(watched, {"movies": [DATED]}, 200, again)]
    unreported = Step("POST /sync/watched", {"movies": [DATED]}, 200, again)
    yield "a first viewing that is not reported counts as an update", [unreported]
    missing = {"updated": {"episodes": 0}, "not_found": {"shows": [BAD_SEASON]}}
    yield "what is not found is inside a success", [Step(watched, {"shows": [BAD_SEASON]}, 200, missing)]
    yield "too many at once", [Step(watched, {"movies": [DATED] * 101}, 400)]
    gone = Step("POST /sync/watched/plays/remove", {"play_ids": [77001]}, 200, {"removed": [77001]})
    there_not = {"removed": [], "not_found": [77001]}
    twice = Step("POST /sync/watched/plays/remove", {"play_ids": [77001]}, 200, there_not)
    yield "a play taken back twice", [mark, gone, twice]
    state = {"removed": {"movies": 1}}
    yield "a state without its play", [
        mark, gone, Step("POST /sync/watched/remove", {"movies": [{"ids": {"tmdb": 20526}}]}, 200, state)
    ]  # fmt: skip
    rated = {"movies": [{"ids": {"tmdb": 20526}, "rating": 11}]}
    yield "a rating of eleven", [Step("POST /sync/ratings", rated, 400)]
    daily = Step("GET /user", None, 429, {"error": "Daily API limit"})
    yield "the calls of a day", [
        Step("fake.daily_limit=1"), Step("GET /user"), daily, Step("clock+14400"), Step("GET /user")
    ]  # fmt: skip
    too_fast = Step("POST /scrobble/stop", {"progress": 95, **IN_SHOW}, 429, {"error": "Too many"})
    yield "the calls of five minutes", [Step("fake.writes=1"), stop, too_fast, Step("clock+301"), stop]


SERVICES = {
    "mdblist": mdblist,
    "trakt": trakt,
    "simkl": simkl,
    "listenbrainz": listenbrainz,
    "tvtime": tvtime,
}
CASES: list[Case] = [(service, name, steps) for service, make in SERVICES.items() for name, steps in make()]
