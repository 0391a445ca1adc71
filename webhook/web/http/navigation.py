"""The navigation of every page: five sections, and the tabs of the one that is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from webhook.web.visible import Visitor


@dataclass(frozen=True, slots=True)
class Tab:
    """A page within a section; `owner` where only the owner may open it; `within` are paths of it beside its own."""

    path: str
    label: str
    owner: bool = False
    within: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        return (self.path, *self.within)


@dataclass(frozen=True, slots=True)
class Section:
    """One of the five sections; `within` are paths that belong to it beside its tabs."""

    name: str
    label: str
    path: str
    tabs: tuple[Tab, ...] = ()
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Navigation:
    """What a page's frame shows: the sections, the open one, and its tabs with the open one."""

    sections: Sequence[Section]
    section: Section | None
    tabs: Sequence[Tab]
    tab: Tab | None


HISTORY_TABS = (
    Tab("/history", "Plays"),
    Tab("/history/numbers", "Numbers"),
    Tab("/history/import", "Import"),
    Tab("/history/export", "Export"),
    Tab("/history/backfill", "Backfill"),
)
LIBRARY_TABS = (
    Tab("/library", "Watching"),
    Tab("/library/up-to-date", "Up to date"),
    Tab("/library/finished", "Finished"),
    Tab("/library/films", "Films"),
    Tab("/library/watchlist", "Watchlist"),
    Tab("/library/loved", "Loved"),
)
ACTIVITY_TABS = (
    Tab("/needs-you", "Needs you"),
    Tab("/activity", "Webhooks"),
    Tab("/deliveries", "Deliveries"),
)


def settings_tabs(visitor: Visitor) -> tuple[Tab, ...]:
    mine = quote(visitor.name or "", safe="")
    return (
        Tab("/settings", "General", owner=True),
        Tab("/connections", "Connections", within=("/setup",)),
        Tab("/people", "People" if visitor.is_admin else "You"),
        Tab(f"/people/{mine}/apps", "Apps"),
        Tab("/api/docs", "API"),
    )


def sections(visitor: Visitor) -> tuple[Section, ...]:
    return (
        Section("now", "Now", "/", within=("/start",)),
        Section("history", "History", "/history", HISTORY_TABS),
        Section("library", "Library", "/library", LIBRARY_TABS),
        Section("activity", "Activity", "/activity", ACTIVITY_TABS, within=("/trace",)),
        Section(
            "settings", "Settings", "/settings" if visitor.is_admin else "/people", settings_tabs(visitor)
        ),
    )


def navigation(visitor: Visitor, path: str) -> Navigation:
    """The navigation at a path; a page belongs to the section and the tab with the longest path that it is under."""
    shown = sections(visitor)
    places = [
        (place, section)
        for section in shown
        for place in (section.path, *section.within, *(place for tab in section.tabs for place in tab.places))
        if is_under(path, place)
    ]
    section = max(places, key=lambda pair: len(pair[0]))[1] if places else None
    tabs = [tab for tab in section.tabs if visitor.is_admin or not tab.owner] if section else []
    open_tabs = [tab for tab in tabs if any(is_under(path, place) for place in tab.places)]
    return Navigation(shown, section, tabs, max(open_tabs, key=lambda tab: len(tab.path), default=None))


def is_under(path: str, place: str) -> bool:
    return path == place or (place != "/" and path.startswith(f"{place}/"))
