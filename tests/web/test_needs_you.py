"""Needs you: everything that waits for a person is on one list, counted, and settled there."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, insert, select, update
from typer.testing import CliRunner

from tests.fakes._server import Server
from tests.fakes._world import Series, World
from tests.fakes.tmdb import Tmdb
from tests.web.conftest import HOSTILE, Household, Open, form_token
from webhook import cli, clock
from webhook.domain.event import Episode, Movie, item_to_json
from webhook.domain.items import keys
from webhook.domain.outcome import DISCONNECTED, Park
from webhook.people import identities, people
from webhook.queues import parking
from webhook.storage import tables
from webhook.storage.prepared import driver_of
from webhook.web.needs_you import queries as needs
from webhook.web.visible import Visitor

PLEX = "5d9c086c7d06d9001ffd27aa"
CANDIDATES = [
    {"kind": "show", "title": "Coal Harbour", "year": 1994, "ids": {"tvdb": 70, "tmdb": 12},
     "picture": "https://image.tmdb.org/t/p/w342/x.jpg"},
    {"kind": "show", "title": HOSTILE, "year": None, "ids": {"imdb": "tt0000071"}, "picture": None},
]  # fmt: skip


def lost(home: Household, number: int = 4, show: str = "Coal Harbour", user: str = "anna") -> int:
    """An episode that no match was found for; the delivery's id."""
    home.hear(user, f"Lost {number}", index=number, guid=f"plex://episode/{number}", Guid=[],
              grandparentTitle=show)  # fmt: skip
    home.settle("unmatched", reason="nobody knows it", candidates=CANDIDATES)
    newest = select(tables.delivery.c.id).order_by(tables.delivery.c.id.desc()).limit(1)
    return int(home.do(lambda connection: connection.execute(newest).scalar_one()))


def dead(home: Household, number: int = 2, user: str = "anna") -> int:
    home.hear(
        user,
        f"Dead {number}",
        index=number,
        guid=f"plex://episode/{number}",
        Guid=[{"id": f"tvdb://{number}"}],
    )
    home.settle("dead", reason="it was refused", attempts=1)
    newest = select(tables.delivery.c.id).order_by(tables.delivery.c.id.desc()).limit(1)
    return int(home.do(lambda connection: connection.execute(newest).scalar_one()))


def limited(home: Household, number: int = 3, user: str = "anna") -> int:
    """A watched mark that its service refuses as one too many; the delivery's id."""
    home.hear(user, f"Full {number}", index=number, guid=f"plex://episode/{number}",
              Guid=[{"id": f"tvdb://{number}"}])  # fmt: skip
    home.settle("parked", reason="account_limit", attempts=0)
    newest = select(tables.delivery.c.id).order_by(tables.delivery.c.id.desc()).limit(1)
    return int(home.do(lambda connection: connection.execute(newest).scalar_one()))


def imported(home: Household, person_id: int, key: str, item: Episode | Movie) -> None:
    """A play that came without an id, and the question what it is."""

    def made(connection: Connection) -> None:
        now = clock.now()
        play = {"person_id": person_id, "kind": item.kind.value, "item": item_to_json(item), "state": "stopped",
                "source": "import", "started_at": now, "last_at": now, "watched_at": now}  # fmt: skip
        play_id = connection.execute(insert(tables.play), play).inserted_primary_key[0]  # type: ignore[index]
        known = [{"person_id": person_id, "key": one, "play_id": play_id} for one in keys(item)]
        connection.execute(insert(tables.play_key), known)
        if (
            connection.execute(select(tables.unresolved).where(tables.unresolved.c.key == key)).first()
            is None
        ):
            asked = {"key": key, "kind": item.kind.value, "item": item_to_json(item), "state": "unmatched",
                     "reason": "two shows have this title", "candidates": CANDIDATES, "created_at": now}  # fmt: skip
            connection.execute(insert(tables.unresolved), asked)

    home.do(made)


