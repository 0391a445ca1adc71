"""The command `watchmark`, against real files, real processes and the fake trackers over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import Connection, select, update
from typer.testing import CliRunner

from tests.conftest import made_database
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.fakes.tvtime import TVTime
from tests.prepared import prepare
from webhook import app, cli, clock, settings, sources, trackers
from webhook.accounts import accounts, settings_store
from webhook.accounts.seal import Seal
from webhook.cli import _common, doctor, serve
from webhook.domain.outcome import Park
from webhook.people import tokens
from webhook.queries.deliveries import count_by_state
from webhook.queries.senders import find_silent_servers, store_dismissal
from webhook.queues import inbox, parking
from webhook.queues.inbox import ReceivedWebhook
from webhook.storage.db import Database
from webhook.storage.tables import account, delivery, identity, note, person, token, webhook
from webhook.trackers import DeviceCode, SignInFailed, Tokens

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
SOON = 30.0


# --- a home for the commands


class Home:
    """A data folder, and the commands run in it: in this process, or in one of their own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self.monkeypatch.setenv(name, value)

    def run(self, *words: str, stdin: str = "") -> Any:
        return CliRunner().invoke(cli.app, list(words), input=stdin)

    def json(self, *words: str, stdin: str = "") -> Any:
        """What the command says with --json, once it is done well."""
        ended = self.run(*words, "--json", stdin=stdin)
        assert ended.exit_code == 0, ended.stderr
        return json.loads(ended.stdout)

    def empty(self) -> None:
        """As before a first start."""
        (self.folder / "watchmark.db").unlink()

    def start(self, *words: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-m", "webhook", *words]
        return subprocess.Popen(command, cwd=self.folder, env=environ, **pipes)

    @contextmanager
    def running(self, *words: str) -> Iterator[Any]:
        """A process that stays, with what its first line says as `said`; SIGTERM ends it."""
        process: Any = self.start(*words, "--json")
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            process.said = json.loads(line)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=SOON)

    def do(self, change: Callable[[Connection], T]) -> T:
        database = Database(f"sqlite:///{self.folder}/watchmark.db", checkpoint=False)
        try:
            return database.do(change)
        finally:
            database.close()

    def received(self, payload: Mapping[str, Any], source: str = "plex") -> int:
        """A webhook that has arrived and was interpreted; its number."""
        service = app.open_service(dict(os.environ))
        raw = json.dumps(payload).encode()
        one = ReceivedWebhook(
            source=source, token_id=None, received_at=clock.now(), content_type="application/json", raw=raw
        )
        (made,) = service.database.do(lambda connection: inbox.store_webhooks(connection, [one]))
        service.database.do(lambda connection: service.interpreter.interpret(connection, [16]))
        asyncio.run(service.http.aclose())
        service.database.close()
        return made

    def state(self, number: int) -> str:
        wanted = select(webhook.c.state).where(webhook.c.id == number)
        return str(self.do(lambda connection: connection.execute(wanted).scalar_one()))

    def account(self, tracker: str) -> Any:
        wanted = select(account).where(account.c.tracker == tracker)
        return self.do(lambda connection: connection.execute(wanted).first())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in list(os.environ):
        prefixed = name.startswith(("TRAKT_", "TVTIME_", "DATABASE_", "ADMIN_", "BASE_", "ROOT_"))
        if prefixed or name.endswith("_FILE") or name in ("HOST", "PORT", "SECRET_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CLAIM_FIRST_USER", "true")
    prepare(tmp_path)
    return Home(tmp_path, monkeypatch)


@pytest.fixture
def trakt(home: Home) -> Iterator[Any]:
    with Server(Trakt(interval=1)) as server:
        server.fake.catalogue.add("movie", title="Paper Boats", year=2016, ids={"tmdb": 771100})
        server.fake.catalogue.add("movie", title="Salt Road", year=1999, ids={"tmdb": 771200})
        home.set(TRAKT_CLIENT_ID="fake-client-id", TRAKT_CLIENT_SECRET="fake-client-secret")
        home.set(TRAKT_API_URL=server.url, TRAKT_AUTH_URL=server.url, TRAKT_WRITES_PER_SECOND="0")
        yield server.fake


@pytest.fixture
def tvtime(home: Home) -> Iterator[Any]:
    with Server(TVTime()) as server:
        home.set(TVTIME_URL=server.url, TVTIME_WRITES_PER_SECOND="0")
        yield server.fake


def signed_in(home: Home, trakt: Any) -> None:
    trakt.switches.auto_approve = "anna"
    assert home.run("connect", "trakt").exit_code == 0


def watched(user: str = "anna", title: str = "Paper Boats") -> dict[str, Any]:
    about = {"type": "movie", "title": title, "year": 2016, "duration": 6_000_000}
    return {
        "event": "media.scrobble",
        "Account": {"id": 1, "title": user},
        "Server": {"title": "Attic", "uuid": "attic-1"},
        "Player": {"title": "Sofa", "uuid": "sofa-1"},
        "Metadata": {**about, "librarySectionType": "movie", "Guid": [{"id": "tmdb://771100"}]},
    }


def soon(holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + SOON
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


# --- urls


def test_each_source_has_its_address_and_plex_takes_the_token_in_the_query(home: Home) -> None:
    home.set(BASE_URL="https://tv.example/")

    found = home.json("urls")

    assert set(found) == set(sources.modules())
    assert found["plex"]["url"].startswith("https://tv.example/webhooks/plex?token=")
    assert found["jellyfin"]["url"].startswith("https://tv.example/webhooks/jellyfin/")
    assert any(found["plex"]["url"] in step for step in found["plex"]["setup"])
    assert found["jellyfin"]["template"] == "https://tv.example/api/v1/templates/jellyfin"
    assert found["emby"]["template"] is None


def test_a_template_is_printed_as_it_is_pasted(home: Home) -> None:
    ended = home.run("urls", "--template", "jellyfin")

    assert json.loads(ended.stdout)["NotificationType"] == "{{NotificationType}}"


def test_a_source_without_a_template_is_said_to_have_none(home: Home) -> None:
    ended = home.run("urls", "--template", "plex")

    assert ended.exit_code == 1
    assert "There is no template for plex. Templates exist for generic, jellyfin, tautulli." in ended.stderr


# --- tokens


def test_an_api_token_is_shown_once_and_only_its_digest_is_kept(home: Home) -> None:
    made = home.json("token", "new", "--kind", "api", "--name", "home automation")

    row = home.do(lambda connection: connection.execute(select(token).where(token.c.id == made["id"])).one())
    assert row.digest == tokens.digest(made["secret"])
    assert row.sealed == ""
    assert made["secret"] not in home.run("token", "list", "--json").stdout


def test_a_persons_webhook_token_has_addresses_beside_the_first_ones(home: Home) -> None:
    home.run("people", "add", "ben")

    made = home.json("token", "new", "--kind", "webhook", "--person", "ben")

    listed = home.json("urls")["emby"]["urls"]
    assert [entry["person"] for entry in listed] == [None, "ben"]
    assert listed[1]["url"] == made["urls"]["emby"]
    assert made["secret"] in made["urls"]["emby"]


def test_a_token_for_nobody_there_is_is_not_made(home: Home) -> None:
    ended = home.run("token", "new", "--kind", "webhook", "--person", "ben")

    assert ended.exit_code == 1
    assert "there is nobody called ben; there is me" in ended.stderr
    assert len(home.json("token", "list")["tokens"]) == 1


def test_a_revoked_token_has_no_address_any_more(home: Home) -> None:
    home.run("token", "new", "--kind", "webhook")

    home.run("token", "revoke", "1")

    assert [entry["token"] for entry in home.json("urls")["plex"]["urls"]] == [2]
    assert [bool(row["revoked_at"]) for row in home.json("token", "list")["tokens"]] == [True, False]


def test_an_api_token_may_do_what_its_scopes_say_and_ends_when_it_should(home: Home) -> None:
    words = ("token", "new", "--kind", "api", "--scope", "history:write", "--scope", "read")

    made = home.json(*words, "--expires-in-days", "30")

    row = home.do(lambda connection: connection.execute(select(token).where(token.c.id == made["id"])).one())
    assert made["scopes"] == row.scopes == ["read", "history:write"]
    assert made["expires_at"] == clock.stamp(row.expires_at)
    assert row.expires_at - row.created_at == timedelta(days=30)
    assert made["calendar"] is None


def test_an_api_token_without_options_may_do_everything_for_ever(home: Home) -> None:
    made = home.json("token", "new", "--kind", "api")

    assert (made["scopes"], made["expires_at"]) == (["admin"], None)


def test_a_token_for_the_calendar_comes_as_the_address_to_subscribe_to(home: Home) -> None:
    home.set(BASE_URL="https://tv.example")

    said = home.run("token", "new", "--kind", "api", "--scope", "calendar").stdout

    assert said.startswith("https://tv.example/api/v1/calendar.ics?token=")
    (made,) = [one for one in home.json("token", "list")["tokens"] if one["kind"] == "api"]
    assert (made["person"], made["scopes"]) == ("me", ["calendar"])
    home.run("people", "add", "ben")
    assert home.run("token", "new", "--kind", "api", "--scope", "calendar").exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--kind", "webhook", "--scope", "read"),
        ("--kind", "app", "--person", "me", "--scope", "read"),
        ("--kind", "webhook", "--expires-in-days", "30"),
        ("--kind", "api", "--expires-in-days", "0"),
        ("--kind", "api", "--scope", "write"),
    ],
)
def test_a_limit_that_a_token_cannot_have_is_wrong_usage(home: Home, words: Sequence[str]) -> None:
    assert home.run("token", "new", *words).exit_code == 2


