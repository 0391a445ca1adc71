"""What can be added by hand: the films and shows of a title, and a show's episodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from sqlalchemy import Connection
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.event import Ids, Kind, Movie, Show
from webhook.domain.items import fold_title
from webhook.domain.pictures import picture_key
from webhook.history import shows
from webhook.history.library import show_key
from webhook.lookups import ListedEpisode
from webhook.queries.plays import PlayJson, list_plays
from webhook.service import Service
from webhook.web.history.episodes import EpisodeJson, unseen_episode, whole_show
from webhook.web.http.errors import Problem
from webhook.web.needs_you.api import SEARCH_TIMEOUT, search_titles

ID_NAMES = ("tvdb", "tmdb", "imdb", "trakt")
TITLE_FIELDS: tuple[Literal["title", "show"], ...] = ("title", "show")
NUMBER_FIELDS: tuple[Literal["season", "number", "year"], ...] = ("season", "number", "year")
ID_FIELDS: tuple[Literal["ids", "show_ids"], ...] = ("ids", "show_ids")
"""The fields of an item in a form."""

SEARCHED_PLAYS = 5_000
"""The latest plays searched for a title."""

MAX_FOUND = 20


class Found(TypedDict):
    """A film or a show of a title; `query` leads to the form about it."""

    kind: str
    title: str
    year: int | None
    picture: str | None
    query: str


def found_title(kind: str, title: str, year: int | None, ids: Ids, person: str | None) -> Found:
    is_film = kind == Kind.MOVIE
    picture = picture_key(Movie(title=title, year=year, ids=ids) if is_film else Show(title=title, ids=ids))
    named = {name: value for name, value in ids.by_namespace().items() if name in ID_NAMES}
    fields = {
        "kind": kind,
        "picked": 1,
        "title" if is_film else "show": title,
        "year": year if is_film else None,
    }
    fields |= {f"{'ids' if is_film else 'show_ids'}.{name}": value for name, value in named.items()}
    query = urlencode({name: value for name, value in {**fields, "person": person}.items() if value})
    return {
        "kind": kind if is_film else "show",
        "title": title,
        "year": year,
        "picture": picture,
        "query": query,
    }


async def find_titles(
    service: Service, owner: str, kind: str, title: str, person: str | None
) -> tuple[list[Found], str | None]:
    """The films or shows of a title, those of the history first; and why the search failed, if it did."""
    plays = await service.database.read(
        lambda connection: list_plays(
            connection, person_name=owner, text=title, kind=kind, limit=200, at_once=SEARCHED_PLAYS
        )
    )
    found = [found_title(*one, person) for one in distinct_titles(plays["items"], title)]
    trouble = None
    if service.resolver.identity.lookups:
        wanted = "movie" if kind == Kind.MOVIE else "show"
        try:
            for one in await search_titles(service, wanted, title, None):
                ids = Ids.from_json(one["ids"])
                found.append(found_title(kind, one["title"] or "", one["year"], ids, person))
        except Problem as error:
            trouble = error.detail
    named = {
        (fold_title(one["title"]), one["year"] if kind == Kind.MOVIE else one["picture"]): one
        for one in reversed(found)
        if one["title"]
    }
    return list(reversed(named.values()))[:MAX_FOUND], trouble


def distinct_titles(plays: Iterable[PlayJson], text: str) -> list[tuple[str, str, int | None, Ids]]:
    """The films and shows of these plays whose own title has the text, each once."""
    named: dict[object, tuple[str, str, int | None, Ids]] = {}
    for play in plays:
        is_film = play["kind"] == Kind.MOVIE
        title, ids = (play["title"], play["ids"]) if is_film else (play["show"], play["show_ids"])
        if title and fold_title(text) in fold_title(title):
            year = play["year"] if is_film else None
            named.setdefault(play["picture"] or title, (play["kind"], title, year, Ids.from_json(ids)))
    return list(named.values())


# --- episodes


class SeasonEpisodes(NamedTuple):
    number: int
    episodes: Sequence[EpisodeJson]

    @property
    def watched_count(self) -> int:
        return sum(bool(one["plays"]) for one in self.episodes)


async def list_episodes(service: Service, person_id: int, title: str | None, ids: Ids) -> list[EpisodeJson]:
    """The episodes of a show that have aired, with the person's viewings; fetched where no list is stored."""
    key = show_key(title, ids)
    if key is None:
        return []

    def read(connection: Connection) -> tuple[list[EpisodeJson], bool]:
        stored = shows.stored_lists(connection, [key])
        known = whole_show(connection, person_id, key)
        if known is not None:
            return known["episodes"], key in stored
        return unseen_episodes(shows.episodes_of(stored[key]) if key in stored else ()), key in stored

    episodes, is_stored = await service.database.read(read)
    if not is_stored and service.episodes.lookups and ids:
        try:
            async with asyncio.timeout(SEARCH_TIMEOUT):
                await service.episodes.ask(shows.Listing(key=key, title=title, ids=ids), clock.now())
        except TimeoutError:
            return episodes
        episodes, _ = await service.database.read(read)
    return aired_episodes(episodes, clock.now().date())


def unseen_episodes(listed: Iterable[ListedEpisode]) -> list[EpisodeJson]:
    """A list's episodes in order, specials last."""
    return [
        {**unseen_episode((one.season, one.number), one.title), "aired": one.aired, "listed": True}
        for one in sorted(listed, key=lambda one: (one.season == 0, one.season, one.number))
    ]


def aired_episodes(episodes: Iterable[EpisodeJson], today: date) -> list[EpisodeJson]:
    return [
        one
        for one in episodes
        if one["plays"] or not one["listed"] or (one["aired"] or "9") <= today.isoformat()
    ]


def by_season(episodes: Iterable[EpisodeJson]) -> list[SeasonEpisodes]:
    return [
        SeasonEpisodes(number, list(some))
        for number, some in groupby(episodes, key=lambda one: one["season"])
    ]


class EpisodePlace(TypedDict):
    """An episode of a form, as fields of an item."""

    season: int | str | None
    number: int
    title: str | None


def chosen_episodes(fields: Mapping[str, str], episodes: Sequence[EpisodeJson]) -> list[EpisodePlace]:
    """The episodes that a form ticks, and with `upto` the unwatched ones before, as fields of items."""
    ticked = {name.removeprefix("ep-") for name in fields if name.startswith("ep-")}
    places = [place_of(one) for one in episodes]
    last = fields.get("upto", "")
    if last in places:
        until = places.index(last) + 1
        ticked |= {place_of(one) for one in episodes[:until] if one["season"] > 0 and not one["plays"]}
    return [
        {"season": one["season"], "number": one["number"], "title": one["title"]}
        for one in episodes
        if place_of(one) in ticked
    ]


def place_of(episode: EpisodeJson) -> str:
    return f"{episode['season']}x{episode['number']}"