def everything(home: Household) -> None:
    """One of each kind, and two of some, of two people."""
    bob = home.person("bob")
    home.do(lambda connection: identities.claim_identities(connection, "me", "plex:anna", clock.now()))
    home.do(lambda connection: identities.claim_identities(connection, "bob", "plex:bob", clock.now()))
    account = {
        "person_id": bob,
        "tracker": "tvtime",
        "tells": ["watched"],
        "rules": {},
        "created_at": clock.now(),
    }
    home.do(lambda connection: connection.execute(insert(tables.account), account))
    lost(home, 4)
    lost(home, 5)
    lost(home, 6, "Else", "bob")
    dead(home, 7)
    dead(home, 8, "bob")
    limited(home, 9, "bob")
    home.hear("carl")
    imported(home, 1, "show:title:thelanternroom", Episode(show="The Lantern Room", season=1, number=1))
    imported(home, 1, "show:title:thelanternroom", Episode(show="The Lantern Room", season=1, number=2))
    imported(home, bob, "movie:title:paperboats:2001", Movie(title="Paper Boats", year=2001))
    home.do(lambda connection: parking.park(connection, 1, Park.SIGNED_OUT, "refused", clock.now()))


def page(browser: httpx.Client, path: str = "/needs-you") -> str:
    answer = browser.get(path)
    assert answer.status_code == 200
    return unescape(answer.text)


def post(browser: httpx.Client, path: str, **fields: Any) -> httpx.Response:
    token = form_token(browser.get("/needs-you").text)
    return browser.post(path, data={"form_token": token, **fields})


def badge(browser: httpx.Client) -> int:
    found = re.search(r", needs you: </span>(\d+)</b>", browser.get("/setup").text)
    return int(found.group(1)) if found else 0


def said(browser: httpx.Client, answer: httpx.Response) -> str:
    """The sentence on the list that the visitor is led back to."""
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/needs-you?said=")
    found = re.search(r'<div class="said line"><p[^>]*>(.*?)</p>', page(browser, answer.headers["location"]))
    assert found
    return found.group(1)


# --- the list and its count


def test_nothing_waits_and_the_list_says_so_with_the_last_play(home: Household) -> None:
    browser = home.browser()
    empty = page(browser)
    home.hear()
    home.settle("done")

    assert "Nothing needs your attention." in empty
    assert "There are no plays yet" in empty
    assert re.search(r"The last play was\s+<time", page(browser))
    assert badge(browser) == 0


@pytest.mark.parametrize("name", ["me", "bob"])
def test_what_is_counted_is_what_is_listed(home: Household, name: str) -> None:
    everything(home)
    person_id = home.do(lambda connection: people.find_person(connection, name).id)
    visitor = Visitor(person_id=person_id, name=name, is_admin=name == "me")
    browser = home.browser(name)

    found = home.do(lambda connection: needs.find_needs(connection, visitor, clock.now(), 3))

    kinds = (
        "unclaimed",
        "unmatched",
        "unresolved",
        "parked",
        "limited",
        "dead",
        "silent",
        "held",
        "held_lists",
    )
    assert found.counts == {kind: len(getattr(found, kind)) for kind in kinds}
    expected = {"me": (1, 2, 2, 1, 1, 2, 0, 0, 0), "bob": (0, 1, 1, 0, 1, 1, 0, 0, 0)}[name]
    assert tuple(found.counts[kind] for kind in kinds) == expected
    assert badge(browser) == found.count == sum(expected)
    assert f"<title>({found.count}) Needs you" in page(browser)


def test_a_member_sees_only_what_waits_for_them(home: Household) -> None:
    everything(home)
    browser = home.browser("bob")
    shown = page(browser)

    assert "Else" in shown
    assert "Paper Boats" in shown
    for others in ("Coal Harbour S1", "The Lantern Room", "carl", "Dead 7", "signed out"):
        assert others not in shown
    assert browser.get("/needs-you/match?of=1").status_code == 404
    assert browser.get("/needs-you/match?of=show:title:thelanternroom").status_code == 404
    assert post(browser, "/needs-you/match", of="1", tvdb="70").status_code == 404
    assert post(browser, "/needs-you/match", of="show:title:thelanternroom", tvdb="70").status_code == 404
    assert post(browser, "/needs-you/leave", of="show:title:thelanternroom").status_code == 404
    assert post(browser, "/needs-you/claim", identity="3", person="bob").status_code == 403
    assert post(browser, "/needs-you/heed", identity="3").status_code == 403
    assert post(browser, "/deliveries/4/dismiss").headers["location"].endswith("said=dismissed-0")


