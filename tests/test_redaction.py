"""Redaction: nothing that says who and where is left, and what a bug report needs is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webhook import sources
from webhook.clock import now
from webhook.domain.event import Ignored, Unreadable
from webhook.domain.redaction import redact

PAYLOADS = Path(__file__).parent / "payloads"

PLEX = {
    "event": "media.play",
    "user": True,
    "Account": {"id": 70011223, "thumb": "https://plex.tv/users/9f/avatar", "title": "Nora"},
    "Server": {"title": "Attic", "uuid": "5f5f5f5f"},
    "Player": {"local": True, "publicAddress": "203.0.113.9", "title": "Plex", "uuid": "sofa-1"},
    "Metadata": {
        "guid": "plex://episode/5d9c1280ba6eb9001fb6de4f",
        "Guid": [{"id": "tvdb://9001"}],
        "title": "Nora and the Norah Case",
        "librarySectionTitle": "Nora's shows",
        "viewOffset": 600000,
        "duration": 2700000,
        "User": {"id": 1, "title": "NORA"},
        "Media": [{"Part": [{"file": "/media/nora/tv/Case.S01E01.mkv"}]}],
    },
}


def test_who_and_where_are_replaced_by_the_same_words_everywhere() -> None:
    found = redact(PLEX)

    assert found["Account"] == {"id": 0, "thumb": "picture", "title": "person-1"}
    assert found["Server"] == {"title": "server-1", "uuid": "id-1"}
    assert found["Player"] == {
        "local": True,
        "publicAddress": "address-1",
        "title": "player-1",
        "uuid": "id-2",
    }
    assert found["Metadata"]["User"] == {"id": 0, "title": "person-1"}
    assert found["Metadata"]["librarySectionTitle"] == "person-1's shows"
    assert found["Metadata"]["Media"][0]["Part"][0]["file"] == "…/Case.S01E01.mkv"


def test_what_happened_to_which_item_stays() -> None:
    found = redact(PLEX)

    assert found["event"] == "media.play"
    assert found["user"] is True
    assert found["Metadata"]["guid"] == "plex://episode/5d9c1280ba6eb9001fb6de4f", "though the player is Plex"
    assert found["Metadata"]["Guid"] == [{"id": "tvdb://9001"}]
    assert found["Metadata"]["title"] == "person-1 and the Norah Case"
    assert (found["Metadata"]["viewOffset"], found["Metadata"]["duration"]) == (600000, 2700000)


def test_it_is_the_same_each_time_and_leaves_what_it_was_given() -> None:
    before = json.dumps(PLEX)

    assert redact(PLEX) == redact(PLEX)
    assert json.dumps(PLEX) == before


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"NotificationUsername": "Eve", "Text": "Eve watched it"}, "Eve"),
        ({"note": "mail me@home.example now"}, "me@home.example"),
        ({"url": "https://x.example/a?X-Plex-Token=s3cret&b=1"}, "s3cret"),
        ({"url": "https://x.example/a?api_key=s3cret"}, "s3cret"),
        ({"ServerUrl": "http://10.0.0.2:8096"}, "10.0.0.2"),
        ({"text": "from 192.168.1.20:32400"}, "192.168.1.20"),
        ({"text": "from [2001:db8::7:1]"}, "2001:db8"),
        ({"text": "see http://tv.my-home.example/x"}, "my-home"),
        ({"User": {"Name": "Eve", "Id": "d2d2d2d2"}, "by": "d2d2d2d2"}, "d2d2d2d2"),
        ({"Session": {"DeviceName": "Hall", "RemoteEndPoint": "1.2.3.4"}}, "Hall"),
        ({"user_email": "e@x.example"}, "e@x.example"),
        ({"user": "anna", "player": "Sofa", "player_id": "sofa-1"}, "sofa-1"),
        ({"access_token": "abc"}, "abc"),
        ([{"username": "Eve"}, {"username": "EVE"}], "EVE"),
        ({"path": "C:\\Users\\Eve\\film.mkv"}, "Users"),
    ],
)
def test_what_is_private_does_not_get_out(given: Any, left: str) -> None:
    assert left not in json.dumps(redact(given), ensure_ascii=False)


@pytest.mark.parametrize(
    "given",
    [
        {"Version": "4.9.3.0", "ServerVersion": "10.11.0.1"},
        {"title": "10:20:30", "at": "2026-11-22T20:15:09Z"},
        {"ProviderIds": {"Imdb": "tt7700009"}, "site": "https://www.thetvdb.com/series/1"},
        {"user": "", "server": None, "live": "0", "list": [1, 2.5, False]},
        "text",
        7,
        None,
        [],
    ],
)
def test_what_is_not_private_is_left_alone(given: Any) -> None:
    assert redact(given) == given


SENT = sorted(path for source in sources.modules() for path in (PAYLOADS / source).glob("*.json"))


@pytest.mark.parametrize("path", SENT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_redacted_payload_is_still_read_the_same(path: Path) -> None:
    """What is copied for a bug report must show the same bug."""
    payload, moment = json.loads(path.read_bytes()), now()
    try:
        before = sources.read_webhook(path.parent.name, payload, moment)
    except Unreadable:
        return
    after = sources.read_webhook(path.parent.name, redact(payload), moment)

    if isinstance(before, Ignored):
        assert after == before
        return
    assert not isinstance(after, Ignored)
    assert [(one.action, one.item, one.percent) for one in after] == [
        (one.action, one.item, one.percent) for one in before
    ]


def test_a_text_without_end_is_cut_and_costs_no_more() -> None:
    found = redact({"note": "a" * 1_000_000, "user": "x" * 1_000_000, "url": "://" + "a." * 500_000})

    assert len(json.dumps(found)) < 20_000
    assert found["note"].endswith("a…")


def test_texts_are_left_out_whole_where_more_words_are_to_go_than_can_be_looked_for() -> None:
    users = [{"User": {"title": f"Somebody {number}"}} for number in range(500)]

    found = redact({"all": users, "text": "Somebody 77 and Somebody 499 watched it", "event": "media.play"})

    assert found["text"] == "…"
    assert found["event"] == "media.play"
    assert "Somebody" not in json.dumps(found)


def test_what_is_nested_without_end_is_left_out() -> None:
    nested: Any = "Nora"
    for _ in range(900):
        nested = {"inner": [nested]}

    assert "Nora" not in json.dumps(redact({"user": "Nora", "deep": nested}))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://home.example.org:8096/x", "http://host-1:8096/x"),
        ("http://nas:8096/x", "http://nas:8096/x"),
        ("http://localhost/x", "http://host-1/x"),
        ("https://image.tmdb.org/t", "https://image.tmdb.org/t"),
        ("http://10.0.0.7/x", "http://address-1/x"),
    ],
)
def test_hosts_go_that_say_where_somebody_is(given: str, kept: str) -> None:
    assert redact({"text": given})["text"] == kept
