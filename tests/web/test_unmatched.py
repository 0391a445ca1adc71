"""The unmatched inbox over the API and by the commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from tests.web.conftest import Household
from webhook import cli, clock
from webhook.accounts import accounts
from webhook.domain.event import Action
from webhook.people import people
from webhook.storage import tables

CANDIDATE = {
    "kind": "show",
    "title": "Harbour Street",
    "year": 1994,
    "ids": {"tvdb": 70},
    "picture": "https://p/a.jpg",
}


@pytest.fixture
def stuck(home: Household) -> int:
    """A delivery that waits for a match."""

    def made(connection: Any) -> None:
        row = people.find_person(connection, "me")
        accounts.insert_account(connection, row.id, "trakt", [Action.STOP], clock.now())
        item = {
            "kind": "episode",
            "show": "Harbour Street",
            "season": 2,
            "number": 3,
            "ids": {},
            "show_ids": {},
        }
        values = {
            "account_id": connection.execute(tables.account.select()).all()[-1].id, "key": "one", "action": "stop",
            "mark": True, "happened_at": clock.now(), "item": item, "details": {}, "state": "unmatched",
            "reason": "nobody knows it", "candidates": [CANDIDATE], "due_at": clock.now(), "created_at": clock.now(),
            "attempts": 1, "unsure": False, "claimed": False,
        }  # fmt: skip
        connection.execute(insert(tables.delivery), values)

    home.do(made)
    return int(home.api().get("/api/v1/unmatched").json()["items"][0]["id"])


def test_what_waits_is_listed_with_its_candidates(home: Household, stuck: int) -> None:
    (entry,) = home.api().get("/api/v1/unmatched").json()["items"]

    assert (entry["id"], entry["reason"], entry["candidates"]) == (stuck, "nobody knows it", [CANDIDATE])


@pytest.mark.parametrize(
    "choice", [{"ids": {"tvdb": 70}}, {"candidate": 1}, {"ids": {"imdb": "tt0000070"}, "season_offset": -1}]
)
def test_a_choice_lets_it_out(home: Household, stuck: int, choice: dict[str, Any]) -> None:
    answer = home.api().post(f"/api/v1/unmatched/{stuck}/match", json=choice)

    assert answer.json()["deliveries"] == [stuck]
    assert answer.json()["delivery"]["state"] == "waiting"
    assert home.api().get("/api/v1/unmatched").json()["items"] == []


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"ids": {}},
        {"ids": {"tvdb": "x"}},
        {"ids": {"imdb": "70"}},
        {"ids": {"colour": 1}},
        {"ids": [1]},
        {"candidate": 2},
        {"candidate": True},
        {"candidate": 1, "ids": {"tvdb": 1}},
        {"ids": {"tvdb": 1}, "season_offset": "1"},
        {"ids": {"tvdb": 1}, "seasons": 1},
    ],
)
def test_what_says_nothing_is_refused_and_changes_nothing(
    home: Household, stuck: int, choice: dict[str, Any]
) -> None:
    answer = home.api().post(f"/api/v1/unmatched/{stuck}/match", json=choice)

    assert answer.status_code == 422
    assert len(home.api().get("/api/v1/unmatched").json()["items"]) == 1


def test_somebody_elses_delivery_is_not_there(home: Household, stuck: int) -> None:
    other = home.person("ben")

    assert home.api(other).get("/api/v1/unmatched").json()["items"] == []
    answer = home.api(other).post(f"/api/v1/unmatched/{stuck}/match", json={"candidate": 1})
    assert answer.status_code == 404


def test_the_commands_list_and_match(home: Household, stuck: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(home.service.settings.data_dir))
    run = CliRunner().invoke

    listed = run(cli.app, ["unmatched"])
    chosen = run(cli.app, ["match", str(stuck), "--tvdb", "70", "--season-offset", "-1", "--json"])

    assert "1. Harbour Street (1994)  tvdb:70  https://p/a.jpg" in listed.stdout
    assert json.loads(chosen.stdout)["deliveries"] == [stuck]
    assert "Nothing to match" in run(cli.app, ["unmatched"]).stdout


@pytest.mark.parametrize("words", [[], ["--tvdb", "1", "--candidate", "1"], ["--imdb", "70"]])
def test_a_command_that_says_nothing_is_wrong_usage(
    home: Household, stuck: int, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(home.service.settings.data_dir))

    assert CliRunner().invoke(cli.app, ["match", str(stuck), *words]).exit_code == 2
