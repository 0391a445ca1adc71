"""Lists: what an account holds, as Simkl lists it."""

from __future__ import annotations

from collections.abc import Iterator

from webhook.domain.event import Episode, Ids, Movie
from webhook.trackers import WatchedItem
from webhook.trackers._shared import Json, inner, moment, rows
from webhook.trackers.simkl.payloads import ANIME
from webhook.trackers.simkl.responses import text, whole


def viewings(row: Json, *, by_season: bool) -> Iterator[WatchedItem]:
    """What was watched of one row of the lists: a film, or episodes; `by_season`: of an anime."""
    show, movie = inner(row, "show"), inner(row, "movie")
    if film := movie or (show if row.get("anime_type") == "movie" else {}):
        at = moment(row.get("last_watched_at"))
        if at is not None or row.get("status") == "completed":
            item = Movie(title=text(film.get("title")), year=whole(film.get("year")), ids=their_ids(film))
            yield WatchedItem(item=item, at=at)
        return
    for season in rows(row.get("seasons")):
        for one in rows(season.get("episodes")):
            placed = episode(show, whole(season.get("number")), one, by_season=by_season)
            yield WatchedItem(item=placed, at=moment(one.get("watched_at")))


def episode(show: Json, season: int | None, one: Json, *, by_season: bool) -> Episode:
    """An episode by its place in the show. Of an anime by TheTVDB's, which others count by too, where it is known.

    An anime's entry is a season of it: AniDB's, MyAnimeList's and Simkl's own ids belong to Simkl's numbers,
    those of the whole show to TheTVDB's.
    """
    number, ids = whole(one.get("number")), their_ids(show)
    tvdb = (whole(inner(one, "tvdb").get("season")), whole(inner(one, "tvdb").get("episode")))
    if by_season and tvdb != (season, number):
        own = ("simkl", *ANIME)
        mapped = None not in tvdb
        season, number = tvdb if mapped else (season, number)
        known = {name: value for name, value in ids.known().items() if (name in own) != mapped}
        ids = Ids.from_json(known)
    return Episode(
        title=text(one.get("title")),
        show=text(show.get("title")),
        season=season,
        number=number,
        year=whole(show.get("year")),
        show_ids=ids,
    )


def their_ids(item: Json) -> Ids:
    """An answer's ids, whose numbers may be texts; what is no number there is a name, and none of ours."""
    given = inner(item, "ids")
    numbers = {name: whole(given.get(name)) for name in ("simkl", "tvdb", "tmdb", *ANIME)}
    return Ids.from_json({**numbers, "imdb": text(given.get("imdb"))})
