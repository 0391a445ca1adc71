"""The sequences of webhooks beside the repository: posted at their times, and what must be left at the end.

Each goes over HTTP to the whole application; only the clock is handed in.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
import time_machine

from tests.prepared import open_service
from webhook import app, clock
from webhook.people import identities, people, tokens
from webhook.service import Service

SCENARIOS = Path(__file__).parent.parent.parent / "shared" / "scenarios"
BEGIN = datetime(2026, 11, 29, 18, 0, tzinfo=UTC)
FIELDS = {"plex": "payload", "emby": "data"}
MARK = re.compile(r'"@(NOW|UTC|LOCAL)([+-][0-9]+)?"')
BODIES = {
    "25-boundary-stripped.body": ("plex", "multipart/form-data", "u30"),
    "29-raw-newline.body": ("jellyfin", "text/plain; charset=utf-8", "u30"),
}


class Household:
    """A service without its workers: what is posted is interpreted at once, and plays are closed in time."""

    def __init__(self, folder: Path) -> None:
        environ = {"DATA_DIR": str(folder), "WORKER": "false", "TVTIME_URL": ""}
        self.service: Service = open_service(environ)
        self.tokens: dict[str, str] = {}
        for kind, person in (("webhook", None), ("api", None), ("bound", 1)):
            secret = self.tokens[kind] = tokens.new_secret()
            sealed = self.service.seal.seal(secret)
            of = "webhook" if kind == "bound" else kind
            self.service.database.do(
                lambda connection, of=of, secret=secret, sealed=sealed, person=person: tokens.add_token(  # type: ignore[misc]
                    connection, of, secret, sealed, clock.now(), person_id=person
                )
            )

    def claim(self, user: str, *sources: str) -> None:
        for source in sources:
            self.service.database.do(
                lambda connection, source=source: identities.claim_identities(  # type: ignore[misc]
                    connection, people.FIRST_PERSON, f"{source}:{user}", clock.now()
                )
            )

    def interpret(self) -> None:
        interpreter = self.service.interpreter
        while self.service.database.do(lambda connection: interpreter.interpret(connection, [16]))[0]:
            pass
        self.service.database.do(lambda connection: interpreter.sweep(connection, [clock.now()]))

    def run(self, story: Callable[[httpx.AsyncClient], Any]) -> Any:
        async def whole() -> Any:
            inner = httpx.ASGITransport(app.web_app(self.service))
            async with httpx.AsyncClient(transport=inner, base_url="http://watchmark") as http:
                return await story(http)

        return asyncio.run(whole())

    async def ask(self, http: httpx.AsyncClient, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens['api']}"}
        answer = await http.get(f"/api/v1{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def outcome(self, http: httpx.AsyncClient) -> Outcome:
        return Outcome(
            plays=(await self.ask(http, "/plays?limit=100"))["items"],
            deliveries=(await self.ask(http, "/deliveries?limit=100"))["items"],
            webhooks=(await self.ask(http, "/webhooks?limit=100"))["items"],
        )


class Outcome:
    def __init__(self, *, plays: list[Any], deliveries: list[Any], webhooks: list[Any]) -> None:
        self.plays, self.deliveries, self.webhooks = plays, deliveries, webhooks
        self.watched = [one for one in plays if one["watched_at"] and not one["unwatched_at"]]
        self.states = [one["state"] for one in webhooks]

    @property
    def open(self) -> list[str]:
        return [one["title"] for one in self.plays if one["state"] != "stopped"]


def dated(body: Any, now: datetime) -> bytes:
    """The body with the sender's times."""

    def at(match: re.Match[str]) -> str:
        moment = now + timedelta(seconds=int(match[2] or 0))
        if match[1] == "NOW":
            return str(int(moment.timestamp()))
        if match[1] == "UTC":
            return json.dumps(moment.strftime("%Y-%m-%dT%H:%M:%S.0000000Z"))
        local = moment.astimezone(timezone(timedelta(hours=1)))
        return json.dumps(local.strftime("%Y-%m-%dT%H:%M:%S.0000000+01:00"))

    return MARK.sub(at, json.dumps(body, ensure_ascii=False)).encode()


