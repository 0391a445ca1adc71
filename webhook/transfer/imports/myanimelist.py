"""MyAnimeList's XML (`animelist_….xml.gz`, gzipped or not), which the exporters of AniList and Kitsu write too.

| Element of `<anime>`    | What it is                                                                       |
|-------------------------|----------------------------------------------------------------------------------|
| `series_animedb_id`     | MyAnimeList's id; 0 is none                                                      |
| `series_title`          | the title                                                                        |
| `series_type`           | `Movie` with one episode is a film, everything else a series                     |
| `my_watched_episodes`   | how many episodes were watched: those from 1 on                                  |
| `my_start_date`         | the day of the first episode; `0000-00-00` and `2026-00-00` are (partly) unknown |
| `my_finish_date`        | the day of the last one                                                          |
| `my_score`              | a rating, 1-10; 0 is none                                                        |
| `my_status`             | a word or a number, in any case                                                  |
| `my_times_watched`      | how often it was watched **again**; may be missing                               |
| `my_rewatching`, `…_ep` | that it is being watched again, and how far                                      |

It only counts: `_totals.py` says what becomes of that. A list of manga is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from webhook.domain.event import Ids, Movie, Show
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.imports._fields import Wrong, date, number, rating, text
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.imports._totals import COMPLETED, PLANNED, Totals, totals_question
from webhook.transfer.records import Bad, Entry, Options, Question, Unusable

LABEL = "MyAnimeList"

STATUSES = {
    "watching": "watching",
    "completed": COMPLETED,
    "onhold": "onhold",
    "dropped": "dropped",
    "plantowatch": PLANNED,
    "1": "watching",
    "2": COMPLETED,
    "3": "onhold",
    "4": "dropped",
    "6": PLANNED,
}


def read(bundle: Bundle) -> Iterator[Entry]:
    """The entries of the list, in its order."""
    files = find_lists(bundle)
    bundle.plan(files)
    repeats = Repeats("myanimelist", bundle.allowance)
    for name in files:
        for count, element in enumerate(bundle.elements(name, "anime"), start=1):
            if isinstance(element, Bad):
                yield element
            else:
                where = f"entry {count}: "
                yield from anime_entries(element, name, where, repeats, bundle.options)


def questions(bundle: Bundle) -> list[Question]:
    """What becomes of the plays without a date; raises Unusable."""
    find_lists(bundle)
    return [totals_question(bundle.options)]


def find_lists(bundle: Bundle) -> list[str]:
    """The files that are lists of anime; raises Unusable if there is none."""
    files = [name for name in bundle.names if b"<myanimelist" in bundle.head(name)]
    if not files:
        raise Unusable(
            f"{bundle.path} is no list of anime: it would be XML with an element “myanimelist”. "
            "Import the .xml.gz as MyAnimeList gave it, or its .xml."
        )
    return files


def anime_entries(
    element: Mapping[str, str], name: str, where: str, repeats: Repeats, options: Options
) -> Iterator[Entry]:
    try:
        yield from totals(element).entries(repeats, options)
    except Wrong as wrong:
        yield wrong.bad(name, None, where)


def totals(element: Mapping[str, str]) -> Totals:
    status = STATUSES.get(letters(element.get("my_status", "")))
    again = number(element.get("my_times_watched")) or 0
    rewatching = element.get("my_rewatching", "").casefold() in ("1", "yes", "true")
    return Totals(
        item=anime_item(element),
        status=status,
        watched=number(element.get("my_watched_episodes")) or 0,
        again=again,
        in_again=(number(element.get("my_rewatching_ep")) or 0) if rewatching else 0,
        begun=date(element.get("my_start_date")),
        finished=date(element.get("my_finish_date")),
        rating=rating(element.get("my_score")),
    )


def anime_item(element: Mapping[str, str]) -> Movie | Show:
    ids = Ids(mal=number(element.get("series_animedb_id")) or None)
    title = text(element.get("series_title"))
    if not ids and title is None:
        raise Wrong("it is an anime without an id and without a title")
    film = letters(element.get("series_type", "")) == "movie" and element.get("series_episodes") in ("1", "0")
    return Movie(title=title, ids=ids) if film else Show(title=title, ids=ids)


def letters(said: str) -> str:
    """`plantowatch` for `Plan to Watch` and for `plan_to_watch`."""
    return "".join(letter for letter in said.casefold() if letter.isalnum())
