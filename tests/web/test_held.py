"""Marks by hand that came in a flood: on the list of what needs a person, in the API and as a command."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from tests.web.conftest import Household
from tests.web.test_needs_you import badge, page, post, said
from webhook import cli, clock
from webhook.people import identities
from webhook.queues import inbox
from webhook.storage import tables

MANY = 8


def mark(home: Household, number: int, action: str, user: str = "anna") -> int:
    """A mark by hand on a server, interpreted; the id of its webhook."""
    film = {"kind": "movie", "title": f"Paper Boats {number}", "year": 2001, "ids": {"tmdb": 900 + number}}
    payload = {"action": action, "user": user, "server": "attic", "manual": True, **film}
    received = inbox.ReceivedWebhook(
        source="generic", token_id=None, received_at=clock.now(), content_type=None, raw=orjson.dumps(payload)
    )
    (made,) = home.do(lambda connection: inbox.store_webhooks(connection, [received]))
    home.interpret()
    return int(made)


def flood(home: Household, user: str = "anna", name: str = "me") -> list[int]:
    """Marks of somebody, all of which are taken back within a minute; the webhooks of that."""
    home.do(lambda connection: identities.claim_identities(connection, name, f"generic:{user}", clock.now()))
    for number in range(MANY):
        mark(home, number, "watched", user)
    return [mark(home, number, "unwatched", user) for number in range(MANY)]


def count_watched(home: Household) -> int:
    gone = tables.play.c.unwatched_at
    wanted = (
        select(func.count())
        .select_from(tables.play)
        .where(gone.is_(None), tables.play.c.removed_at.is_(None))
    )
    return int(home.do(lambda connection: connection.execute(wanted).scalar_one()))


def form_of(text: str) -> dict[str, str]:
    """The hidden fields of the first group that is held."""
    _, _, after = text.partition('/needs-you/held"')
    form, _, _ = after.partition("</form>")
    found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    return {name: value for name, value in found.items() if name != "form_token"}


def test_what_is_held_is_shown_with_whose_and_where(home: Household) -> None:
    flood(home)
    browser = home.browser()

    text = page(browser)

    assert "Held for you" in text
    assert "3 marks taken back on" in text
    assert "Paper Boats 7" in text
    assert badge(browser) == 1
    assert "Was that you?" in page(browser, "/")


@pytest.mark.parametrize(
    ("do", "left", "says"), [("accept", 0, "Counted as yours: 3."), ("ignore", 3, "Ignored: 3.")]
)
def test_one_click_decides_once(home: Household, do: str, left: int, says: str) -> None:
    flood(home)
    browser = home.browser()
    fields = form_of(page(browser))

    answer = post(browser, "/needs-you/held", **fields, do=do)
    home.interpret()
    again = post(browser, "/needs-you/held", **fields, do="accept")
    home.interpret()

    assert said(browser, answer).startswith(says)
    assert "Nothing to do" in said(browser, again)
    assert count_watched(home) == left
    assert badge(browser) == 0


def test_the_trace_says_why_and_where_to_decide(home: Household) -> None:
    held = flood(home)[-1]

    text = page(home.browser(), f"/trace/{held}")

    assert "held until you say" in text
    assert "/needs-you#held" in text


def test_nobody_decides_for_somebody_else(home: Household) -> None:
    home.person("bob")
    flood(home)
    browser = home.browser("bob")

    answer = post(browser, "/needs-you/held", person="me", source="generic", server="attic", action="unwatched",
                  until="99", do="accept")  # fmt: skip

    assert answer.status_code == 404
    assert "Held for you" not in page(browser)
    assert home.api(2).get("/api/v1/held").json()["items"] == []


def test_the_api_lists_and_decides(home: Household) -> None:
    flood(home)
    client = home.api()
    (found,) = client.get("/api/v1/held").json()["items"]

    wanted = {name: found[name] for name in ("person", "source", "server", "action", "until")}
    answer = client.post("/api/v1/held/accept", json=wanted)
    home.interpret()

    assert (found["count"], found["samples"][0]["title"]) == (3, "Paper Boats 7")
    assert answer.json() == {"action": "unwatched", "marks": 3}
    assert client.post("/api/v1/held/ignore", json=wanted).json()["marks"] == 0
    assert client.get("/api/v1/needs-you").json()["counts"]["held"] == 0
    assert count_watched(home) == 0


def run(home: Household, *given: str) -> Any:
    answer = CliRunner().invoke(cli.app, ["held", *given, "--json"])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_the_command_lists_and_decides(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    flood(home)
    monkeypatch.setenv("DATA_DIR", str(home.service.settings.data_dir))

    assert [one["count"] for one in run(home)["held"]] == [3]
    assert run(home, "--source", "plex", "--mine")["marks"] == 0
    assert run(home, "--ignore") == {"decided": "ignored", "marks": 3}
    assert run(home)["held"] == []