def user_in(body: Mapping[str, Any]) -> str | None:
    account, user = body.get("Account") or {}, body.get("User") or {}
    return account.get("title") or body.get("NotificationUsername") or user.get("Name")


async def send(http: httpx.AsyncClient, source: str, how: str, body: bytes, token: str) -> httpx.Response:
    address = f"/webhooks/{source}/{token}"
    if how == "json":
        return await http.post(address, content=body, headers={"Content-Type": "application/json"})
    if source in FIELDS:
        return await http.post(address, files={FIELDS[source]: (None, body, "application/json")})
    return await http.post(address, content=body, headers={"Content-Type": "text/plain; charset=utf-8"})


def play_out(folder: Path, name: str, *, token: str = "webhook", claim: bool = True) -> Outcome:
    """Post a scenario step by step, each at its time; what is left at the end."""
    steps = json.loads((SCENARIOS / name).read_text())
    with time_machine.travel(BEGIN, tick=False) as machine:
        household = Household(folder)
        users = dict.fromkeys(user for step in steps if (user := user_in(step["body"])))
        for user in users if claim else ():
            household.claim(user, *{step["source"] for step in steps})

        async def story(http: httpx.AsyncClient) -> Outcome:
            for step in steps:
                machine.move_to(BEGIN + timedelta(seconds=step["at_s"]))
                body = dated(step["body"], clock.now())
                answer = await send(http, step["source"], step["how"], body, household.tokens[token])
                assert answer.status_code == 200, answer.text
                household.interpret()
            return await household.outcome(http)

        outcome: Outcome = household.run(story)
        household.service.database.close()
    return outcome


@pytest.fixture(autouse=True)
def beside() -> None:
    if not SCENARIOS.exists():
        pytest.skip("the scenarios are not beside this checkout")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("01-same-title-shows-disjoint-ids.json", 2),
        ("03-short-episode-rewatched-no-duration.json", 3),
        ("03b-short-episode-rewatched-duration.json", 3),
        ("04-stop-lost-then-rewatch.json", 2),
        ("06-skip-credits-play-again.json", 1),
        ("07-peek-end-twice.json", 1),
        ("08-autoplay-start-before-stop.json", 1),
        ("09-stop-88-not-completed.json", 1),
        ("10-season-series-toggled.json", 5),
        ("14-toggle-with-old-last-played.json", 1),
        ("17-template-without-itemtype.json", 0),
        ("21-pause-85-then-stop-no-offset.json", 1),
        ("31-user-nfd.json", 1),
        ("38-song-skipped-completed-true.json", 0),
        ("45-now-playing-after-rewatch.json", 2),
        ("46-85-percent-then-rest-next-day.json", 1),
        ("47-jellyfin-85-then-rest-next-day.json", 1),
        ("48-unfinished-three-days.json", 1),
        ("65-half-on-tv-rest-on-phone.json", 1),
        ("83-plex-twins-legacy-agents.json", 2),
        ("88-finish-template-without-server-and-season.json", 1),
        ("90-same-with-serverid.json", 0),
    ],
)
def test_every_viewing_is_counted_once(tmp_path: Path, name: str, count: int) -> None:
    outcome = play_out(tmp_path, name)

    assert len(outcome.watched) == count
    marks = [one for one in outcome.deliveries if one["mark"] and one["tracker"] == "tvtime"]
    assert len(marks) == len([one for one in outcome.plays if one["watched_at"]])
    assert not [one for one in outcome.deliveries if one["state"] == "dead"]


