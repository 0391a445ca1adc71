"""Items: how a call names one, in a scrobble and in the body of a sync call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show
from webhook.domain.outcome import Dead, Unmatched
from webhook.trackers._shared import Json
from webhook.trackers.simkl.responses import LABEL

NAMESPACES: Mapping[Kind, tuple[str, ...]] = {
    Kind.MOVIE: ("simkl", "imdb", "tmdb"),  # a film's TVDB id could be read as a show's
    Kind.SHOW: ("simkl", "tvdb", "tmdb", "imdb"),
    Kind.EPISODE: ("simkl", "tvdb"),  # by which /sync/history finds an episode without its show
}
ANIME = ("anidb", "mal")
"""Ids of one season of an anime, inside which episodes are counted from 1."""

OTHER_NUMBERS = (
    "The numbers of this episode follow a mapping list and not the aired order, and it has no id of its own "
    "that Simkl knows"
)


def forms(item: Item) -> list[Json]:
    """The item in every way that a scrobble can name it, the surest first. Raises Unmatched if in none."""
    found = list(movie_forms(item) if isinstance(item, Movie) else ())
    found += episode_forms(item) if isinstance(item, Episode) else ()
    return found or nameless(item)


def nameless(item: Item) -> list[Json]:
    if isinstance(item, Episode) and item.numbering != "aired":
        raise Unmatched(OTHER_NUMBERS)
    if isinstance(item, Episode) and (item.season is None or item.number is None):
        raise Unmatched(f"{LABEL} finds an episode by its show, season and number, and not all are known")
    raise Unmatched(f"No id, or title and year, by which {LABEL} could find this {item.kind}")


def movie_forms(item: Movie) -> Iterator[Json]:
    yield from ({"movie": title} for title in titles(Kind.MOVIE, item.ids, item.title, item.year))


def titles(kind: Kind, ids: Ids, title: str | None, year: int | None) -> Iterator[Json]:
    """By ids, with the title beside them, then by title and year; a title alone could be any."""
    named = {"title": title, "year": year} if title and year else {}
    if mine := usable(kind, ids):
        yield {**named, "ids": mine}
    if named:
        yield named


def episode_forms(item: Episode) -> Iterator[Json]:
    """By the show and the place in it; never by numbers that count in another order."""
    if item.numbering != "aired" or item.season is None or item.number is None:
        return
    numbers = {"season": item.season, "number": item.number}
    if ids := usable(Kind.SHOW, item.show_ids):
        # Without the year: it may be the episode's, which would speak against the ids.
        yield {"show": {**({"title": item.show} if item.show else {}), "ids": ids}, "episode": numbers}
    elif (ids := anime(item.show_ids)) and item.season == 1:
        yield {"anime": {"ids": ids}, "episode": {"number": item.number}}
    if item.show and item.year:
        yield {"show": {"title": item.show, "year": item.year}, "episode": numbers}


def usable(kind: Kind, ids: Ids) -> Json:
    known = ids.known()
    return {name: known[name] for name in NAMESPACES[kind] if name in known}


def usable_show(item: Episode) -> Json:
    return usable(Kind.SHOW, item.show_ids)


def anime(ids: Ids) -> Json:
    known = ids.known()
    return {name: known[name] for name in ANIME if name in known}


def surest_by_date(item: Item) -> bool:
    """Whether an episode's own id is all but its title: a scrobble cannot carry that id, the history can."""
    if not isinstance(item, Episode) or not usable(Kind.EPISODE, item.ids):
        return False
    return all(by_title(placed(form, {})) for form in episode_forms(item))


def single(item: Item) -> None:
    """Raises Dead unless it is one thing to watch: a show would mark every episode it has."""
    if not isinstance(item, Movie | Episode):
        raise Dead(f"{LABEL} is told of films and episodes being watched, not of a {item.kind}")


def ratable(item: Item) -> None:
    if not isinstance(item, Movie | Show):
        raise Dead(f"{LABEL} has ratings of films and shows only, not of {item.kind}s")


@dataclass(frozen=True, slots=True)
class Entry:
    """One item in the body of a sync call: in which list it stands, and as what."""

    group: str
    body: Json


def entries(item: Item, said: Json) -> list[Entry]:
    """The item in every way that a sync call can name it, and what is said of it. Raises Unmatched if in none."""
    if isinstance(item, Show):
        found = [
            Entry("shows", {**title, **said}) for title in titles(Kind.SHOW, item.ids, item.title, item.year)
        ]
    elif isinstance(item, Episode):
        found = [placed(form, said) for form in episode_forms(item)]
        if own := usable(Kind.EPISODE, item.ids):
            sure = [entry for entry in found if not by_title(entry)]
            found = [*sure, Entry("episodes", {"ids": own, **said}), *found[len(sure) :]]
    elif isinstance(item, Movie):
        found = [Entry("movies", {**form["movie"], **said}) for form in movie_forms(item)]
    else:
        raise Dead(f"{LABEL} is not told of a {item.kind}")
    if not found:
        nameless(item)
    return found


def by_title(entry: Entry) -> bool:
    return "ids" not in entry.body


def placed(form: Json, said: Json) -> Entry:
    """An episode inside its show. TVDB's seasons of an anime have to be announced as such."""
    episode = {"number": form["episode"]["number"], **said}
    if "anime" in form:
        return Entry("shows", {**form["anime"], "episodes": [episode]})
    season = {"number": form["episode"]["season"], "episodes": [episode]}
    return Entry("shows", {**form["show"], "use_tvdb_anime_seasons": True, "seasons": [season]})


def gathered(entries: Sequence[Entry]) -> Json:
    body: Json = {}
    for entry in entries:
        body.setdefault(entry.group, []).append(entry.body)
    return body
