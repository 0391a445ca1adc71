"""Rows of any table of viewings: films, episodes and ratings, by the columns that their owner confirmed."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import orjson

from webhook.domain.event import Episode, Ids, Item, Movie, Season, Show, item_to_json
from webhook.domain.items import fold_title
from webhook.domain.play import Dated
from webhook.texts import texts
from webhook.transfer.imports._archive import MILLISECOND, SECOND, Bundle, Row
from webhook.transfer.imports._columns import ColumnMap
from webhook.transfer.imports._dates import NoDate, moment
from webhook.transfer.imports._day_order import QUESTION, DayOrder, OrderEvidence, read_day
from webhook.transfer.imports._fields import Wrong, imdb, number, watched_play, year
from webhook.transfer.records import Entry, Kept, Options, Question, Relation, Viewing

KIND, UNDATED, SCALE, IDS = "kind", "undated", "scale", "ids"
"""The names of the questions, beside those of the columns and of the dates."""

BY_ROW, LEAVE, WATCHED = "by-row", "leave", "watched"
KINDS = texts({BY_ROW: "an episode where the row has a show, a season or an episode, else a film", "movie": "only films", "episode": "only episodes"})  # fmt: skip
UNDATED_ROWS = texts({LEAVE: "leave them out", WATCHED: "they were watched, nobody knows when"})
SCALES = texts({"10": "up to 10", "5": "up to 5 stars"})
OF_IDS = texts({"show": "the show's", "episode": "the episode's own"})

KIND_WORDS = {
    **dict.fromkeys(("movie", "film", "movies", "tvmovie"), "movie"),
    **dict.fromkeys(("episode", "tvepisode", "episodes"), "episode"),
    **dict.fromkeys(("show", "tv", "series", "anime", "tvseries", "tvminiseries", "tvshow"), "show"),
    **dict.fromkeys(("season",), "season"),
}
OWN_IDS = ("imdb", "tmdb", "tvdb", "trakt", "simkl", "mal")
OF_SHOW_IDS = ("imdb", "tmdb", "tvdb", "trakt")
PLACE = re.compile(r"s(\d{1,4})\s?e(\d{1,5})|(\d{1,4})x(\d{1,5})", re.IGNORECASE | re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
WITH_TIME = re.compile(r"([^\s,T]{1,30})[ ,T]{1,3}(\d{1,2}:\d\d(?::\d\d)?)", re.ASCII)
NOT_WORDS = re.compile(r"[\W_]")
COUNTED = re.compile(r"\d{9,14}", re.ASCII)
MILLISECONDS_FROM = 10**11
MIDDAY = time(12, tzinfo=UTC)
MAX_SHOWS_NOTED = 100_000


@dataclass(slots=True)
class TableEvidence:
    """What all rows together say: the order of the dates, the highest rating, and whose ids they have."""

    order: OrderEvidence = field(default_factory=OrderEvidence)
    places: dict[tuple[str, str], set[tuple[int | None, int | None]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    by_show: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    highest: float = 0.0
    undated: int = 0
    episodes: int = 0

    @property
    def whose_ids(self) -> str:
        """`show` where one id stands beside several places, `episode` where one show has several; "" if open."""
        if any(len(places) > 1 for places in self.places.values()):
            return "show"
        if any(len(ids) > 1 for ids in self.by_show.values()):
            return "episode"
        return ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be read: its columns, what its rows say together, and the answers of its owner."""

    mapping: ColumnMap
    evidence: TableEvidence
    options: Options
    days: Counter[str] = field(default_factory=Counter)
    """How many rows said the same of one day."""

    def get(self, row: Row, name: str) -> str | None:
        return self.mapping.get(row, name)

    @property
    def order(self) -> DayOrder | None:
        given = self.options.get(QUESTION)
        return DayOrder(given) if given else self.evidence.order.order

    @property
    def times(self) -> float:
        """How often a rating counts, so that it is one of up to 10."""
        return 2 if self.options.get(SCALE) == "5" else 1

    @property
    def whose_ids(self) -> str:
        return self.options.get(IDS) or self.evidence.whose_ids

    @property
    def is_undated_watched(self) -> bool:
        return self.options.get(UNDATED) == WATCHED