def test_more_than_fits_is_counted_and_comes_up_later(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "MAX_LISTED", 2)
    for number in range(3):
        lost(home, number, f"Show {number}")
    browser = home.browser()

    shown = page(browser)

    assert badge(browser) == 3
    assert ("Show 2" in shown, "Show 1" in shown, "Show 0" in shown) == (True, True, False)
    assert "And 1 more" in shown


def test_what_has_neither_title_nor_id_is_asked_one_by_one(home: Household) -> None:
    first, second = lost(home, 4), lost(home, 5)
    nameless = {"kind": "episode", "season": 1, "number": 1, "ids": {}, "show_ids": {}}
    both = update(tables.delivery).where(tables.delivery.c.id.in_((first, second)))
    home.do(lambda connection: connection.execute(both.values(item=nameless)))

    assert badge(home.browser()) == 2


def test_the_count_is_fast_with_much_behind_it(home: Household) -> None:
    lost(home)
    home.do(many)
    visitor = Visitor(person_id=1, name="me", is_admin=True)
    asked: list[str] = []
    began = time.perf_counter()

    def counted(connection: Connection) -> int:
        driver_of(connection).set_trace_callback(asked.append)
        return needs.count(connection, visitor, clock.now(), 3)

    assert home.service.database.ask(counted) == 1
    assert len([one for one in asked if one.startswith("SELECT")]) in range(1, 6)
    assert time.perf_counter() - began < 1.0


def many(connection: Connection) -> None:
    row = dict(connection.execute(select(tables.delivery)).mappings().one())
    row.pop("id")
    rows = [{**row, "key": f"many:{number}"} for number in range(3000)]
    connection.execute(insert(tables.delivery), rows)


# --- whose is it


def test_an_identity_is_claimed_in_one_click(home: Household) -> None:
    home.hear("anna")
    number = home.hear("carl@example.org", "Other", index=2)
    browser = home.browser()
    found = re.search(r'name="identity" value="(\d+)"', page(browser))
    assert found

    answer = post(browser, "/needs-you/claim", identity=found.group(1), person="me", new="", do="claim")
    home.interpret()

    assert said(browser, answer).startswith("Claimed.")
    assert "<h2>Play</h2>" in browser.get(f"/trace/{number}").text
    assert badge(browser) == 0


def test_somebody_new_is_named_right_there(home: Household) -> None:
    home.hear("anna")
    home.hear("carl", "Other", index=2)
    browser = home.browser()

    answer = post(browser, "/needs-you/claim", identity="2", person="me", new="Carl", do="claim")

    assert said(browser, answer).startswith("Claimed.")
    everybody = {one["name"]: one for one in home.api().get("/api/v1/people").json()["items"]}
    assert [one["user"] for one in everybody["Carl"]["identities"]] == ["carl"]
    assert any(one["person"] == "Carl" for one in home.api().get("/api/v1/accounts").json()["items"])


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"identity": "2", "person": "", "new": ""}, 422),
        ({"identity": "2", "person": "nobody"}, 404),
        ({"identity": "2", "new": "a:b"}, 422),
        ({"identity": "2", "new": "me"}, 409),
        ({"identity": "99", "person": "me"}, 404),
        ({"identity": "x", "person": "me"}, 422),
        ({"identity": "1", "do": "ignore"}, 409),
    ],
)
def test_a_claim_that_says_nothing_changes_nothing(
    home: Household, fields: dict[str, str], status: int
) -> None:
    home.hear("anna")
    home.hear("carl")
    browser = home.browser()

    assert post(browser, "/needs-you/claim", **fields).status_code == status
    assert badge(browser) == 1
    assert len(home.api().get("/api/v1/people").json()["items"]) == 1


