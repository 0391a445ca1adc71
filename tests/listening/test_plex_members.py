"""Marks by hand of the people who share a Plex server, each read with that person's own token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Server
from tests.fakes.plex import ANNA, Plex
from tests.listening._ears import Ears
from webhook import client
from webhook.domain.event import Action
from webhook.domain.outcome import Dead
from webhook.servers.plex import Settings, build, listening, members, polling
from webhook.servers.plex.account import read_shared_tokens
from webhook.servers.plex.members import Members

AT = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BEN = 900000102


class Attic:
    """A server that Anna and Ben share, and what asks for their marks."""

    def __init__(self, fake: Plex, url: str) -> None:
        self.fake = fake
        self.ears = Ears()
        self.playing: list[tuple[str, Any]] = []
        settings = {"url": url, "token": fake.add_owner(), "account_url": url}
        self.http = client.client()
        listening = build(Settings.model_validate(settings), self.http).listening
        about = {"uuid": fake.machine, "title": fake.name}
        assert listening.account is not None
        self.members = Members(listening.account, listening.api, self.ears, about, self.covers)
        fake.add_person("anna", ANNA)
        fake.add_person("ben", BEN)
        for number in range(1, 6):
            item = {"ratingKey": str(number), "type": "movie", "title": f"Item {number}", "year": 2001}
            fake.add({**item, "librarySectionID": 1, "Guid": [{"id": f"tmdb://{number}"}]})

    def covers(self, item: str, user: Any) -> bool:
        return (item, user["title"]) in self.playing

    def poll(self) -> list[tuple[Action, str | None, str | None]]:
        before = len(self.ears.told)
        asyncio.run(self.members.poll())
        return [(event.action, event.user, event.item_key) for event in self.ears.events[before:]]


@pytest.fixture
def attic() -> Iterator[Attic]:
    with Inside(Plex()) as server:
        made = Attic(server.fake, server.url)
        made.fake.mark(ANNA, "1", AT)
        assert made.poll() == []  # what was marked before
        yield made


def test_each_mark_is_of_whose_token_shows_it(attic: Attic) -> None:
    attic.fake.mark(ANNA, "2", AT + HOUR)
    attic.fake.mark(BEN, "2", AT + 2 * HOUR)
    attic.fake.mark(1, "3", AT + HOUR)

    assert sorted(attic.poll()) == [(Action.WATCHED, "anna", "2"), (Action.WATCHED, "ben", "2")]
    assert attic.poll() == []
    ids = {event.user: event.user_id for event in attic.ears.events}
    assert ids == {"anna": str(ANNA), "ben": str(BEN)}
    assert all(event.manual for event in attic.ears.events)


def test_a_rating_is_too_and_what_they_play_is_no_mark_by_hand(attic: Attic) -> None:
    attic.playing.append(("2", "anna"))
    attic.fake.rate(ANNA, "1", 8, AT + HOUR)
    attic.fake.mark(ANNA, "2", AT + HOUR)
    attic.fake.mark(BEN, "2", AT + HOUR)

    said = attic.poll()

    assert sorted(said) == [
        (Action.RATE, "anna", "1"),
        (Action.WATCHED, "anna", "2"),
        (Action.WATCHED, "ben", "2"),
    ]
    manual = {event.user: event.manual for event in attic.ears.events if event.action is Action.WATCHED}
    assert manual == {"anna": False, "ben": True}


def test_a_token_that_is_taken_away_silences_that_person_alone(attic: Attic) -> None:
    del attic.fake.shared["server-token-of-anna"]
    attic.fake.mark(ANNA, "3", AT + HOUR)
    attic.fake.mark(BEN, "3", AT + HOUR)

    assert attic.poll() == [(Action.WATCHED, "ben", "3")]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_where_plex_tv_gives_no_tokens_nobody_is_guessed_at(attic: Attic, status: int) -> None:
    attic.members.found_at = None
    attic.fake.faults.add("GET /api/servers", status=status, body="<html>no</html>")
    attic.fake.mark(ANNA, "3", AT + HOUR)

    assert attic.poll() == []
    assert attic.members.pollers == {}


def test_who_signed_in_to_the_server_here_is_read_where_plex_tv_has_no_token(attic: Attic) -> None:
    attic.ears.signed_in = {"anna": "server-token-of-anna"}
    attic.members.found_at = None
    attic.fake.faults.add("GET /api/servers", status=403, times=-1)
    assert attic.poll() == []
    attic.fake.mark(ANNA, "4", AT + HOUR)

    assert attic.poll() == [(Action.WATCHED, "anna", "4")]


def test_whose_tokens_are_used_is_remembered_with_where_they_are_from(attic: Attic) -> None:
    first = attic.ears.memory["people"]
    assert {name: one["by"] for name, one in first.items()} == {"anna": "plex.tv", "ben": "plex.tv"}

    del attic.fake.shared["server-token-of-anna"]
    attic.poll()
    left = attic.ears.memory["people"]
    attic.ears.signed_in = {"cleo": "server-token-of-ben"}
    attic.members.found_at = None
    attic.fake.faults.add("GET /api/servers", status=403)
    attic.poll()

    assert left == {"ben": first["ben"]}
    assert {name: one["by"] for name, one in attic.ears.memory["people"].items()} == {"cleo": "sign-in"}
    assert "token" not in str(attic.ears.memory["people"])


def test_who_is_known_by_plex_tv_is_asked_once(attic: Attic) -> None:
    attic.ears.signed_in = {"anna": "server-token-of-anna"}
    attic.members.found_at = None
    attic.poll()

    assert len(attic.members.pollers) == 2


def test_no_token_stands_in_an_address(attic: Attic) -> None:
    attic.poll()

    assert [call for call in attic.fake.calls if "token" in call.query or "token" in call.path] == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>", "no XML"),
        (b"", "no XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><MediaContainer/>', "a document type of its own"),
    ],
)
def test_what_is_no_list_is_refused(answer: bytes, why: str) -> None:
    with pytest.raises(Dead, match=why):
        read_shared_tokens(answer)


def test_entries_without_a_token_are_left_out() -> None:
    answer = b'<MediaContainer><SharedServer userID="7"/><SharedServer userID="8" accessToken="t"/></MediaContainer>'

    assert [one.account for one in read_shared_tokens(answer)] == ["8"]


@pytest.mark.parametrize("whose", ["owner", "anna"])
def test_the_line_of_an_owners_token_hears_everybodys_marks_and_anothers_only_theirs(
    monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    monkeypatch.setattr(members, "MEMBERS_INTERVAL", 0.1)
    monkeypatch.setattr(polling, "POLL_INTERVAL", 0.1)
    monkeypatch.setattr(listening, "POLL_DELAY", 0.0)
    with Server(Plex()) as server:
        attic = Attic(server.fake, server.url)
        token = (
            {"token": "account-token-of-nora"}
            if whose == "owner"
            else {"token": "server-token-of-anna", "user": "anna"}
        )
        settings = {"url": server.url, "account_url": server.url, **token}

        async def listen() -> None:
            async with client.client() as http:
                line = asyncio.create_task(build(Settings.model_validate(settings), http).listen(attic.ears))
                wanted = {"owner": 6, "anna": 2}[whose]  # two libraries of each whose marks are known
                await wait_for(lambda: sum(name.startswith("marks.") for name in attic.ears.memory) == wanted)
                attic.fake.mark(ANNA, "2", AT + HOUR)
                attic.fake.mark(BEN, "3", AT + HOUR)
                await wait_for(lambda: len(attic.ears.told) == (2 if whose == "owner" else 1))
                await asyncio.sleep(0.3)
                line.cancel()

        asyncio.run(listen())
    heard = sorted((event.user, event.item_key) for event in attic.ears.events)
    assert heard == ([("anna", "2"), ("ben", "3")] if whose == "owner" else [("anna", "2")])
    assert bool(attic.fake.made("GET /api/servers")) is (whose == "owner")


async def wait_for(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)
