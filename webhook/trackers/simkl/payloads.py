"""Payloads: how a request names an item, in a scrobble and in the body of a sync call.

| call | body |
|---|---|
| `/scrobble/start`, `pause`, `stop` | `{"progress": 42.5, FORM}` |
| `/sync/history` | `{"movies": [ENTRY], "shows": [ENTRY], "episodes": [ENTRY]}`, each with `watched_at` |
| `/sync/history/remove` | the same without a date |
| `/sync/ratings`, `/sync/ratings/remove` | the same with `rating` and `rated_at`, or neither |

FORM is `"movie": {"title": …, "year": …, "ids": …}`, `"show": …` with `"episode": {"season": 1, "number": 2}`, or
`"anime": {"ids": …}` with `"episode": {"number": 2}`. An ENTRY of a show holds `seasons` with `episodes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show
from webhook.domain.outcome import Dead, Unmatched
from webhook.trackers import Delivery
from webhook.trackers._json import JsonObject
from webhook.trackers._viewings import viewing_date

LABEL = "Simkl"
SIMKL_IDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.MOVIE: ("simkl", "imdb", "tmdb"),  # a film's TVDB id could be read as a show's
    Kind.SHOW: ("simkl", "tvdb", "tmdb", "imdb"),
    Kind.EPISODE: ("simkl", "tvdb"),  # by which /sync/history finds an episode without its show
}
ANIME_IDS = ("anidb", "mal")
"""Ids of one season of an anime_ids, inside which episodes are counted from 1."""

MAPPED_NUMBERS = (
    "The numbers of this episode follow a mapping list and not the aired order, and it has no id of its own "
    "that Simkl knows"
)


def scrobble_forms(item: Item) -> list[JsonObject]:
    """The item in every way that a scrobble can name it, the surest first. Raises Unmatched if in none."""
    found = list(movie_forms(item) if isinstance(item, Movie) else ())
    found += episode_forms(item) if isinstance(item, Episode) else ()
    return found or no_form(item)


def no_form(item: Item) -> list[JsonObject]:
    if isinstance(item, Episode) and item.numbering != "aired":
        raise Unmatched(MAPPED_NUMBERS)
    if isinstance(item, Episode) and (item.season is None or item.number is None):
        raise Unmatched(f"{LABEL} finds an episode by its show, season and number, and not all are known")
    raise Unmatched(f"No id, or title and year, by which {LABEL} could find this {item.kind}")


def movie_forms(item: Movie) -> Iterator[JsonObject]:
    yield from ({"movie": title} for title in name_forms(Kind.MOVIE, item.ids, item.title, item.year))


def name_forms(kind: Kind, ids: Ids, title: str | None, year: int | None) -> Iterator[JsonObject]:
    """By ids, with the title beside them, then by title and year; a title alone could be any."""
    named = {"title": title, "year": year} if title and year else {}
    if mine := usable_ids(kind, ids):
        yield {**named, "ids": mine}
    if named:
        yield named


def episode_forms(item: Episode) -> Iterator[JsonObject]:
    """By the show and the place in it; never by numbers that count in another order."""
    if item.numbering != "aired" or item.season is None or item.number is None:
        return
    numbers = {"season": item.season, "number": item.number}
    if ids := usable_ids(Kind.SHOW, item.show_ids):
        # Without the year: it may be the episode's, which would speak against the ids.
        yield {"show": {**({"title": item.show} if item.show else {}), "ids": ids}, "episode": numbers}
    elif (ids := anime_ids(item.show_ids)) and item.season == 1:
        yield {"anime": {"ids": ids}, "episode": {"number": item.number}}
    if item.show and item.year:
        yield {"show": {"title": item.show, "year": item.year}, "episode": numbers}


def usable_ids(kind: Kind, ids: Ids) -> JsonObject:
    known = ids.by_namespace()
    return {name: known[name] for name in SIMKL_IDS[kind] if name in known}


def usable_show_ids(item: Episode) -> JsonObject:
    return usable_ids(Kind.SHOW, item.show_ids)


def anime_ids(ids: Ids) -> JsonObject:
    known = ids.by_namespace()
    return {name: known[name] for name in ANIME_IDS if name in known}


def is_surest_by_date(item: Item) -> bool:
    """True if an episode's own id is all but its title: a scrobble cannot carry that id, the history can."""
    if not isinstance(item, Episode) or not usable_ids(Kind.EPISODE, item.ids):
        return False
    return all(is_by_title(show_entry(form, {})) for form in episode_forms(item))


def require_ratable(item: Item) -> None:
    if not isinstance(item, Movie | Show):
        raise Dead(f"{LABEL} has ratings of films and shows only, not of {item.kind}s")


@dataclass(frozen=True, slots=True)
class Entry:
    """One item in the body of a sync call: in which list it stands, and as what."""

    group: str
    body: JsonObject


def sync_entries(item: Item, fields: JsonObject) -> list[Entry]:
    """The item in every form that a sync call accepts, with these fields; raises Unmatched if there is none."""
    if isinstance(item, Show):
        found = [
            Entry("shows", {**title, **fields})
            for title in name_forms(Kind.SHOW, item.ids, item.title, item.year)
        ]
    elif isinstance(item, Episode):
        found = [show_entry(form, fields) for form in episode_forms(item)]
        if own := usable_ids(Kind.EPISODE, item.ids):
            sure = [entry for entry in found if not is_by_title(entry)]
            found = [*sure, Entry("episodes", {"ids": own, **fields}), *found[len(sure) :]]
    elif isinstance(item, Movie):
        found = [Entry("movies", {**form["movie"], **fields}) for form in movie_forms(item)]
    else:
        raise Dead(f"{LABEL} takes no {item.kind}")
    if not found:
        no_form(item)
    return found


def is_by_title(entry: Entry) -> bool:
    return "ids" not in entry.body


def show_entry(form: JsonObject, fields: JsonObject) -> Entry:
    """An episode inside its show. TVDB's seasons of an anime_ids have to be announced as such."""
    episode = {"number": form["episode"]["number"], **fields}
    if "anime" in form:
        return Entry("shows", {**form["anime"], "episodes": [episode]})
    season = {"number": form["episode"]["season"], "episodes": [episode]}
    return Entry("shows", {**form["show"], "use_tvdb_anime_seasons": True, "seasons": [season]})


def merge_bodies(sync_entries: Sequence[Entry]) -> JsonObject:
    body: JsonObject = {}
    for entry in sync_entries:
        body.setdefault(entry.group, []).append(entry.body)
    return body


def entry_of_episode(ids: JsonObject, season: int | None, number: int | None) -> Entry:
    """An episode by its show and its place in it, as Simkl names it in an answer."""
    seasons = [{"number": season, "episodes": [{"number": number}]}]
    return Entry("shows", {"ids": ids, "use_tvdb_anime_seasons": True, "seasons": seasons})


# Times

NO_DATE = "1970-01-01T00:00:01Z"
"""The date that stands for an unknown one."""


def watched_at(delivery: Delivery) -> str:
    """The date of a viewing, as Simkl takes it."""
    at = viewing_date(delivery)
    return NO_DATE if at is None else iso(at)


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
