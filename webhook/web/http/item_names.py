"""The names of items for people: a title in one line, or what stands large and small, and the keys of their pages."""

from __future__ import annotations

from typing_extensions import ReadOnly

from webhook.domain.event import Ids, Kind, Movie, item_from_json
from webhook.domain.json_shapes import IdsJson, NamedItem
from webhook.domain.pictures import picture_key
from webhook.history.library import film_key, show_key
from webhook.texts import texts
from webhook.web.http.language import gettext


class ShownItem(NamedItem, total=False):
    """An item as a page shows it, of any object that has its fields beside others."""

    album: ReadOnly[str | None]
    ids: ReadOnly[IdsJson | None]
    show_ids: ReadOnly[IdsJson | None]
    picture: ReadOnly[str | None]


UNTITLED = texts({"movie": "untitled film", "track": "untitled track", "show": "untitled show"})


def item_title(entry: NamedItem) -> str:
    """An item in one line: Show S3 E9 - Title (2013)."""
    title, year = entry.get("title"), entry.get("year")
    if entry.get("kind") in ("episode", "season"):
        named = " \N{EN DASH} ".join(part for part in (head(entry), title) if part)
        return named or gettext("untitled episode")
    if artist := entry.get("artist"):
        title = " \N{EN DASH} ".join(part for part in (artist, title) if part)
    named = title or gettext(UNTITLED.get(entry.get("kind") or "", "untitled item"))
    return f"{named} ({year})" if year else named


def picture_of(entry: ShownItem) -> str | None:
    """The key of an entry's picture: its own, else that of the item which it describes with its ids."""
    if "picture" in entry or not entry.get("ids"):
        return entry.get("picture")
    return picture_key(item_from_json(entry))


def film_page_key(entry: ShownItem) -> str | None:
    """The key of a film's page; None for what is no film, or has neither an id nor a title with its year."""
    item = Movie(title=entry.get("title"), year=entry.get("year"), ids=Ids.from_json(entry.get("ids") or {}))
    return film_key(item) if entry.get("kind") == Kind.MOVIE else None


def show_page_key(entry: ShownItem) -> str | None:
    """The key of a show's page."""
    return show_key(entry.get("title"), Ids.from_json(entry.get("ids") or {}))


def headline(entry: NamedItem) -> str:
    """The name that stands largest: the show of an episode, a film with its year, a track."""
    if entry.get("kind") in ("episode", "season") and (show := entry.get("show")):
        return show
    without_artist: NamedItem = {**entry, "artist": None}
    return item_title(without_artist)


def subline(entry: ShownItem) -> str:
    """The rest of an item's name: S2 E7 · Chikhai Bardo, or a track's artist and album."""
    if entry.get("kind") in ("episode", "season") and entry.get("show"):
        without_show: ShownItem = {**entry, "show": None}
        return " \N{MIDDLE DOT} ".join(part for part in (head(without_show), entry.get("title")) if part)
    return " \N{MIDDLE DOT} ".join(part for part in (entry.get("artist"), entry.get("album")) if part)


def picture_title(entry: ShownItem) -> str | None:
    """The name of what an entry's picture shows: its show, its album, its artist, or itself."""
    return entry.get("show") or entry.get("album") or entry.get("artist") or entry.get("title")


def head(entry: NamedItem) -> str:
    places = (("S", entry.get("season")), ("E", entry.get("number")))
    numbers = [f"{letter}{number}" for letter, number in places if number is not None]
    return " ".join(part for part in (entry.get("show"), *numbers) if part)


def title_with_year(entry: NamedItem) -> str:
    return f"{entry['title']} ({entry['year']})" if entry.get("year") else str(entry["title"])