def token_of_old(connection: Connection) -> None:
    now = clock.now()
    tokens.add_token(connection, "api", "from before", "", now, name="old")
    ended = now - timedelta(days=1)
    tokens.add_token(connection, "api", "ended", "", now, name="short", scopes=["read"], expires_at=ended)


def test_the_list_says_what_each_token_may_do_and_which_have_ended(home: Home) -> None:
    home.run("urls")
    home.do(token_of_old)

    listed = home.run("token", "list").stdout.splitlines()

    assert [" everything " in line for line in listed] == [False, False, True, False]
    assert [" read " in line and " expired 20" in line for line in listed] == [False, False, False, True]
    assert [one["expired"] for one in home.json("token", "list")["tokens"]] == [False, False, True]


def test_a_webhook_token_that_has_ended_has_no_address(home: Home) -> None:
    home.run("token", "new", "--kind", "webhook")
    ended = update(token).where(token.c.id == 1).values(expires_at=clock.now())

    home.do(lambda connection: connection.execute(ended))

    assert [entry["token"] for entry in home.json("urls")["plex"]["urls"]] == [2]


def test_a_token_is_revoked_once(home: Home) -> None:
    home.run("token", "revoke", "1")

    ended = home.run("token", "revoke", "1")

    assert ended.exit_code == 1
    assert "there is no valid token 1" in ended.stderr


# --- people


def test_a_new_person_has_the_built_in_library_from_the_start(home: Home) -> None:
    home.run("people", "add", "ben")

    listed = home.json("accounts")["accounts"]

    assert [(row["person"], row["tracker"]) for row in listed] == [("me", "tvtime"), ("ben", "tvtime")]


def test_a_name_is_given_once(home: Home) -> None:
    ended = home.run("people", "add", "me")

    assert ended.exit_code == 1
    assert "there is a person called me already" in ended.stderr


def test_who_waits_for_a_claim_is_listed_and_a_claim_wakes_the_webhooks(home: Home) -> None:
    home.received(watched("anna"))
    number = home.received(watched("Ben"))
    waits = home.json("people", "list")["unclaimed"]

    claimed = home.json("people", "claim", "me", "plex:ben")

    assert [(one["user"], one["webhooks"]) for one in waits] == [("Ben", 1)]
    assert claimed["webhooks"] == 1
    assert home.state(number) == "received"


@pytest.mark.parametrize("name", ["Ben from the attic", "(nobody named)", "O'Brien"])
def test_the_command_that_claims_a_user_can_be_copied_into_a_shell(home: Home, name: str) -> None:
    home.run("people", "claim", "me", "plex:anna")
    home.received(watched(name))
    listed = home.run("people", "list").stdout
    command = listed.partition("webhook): ")[2].splitlines()[0]

    claimed = home.run(*shlex.split(command.replace("NAME", "me"))[1:])

    assert claimed.exit_code == 0
    assert f"me claims plex:{name}. 1 webhook waiting" in claimed.stdout


def test_a_claim_of_one_never_seen_is_taken_and_said(home: Home) -> None:
    ended = home.run("people", "claim", "me", "plex:Ana")

    assert ended.exit_code == 0
    assert "This user has not played anything yet" in ended.stdout


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        ("kodi:Anna", "kodi is not a source. Sources: emby"),
        ("Anna", "Anna is not an identity: write source:user"),
        ("plex:Anna@Attic", "no plex user Anna was seen on a server Attic"),
    ],
)
def test_a_claim_of_what_there_is_not_is_refused(home: Home, identity: str, says: str) -> None:
    ended = home.run("people", "claim", "me", identity)

    assert ended.exit_code == 1
    assert says in ended.stderr


def test_a_released_identity_is_nobodys(home: Home) -> None:
    home.run("people", "claim", "me", "plex:anna")

    ended = home.run("people", "release", "me", "plex:anna")

    assert ended.exit_code == 0
    assert [one["identities"] for one in home.json("people", "list")["people"]] == [[]]


def test_what_is_not_claimed_cannot_be_released(home: Home) -> None:
    ended = home.run("people", "release", "me", "plex:anna")

    assert ended.exit_code == 1
    assert "me does not claim plex:anna" in ended.stderr


def test_a_filter_holds_for_what_arrives_after_it(home: Home) -> None:
    home.run("people", "filter", "me", "--not-library", "Kids", "--not-player", "Sofa")

    number = home.received(watched())

    assert home.json("trace", str(number))["reason"] == "filter: never the player Sofa"


def test_a_filter_given_replaces_its_kind_and_leaves_the_others(home: Home) -> None:
    home.run("people", "filter", "me", "--library", "Films", "--kind", "movie", "--home-videos")

    filters = home.json("people", "filter", "me", "--library", "Series", "--library", "Anime")["filters"]

    assert filters["libraries"] == ["Series", "Anime"]
    assert filters["kinds"] == ["movie"]
    assert filters["home_videos"] is True


def test_cleared_filters_let_everything_through(home: Home) -> None:
    home.run("people", "filter", "me", "--library", "Films", "--home-videos")

    filters = home.json("people", "filter", "me", "--clear")["filters"]

    assert not any(filters.values())


def test_a_password_is_read_from_stdin_and_kept_as_a_hash(home: Home) -> None:
    ended = home.run("people", "password", "me", stdin="correct horse\n")

    kept = home.do(lambda connection: connection.execute(select(person.c.password)).scalar_one())
    assert ended.exit_code == 0
    assert PasswordHasher().verify(str(kept), "correct horse")


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        ("", "No input."),
        ("short\n", "at least 8 characters"),
        ("x" * 1025 + "\n", "at most 1024 characters"),
    ],
)
def test_a_password_that_is_none_is_refused(home: Home, stdin: str, says: str) -> None:
    ended = home.run("people", "password", "me", stdin=stdin)

    assert ended.exit_code == 1
    assert says in ended.stderr


# --- connect


