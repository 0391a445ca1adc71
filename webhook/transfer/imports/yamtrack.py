"""Yamtrack's CSV (Settings, Export: `yamtrack_….csv`), also that of Floppy, which has more columns.

| `media_type`   | What a row is                                                                              |
|----------------|--------------------------------------------------------------------------------------------|
| `episode`      | one viewing: `media_id` is the show's, the time `end_date`, or `watch_date` in older files |
| `movie`        | one viewing if it is Completed, at `end_date`; in older files `repeats` more besides       |
| `tv`, `season` | no viewing: a rating, and the show's status                                                |
| `anime`        | totals (`progress`, `repeats`): `_totals.py` says what becomes of them                     |
| others         | games, books and comics are left out, and counted                                          |

`media_id` is an id of the service that `source` names; `manual` has none. A score is 0-10. `start_date` and
`progressed_at` do not say when something was watched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from webhook.domain.event import Episode, Ids, Movie, Season, Show
from webhook.texts import texts
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._fields import UNDATED, Wrong, date, imdb, number, rating, title_key
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.imports._totals import COMPLETED, FOLLOW_STATES, PLANNED, Totals
from webhook.transfer.records import Bad, Entry, Kept, LeftOut, Relation, Unusable, Viewing

LABEL = "Yamtrack"

REQUIRED = ("media_id", "source", "media_type", "title", "season_number", "episode_number", "status")
STATUSES = {
    "inprogress": "watching",
    "completed": COMPLETED,
    "paused": "onhold",
    "dropped": "dropped",
    "planning": PLANNED,
}
MAX_REPEATS = 1_000
OTHERS = texts({"other": "Games, books and comics are not tracked here."})
OTHER_MEDIA = frozenset({"game", "book", "comic", "manga", "boardgame"})


def read(bundle: Bundle) -> Iterator[Entry]:
    """The rows in their order; what has no place here is counted at the end of each file."""
    files = [name for name in bundle.names if set(REQUIRED) <= set(bundle.columns(name))]
    if not files:
        raise Unusable(
            f"{bundle.path} holds no CSV of Yamtrack, which would have the columns {', '.join(REQUIRED)}."
        )
    bundle.plan(files)
    repeats = Repeats("yamtrack", bundle.allowance)
    for name in files:
        others: Counter[str] = Counter()
        for row in bundle.rows(name, required=REQUIRED):
            yield from [row] if isinstance(row, Bad) else try_row(row, name, repeats, others)
        if others:
            yield LeftOut(file=name, count=others.total(), why=OTHERS["other"])


def try_row(row: Row, name: str, repeats: Repeats, others: Counter[str]) -> Iterator[Entry]:
    try:
        yield from read_row(row, repeats, others)
    except Wrong as wrong:
        yield wrong.bad(name, row.line)


def read_row(row: Row, repeats: Repeats, others: Counter[str]) -> Iterator[Entry]:
    match kind := (row.get("media_type") or "").casefold():
        case "episode":
            item = episode_row(row)
            key = f"{title_key(show_row(row))}:{item.season}x{item.number}"
            yield repeats.viewing(item, date(row.get("end_date") or row.get("watch_date")), key)
        case "movie":
            yield from of_movie(row, repeats)
        case "tv" | "season":
            yield from of_show(row, kind)
        case "anime":
            yield from totals(row).entries(repeats)
        case _ if kind in OTHER_MEDIA:
            others[kind] += 1
        case _:
            raise Wrong(f"“{kind[:40]}” is not tracked")


def of_movie(row: Row, repeats: Repeats) -> Iterator[Entry]:
    item = movie_of(row)
    if status(row) == COMPLETED:
        yield from viewings(row, item, repeats)
    if status(row) == PLANNED:
        yield Kept(relation=Relation.WATCHLIST, item=item)
    yield from rating_entry(row, item)


def viewings(row: Row, item: Movie, repeats: Repeats) -> Iterator[Viewing]:
    """The viewings of a row: one, or in older files as many as it counts, of which the last has the date."""
    seen, key = date(row.get("end_date") or row.get("watch_date")), title_key(item)
    if "repeats" not in row.columns:
        yield repeats.viewing(item, seen, key)
        return
    again = number(row.get("repeats")) or 0
    if again > MAX_REPEATS:
        raise Wrong(f"it counts more than {MAX_REPEATS:,} plays of one film")
    for count in range(again + 1):
        yield repeats.unroll(item, seen if count == again else UNDATED, key, f"{count + 1}:{key}")


def of_show(row: Row, kind: str) -> Iterator[Entry]:
    of, said = show_row(row), status(row)
    if kind == "season":
        yield from rating_entry(
            row, Season(show=of.title, season=place(row, "season_number"), show_ids=of.ids)
        )
        return
    if said == PLANNED:
        yield Kept(relation=Relation.WATCHLIST, item=of)
    elif said in FOLLOW_STATES:
        yield Kept(
            relation=Relation.FOLLOW, item=of, at=date(row.get("start_date"))[0], state=FOLLOW_STATES[said]
        )
    yield from rating_entry(row, of)


def rating_entry(row: Row, item: Movie | Show | Season) -> Iterator[Entry]:
    value = rating(row.get("score"))
    if value is not None:
        yield Kept(relation=Relation.RATING, item=item, value=value)


def totals(row: Row) -> Totals:
    return Totals(
        item=show_row(row),
        status=status(row),
        watched=number(row.get("progress")) or 0,
        again=number(row.get("repeats")) or 0,
        begun=date(row.get("start_date")),
        finished=date(row.get("end_date")),
        rating=rating(row.get("score")),
    )


# --- items


def movie_of(row: Row) -> Movie:
    item = Movie(title=row.get("title"), ids=ids(row))
    if not item.ids and item.title is None:
        raise Wrong("it is a movie without an id and without a title")
    return item


def show_row(row: Row) -> Show:
    item = Show(title=row.get("title"), ids=ids(row))
    if not item.ids and item.title is None:
        raise Wrong("it is a show without an id and without a title")
    return item


def episode_row(row: Row) -> Episode:
    of = show_row(row)
    season, count = place(row, "season_number"), place(row, "episode_number")
    return Episode(show=of.title, season=season, number=count, show_ids=of.ids)


def place(row: Row, column: str) -> int:
    found = number(row.get(column))
    if found is None:
        raise Wrong(f"it has no “{column}”")
    return found


def ids(row: Row) -> Ids:
    """The id in `media_id`, of the service in `source`; none for a service that gives none."""
    known = number(row.get("media_id")) or None
    match (row.get("source") or "").casefold():
        case "tmdb":
            return Ids(tmdb=known)
        case "tvdb":
            return Ids(tvdb=known)
        case "mal":
            return Ids(mal=known)
        case "imdb":
            return Ids(imdb=imdb(row.get("media_id")))
    return Ids()


def status(row: Row) -> str | None:
    said = row.get("status") or ""
    return STATUSES.get("".join(letter for letter in said.casefold() if letter.isalpha()))