def note_rows(bundle: Bundle, name: str, mapping: ColumnMap) -> TableEvidence:
    """What the rows of a table say together."""
    found = TableEvidence()
    for row in bundle.rows(name):
        if not isinstance(row, Row):
            continue
        at, value = mapping.get(row, "watched_at"), read_decimal(mapping.get(row, "rating"))
        found.order.note(WITH_TIME.sub(r"\1", at or ""))
        found.highest = max(found.highest, value or 0.0)
        found.undated += at is None and value is None
        if is_episode_row(row, mapping):
            found.episodes += 1
            note_ids(found, row, mapping)
    return found


def note_ids(found: TableEvidence, row: Row, mapping: ColumnMap) -> None:
    place, show = find_place(row, mapping), fold_title(mapping.get(row, "show") or "")
    for namespace in OWN_IDS:
        value = mapping.get(row, namespace)
        if value is None or len(found.places) > MAX_SHOWS_NOTED:
            continue
        found.places[namespace, value].add(place)
        if show:
            found.by_show[namespace, show].add(value)


def table_questions(evidence: TableEvidence, mapping: ColumnMap, options: Options) -> list[Question]:
    """What the rows leave open, each question with its answer as far as the rows give one."""
    found: list[Question] = []
    if (dates := evidence.order.question(options.get(QUESTION, ""))) is not None:
        found.append(dates)
    if not mapping.has("kind"):
        found.append(ask_table(KIND, "What are the rows?", KINDS, options.get(KIND, BY_ROW)))
    if 0 < evidence.highest <= 5 and "10" not in mapping.columns.get("rating", ""):
        found.append(
            ask_table(SCALE, "How high do its ratings go?", SCALES, options.get(SCALE, ""), needed=True)
        )
    if evidence.undated:
        found.append(
            ask_table(UNDATED, "What about rows without a date?", UNDATED_ROWS, options.get(UNDATED, LEAVE))
        )
    if (
        evidence.episodes
        and mapping.has(*OWN_IDS)
        and not mapping.has(*(f"show_{name}" for name in OF_SHOW_IDS))
    ):
        answer = options.get(IDS, evidence.whose_ids)
        found.append(
            ask_table(IDS, "Whose are the ids in the rows of episodes?", OF_IDS, answer, needed=True)
        )
    return found


def ask_table(
    name: str, text: str, choices: dict[str, str], answer: str, *, needed: bool = False
) -> Question:
    return Question(name=name, text=text, answer=answer, choices=tuple(choices.items()), needed=needed)


# --- rows


def row_entries(row: Row, table: Table) -> Iterator[Entry]:
    """The viewing and the rating of a row; raises Wrong and NoDate."""
    item = table_item(row, table)
    value = read_rating(table.get(row, "rating"), table.times)
    at, dated = read_time(table.get(row, "watched_at"), table.order)
    if isinstance(item, Movie | Episode) and (at is not None or (value is None and table.is_undated_watched)):
        play = watched_play(item, at, "csv", dated=dated)
        yield Viewing(play=play, foreign_key=row_key(table, item, at, dated))
    elif value is None:
        why = (
            "it has no date"
            if isinstance(item, Movie | Episode)
            else "it is a whole show or season, which is no viewing"
        )
        raise Wrong(why)
    if value is not None:
        rated, _ = read_time(table.get(row, "rated_at"), table.order)
        yield Kept(relation=Relation.RATING, item=item, at=rated or at, value=value)


def is_episode_row(row: Row, mapping: ColumnMap) -> bool:
    return find_kind(row, mapping, BY_ROW) == "episode"


def find_kind(row: Row, mapping: ColumnMap, otherwise: str) -> str:
    """The kind of a row's item; raises Wrong for one that is not tracked. `otherwise` is for a row that names none."""
    given = mapping.get(row, "kind")
    season, episode = find_place(row, mapping)
    if given is not None:
        known = KIND_WORDS.get(NOT_WORDS.sub("", given.casefold()), "")
        return "episode" if known in ("show", "season") and episode is not None else known
    if otherwise != BY_ROW:
        return otherwise
    return "episode" if mapping.get(row, "show") is not None or None not in (season, episode) else "movie"


def find_place(row: Row, mapping: ColumnMap) -> tuple[int | None, int | None]:
    """The season and the number of a row, also where one column holds both (`S01E02`, `1x02`)."""
    season, given = number(mapping.get(row, "season")), mapping.get(row, "number")
    found = PLACE.fullmatch(given or "")
    if found is not None:
        return int(found[1] or found[3]), int(found[2] or found[4])
    return season, number(given)


