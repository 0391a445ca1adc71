"""Items: how a request names one, in the forms of the contract and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show
from webhook.domain.outcome import Dead, Unmatched
from webhook.trackers._shared import Json
from webhook.trackers.trakt.responses import LABEL, NAMESPACES

ACCEPTED: Mapping[Kind, tuple[str, ...]] = {
    Kind.MOVIE: ("trakt", "tmdb", "imdb"),  # a film's TVDB id means nothing to Trakt
    Kind.SHOW: NAMESPACES,
    Kind.SEASON: ("trakt", "tvdb", "tmdb"),
    Kind.EPISODE: NAMESPACES,
}


def forms(item: Item) -> list[Json]:
    """The item in every way that Trakt may know it by, the surest first.

    A show goes by ids, or by title and year: a title alone is searched for first (`searched`).
    """
    return list(FORMS[item.kind](item)) if item.kind in FORMS else []


def nameless(item: Item) -> Unmatched:
    if isinstance(item, Episode) and item.numbering != "aired":
        return Unmatched(
            "The numbers of this episode follow a mapping list and not the aired order, and it has no id of "
            "its own that Trakt knows"
        )
    return Unmatched(f"No id or title by which {LABEL} could find this {item.kind}")


def single(item: Item) -> None:
    """Raises Dead unless it is one thing to watch: a show would mark every episode it has."""
    if not isinstance(item, Movie | Episode):
        raise Dead(f"{LABEL} is told of films and episodes being watched, not of a {item.kind}")


def movie_forms(item: Movie) -> Iterator[Json]:
    yield from ({"movie": movie} for movie in titles(Kind.MOVIE, item.ids, item.title, item.year))


def show_forms(item: Show) -> Iterator[Json]:
    yield from ({"show": show} for show in titles(Kind.SHOW, item.ids, item.title, item.year))


def season_forms(item: Season) -> Iterator[Json]:
    if ids := accepted(Kind.SEASON, item.ids):
        yield {"season": {"ids": ids}}
    yield from (form for show in parents(item) if (form := placed(item, show)))


def episode_forms(item: Episode) -> Iterator[Json]:
    if ids := accepted(Kind.EPISODE, own_ids(item)):
        yield {"episode": {"ids": ids}}
    yield from (form for show in parents(item) if (form := placed(item, show)))


def parents(item: Episode | Season) -> Iterator[Json]:
    """The show by its ids, then by title and year; the year may be the episode's, and not the show's."""
    yield from titles(Kind.SHOW, item.show_ids, item.show, item.year)


def titles(kind: Kind, ids: Ids, title: str | None, year: int | None) -> Iterator[Json]:
    if mine := accepted(kind, ids):
        yield {"ids": mine}
    if title and year:
        yield {"title": title, "year": year}


def placed(item: Episode | Season, show: Json) -> Json | None:
    """An episode or a season by its show and its place in it; None where that place is not known for sure."""
    if isinstance(item, Season):
        return None if item.season is None else {"show": show, "season": {"number": item.season}}
    if item.numbering != "aired" or item.season is None or item.number is None:
        return None
    return {"show": show, "episode": {"season": item.season, "number": item.number}}


def searched(item: Item) -> str | None:
    """The title of the show that has to be searched for, before its place in it says which item it is."""
    if not isinstance(item, Episode | Season) or placed(item, {}) is None:
        return None
    return item.show or None


FORMS: Mapping[Kind, Callable[[Any], Iterator[Json]]] = {
    Kind.MOVIE: movie_forms,
    Kind.SHOW: show_forms,
    Kind.SEASON: season_forms,
    Kind.EPISODE: episode_forms,
}


def own_ids(item: Episode) -> Ids:
    """The episode's ids without those that are its show's: some senders put one in the other's place."""
    show = item.show_ids.known()
    return Ids.from_json({name: value for name, value in item.ids.known().items() if show.get(name) != value})


def accepted(kind: Kind, ids: Ids) -> Json:
    known = ids.known()
    return {name: known[name] for name in ACCEPTED[kind] if name in known}


def entry(form: Json, said: Json) -> Json:
    """A sync call's body: the item of this form, and what is said of it at the innermost place."""
    show, season, episode = form.get("show"), form.get("season"), form.get("episode")
    if show is None:
        (kind, item), *_ = form.items()
        return {f"{kind}s": [{**item, **said}]}
    if episode is not None:
        numbered = {"number": episode["number"], **said}
        return {"shows": [{**show, "seasons": [{"number": episode["season"], "episodes": [numbered]}]}]}
    if season is not None:
        return {"shows": [{**show, "seasons": [{**season, **said}]}]}
    return {"shows": [{**show, **said}]}


def gathered(entries: Sequence[Json]) -> Json:
    """Many sync bodies as one."""
    groups: dict[str, list[Json]] = {}
    for body in entries:
        for name, named in body.items():
            groups.setdefault(name, []).extend(named)
    return groups