def test_a_device_code_is_shown_at_once_and_the_sign_in_follows_the_approval(home: Home, trakt: Any) -> None:
    with home.running("connect", "trakt") as process:
        trakt.approve("anna", process.said["user_code"])
        result = json.loads(process.stdout.readline())
        code = process.wait(SOON)

    assert code == 0
    assert set(process.said) == {"user_code", "verification_url", "expires_in", "interval"}
    assert (result["works"], result["name"], result["person"]) == (True, "anna", "me")
    assert trakt.sessions[0].access not in home.account("trakt").tokens
    assert home.account("trakt").tells == ["pause", "start", "stop", "watched"]


def test_a_sign_in_that_is_refused_is_said_and_nothing_is_kept(home: Home, trakt: Any) -> None:
    with home.running("connect", "trakt") as process:
        trakt.deny(process.said["user_code"])
        code = process.wait(SOON)
        said = process.stderr.read()

    assert code == 1
    assert "the sign-in was refused at Trakt" in said
    assert home.account("trakt") is None


def test_a_new_sign_in_sets_going_what_waited_and_keeps_what_is_told(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    home.run("accounts", "tell", "trakt", "--on", "rate")
    home.received(watched())
    parked = home.account("trakt").id
    home.do(lambda connection: parking.park(connection, parked, Park.SIGNED_OUT, "401", clock.now()))

    signed_in(home, trakt)

    assert home.account("trakt").parked is None
    assert "rate" in home.account("trakt").tells
    assert home.do(count_by_state) == {"waiting": 2}


def test_tv_time_is_signed_in_to_by_two_lines_of_stdin(home: Home, tvtime: Any) -> None:
    tvtime.add_user("anna", "secret of hers")

    result = home.json("connect", "tvtime", stdin="anna\nsecret of hers\n")

    assert (result["works"], result["name"]) == (True, "anna")
    assert home.account("tvtime").tokens


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        ("anna\nwrong\n", "did not accept this name and password"),
        ("anna\n", "Write the tv time user name and then the tv time password to standard input"),
    ],
)
def test_a_wrong_password_and_a_missing_one_are_said(home: Home, tvtime: Any, stdin: str, says: str) -> None:
    tvtime.add_user("anna", "secret of hers")

    ended = home.run("connect", "tvtime", stdin=stdin)

    assert ended.exit_code == 1
    assert says in ended.stderr
    assert home.account("tvtime") is None


def test_the_built_in_library_needs_no_sign_in(home: Home) -> None:
    ended = home.run("connect", "tvtime")

    assert ended.exit_code == 0
    assert "is built in and needs no sign-in" in ended.stdout


def test_a_tracker_that_is_not_set_up_names_what_to_set(home: Home) -> None:
    ended = home.run("connect", "trakt")

    assert ended.exit_code == 1
    assert "Set TRAKT_CLIENT_ID and TRAKT_CLIENT_SECRET" in ended.stderr


def test_an_unknown_tracker_is_said_with_those_there_are(home: Home) -> None:
    ended = home.run("connect", "letterboxd")

    assert ended.exit_code == 1
    assert "There is no tracker called letterboxd; there is" in ended.stderr


def test_whose_account_must_be_said_where_there_are_several_people(home: Home) -> None:
    home.run("people", "add", "ben")

    ended = home.run("connect", "tvtime")

    assert ended.exit_code == 2
    assert "People: me, ben" in ended.stderr


class Device:
    """A tracker of which the sign-in takes so many polls; each is answered after `takes`."""

    def __init__(self, polls: int, takes: float = 0.0) -> None:
        self.polls, self.takes = polls, takes
        self.asked: list[float] = []

    async def begin(self) -> DeviceCode:
        raise AssertionError

    async def poll(self, code: DeviceCode) -> Tokens | None:
        self.asked.append(time.monotonic())
        await asyncio.sleep(self.takes)
        return {"access_token": "a"} if len(self.asked) == self.polls else None


def code(interval: float, life: float) -> DeviceCode:
    return DeviceCode(
        user_code="A", url="u", device_code="d",
        interval=timedelta(seconds=interval), expires_in=timedelta(seconds=life),
    )  # fmt: skip


def test_polling_slows_down_when_the_tracker_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "POLL_SLOWDOWN", 0.5)
    device = Device(polls=2, takes=0.1)

    asyncio.run(accounts.wait_for_approval(device, code(0.05, 10)))

    assert device.asked[1] - device.asked[0] >= 0.1 + 0.05 + 0.5


def test_a_code_that_runs_out_ends_the_waiting() -> None:
    device = Device(polls=1000)

    with pytest.raises(SignInFailed, match="expired"):
        asyncio.run(accounts.wait_for_approval(device, code(0.02, 0.1)))

    assert len(device.asked) > 1


# --- accounts


def test_an_account_that_stops_working_is_parked_by_a_check_and_set_going_by_the_next(
    home: Home, trakt: Any
) -> None:
    signed_in(home, trakt)
    trakt.user("anna").locked = True
    broken = home.run("accounts", "--check", "--json")
    parked = home.account("trakt").parked
    trakt.user("anna").locked = False

    mended = home.json("accounts", "--check")

    assert broken.exit_code == 1
    assert parked == "account_locked"
    checks = {row["tracker"]: row["check"]["works"] for row in mended["accounts"]}
    assert checks == {"trakt": True, "tvtime": True}
    assert home.account("trakt").parked is None