def test_a_user_is_ignored_and_that_is_undone(home: Household) -> None:
    home.hear("anna")
    first = home.hear("carl")
    browser = home.browser()

    ignored = post(browser, "/needs-you/claim", identity="2", person="me", do="ignore")
    home.interpret()
    second = home.hear("Carl", "Next", index=2)

    assert said(browser, ignored).startswith("Ignored")
    assert badge(browser) == 0
    api = home.api()
    for number in (first, second):
        entry = api.get(f"/api/v1/webhooks/{number}").json()
        assert (entry["state"], entry["reason"]) == ("ignored", "nobody tracks this user")
    assert "Ignored users (1)" in page(browser)

    undone = post(browser, "/needs-you/heed", identity="2")
    home.interpret()

    assert said(browser, undone).startswith("No longer ignored")
    assert badge(browser) == 1
    assert api.get(f"/api/v1/webhooks/{first}").json()["state"] == "unclaimed"


def test_the_first_to_play_is_not_claimed_where_they_are_ignored(home: Household) -> None:
    home.do(lambda connection: identities.ignore_user(connection, "plex:anna", clock.now()))

    number = home.hear("anna")

    assert home.api().get(f"/api/v1/webhooks/{number}").json()["state"] == "ignored"


def test_a_claim_ends_the_ignoring(home: Household) -> None:
    home.hear("anna")
    number = home.hear("carl", "Other", index=2)
    home.do(lambda connection: identities.ignore_user(connection, "plex:carl", clock.now()))
    home.interpret()
    home.do(lambda connection: identities.claim_identities(connection, "me", "plex:carl", clock.now()))
    home.interpret()

    api = home.api()
    assert api.get(f"/api/v1/webhooks/{number}").json()["state"] == "interpreted"
    assert api.get("/api/v1/identities?ignored=true").json()["items"] == []


def test_the_api_ignores_too(home: Household) -> None:
    home.hear("anna")
    home.hear("carl")
    bob = home.person("bob")
    api, path = home.api(), "/api/v1/identities/ignore"

    done = api.post(path, json={"identity": "plex:carl"})
    assert done.json() == {"identity": "plex:carl", "ignored": True, "identities": 2}
    assert api.get("/api/v1/identities").json()["items"] == []
    assert {one["user"] for one in api.get("/api/v1/identities?ignored=true").json()["items"]} == {"carl"}
    assert api.post(path, json={"identity": "plex:carl", "ignored": False}).status_code == 200
    assert api.get("/api/v1/identities?ignored=true").json()["items"] == []
    assert api.post(path, json={"identity": "plex:carl", "ignored": False}).status_code == 422
    assert api.post(path, json={"identity": "plex:carl", "ignored": "no"}).status_code == 422
    assert api.post(path, json={"identity": "plex:carl", "more": 1}).status_code == 422
    assert "me claims this user" in api.post(path, json={"identity": "plex:anna"}).json()["detail"]
    assert home.api(bob).post(path, json={"identity": "plex:carl"}).status_code == 403


# --- what is it


def test_a_candidate_is_chosen_in_one_click_for_the_whole_show(home: Household) -> None:
    lost(home, 4)
    newest = lost(home, 5)
    browser = home.browser()
    shown = page(browser)

    assert badge(browser) == 1
    assert "2 deliveries wait" in shown
    assert "Coal Harbour (1994)" in shown
    assert 'href="https://www.themoviedb.org/tv/12"' in shown
    assert "<img" not in shown
    answer = post(browser, "/needs-you/match", of=str(newest), candidate="1", season_offset="-1")

    assert said(browser, answer).endswith("Deliveries sent now: 2.")
    (kept,) = home.do(lambda connection: connection.execute(select(tables.match)).all())
    assert (kept.ids, kept.title, kept.season_offset) == ({"tvdb": 70, "tmdb": 12}, "Coal Harbour", -1)
    assert badge(browser) == 0