def table_item(row: Row, table: Table) -> Item:
    """The item of a row; raises Wrong if nothing says what it is."""
    kind, title = find_kind(row, table.mapping, table.options.get(KIND, BY_ROW)), table.get(row, "title")
    ids, of_show = table_ids(row, table, OWN_IDS, ""), table_ids(row, table, OF_SHOW_IDS, "show_")
    season, episode = find_place(row, table.mapping)
    show = table.get(row, "show")
    if kind == "movie":
        return require_identity(Movie(title=title, year=year(table.get(row, "year")), ids=ids))
    if kind == "episode":
        if not of_show and table.whose_ids == "show":
            ids, of_show = Ids(), ids
        found = Episode(title=title, show=show, season=season, number=episode, ids=ids, show_ids=of_show)
        return require_identity(found)
    if kind == "show":
        return require_identity(
            Show(title=show or title, year=year(table.get(row, "year")), ids=of_show or ids)
        )
    if kind == "season":
        return require_identity(Season(show=show or title, season=season, show_ids=of_show or ids))
    raise Wrong(f"“{(table.get(row, 'kind') or '')[:20]}” is not tracked")


def require_identity(item: Item) -> Item:
    """The item, if something says which it is; raises Wrong."""
    if isinstance(item, Episode):
        known = bool(item.ids) or (
            bool(item.show or item.show_ids) and None not in (item.season, item.number)
        )
        why = "it does not say which episode it is: by an id, or by the show with season and number"
    elif isinstance(item, Season):
        known, why = (
            bool(item.show or item.show_ids) and item.season is not None,
            "it does not say which season it is",
        )
    else:
        known, why = bool(item.ids or item.title), "it has neither a title nor an id"
    if not known:
        raise Wrong(why)
    return item


def table_ids(row: Row, table: Table, namespaces: tuple[str, ...], prefix: str) -> Ids:
    """The ids of a row; 0, -1, null and tt0 are none."""
    given = {name: table.get(row, f"{prefix}{name}") for name in namespaces}
    known = {name: number(value) or None for name, value in given.items() if name != "imdb"}
    return Ids.from_json({**known, "imdb": imdb(given.get("imdb"))})


def read_decimal(text: str | None) -> float | None:
    """A number, with a comma or a point; None for anything else."""
    try:
        return float(text.replace(",", ".")) if text else None
    except ValueError:
        return None


def read_rating(text: str | None, times: float) -> float | None:
    """A rating up to 10; None without one. Raises Wrong."""
    if text is None or text.casefold() in ("null", "none", "-", "0"):
        return None
    value = read_decimal(text)
    if value is None or not 0 <= value * times <= 10:
        raise Wrong(f"“{text[:20]}” is no rating")
    return value * times or None


def read_time(text: str | None, order: DayOrder | None) -> tuple[datetime | None, Dated]:
    """A time as exact as it is written; None without one. Raises NoDate."""
    if text is None or text.casefold() in ("null", "none", "unknown", "-", "0"):
        return None, Dated.EXACT
    if COUNTED.fullmatch(text):
        return moment(text, MILLISECOND if int(text) >= MILLISECONDS_FROM else SECOND), Dated.EXACT
    if DAY.fullmatch(text):
        return moment(text) + timedelta(hours=12), Dated.DAY
    try:
        return moment(text), Dated.EXACT
    except NoDate:
        with_time = WITH_TIME.fullmatch(text)
        if with_time is None:
            return datetime.combine(read_day(text, order), MIDDAY), Dated.DAY
        return datetime.combine(read_day(with_time[1], order), read_clock(with_time[2])), Dated.EXACT


def read_clock(text: str) -> time:
    """A time of day, in UTC; raises NoDate."""
    try:
        return time.fromisoformat(text.zfill(5) if text.count(":") == 1 else text.zfill(8)).replace(
            tzinfo=UTC
        )
    except ValueError as error:
        raise NoDate(f"“{text}” is no time") from error


def row_key(table: Table, item: Item, at: datetime | None, dated: Dated) -> str:
    """The key of a row; the n-th of those that say the same of one day has the n-th key."""
    said = key(item, at)
    if dated is not Dated.DAY:
        return said
    table.days[said] += 1
    count = table.days[said]
    return said if count == 1 else f"{said}:{count}"


def key(item: Item, at: datetime | None) -> str:
    """The key of a viewing, the same in every file that tells it alike."""
    told = orjson.dumps([item_to_json(item), at], option=orjson.OPT_SORT_KEYS)
    return f"csv:{hashlib.sha256(told).hexdigest()[:40]}"