def test_two_shows_of_one_title_keep_their_ids_apart(tmp_path: Path) -> None:
    first, second = play_out(tmp_path, "01-same-title-shows-disjoint-ids.json").watched[::-1]

    assert (first["title"], first["year"], first["ids"]) == ("Pilot A", 2016, {"imdb": "tt40000000"})
    assert (second["title"], second["year"], second["ids"]) == ("Pilot B", 2026, {"tvdb": 20000500})


def test_two_shows_of_legacy_agents_keep_their_ids_apart(tmp_path: Path) -> None:
    first, second = play_out(tmp_path, "83-plex-twins-legacy-agents.json").watched[::-1]

    assert (first["show_ids"], second["show_ids"]) == ({"tvdb": 50000000}, {"tmdb": 70000001})


def test_what_follows_on_a_player_plays_though_the_stop_before_comes_late(tmp_path: Path) -> None:
    outcome = play_out(tmp_path, "08-autoplay-start-before-stop.json")

    assert outcome.open == ["Episode 1009"]
    assert [one["title"] for one in outcome.watched] == ["Episode 1008"]


def test_nothing_is_left_playing_after_a_rewatch(tmp_path: Path) -> None:
    assert play_out(tmp_path, "45-now-playing-after-rewatch.json").open == []


def test_a_mark_of_another_tool_keeps_its_date(tmp_path: Path) -> None:
    (one,) = play_out(tmp_path, "14-toggle-with-old-last-played.json").watched

    assert one["watched_at"] == "2024-05-01T19:30:00.000Z"


def test_an_item_of_an_unknown_kind_is_told_to_nobody(tmp_path: Path) -> None:
    outcome = play_out(tmp_path, "17-template-without-itemtype.json")

    assert (outcome.plays, outcome.deliveries) == ([], [])
    assert [(one["state"], one["reason"]) for one in outcome.webhooks] == [("ignored", "unknown_kind")]


def test_a_friend_at_somebodys_own_address_is_nobodys(tmp_path: Path) -> None:
    outcome = play_out(tmp_path, "77-bound-token-friend.json", token="bound", claim=False)

    assert (outcome.plays, outcome.states) == ([], ["unclaimed"])


def test_what_a_server_adds_by_itself_is_no_question(tmp_path: Path) -> None:
    outcome = play_out(tmp_path, "78-emby-library-new.json", claim=False)

    assert [(one["state"], one["reason"]) for one in outcome.webhooks] == [("ignored", "nobody_did_it")]


def test_a_user_is_the_same_in_every_form_of_unicode(tmp_path: Path) -> None:
    steps = json.loads((SCENARIOS / "31-user-nfd.json").read_text())
    names = {user_in(step["body"]) for step in steps}

    with time_machine.travel(BEGIN, tick=False):
        household = Household(tmp_path)
        household.claim("José", "plex")

        async def story(http: httpx.AsyncClient) -> Outcome:
            for step in steps:
                body = dated(step["body"], clock.now())
                await send(http, "plex", "default", body, household.tokens["webhook"])
            household.interpret()
            return await household.outcome(http)

        outcome: Outcome = household.run(story)
        household.service.database.close()

    assert names != {"José"}
    assert len(outcome.watched) == 1


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_was_damaged_on_its_way_is_read(tmp_path: Path, name: str) -> None:
    source, content_type, user = BODIES[name]
    with time_machine.travel(BEGIN, tick=False):
        household = Household(tmp_path)
        household.claim(user, source)

        async def story(http: httpx.AsyncClient) -> Outcome:
            address = f"/webhooks/{source}/{household.tokens['webhook']}"
            body = (SCENARIOS / name).read_bytes()
            answer = await http.post(address, content=body, headers={"Content-Type": content_type})
            assert answer.status_code == 200, answer.text
            household.interpret()
            return await household.outcome(http)

        outcome: Outcome = household.run(story)
        household.service.database.close()

    assert len(outcome.watched) == 1


def test_every_scenario_is_told_here() -> None:
    here = Path(__file__).read_text()

    assert [path.name for path in SCENARIOS.glob("*-*") if path.name not in here] == []