def test_an_id_is_entered_by_hand(home: Household) -> None:
    number = lost(home)
    browser = home.browser()
    assert 'name="imdb"' in page(browser, f"/needs-you/match?of={number}")

    answer = post(browser, "/needs-you/match", of=str(number), tvdb="", imdb="tt0000071", season_offset="+2")

    assert said(browser, answer).startswith("Match saved")
    (kept,) = home.do(lambda connection: connection.execute(select(tables.match)).all())
    assert (kept.ids, kept.season_offset) == ({"imdb": "tt0000071"}, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tvdb": "x"},
        {"imdb": "71"},
        {"candidate": "9"},
        {"candidate": "0"},
        {"tvdb": "1", "season_offset": "x"},
    ],
)
def test_what_says_nothing_changes_nothing(home: Household, fields: dict[str, str]) -> None:
    number = lost(home)
    browser = home.browser()

    assert post(browser, "/needs-you/match", of=str(number), **fields).status_code == 422
    assert badge(browser) == 1


def test_a_show_whose_ids_contradict_is_asked_about(home: Household) -> None:
    shown = {"grandparentGuid": f"plex://show/{PLEX}", "grandparentTitle": "Harbour Street"}
    home.hear(**shown)
    home.hear(title="Second", index=2, guid="plex://episode/2", **shown)
    item = {"kind": "show", "title": "Harbour Street", "ids": {"plex": PLEX}}
    asked = {"key": f"show:plex:{PLEX}", "kind": "plex_show", "item": item, "state": "unmatched"}
    values = {**asked, "reason": "its episodes are of TheTVDB id 1", "candidates": []}
    home.do(
        lambda connection: connection.execute(
            insert(tables.unresolved), {**values, "created_at": clock.now()}
        )
    )

    page = home.browser().get("/needs-you").text
    (entry,) = home.api().get("/api/v1/unresolved").json()["items"]
    answer = home.api().post(
        "/api/v1/unresolved/match", json={"key": f"show:plex:{PLEX}", "ids": {"tvdb": 2}}
    )

    assert "Its episodes are of TheTVDB id 1." in page
    assert "2 plays" in page
    assert entry["plays"] == 2
    assert answer.json() == {"key": f"show:plex:{PLEX}", "plays": 2}
    assert home.api().get("/api/v1/unresolved").json()["items"] == []


def test_an_import_without_ids_is_matched_or_left(home: Household) -> None:
    key = "show:title:thelanternroom"
    for number in (1, 2):
        imported(home, 1, key, Episode(show="The Lantern Room", season=1, number=number))
    imported(home, 1, "movie:title:paperboats:2001", Movie(title="Paper Boats", year=2001))
    browser = home.browser()
    shown = page(browser)
    assert "The Lantern Room" in shown
    assert "2 plays" in shown
    assert 'action="/needs-you/match"' in page(browser, f"/needs-you/match?of={key}")

    answer = post(browser, "/needs-you/match", of=key, candidate="1")
    assert said(browser, answer).endswith("plays updated: 2.")
    left = post(browser, "/needs-you/leave", of="movie:title:paperboats:2001")

    assert said(browser, left).startswith("Skipped.")
    assert badge(browser) == 0
    items = home.do(lambda connection: connection.execute(select(tables.play.c.item)).scalars().all())
    assert [item.get("show_ids", {}).get("tvdb") for item in items] == [70, 70, None]


def test_a_question_is_left_with_all_that_wait_for_it(home: Household) -> None:
    lost(home, 4)
    newest = lost(home, 5)
    lost(home, 6, "Else")
    browser = home.browser()

    answer = post(browser, "/needs-you/leave", of=str(newest))

    assert "Dismissed: 2." in said(browser, answer)
    assert badge(browser) == 1
    states = home.do(lambda connection: connection.execute(select(tables.delivery.c.state)).scalars().all())
    assert set(states) == {"unmatched"}


