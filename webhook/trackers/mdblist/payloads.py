"""Payloads: how a request names an item, and how an answer does.

| call | body |
|---|---|
| `/scrobble/start`, `pause`, `stop` | `{"progress": 42.5, "movie": {"ids": …}}` or `"show": PLACE` |
| `/sync/watched` | `{"movies": [{"ids": …, "watched_at": …}], "shows": [SEASONS], "episodes": [{"ids": …}]}` |
| `/sync/watched/plays/remove` | `{"play_ids": [PLAY]}` |
| `/sync/ratings`, `/sync/collection`, `…/remove` | as `/sync/watched`, with `rating` |

PLACE is `{"ids": …, "season": {"number": 2, "episode": {"number": 5, "ids": …}}}`: a show without its season and
episode means every episode that it has. SEASONS is `{"ids": …, "seasons": [{"number": 2, "episodes": [{"number": 5}]}]}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webhook.domain.event import Episode, Ids, Item, Movie, Season, Show
from webhook.domain.outcome import Unmatched
from webhook.trackers import WatchedItem
from webhook.trackers._json import JsonObject, as_int, as_text, as_time, child

LABEL = "MDBList"
SURE_IDS = ("tmdb", "imdb", "trakt")
SHOW_IDS = (*SURE_IDS, "tvdb")
EPISODE_IDS = ("tmdb", "tvdb")


@dataclass(frozen=True, slots=True)
class Form:
    """An item as a request names it: `seasons` lead to an episode of a show, or a season; else it is the item of its group."""

    group: str
    ids: JsonObject
    season: int | None = None
    episode: JsonObject | None = None


class Names:
    """The forms of items. A show must have one of the ids that are named here: one of TheTVDB may not be known."""

    def __init__(self, show_ids: str) -> None:
        self.show_needs = tuple(name for name in SHOW_IDS if name in show_ids.lower())

    def forms(self, item: Item) -> Sequence[Form]:
        """The item in every form, the surest first; raises Unmatched where there is none."""
        found: list[Form] = []
        match item:
            case Movie() if ids := usable_ids(item.ids, SURE_IDS):
                found = [Form("movies", ids)]
            case Show() if self.is_named(item.ids):
                found = [Form("shows", usable_ids(item.ids, SHOW_IDS))]
            case Season(season=int()) if self.is_named(item.show_ids):
                found = [Form("shows", usable_ids(item.show_ids, SHOW_IDS), item.season)]
            case Episode():
                found = self.episode_forms(item)
        if not found:
            raise Unmatched(f"No TMDB or IMDb id by which {LABEL} could find this {item.kind}")
        return found

    def episode_forms(self, item: Episode) -> list[Form]:
        """By its place in the show, with its own ids, which then decide; then by its own id of TMDB alone."""
        own = {
            name: value
            for name, value in usable_ids(item.ids, EPISODE_IDS).items()
            if item.show_ids.by_namespace().get(name) != value
        }
        found = []
        placed = item.numbering == "aired" and None not in (item.season, item.number)
        if placed and self.is_named(item.show_ids):
            numbered = {"number": item.number, **({"ids": own} if own else {})}
            found.append(Form("shows", usable_ids(item.show_ids, SHOW_IDS), item.season, numbered))
        if "tmdb" in own:
            found.append(Form("episodes", {"tmdb": own["tmdb"]}))
        return found

    def is_named(self, ids: Ids) -> bool:
        return bool(usable_ids(ids, self.show_needs))


def usable_ids(ids: Ids, names: Sequence[str]) -> JsonObject:
    known = ids.by_namespace()
    return {name: known[name] for name in names if name in known}


def scrobble_body(form: Form) -> JsonObject | None:
    """The item in a scrobble; None where that cannot name it."""
    if form.group == "movies":
        return {"movie": {"ids": form.ids}}
    if form.episode is None:
        return None
    return {"show": {"ids": form.ids, "season": {"number": form.season, "episode": form.episode}}}


def sync_body(entries: Sequence[tuple[Form, JsonObject]]) -> JsonObject:
    """A sync call's body: each item, and what is said of it at the innermost place. A show stands in it once."""
    body: JsonObject = {}
    shows: dict[str, JsonObject] = {}
    for form, said in entries:
        if form.season is None:
            body.setdefault(form.group, []).append({"ids": form.ids, **said})
            continue
        show = shows.setdefault(str(form.ids), {"ids": form.ids, "seasons": []})
        seasons = show["seasons"]
        season = next((one for one in seasons if one["number"] == form.season), None)
        if season is None:
            season = {"number": form.season}
            seasons.append(season)
        if form.episode is None:
            season.update(said)
        else:
            season.setdefault("episodes", []).append({**form.episode, **said})
    return {**body, "shows": [*body.get("shows", ()), *shows.values()]} if shows else body


def parse_play(row: JsonObject) -> WatchedItem | None:
    """A play of the history or of an answer; None for a row that is no play: its date is only that of a state."""
    play, at = as_int(row.get("play_id")), as_time(row.get("watched_at") or row.get("last_watched_at"))
    if play is None:
        return None
    if movie := child(row, "movie"):
        item: Item = Movie(
            title=as_text(movie.get("title")), year=as_int(movie.get("year")), ids=item_ids(movie)
        )
        return WatchedItem(item=item, at=at, remote_id=str(play))
    episode = child(row, "episode")
    show = child(episode, "show") or child(row, "show")
    season, number = (as_int(episode.get(name, row.get(name))) for name in ("season", "number"))
    if not show or (not episode and number is None):
        return None
    item = Episode(
        title=as_text(episode.get("name")) or as_text(episode.get("title")),
        show=as_text(show.get("title")),
        season=season,
        number=number,
        year=as_int(show.get("year")),
        ids=item_ids(episode),
        show_ids=item_ids(show),
    )
    return WatchedItem(item=item, at=at, remote_id=str(play))


def item_ids(item: JsonObject) -> Ids:
    given = child(item, "ids")
    numbers = {name: as_int(given.get(name)) or None for name in ("trakt", "tvdb", "tmdb")}
    return Ids.from_json({**numbers, "imdb": as_text(given.get("imdb"))})
