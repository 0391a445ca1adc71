"""Where should it go?: the page that compares the trackers by what each costs, keeps and asks for."""

from __future__ import annotations

import re
from html import unescape

import httpx

from tests.web.conftest import Household
from webhook import client, servers, trackers
from webhook.trackers._facts import Anime, Cost, Dates, Rewatches
from webhook.web.connections import comparison

PAGE = "/connections/compare"
CELL = re.compile(r'data-label="([^"]+)">(.*?)</td>', re.DOTALL)
TAG = re.compile(r"<[^>]+>")


def read(browser: httpx.Client, path: str = PAGE) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def row(page: str, name: str) -> dict[str, str]:
    """What the page says of a tracker, by the heading of the column."""
    found = re.search(rf'<tr role="row" id="{name}">(.*?)</tr>', page, re.DOTALL)
    assert found, name
    return {label: " ".join(TAG.sub("", text).split()) for label, text in CELL.findall(found.group(1))}


def test_every_fact_has_its_words() -> None:
    for kind, labels in (
        (Cost, comparison.COST_LABELS),
        (Dates, comparison.DATE_LABELS),
        (Rewatches, comparison.REWATCH_LABELS),
        (Anime, comparison.ANIME_LABELS),
    ):
        assert {*labels} == {*kind}


def test_what_costs_nothing_comes_first_and_what_needs_a_membership_last() -> None:
    choices, _ = comparison.split_servers(comparison.list_choices({}))
    costs = [choice.facts.cost for choice in choices]

    assert costs == sorted(costs, key=comparison.COST_ORDER.index)
    assert choices[0].name == "mdblist"
    assert choices[-1].name == "trakt"


def test_the_sign_in_is_the_one_that_the_settings_lead_to() -> None:
    built = trackers.build({"MDBLIST_CLIENT_ID": "id"}, client.client())

    by_name = {choice.name: choice for choice in comparison.list_choices(built)}

    assert by_name["mdblist"].sign_in == "device"
    assert {choice.name: choice.sign_in for choice in comparison.list_choices({})}["mdblist"] == "token"


def test_every_tracker_has_a_row_and_each_media_server_too(home: Household) -> None:
    page = read(home.browser())
    ours, _, theirs = page.partition('<h2 id="servers">')

    for name in trackers.modules():
        assert f'<a href="/connections/{name}">' in (theirs if name in servers.modules() else ours)


def test_a_row_says_what_the_tracker_costs_keeps_and_needs(home: Household) -> None:
    page = read(home.browser())

    assert row(page, "simkl") == {
        "Cost": "free",
        "Dates": "of the last viewing",
        "Rewatches": "for paying members",
        "Undo": "yes",
        "Music": "no",
        "Anime": "with entries of its own",
        "Sign-in": "The owner registers an API app there. You enter a code there. Keeps what is watched again as a "
        "viewing of its own only for PRO and VIP members; for others the date moves on.",
    }
    assert row(page, "listenbrainz") | {"Undo": "yes", "Music": "yes", "Anime": "no"} == row(
        page, "listenbrainz"
    )
    assert row(page, "lastfm")["Undo"] == "no"
    assert row(page, "webhook_out")["Dates"] == "up to the receiver"
    assert row(page, "scrob")["Sign-in"].startswith("The owner enters the address of the server.")


def test_connections_and_the_first_start_lead_to_it_for_members_too(home: Household) -> None:
    home.person("bob")

    for browser in (home.browser(), home.browser("bob")):
        assert f'href="{PAGE}"' in read(browser, "/connections")
        assert f'href="{PAGE}"' in read(browser, "/start?step=tracker")
        assert "Where should it go?" in read(browser)