def test_it_is_searched_by_title(opened: Open) -> None:
    world = World().add(Series(title="Coal Harbour", year=1994, ids={"tmdb": 12}))
    with Server(Tmdb(world)) as tmdb:
        home = opened(TMDB_TOKEN="head.payload.signature", TMDB_API_URL=f"{tmdb.url}/3")
        number = lost(home)
        browser = home.browser()
        found = page(browser, f"/needs-you/match?of={number}&title=coal+harbour")
        nothing = page(browser, f"/needs-you/match?of={number}&title=zzzz")
        listed = home.api().get("/api/v1/search?kind=show&title=coal+harbour").json()["items"]

    assert 'name="tmdb" value="12"' in found
    assert "Nothing was found under this title" in nothing
    assert [(one["title"], one["ids"]["tmdb"]) for one in listed] == [("Coal Harbour", 12)]
    answer = post(browser, "/needs-you/match", of=str(number), tmdb="12", title="Coal Harbour")
    assert said(browser, answer).startswith("Match saved")
    (kept,) = home.do(lambda connection: connection.execute(select(tables.match)).all())
    assert (kept.ids, kept.title) == ({"tmdb": 12}, "Coal Harbour")


def test_a_search_that_fails_says_so_and_the_page_stays(opened: Open) -> None:
    home = opened(TMDB_TOKEN="a" * 32, TMDB_API_URL="http://127.0.0.1:9/3")
    number = lost(home)

    shown = page(home.browser(), f"/needs-you/match?of={number}&title=coal+harbour")

    assert "The search did not come to an end" in shown
    assert "Enter an ID" in shown
    api = home.api()
    assert api.get("/api/v1/search?kind=show&title=x").status_code == 503
    assert api.get("/api/v1/search?kind=show").status_code == 400
    assert api.get("/api/v1/search?kind=show&title=x&year=12").status_code == 400


def test_without_lookups_there_is_no_search(home: Household) -> None:
    number = lost(home)

    assert "Search by title" not in page(home.browser(), f"/needs-you/match?of={number}")
    assert home.api().get("/api/v1/search?kind=show&title=x").status_code == 409


def test_what_was_answered_meanwhile_is_not_found(home: Household) -> None:
    number = dead(home)
    browser = home.browser()

    assert browser.get(f"/needs-you/match?of={number}").status_code == 404
    assert browser.get("/needs-you/match?of=99").status_code == 404
    assert browser.get("/needs-you/match?of=show:title:x").status_code == 404
    assert browser.get("/needs-you/match").status_code == 404


# --- failed


def test_one_is_dismissed_stays_dead_and_can_be_tried_again(home: Household) -> None:
    number = dead(home)
    browser = home.browser()

    answer = post(browser, f"/deliveries/{number}/dismiss", back="/needs-you")

    assert "Dismissed: 1." in said(browser, answer)
    assert badge(browser) == 0
    entry = home.api().get(f"/api/v1/deliveries/{number}").json()
    assert (entry["state"], bool(entry["settled_at"])) == ("dead", True)
    assert "failed, dismissed" in page(browser, "/deliveries?state=dead")
    assert post(browser, "/needs-you/retry").headers["location"] == "/needs-you?said=retried-0"
    assert home.api().post(f"/api/v1/deliveries/{number}/retry").json()["retried"] == 1


def test_all_are_tried_again_or_dismissed(home: Household) -> None:
    dead(home, 2)
    dead(home, 3)
    browser = home.browser()

    again = post(browser, "/needs-you/retry")
    home.settle("dead")
    gone = post(browser, "/deliveries/dismiss")

    assert "Retried: 2." in said(browser, again)
    assert "Dismissed: 2." in said(browser, gone)
    assert badge(browser) == 0


def test_the_api_dismisses_too(home: Household) -> None:
    first, second = dead(home, 2), dead(home, 3)
    api, path = home.api(), "/api/v1/deliveries/dismiss"

    assert api.post(path, json={"ids": [first]}).json() == {"dismissed": 1}
    assert api.post(path, json={"ids": [first]}).json() == {"dismissed": 0}
    assert [one["id"] for one in api.get("/api/v1/needs-you").json()["dead"]] == [second]
    assert api.post(path, json={"state": "dead"}).json() == {"dismissed": 1}
    assert api.get("/api/v1/needs-you").json()["count"] == 0
    for wrong in ({}, {"ids": ["1"]}, {"ids": [True]}, {"state": "done"}, {"ids": [1], "state": "dead"}):
        assert api.post(path, json=wrong).status_code == 422
    assert api.post("/api/v1/unresolved/dismiss", json={"key": "show:title:x"}).status_code == 404
    assert api.post("/api/v1/unresolved/dismiss", json={}).status_code == 422