def test_an_account_of_a_service_that_is_away_is_not_parked(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    trakt.faults.add("GET /users/settings", status=503)

    ended = home.run("accounts", "--check")

    assert ended.exit_code == 1
    assert "Trakt answered 503" in ended.stdout
    assert home.account("trakt").parked is None


def test_without_check_no_service_is_asked(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    trakt.calls.clear()

    ended = home.run("accounts")

    assert ended.exit_code == 0
    assert trakt.calls == []


def test_a_sign_in_that_another_process_renews_meanwhile_still_works(
    home: Home, trakt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh token works once: the second to use it must take what the first one got."""
    signed_in(home, trakt)
    before = home.account("trakt")
    trakt.expire("anna")
    refresh = trackers.modules()["trakt"].Trakt.refresh

    async def overtaken(tracker: Any, tokens: Tokens) -> Tokens:
        if home.account("trakt").tokens == before.tokens:
            fresh = await refresh(tracker, tokens)
            key = (home.folder / "secret.key").read_text().strip()
            sealed = Seal(key).seal(dict(fresh))
            home.do(lambda connection: connection.execute(update(account).values(tokens=sealed)))
        return await refresh(tracker, tokens)

    monkeypatch.setattr(trackers.modules()["trakt"].Trakt, "refresh", overtaken)

    verdict = home.json("accounts", "--check")["accounts"]

    assert {row["tracker"]: row["check"]["works"] for row in verdict}["trakt"] is True


def test_what_an_account_is_told_of_can_be_switched(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)

    told = home.json("accounts", "tell", "trakt", "--on", "unwatched", "--on", "rate", "--off", "pause")

    assert told["tells"] == ["rate", "start", "stop", "unwatched", "watched"]


def test_a_tracker_is_not_switched_to_what_it_cannot_be_told(home: Home) -> None:
    ended = home.run("accounts", "tell", "tvtime", "--on", "rate")

    assert ended.exit_code == 1
    assert "TV Time cannot be told rate; it can be told unwatched, watched." in ended.stderr


# --- an account's own rules


def test_rules_given_replace_their_kind_and_leave_the_others(home: Home) -> None:
    home.run("accounts", "rules", "tvtime", "--watched-mark", "60", "--not-library", "Kids")

    said = home.json("accounts", "rules", "tvtime", "--kind", "movie", "--not-library", "Anime")

    assert said["rules"] == {
        "watched_mark": 60,
        "dry_run": False,
        "libraries": [],
        "not_libraries": ["Anime"],
        "players": [],
        "not_players": [],
        "kinds": ["movie"],
    }
    assert home.json("accounts", "rules", "tvtime")["rules"] == said["rules"]


def test_cleared_rules_are_none_but_for_what_else_is_said(home: Home) -> None:
    home.run("accounts", "rules", "tvtime", "--watched-mark", "60", "--player", "Sofa")

    rules = home.json("accounts", "rules", "tvtime", "--clear", "--kind", "movie")["rules"]

    assert {name: value for name, value in rules.items() if value} == {"kinds": ["movie"]}


def test_the_rules_are_said_in_words(home: Home) -> None:
    ended = home.run("accounts", "rules", "tvtime", "--library", "Films")

    assert ended.stdout.splitlines() == [
        "watched mark: 80 % (general setting)",
        "dry run: no",
        "libraries: Films",
        "not libraries: none",
        "players: any",
        "not players: none",
        "kinds: any",
    ]


@pytest.mark.parametrize(
    "words", [("--watched-mark", "0"), ("--watched-mark", "101"), ("--watched-mark", "most"), ("--kind", "x")]
)
def test_a_rule_that_cannot_be_is_wrong_usage_and_changes_nothing(home: Home, words: Sequence[str]) -> None:
    home.run("accounts", "rules", "tvtime", "--watched-mark", "60")

    ended = home.run("accounts", "rules", "tvtime", *words)

    assert ended.exit_code == 2
    assert home.json("accounts", "rules", "tvtime")["rules"]["watched_mark"] == 60


def test_accounts_show_rules_in_short_and_a_dry_run_loudly(home: Home) -> None:
    before = home.run("accounts").stdout
    home.run("accounts", "rules", "tvtime", "--dry-run", "--watched-mark", "60", "--library", "Films")

    shown = home.run("accounts").stdout

    assert "DRY RUN" not in before
    assert "DRY RUN; watched at 60 %; libraries: Films" in shown
    assert "nothing is sent" in shown
    assert "watchmark accounts rules tvtime --person me --no-dry-run" in shown


def test_the_doctor_notes_a_dry_run(home: Home) -> None:
    home.run("accounts", "rules", "tvtime", "--dry-run")

    found = home.json("doctor", "--offline")["findings"]

    noted = [one for one in found if one["about"] == "tvtime of me" and one["level"] == "NOTE"]
    assert ["dry run" in one["says"] for one in noted] == [True]
    assert "--no-dry-run" in noted[0]["do"]


def test_a_dry_run_beside_a_running_service_holds_at_once_and_its_end_sends_nothing_by_itself(
    home: Home, trakt: Any
) -> None:
    signed_in(home, trakt)
    home.set(PORT="0")

    with home.running("serve") as process:
        plex = process.said["webhooks"]["plex"]
        home.run("accounts", "rules", "trakt", "--dry-run")
        httpx.post(plex, json=watched())
        assert soon(lambda: home.do(count_by_state).get("skipped") == 1)
        shown = home.run("trace", "1").stdout
        (number,) = home.json("accounts", "rules", "trakt")["kept_back"]

        ended = home.run("accounts", "rules", "trakt", "--no-dry-run").stdout
        httpx.post(plex, json=other_film())
        assert soon(lambda: len(trakt.user("anna").history) == 1)
        alone = [entry["movie"]["ids"]["tmdb"] for entry in trakt.user("anna").history]
        home.run("retry", str(number))
        assert soon(lambda: len(trakt.user("anna").history) == 2)

    assert "scrobble/stop -> not sent (dry run):" in shown
    assert '"tmdb":771100' in shown
    assert f"A dry run: it would send POST {trakt_url(shown)}. Once that is off, send it" in shown
    assert f"not sent automatically. To send them: watchmark retry {number}" in ended
    assert alone == [771200]


def other_film() -> dict[str, Any]:
    film = watched(title="Salt Road")
    return film | {"Metadata": {**film["Metadata"], "Guid": [{"id": "tmdb://771200"}], "year": 1999}}


def trakt_url(shown: str) -> str:
    """The address that a trace names in its line of a call that was not sent."""
    return next(line.split()[1] for line in shown.splitlines() if "-> not sent" in line)


# --- the household


def test_a_household_rule_is_added_listed_and_removed(home: Home) -> None:
    home.run("people", "add", "ben")

    made = home.json("household", "add", "me", "ben", "--player", "Sofa", "--library", "Films")
    listed = home.json("household", "list")["household"]
    shown = home.run("household", "list").stdout
    home.json("household", "remove", str(made["id"]))

    assert listed == [made]
    assert made["people"] == ["me", "ben"]
    assert "me, ben" in shown
    assert home.json("household", "list")["household"] == []


def test_what_a_household_rule_counts_for_is_said_in_words(home: Home) -> None:
    home.run("people", "add", "ben")

    said = home.run("household", "add", "me", "ben", "--player", "Sofa", "--player", "Den").stdout

    assert "Plays on Sofa or Den count for me and ben from now on." in said
    assert "watchmark household remove 1" in said


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("add", "me"), 1, "needs a player or a library"),
        (("add", "eve", "--player", "Sofa"), 1, "there is nobody called eve"),
        (("add", "--player", "Sofa"), 2, "Missing argument"),
        (("remove", "7"), 1, "there is no household rule 7"),
    ],
)
def test_a_household_rule_that_cannot_be_is_refused(
    home: Home, words: Sequence[str], status: int, says: str
) -> None:
    ended = home.run("household", *words)

    assert ended.exit_code == status
    assert says in ended.stderr
    assert home.json("household", "list")["household"] == []


def test_a_trace_says_for_whom_a_household_rule_counts_and_whose_filter_stopped_it(home: Home) -> None:
    for name in ("ben", "eve"):
        home.run("people", "add", name)
    home.run("people", "claim", "me", "plex:anna")
    home.run("people", "filter", "eve", "--not-player", "Sofa")
    home.run("household", "add", "me", "ben", "eve", "--player", "Sofa")

    told = home.run("trace", str(home.received(watched()))).stdout

    assert "person     me, claimed as plex:anna" in told
    assert "person     ben, by a household rule" in told
    lines = told.splitlines()
    eves = lines.index("  person     eve, by a household rule")
    assert lines[eves + 1] == "  filters    stopped: never the player Sofa"
    assert told.count("passed") == 2
    assert "watched to tvtime of ben" in told
    assert "watched to tvtime of eve" not in told


@pytest.mark.parametrize("server", ["plex", "jellyfin"])
def test_a_server_that_cannot_be_reached_is_asked_about_with_one_mark(home: Home, server: str) -> None:
    ended = home.run("connect", server, "--address", "http://127.0.0.1:9", "--key", stdin="a key\n")

    assert ended.exit_code == 1
    assert "(http://127.0.0.1:9) its address? Nothing was saved; --anyway saves it" in ended.stderr


# --- disconnect


def test_a_disconnected_account_without_deliveries_is_gone_and_revoked(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)

    gone = home.json("disconnect", "trakt")

    assert gone["removed"] is True
    assert home.account("trakt") is None
    assert trakt.sessions == []


def test_a_disconnected_account_with_deliveries_stays_parked_without_its_tokens(
    home: Home, trakt: Any
) -> None:
    signed_in(home, trakt)
    home.received(watched())

    gone = home.json("disconnect", "trakt")

    row = home.account("trakt")
    assert gone["removed"] is False
    assert (row.tokens, row.parked, row.parked_why) == (None, "signed_out", "disconnected")
    assert home.run("accounts", "--check").exit_code == 0


def test_a_disconnect_works_though_the_service_is_away(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    trakt.faults.add("POST /oauth/revoke", status=503)

    ended = home.run("disconnect", "trakt")

    assert ended.exit_code == 0
    assert home.account("trakt") is None


def test_who_is_not_connected_cannot_be_disconnected(home: Home, trakt: Any) -> None:
    ended = home.run("disconnect", "trakt")

    assert ended.exit_code == 1
    assert "me has no account at trakt" in ended.stderr


# --- trace


def test_a_trace_tells_the_whole_story(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    number = home.received(watched())

    told = home.run("trace", str(number)).stdout

    for part in (
        "from plex: interpreted",
        "watched: movie Paper Boats (2016)",
        "item       tmdb 771100 (from webhook)",
        "me, the first to play something",
        "passed",
        "stop to trakt of me: waiting, 0 attempts",
        "watched to tvtime of me: waiting",
    ):
        assert part in told


def test_a_trace_without_deliveries_says_why_there_are_none(home: Home) -> None:
    number = home.received(watched() | {"event": "media.play"})

    alone = home.run("trace", str(number)).stdout
    home.received(watched())
    beside = home.run("trace", str(number)).stdout

    assert (
        "deliveries none; nothing was sent for this play: no account of me takes this, or it came too"
        in alone
    )
    assert "deliveries none of its own; those of this play come from webhook 2" in beside


def test_a_trace_of_what_is_no_viewing_has_no_play(home: Home) -> None:
    number = home.received(watched() | {"event": "media.rate", "rating": 8.0})

    told = home.run("trace", str(number)).stdout

    assert home.json("trace", str(number))["events"][0]["play"] is None
    assert "rate: movie Paper Boats (2016)" in told
    assert "  play " not in told


@pytest.mark.parametrize("name", ["ben", "Ben from the attic", "O'Brien"])
def test_a_trace_says_what_to_do_about_an_identity_that_nobody_claims(home: Home, name: str) -> None:
    home.received(watched("anna"))

    told = home.run("trace", str(home.received(watched(name)))).stdout

    assert "unclaimed" in told
    command = told.partition("Claim it: ")[2].partition(". It is kept")[0]
    assert shlex.split(command) == ["watchmark", "people", "claim", "PERSON", f"plex:{name}"]


def test_a_title_cannot_steer_the_terminal(home: Home) -> None:
    number = home.received(watched(title="Paper\x9b2JBoats [bold]"))

    told = home.run("trace", str(number)).stdout

    assert "\x9b" not in told
    assert "Boats [bold]" in told


def test_there_is_no_trace_of_what_never_came(home: Home) -> None:
    ended = home.run("trace", "17")

    assert ended.exit_code == 1
    assert "Webhook 17 was not found." in ended.stderr


# --- replay and retry


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (("1",), [1]),
        (("--state", "quarantined"), [2]),
        (("--source", "emby"), [2]),
        (("--state", "interpreted", "--source", "emby"), []),
        (("--all",), [1, 2]),
    ],
)
def test_webhooks_are_replayed_by_number_and_by_what_they_are(
    home: Home, words: Sequence[str], chosen: list[int]
) -> None:
    home.received(watched())
    home.received({"nothing": "known"}, source="emby")

    done = home.json("replay", *words)

    assert done["ids"] == chosen
    assert [number for number in (1, 2) if home.state(number) == "received"] == chosen


def test_a_dry_run_replays_nothing(home: Home) -> None:
    number = home.received(watched())

    done = home.json("replay", "--all", "--dry-run")

    assert done["webhooks"] == 1
    assert home.state(number) == "interpreted"


@pytest.mark.parametrize("command", ["replay", "retry"])
@pytest.mark.parametrize("words", [(), ("1", "--all"), ("one",)])
def test_which_ones_are_meant_must_be_said_and_said_once(
    home: Home, command: str, words: Sequence[str]
) -> None:
    ended = home.run(command, *words)

    assert ended.exit_code == 2
    assert ended.stdout == ""


@pytest.mark.parametrize(("command", "what"), [("replay", "webhook"), ("retry", "delivery")])
def test_a_number_that_there_is_not_is_said(home: Home, command: str, what: str) -> None:
    ended = home.run(command, "17")

    assert ended.exit_code == 1
    assert f"{what.title()} 17 was not found." in ended.stderr


def test_a_webhook_whose_body_was_pruned_is_not_replayed(home: Home) -> None:
    number = home.received(watched())
    home.do(lambda connection: connection.execute(update(webhook).values(raw=None)))

    ended = home.run("replay", str(number))

    assert ended.exit_code == 1
    assert "pruned" in ended.stderr
    assert home.state(number) == "interpreted"


def deliveries_in(home: Home, *states: str) -> None:
    """One delivery to the built-in library in each of these states."""
    for number, state in enumerate(states, 1):
        home.received(watched(title=f"Paper Boats {number}") | {"Metadata": {
            "type": "movie", "title": f"Paper Boats {number}", "year": 2000 + number,
        }})  # fmt: skip
        here = delivery.c.id == number
        values = {"state": state, "attempts": 3, "reason": "as told"}
        home.do(
            lambda connection, here=here, values=values: connection.execute(  # type: ignore[misc]
                update(delivery).where(here).values(values)
            )
        )


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (("--all",), [1, 2]),
        (("--state", "dead"), [2]),
        (("--state", "skipped"), [3]),
        (("--tracker", "tvtime"), [1, 2]),
        (("--person", "me"), [1, 2]),
        (("3",), [3]),
        (("4",), []),
    ],
)
def test_deliveries_are_retried_by_number_and_by_what_they_are(
    home: Home, words: Sequence[str], chosen: list[int]
) -> None:
    deliveries_in(home, "unmatched", "dead", "skipped", "done")

    done = home.json("retry", *words)

    waits = select(delivery.c.id).where(delivery.c.state == "waiting").order_by(delivery.c.id)
    assert done["deliveries"] == len(chosen)
    assert home.do(lambda connection: list(connection.execute(waits).scalars())) == chosen


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("done", "it is done, and nothing is sent twice"),
        ("waiting", "it is already waiting"),
        ("superseded", "it was replaced by a newer one"),
    ],
)
def test_why_a_delivery_is_not_tried_again_is_said(home: Home, state: str, why: str) -> None:
    deliveries_in(home, state, "dead")

    ended = home.run("retry", "1", "2")

    assert ended.stdout.splitlines() == [
        f"Delivery 1 is not retried: {why}.",
        "1 delivery will be retried.",
    ]
    assert home.json("retry", "1")["left_alone"] == {"1": why}


def test_why_a_webhook_is_not_interpreted_again_is_said(home: Home) -> None:
    number = home.received(watched())
    home.run("replay", str(number))

    again = home.run("replay", str(number)).stdout

    assert f"Webhook {number} is not replayed: it is already waiting to be processed." in again
    assert "0 webhooks will be replayed." in again


def test_a_dry_run_retries_nothing(home: Home) -> None:
    deliveries_in(home, "dead")

    done = home.json("retry", "--all", "--dry-run")

    assert done["deliveries"] == 1
    assert home.do(count_by_state) == {"dead": 1}


@pytest.mark.parametrize(
    ("words", "status"),
    [(("--person", "ben"), 1), (("--tracker", "letterboxd"), 1), (("--state", "done"), 2)],
)
def test_a_filter_that_can_mean_nothing_is_refused(home: Home, words: Sequence[str], status: int) -> None:
    ended = home.run("retry", *words)

    assert ended.exit_code == status


@pytest.mark.parametrize(
    ("number", "one", "said"),
    [
        (1, "delivery", "1 delivery"),
        (2, "delivery", "2 deliveries"),
        (0, "address", "0 addresses"),
        (3, "webhook", "3 webhooks"),
    ],
)
def test_what_is_counted_is_said_in_its_plural(number: int, one: str, said: str) -> None:
    assert _common.count_of(number, one) == said


# --- doctor


def findings(ended: Any) -> dict[str, str]:
    return {one["about"]: one["level"] for one in json.loads(ended.stdout)["findings"]}


def test_a_new_and_healthy_installation_has_no_problem(home: Home) -> None:
    home.run("urls")

    ended = home.run("doctor", "--json")

    found = findings(ended)
    assert ended.exit_code == 0
    assert {found[name] for name in ("tvtime", "data folder", "clock", "database", "schema")} == {"OK"}
    assert (found["trakt"], found["webhooks"], found["service"]) == ("NOTE", "NOTE", "NOTE")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EMBY_URL", "http://emby.example"),
        ("JELLYFIN_URL", "http://jellyfin.example"),
        ("PLEX_TOKEN", "secret"),
        ("TAUTULLI_URL", "http://tautulli.example"),
        ("TRAKT_CLIENT_ID", "id"),
        ("OIDC_ISSUER", "https://sign-in.example"),
        ("PROXY_SIGN_IN_HEADER", "Remote-User"),
        ("ANIME_LISTS", "no-such-list.json"),
    ],
)
def test_the_doctor_names_whatever_a_start_refuses(home: Home, name: str, value: str) -> None:
    home.set(**{name: value})

    with pytest.raises(settings.SettingsError) as refused:
        app.open_service(settings.environment())
    ended = home.run("doctor", "--offline", "--json")

    assert ended.exit_code == 1
    assert str(refused.value) in [finding["says"] for finding in json.loads(ended.stdout)["findings"]]


def test_the_hint_for_a_media_server_names_both_of_its_settings(home: Home) -> None:
    said = home.run("doctor", "--offline").stdout

    assert "Set EMBY_URL and EMBY_API_KEY and restart" in said


def test_the_doctor_tries_the_mqtt_broker(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    home.set(MQTT_URL=f"mqtt://me:hush@127.0.0.1:{port}")

    online, offline = home.run("doctor"), home.run("doctor", "--offline")

    assert online.exit_code == 1
    said = f"PROBLEM MQTT broker: 127.0.0.1:{port} cannot be reached: Connection refused. Check host and port in MQTT_URL"
    assert said in online.stdout
    assert "NOTE    MQTT broker: not checked" in offline.stdout
    assert "hush" not in online.stdout + offline.stdout


def set_in_browser(home: Home, **settings: str) -> None:
    service = app.open_service(dict(os.environ))
    service.database.do(lambda connection: settings_store.store_settings(connection, service.seal, settings))
    asyncio.run(service.http.aclose())
    service.database.close()


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_the_doctor_sees_what_was_set_in_the_browser(home: Home) -> None:
    set_in_browser(
        home, TRAKT_CLIENT_ID="id", TRAKT_CLIENT_SECRET="secret", NOTIFY_URLS="json://127.0.0.1:1/hush"
    )

    ended = home.run("doctor", "--offline")

    assert ended.exit_code == 0
    assert "OK      trakt: is set up" in ended.stdout
    assert "OK      notices: are sent to 1 address" in ended.stdout


def test_the_doctor_names_what_was_set_in_the_browser_and_cannot_be_used(home: Home) -> None:
    set_in_browser(home, SILENCE_DAYS="many")

    ended = home.run("doctor", "--offline")

    assert ended.exit_code == 1
    assert "PROBLEM settings made in the browser: SILENCE_DAYS is not used" in ended.stdout


def test_the_doctor_says_that_another_key_sealed_the_settings(home: Home) -> None:
    set_in_browser(home, TMDB_TOKEN="token")
    home.set(SECRET_KEY="another one")

    ended = home.run("doctor", "--offline")

    assert ended.exit_code == 1
    assert "PROBLEM key: SECRET_KEY is too short" in ended.stdout
    assert f"{home.folder}/secret.key holds the key that fits: take SECRET_KEY out" in ended.stdout


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_commands_see_what_was_set_in_the_browser_and_do_without_what_cannot_be_used(home: Home) -> None:
    set_in_browser(
        home,
        BASE_URL="https://watch.example",
        NOTIFY_URLS="json://127.0.0.1:1/hush",
        TRAKT_CLIENT_ID="no secret beside it",
    )

    notices, addresses = home.json("notify"), home.json("urls")

    assert notices["addresses"] == 1
    assert addresses["plex"]["url"].startswith("https://watch.example/webhooks/plex")


def test_a_doctor_makes_no_database(home: Home) -> None:
    home.empty()
    ended = home.run("doctor", "--json")

    assert ended.exit_code == 0
    assert findings(ended)["database"] == "NOTE"
    assert not (home.folder / "watchmark.db").exists()


def test_half_set_settings_are_a_problem_that_names_the_variable(home: Home) -> None:
    home.run("urls")
    home.set(TRAKT_CLIENT_ID="id")

    ended = home.run("doctor")

    assert ended.exit_code == 1
    assert "PROBLEM trakt: TRAKT_CLIENT_ID is set but TRAKT_CLIENT_SECRET is missing" in ended.stdout


def test_an_account_that_does_not_work_is_a_problem(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    trakt.user("anna").locked = True

    ended = home.run("doctor")

    assert ended.exit_code == 1
    assert "PROBLEM trakt of me: account_locked" in ended.stdout


def test_offline_no_service_is_asked(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    trakt.calls.clear()

    ended = home.run("doctor", "--offline")

    assert ended.exit_code == 0
    assert trakt.calls == []


def test_every_address_of_an_ipv6_host_has_brackets(home: Home) -> None:
    home.set(HOST="::1", PORT="1")

    addresses, doctors = home.json("urls"), home.run("doctor")

    assert addresses["plex"]["url"].startswith("http://[::1]:1/webhooks/plex")
    assert addresses["generic"]["template"].startswith("http://[::1]:1/api/v1/templates/generic")
    assert "nothing answers at http://[::1]:1/healthz" in doctors.stdout


def test_who_is_only_reached_from_this_machine_is_told_how_to_be_reached_from_others() -> None:
    told = serve.remote_hint(settings.load({"HOST": "::1"}))

    assert told == serve.remote_hint(settings.load({}))
    assert "set HOST=0.0.0.0" in told[0]


def test_what_waits_for_a_person_is_noted_with_what_to_do(home: Home) -> None:
    deliveries_in(home, "dead")
    home.received(watched("ben"))
    home.received({"nothing": "known"}, source="emby")

    told = home.run("doctor").stdout

    assert "not claimed: plex:ben@attic-1. Claim: watchmark people claim" in told
    assert "1 dead. See why" in told
    assert "1 could not be read. See why" in told
    assert "mend it there and add what is missing: watchmark history add" in told
    assert "Plex: last sent a webhook at" in told


def test_a_webhook_from_the_future_tells_of_a_wrong_clock(home: Home) -> None:
    home.received(watched())
    ahead = datetime.now(UTC) + timedelta(days=2)
    home.do(lambda connection: connection.execute(update(webhook).values(received_at=ahead)))

    ended = home.run("doctor")

    assert ended.exit_code == 1
    assert "PROBLEM clock" in ended.stdout


@pytest.mark.parametrize(
    ("days", "said"),
    [(-8, None), (-1, "ended"), (6, "ends"), (8, None)],
    ids=["long ago", "ended", "soon", "later"],
)
def test_the_doctor_names_a_token_that_ends_soon(home: Home, days: int, said: str | None) -> None:
    home.run("token", "new", "--kind", "api", "--scope", "read", "--name", "panel")
    ends = clock.now() + timedelta(days=days)
    home.do(
        lambda connection: connection.execute(update(token).where(token.c.id == 2).values(expires_at=ends))
    )

    told = home.run("doctor", "--offline").stdout

    again = "Create a new one, then revoke this one: watchmark token new --kind api --scope read"
    finding = f"NOTE    tokens: token 2 (panel) {said} at {clock.stamp(ends)}. {again}"
    assert (finding in told) == (said is not None)
    assert ("tokens:" in told) == (said is not None)


def test_the_doctor_has_a_token_made_again_for_the_same_person(home: Home) -> None:
    home.run("people", "add", "Ben B.")
    home.run("token", "new", "--kind", "app", "--person", "Ben B.", "--expires-in-days", "6")

    assert "watchmark token new --kind app --person 'Ben B.'" in home.run("doctor", "--offline").stdout


def test_a_schema_of_another_version_is_a_problem(home: Home) -> None:
    home.run("urls")
    home.do(lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0'"))

    ended = home.run("doctor")

    assert ended.exit_code == 1
    assert "PROBLEM schema" in ended.stdout


@pytest.mark.parametrize(
    ("version", "free"),
    [
        ((3, 40, 1), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
    ],
)
def test_which_sqlite_has_the_bug_of_its_log(version: tuple[int, ...], free: bool) -> None:
    assert doctor.has_wal_fix(version) is free


# --- exit codes and JSON


@pytest.mark.parametrize(
    "words", [("unheard-of",), ("connect",), ("trace", "seventeen"), ("token", "new", "--kind", "x"),
              ("people", "filter", "me", "--kind", "book"), ("accounts", "tell", "tvtime", "--on", "x")],
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_leaves_stdout_empty(home: Home, words: Sequence[str]) -> None:
    ended = home.run(*words)

    assert ended.exit_code == 2
    assert ended.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("urls",),
        ("urls", "--template", "tautulli"),
        ("token", "new", "--kind", "api"),
        ("token", "list"),
        ("token", "revoke", "1"),
        ("people", "list"),
        ("people", "add", "ben"),
        ("people", "claim", "me", "plex:anna"),
        ("people", "filter", "me"),
        ("connect", "tvtime"),
        ("accounts",),
        ("accounts", "--check"),
        ("accounts", "tell", "tvtime"),
        ("accounts", "rules", "tvtime"),
        ("household", "list"),
        ("household", "add", "me", "--player", "Sofa"),
        ("replay", "--all"),
        ("retry", "--all"),
        ("doctor", "--offline"),
    ],
)
def test_with_json_stdout_is_one_json_value(home: Home, words: Sequence[str]) -> None:
    assert isinstance(home.json(*words), dict)


def test_half_set_settings_stop_every_command_and_name_the_variable(home: Home) -> None:
    home.set(TRAKT_CLIENT_SECRET="s")

    ended = home.run("urls")

    assert ended.exit_code == 1
    assert "TRAKT_CLIENT_SECRET is set but TRAKT_CLIENT_ID is missing" in ended.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "DATABASE_URL is not a database address"),
        ("sqlite:////nowhere/at/all.db", "the database cannot be used now: unable to open database file"),
    ],
)
def test_a_database_that_cannot_be_used_is_said(home: Home, url: str, says: str) -> None:
    home.set(DATABASE_URL=url)

    ended = home.run("token", "list")

    assert ended.exit_code == 1
    assert says in ended.stderr


def test_the_commands_work_on_postgresql_too(home: Home, postgres_url: str) -> None:
    home.empty()
    home.set(DATABASE_URL=postgres_url)

    claimed = home.json("people", "claim", "me", "plex:anna")
    healthy = home.run("doctor", "--offline", "--json")

    assert claimed["identities"] == 1
    assert findings(healthy)["schema"] == "OK"
    assert not (home.folder / "watchmark.db").exists()


def test_a_postgresql_database_that_cannot_hold_every_title_is_refused(
    home: Home, postgres_server: str
) -> None:
    home.empty()
    with made_database(postgres_server, "template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'") as url:
        home.set(DATABASE_URL=url)
        command, doctor = home.run("people", "list"), home.run("doctor", "--offline")

    says = "has the encoding SQL_ASCII, and titles need UTF8. Nothing was written. Make another"
    assert (command.exit_code, says in command.stderr) == (1, True)
    assert (doctor.exit_code, says in doctor.stdout) == (1, True)


def test_a_command_in_another_folder_makes_no_second_watchmark_there(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("DATA_DIR")

    ended = [home.run(*words) for words in (("urls",), ("people", "add", "ben"), ("jobs",))]

    assert [one.exit_code for one in ended] == [1, 1, 1]
    assert f"There is no Watchmark in {elsewhere}/data." in ended[0].stderr
    assert "set DATA_DIR" in ended[0].stderr
    assert [*elsewhere.iterdir()] == []


@pytest.mark.parametrize("name", [".", "watchmark.db"])
def test_what_belongs_to_somebody_else_is_said_with_both_users_and_the_command(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home.run("urls")
    path, owner = home.folder / name, os.getuid()
    monkeypatch.setattr(os, "access", lambda one, mode: Path(one) != path)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    monkeypatch.setattr(os, "getegid", lambda: 10001)

    ended, doctors = home.run("token", "list"), home.run("doctor", "--offline")

    says = f"runs as user id 10001, and it belongs to user id {owner}: sudo chown -R 10001:10001 {path}"
    assert ended.exit_code == 1
    assert says in ended.stderr
    assert says in doctors.stdout


def test_a_folder_that_cannot_be_made_names_the_one_above_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.set(DATA_DIR=f"{home.folder}/a/b")

    def refuse(path: Path, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)

    ended = home.run("urls")

    assert ended.exit_code == 1
    assert f"DATA_DIR={home.folder}/a/b cannot be created. Watchmark runs as user id 10001" in ended.stderr
    assert f"{home.folder} (of a container" in ended.stderr


def test_a_folder_of_ones_own_with_another_mode_is_said_with_its_mode(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    ended = home.run("urls")

    assert ended.exit_code == 1
    assert f"runs as user id {os.getuid()}, which owns it, but its mode is drwx" in ended.stderr
    assert f"chmod -R u+rwX {home.folder}" in ended.stderr


def test_a_file_that_is_no_database_is_said(home: Home) -> None:
    (home.folder / "watchmark.db").write_bytes(b"no database at all " * 1000)

    ended = home.run("token", "list")

    assert ended.exit_code == 1
    assert "file is not a database" in ended.stderr


# --- serve and work, as processes


def test_serve_says_where_it_is_and_takes_a_webhook_there(home: Home) -> None:
    home.set(PORT="0")

    with home.running("serve") as process:
        alive = httpx.get(f"{process.said['url']}/healthz")
        kept = httpx.post(process.said["webhooks"]["plex"], data={"payload": json.dumps(watched())})

    assert alive.status_code == 200
    assert kept.json() == {"webhook": 1}
    assert process.returncode == 0
    assert set(process.said["webhooks"]) == set(sources.modules())


def test_a_claim_beside_a_running_service_sends_what_waited_for_it(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    home.run("people", "claim", "me", "plex:anna")
    home.set(PORT="0")

    with home.running("serve") as process:
        httpx.post(process.said["webhooks"]["plex"], data={"payload": json.dumps(watched("ben"))})
        assert soon(lambda: home.state(1) == "unclaimed")
        home.run("people", "claim", "me", "plex:ben")
        told = soon(lambda: bool(trakt.user("anna").history))

    assert told
    assert trakt.user("anna").history[0]["movie"]["ids"]["tmdb"] == 771100


def test_the_first_start_gives_a_link_of_which_only_the_digest_is_kept(home: Home) -> None:
    home.set(PORT="0")

    with home.running("serve") as process:
        link = process.said["welcome"]

    kept = home.do(
        lambda connection: connection.execute(
            select(note.c.value).where(note.c.name == "welcome")
        ).scalar_one()
    )
    secret = link.removeprefix(f"{process.said['url']}/welcome/")
    lasts = datetime.fromisoformat(kept["expires_at"]) - clock.now()
    assert kept["digest"] == tokens.digest(secret)
    assert timedelta(hours=23) < lasts < timedelta(hours=24)


def test_with_an_admin_password_there_is_no_link_and_the_owner_has_it(home: Home) -> None:
    home.set(PORT="0", ADMIN_PASSWORD="correct horse")

    with home.running("serve") as process:
        link = process.said["welcome"]

    hashed = home.do(lambda connection: connection.execute(select(person.c.password)).scalar_one())
    assert link is None
    assert PasswordHasher().verify(str(hashed), "correct horse")


@pytest.mark.parametrize("command", ["serve", "work"])
def test_an_admin_password_too_long_for_a_sign_in_is_refused_at_the_start(home: Home, command: str) -> None:
    home.set(PORT="0", ADMIN_PASSWORD="x" * 1025)

    ended = home.run(command)

    assert ended.exit_code == 1
    assert "ADMIN_PASSWORD is longer than 1024 characters" in ended.stderr


def test_an_owner_with_a_password_gets_no_link(home: Home) -> None:
    home.run("people", "password", "me", stdin="correct horse\n")
    home.set(PORT="0")

    with home.running("serve") as process:
        assert process.said["welcome"] is None


@pytest.mark.e2e  # three processes
def test_a_second_service_on_the_same_data_is_refused(home: Home) -> None:
    home.set(PORT="0")

    with home.running("serve") as first:
        second = home.start("serve")
        _, said = second.communicate(timeout=SOON)
        third = home.start("work")
        _, worked = third.communicate(timeout=SOON)

    assert (second.returncode, third.returncode) == (1, 1)
    assert f"(process {first.pid}) serves" in said
    assert "set DATABASE_URL" in worked


def test_work_delivers_without_a_door(home: Home, trakt: Any) -> None:
    signed_in(home, trakt)
    home.received(watched())
    home.set(WORKER="false")

    with home.running("work") as process:
        told = soon(lambda: bool(trakt.user("anna").history))

    assert told
    assert process.said["working"] is True
    assert process.returncode == 0


def test_serve_with_half_set_settings_names_the_variable(home: Home) -> None:
    home.set(PORT="0", TRAKT_CLIENT_ID="id")

    process = home.start("serve")
    _, said = process.communicate(timeout=SOON)

    assert process.returncode == 1
    assert "TRAKT_CLIENT_SECRET is missing" in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_said(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        home.set(PORT=str(taken.getsockname()[1]))

        process = home.start("serve")
        _, said = process.communicate(timeout=SOON)

    assert process.returncode == 1
    assert "Cannot listen on" in said


def test_a_request_under_way_is_answered_before_serve_ends(home: Home) -> None:
    home.set(PORT="0")

    with home.running("serve") as process:
        url = httpx.URL(process.said["webhooks"]["emby"])
        body = json.dumps({"Event": "system.webhooktest"}).encode()
        with socket.create_connection((url.host, url.port or 80)) as door:
            head = f"POST {url.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            door.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            door.sendall(body[5:])
            answer = door.recv(4096)
        process.wait(SOON)

    assert answer.startswith(b"HTTP/1.1 200")
    assert process.returncode == 0


# --- a dry run that says what it would do


def test_a_dry_run_prints_what_would_be_told_and_changes_nothing(home: Home, trakt: Any) -> None:
    number = home.received(watched())
    signed_in(home, trakt)
    before = home.json("trace", str(number))

    said = home.run("replay", str(number), "--dry-run").stdout
    done = home.json("replay", str(number), "--dry-run")

    (would,) = done["would"]
    told = [(one["id"], one["tracker"], one["action"], one["state"]) for one in would["deliveries"]]
    assert told == [(None, "trakt", "stop", "waiting")]
    assert f"Webhook {number} would be interpreted" in said
    assert "a new delivery: stop to trakt of me: movie Paper Boats (2016): waiting" in said
    assert home.json("trace", str(number)) == before


def test_what_a_dry_run_says_is_what_a_replay_does(home: Home, trakt: Any) -> None:
    number = home.received(watched())
    signed_in(home, trakt)
    (would,) = home.json("replay", str(number), "--dry-run")["would"]

    home.run("replay", str(number))
    service = app.open_service(dict(os.environ))
    service.database.do(lambda connection: service.interpreter.interpret(connection, [16]))
    asyncio.run(service.http.aclose())
    service.database.close()

    (event,) = home.json("trace", str(number))["events"]
    done = [(one["tracker"], one["action"]) for one in event["deliveries"]]
    assert [(one["tracker"], one["action"]) for one in would["deliveries"]] == [
        one for one in done if one[0] == "trakt"
    ]


def test_a_dry_run_of_what_was_told_tells_nothing_new(home: Home) -> None:
    number = home.received(watched())

    said = home.run("replay", str(number), "--dry-run").stdout

    assert "nothing new would be sent" in said


def test_a_dry_run_says_what_a_filter_would_stop(home: Home) -> None:
    number = home.received(watched())
    home.run("people", "filter", "me", "--not-player", "Sofa")

    (would,) = home.json("replay", str(number), "--dry-run")["would"]

    assert (would["state"], would["reason"]) == ("ignored", "filter: never the player Sofa")
    assert home.state(number) == "interpreted"


# --- doctor: senders and notices


def test_the_doctor_names_a_server_that_fell_silent(home: Home) -> None:
    home.received(watched())
    now = clock.now()
    seen = {"first_seen": now - timedelta(days=20), "last_seen": now - timedelta(days=4)}
    home.do(lambda connection: connection.execute(update(identity).values(seen)))

    told = home.run("doctor", "--offline")
    home.set(SILENCE_DAYS="0")
    never = home.run("doctor", "--offline")

    assert told.exit_code == 0
    assert "NOTE    silence: No webhook from plex server Attic since" in told.stdout
    assert "silence" not in never.stdout


def test_the_doctor_leaves_out_a_server_that_was_retired(home: Home) -> None:
    home.received(watched())
    now = clock.now()
    seen = {"first_seen": now - timedelta(days=20), "last_seen": now - timedelta(days=4)}
    home.do(lambda connection: connection.execute(update(identity).values(seen)))
    (one,) = home.do(lambda connection: find_silent_servers(connection, now, 3))
    home.do(lambda connection: store_dismissal(connection, one["source"], one["server"] or ""))

    assert "silence" not in home.run("doctor", "--offline").stdout


def test_the_doctor_names_a_sender_that_repeats_itself(home: Home) -> None:
    home.received(watched())
    home.received(watched())

    told = home.run("doctor", "--offline").stdout

    assert "NOTE    Plex: it sends duplicates" in told


def test_the_doctor_names_a_server_with_a_wrong_clock(home: Home) -> None:
    at = (clock.now() - timedelta(hours=2)).isoformat()
    events = [{"action": "start", "at": at, "server": "attic-1", "server_name": "Attic"}] * 3
    home.received({"nothing": "known"}, source="jellyfin")
    values = {"state": "interpreted", "reason": None, "events": events}
    home.do(lambda connection: connection.execute(update(webhook).values(values)))

    told = home.run("doctor", "--offline").stdout

    assert "NOTE    Jellyfin server Attic: its clock is off by 1" in told
    assert "minutes (behind ours)" in told


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("urls", "level", "code"),
    [("", "NOTE", 0), ("json://127.0.0.1:1/hush", "OK", 0), ("nonsense://hush", "PROBLEM", 1)],
)
def test_the_doctor_looks_at_where_notices_go(home: Home, urls: str, level: str, code: int) -> None:
    home.run("urls")
    home.set(NOTIFY_URLS=urls)

    ended = home.run("doctor", "--offline", "--json")

    assert findings(ended)["notices"] == level
    assert ended.exit_code == code
    assert "hush" not in ended.stdout


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("urls", ["", "json://127.0.0.1:1/hush", "nonsense://hush"])
def test_a_test_notice_that_does_not_arrive_ends_with_1(home: Home, urls: str) -> None:
    home.set(NOTIFY_URLS=urls)

    ended = home.run("notify", "--test")

    assert ended.exit_code == 1
    assert ended.stderr.startswith("watchmark: ")
    assert "hush" not in ended.stderr


# --- backup, restore and rekey say what they did as JSON too


def test_a_backup_and_its_restore_say_what_they_did(home: Home) -> None:
    home.run("urls")

    made = home.json("backup", "copy.zip")
    restored = home.json("restore", "copy.zip")
    changed = home.json("rekey")

    assert made["bytes"] == (home.folder / "copy.zip").stat().st_size
    assert restored["before"] == f"{home.folder}/watchmark.db.before-restore"
    assert restored["key_fits"] is True
    assert changed["sealed"] == 1


def test_a_backup_says_that_the_key_is_not_in_it(home: Home) -> None:
    home.run("urls")

    said = home.run("backup", "copy.zip").stdout

    assert "The key that decrypts the sign-ins is not included." in said
    assert f"{home.folder}/secret.key" in said
