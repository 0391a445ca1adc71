"""The frame of every page: five sections, the tabs of the open one, and times as one would say them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from webhook import clock
from webhook.web.http.navigation import navigation
from webhook.web.http.templating import ZONE, format_nearby
from webhook.web.visible import Visitor

OWNER = Visitor(person_id=1, name="me", is_admin=True)
MEMBER = Visitor(person_id=2, name="bob", is_admin=False)


@pytest.mark.parametrize(
    ("path", "section", "tab"),
    [
        ("/", "now", None),
        ("/history", "history", "Plays"),
        ("/history/plays/3", "history", "Plays"),
        ("/history/numbers", "history", "Numbers"),
        ("/library/shows/tvdb:77", "library", "Watching"),
        ("/library/films", "library", "Films"),
        ("/needs-you/match", "activity", "Needs you"),
        ("/trace/9", "activity", None),
        ("/people/me/apps", "settings", "Apps"),
        ("/people/bob", "settings", "People"),
        ("/setup", "settings", "Connections"),
        ("/start", "now", None),
        ("/nothing", None, None),
    ],
)
def test_a_page_belongs_to_a_section_and_a_tab(path: str, section: str | None, tab: str | None) -> None:
    found = navigation(OWNER, path)

    assert (found.section.name if found.section else None) == section
    assert (found.tab.label if found.tab else None) == tab


def test_a_member_is_offered_no_page_of_the_owner() -> None:
    found = navigation(MEMBER, "/people/bob")

    assert [tab.label for tab in found.tabs] == [
        "Connections",
        "You",
        "Apps",
        "API",
    ]
    assert [section.path for section in found.sections][-1] == "/people"


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-11-26T14:25:09Z", "today 15:25"),
        ("2026-11-25T20:10:00Z", "yesterday 21:10"),
        ("2026-11-25T23:10:00Z", "today 00:10"),
        ("2026-11-22T20:10:00Z", "Sunday 21:10"),
        ("2026-11-19T20:10:00Z", "19 Nov 21:10"),
        ("2024-02-03T20:10:00Z", "3 Feb 2024"),
        ("2026-11-27T20:10:00Z", "tomorrow 21:10"),
    ],
)
def test_a_time_is_said_as_one_would_say_it(monkeypatch: pytest.MonkeyPatch, at: str, words: str) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 26, 18, 0, tzinfo=UTC))
    before = ZONE.set(ZoneInfo("Europe/Berlin"))
    try:
        assert format_nearby(at) == words
    finally:
        ZONE.reset(before)