# --- the commands


def test_the_commands_ignore_and_copy_too(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    home.hear("anna")
    number = home.hear("wilhelmina")
    monkeypatch.setenv("DATA_DIR", str(home.service.settings.data_dir))
    run = CliRunner().invoke

    copied = run(cli.app, ["trace", str(number), "--redacted"]).stdout
    ignored = run(cli.app, ["people", "ignore", "plex:wilhelmina"]).stdout
    listed = run(cli.app, ["people", "list"]).stdout
    undone = run(cli.app, ["people", "ignore", "plex:wilhelmina", "--undo"]).stdout

    assert json.loads(copied)["payload"]["Account"]["title"] == "person-1"
    assert "wilhelmina" not in copied
    assert "Undo it: watchmark people ignore plex:wilhelmina --undo" in ignored
    assert "Ignored: plex:wilhelmina" in listed
    assert "no longer ignored" in undone
    assert "There is no webhook 99" in run(cli.app, ["trace", "99", "--redacted"]).output
    assert run(cli.app, ["people", "ignore", "plex:anna"]).exit_code == 1


# --- accounts


def test_a_parked_account_leads_to_where_it_is_mended(home: Household) -> None:
    home.hear()
    home.do(lambda connection: parking.park(connection, 1, Park.SIGNED_OUT, "refused", clock.now()))
    browser = home.browser()
    shown = page(browser)

    assert 'href="/connections/tvtime"' in shown
    assert "watchmark connect" not in shown
    fields = {"back": "/needs-you", "state": "parked", "tracker": "tvtime", "person": "me"}
    answer = post(browser, "/deliveries/retry", **fields)
    assert "Retried: 1." in said(browser, answer)
    assert badge(browser) == 0


def test_an_account_that_was_disconnected_needs_nothing(home: Household) -> None:
    home.hear()
    home.do(lambda connection: parking.park(connection, 1, Park.SIGNED_OUT, DISCONNECTED, clock.now()))
    browser = home.browser()

    shown, connection = page(browser), browser.get("/connections/tvtime").text

    assert badge(browser) == 0
    assert 'href="/connections/tvtime"' not in shown
    assert "It was disconnected here." in connection
    assert "no longer accepts" not in connection


def test_a_limit_says_what_is_full_and_is_tried_again_once_there_is_room(home: Household) -> None:
    number = limited(home)
    browser = home.browser()
    shown = page(browser)

    assert "TV Time takes no more for the watched history of this account" in shown
    assert "Make room there, or upgrade the account, then try again." in shown
    assert "watchmark retry" not in shown
    assert badge(browser) == 1
    fields = {"back": "/needs-you", "state": "parked", "tracker": "tvtime", "person": "me"}
    assert "Retried: 1." in said(browser, post(browser, "/deliveries/retry", **fields))
    assert badge(browser) == 0
    assert home.api().get(f"/api/v1/deliveries/{number}").json()["state"] == "waiting"


def test_a_limit_is_said_wherever_the_account_or_the_delivery_is_shown(home: Household) -> None:
    number = limited(home)
    browser, api = home.browser(), home.api()
    full = "TV Time takes no more for the watched history of this account: a limit is reached."

    (connections,) = re.findall(
        r'<li class="service" id="tvtime">.*?</li>', page(browser, "/connections"), re.DOTALL
    )
    (account,) = api.get("/api/v1/accounts").json()["items"]
    delivery = api.get(f"/api/v1/deliveries/{number}").json()

    assert "Partly working" in connections
    assert full in connections
    assert full in page(browser, "/connections/tvtime")
    assert full in page(browser, f"/trace/{delivery['webhook']}")
    assert (account["state"], account["limits"][0]["waits"]) == ("working", 1)
    assert account["limits"][0]["explanation"] == delivery["explanation"]
    assert delivery["explanation"].startswith(full)
    assert "watchmark retry --state parked --tracker tvtime --person me" in delivery["explanation"]


def test_no_title_is_more_than_text(home: Household) -> None:
    number = lost(home, show=HOSTILE)
    browser = home.browser()

    for path in ("/needs-you", f"/needs-you/match?of={number}"):
        text = browser.get(path).text
        assert "<script>" not in text
        assert HOSTILE in unescape(text)


def test_it_all_counts_the_same_on_postgresql(opened: Open, postgres_url: str) -> None:
    home = opened(DATABASE_URL=postgres_url)
    everything(home)
    for name, expected in (("me", 9), ("bob", 4)):
        assert badge(home.browser(name)) == expected
        assert page(home.browser(name), "/activity?text=harbour&tracker=tvtime&person=me")


# --- servers that fell silent


def fallen_silent(home: Household, server: str = "attic-uuid") -> None:
    now = clock.now()
    seen = {"first_seen": now - timedelta(days=20), "last_seen": now - timedelta(days=4)}
    here = update(tables.identity).where(tables.identity.c.server == server)
    home.do(lambda connection: connection.execute(here.values(seen)))


def test_a_retired_server_is_taken_off_the_list(home: Household) -> None:
    home.hear()
    fallen_silent(home)
    browser = home.browser()
    page = browser.get("/needs-you").text
    assert 'aria-label="Dismiss Attic"' in page
    assert "No webhook from Plex, server <bdi>Attic</bdi>, since <time" in page

    fields = {"form_token": form_token(page), "source": "plex", "server": "attic-uuid"}
    answer = browser.post("/needs-you/silence", data=fields)

    assert answer.headers["location"] == "/needs-you?said=retired"
    assert home.api().get("/api/v1/silent").json()["items"] == []
    assert "Silence" not in browser.get("/needs-you").text


def test_a_server_that_is_heard_again_can_fall_silent_again(home: Household) -> None:
    home.hear()
    fallen_silent(home)
    api = home.api()
    (one,) = api.get("/api/v1/silent").json()["items"]

    known = {"source": one["source"], "server": one["server"]}
    assert api.post("/api/v1/silent/dismiss", json=known).json() == {**known, "dismissed": True}
    assert api.get("/api/v1/needs-you").json()["counts"]["silent"] == 0
    home.hear(title="Second")
    fallen_silent(home)

    assert [back["server"] for back in api.get("/api/v1/silent").json()["items"]] == ["attic-uuid"]


def test_only_the_owner_dismisses_a_server_and_only_one_that_was_heard(home: Household) -> None:
    home.hear()
    path = "/api/v1/silent/dismiss"
    known = {"source": "plex", "server": "attic-uuid"}

    assert home.api(home.person("bob")).post(path, json=known).status_code == 403
    api = home.api()
    assert api.post(path, json={"source": "plex", "server": "cellar"}).status_code == 404
    for wrong in ({}, {"source": 7}, {"source": "plex", "server": 7}, {**known, "days": 3}):
        assert api.post(path, json=wrong).status_code == 422


# --- what cannot be meant


@pytest.mark.parametrize("of", ["9" * 30, "9" * 5000, "٣"])
def test_a_number_that_no_question_has_asks_nothing(home: Household, of: str) -> None:
    answer = home.browser().get("/needs-you/match", params={"of": of})

    assert answer.status_code in (400, 404)


@pytest.mark.parametrize(
    "typed",
    [
        {"season_offset": "+-5", "tvdb": "5"},
        {"season_offset": "9" * 30, "tvdb": "5"},
        {"tvdb": "9" * 5000},
        {"tmdb": "²"},
    ],
)
def test_a_match_that_cannot_be_is_refused_with_a_sentence(home: Household, typed: dict[str, str]) -> None:
    delivery = lost(home)
    browser = home.browser()
    fields = {"form_token": form_token(browser.get("/needs-you").text), "of": str(delivery), **typed}

    assert browser.post("/needs-you/match", data=fields).status_code == 422
