"""Netflix: NetflixViewingHistory.csv (netflix.com/viewingactivity) or ViewingActivity.csv of the account download.

The first has a title and a day in each row and is of one profile. Titles are all that says which film or episode
it was (`Dark: Staffel 1: Geheimnisse`), so a lookup finds out by the names of episodes, and what it cannot tell
for sure waits. The day is written as the profile's country does; its order is decided for the whole file. What
was only started is listed there too, without a sign of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, time

from webhook.domain.event import Episode, Item
from webhook.domain.items import fold_title
from webhook.domain.play import Dated, Play, State
from webhook.texts import texts
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._dates import NoDate
from webhook.transfer.imports._day_order import QUESTION, DayOrder, OrderEvidence, read_day
from webhook.transfer.imports._fields import FIX, Wrong, watched_play
from webhook.transfer.imports._netflix_account import (
    EXTRAS,
    SKIPPED,
    Watching,
    is_account_file,
    profile_question,
    read_watchings,
)
from webhook.transfer.records import Bad, Entry, LeftOut, Question, Undecided, Unusable, Viewing
from webhook.transfer.text_titles import JOINT, TitleEvidence

LABEL = "Netflix"
BY_TITLE = True
"""Titles are all that this service gives: see text_lookup."""

SEASON_WORDS = "season-words"
REMOVED = "Netflix has removed its name from the catalogue"
NO_EPISODE = "it names a season and no episode"
LIBRARY = texts(
    {
        "ratings.csv": "Netflix's thumbs are no ratings from 0 to 10, and its titles do not say if it is a film or a show.",
        "mylist.csv": "Netflix's list has only titles, which do not say if it is a film or a show.",
    }
)
AGAIN = "The same title on the same day is one viewing."
MIDDAY = time(12, tzinfo=UTC)


def read(bundle: Bundle) -> Iterator[Entry]:
    """The viewings of the one file that holds them, and what the others would have."""
    name = find_file(bundle)
    if is_account_file(bundle.columns(name)):
        bundle.plan([name, name, name])
        yield from read_account(bundle, name)
    else:
        bundle.plan([name, name])
        yield from read_history(bundle, name)
    for other in bundle.names:
        if why := LIBRARY.get(other.lower()):
            count = sum(isinstance(row, Row) for row in bundle.rows(other))
            yield LeftOut(file=other, count=count, why=why)


def questions(bundle: Bundle) -> list[Question]:
    """Which profile is meant or which number of a date is the day, and more words for a season."""
    name = find_file(bundle)
    if is_account_file(bundle.columns(name)):
        found = profile_question(bundle, name)
    else:
        found = note_history(bundle, name)[0].question(bundle.options.get(QUESTION, ""))
    more = Question(
        name=SEASON_WORDS,
        text="More words for a season in its titles, separated by commas, if some are in a language that Watchmark does not know",
        answer=bundle.options.get(SEASON_WORDS, ""),
    )
    return [*([found] if found is not None else []), more]


def find_file(bundle: Bundle) -> str:
    """The name of the file with the viewings; raises Unusable."""
    tables = {name: bundle.columns(name) for name in bundle.names if name.lower().endswith(".csv")}
    account = [name for name, columns in tables.items() if is_account_file(columns)]
    history = [name for name, columns in tables.items() if {"Title", "Date"} <= set(columns)]
    found = account or history
    if not found:
        raise Unusable(
            f"{bundle.path} holds no viewing history of Netflix: a CSV file with the columns Title and Date, or "
            "with Title and Start Time."
        )
    if len(found) > 1:
        raise Unusable(
            f"{bundle.path} holds several viewing histories: {', '.join(found)}. Import them one by one."
        )
    return found[0]


def own_words(bundle: Bundle) -> tuple[str, ...]:
    given = bundle.options.get(SEASON_WORDS, "").split(",")
    return tuple(word for one in given if (word := one.strip()))


# --- the short file


def note_history(bundle: Bundle, name: str) -> tuple[OrderEvidence, TitleEvidence]:
    """What the whole file says about its dates and its titles."""
    order, titles = OrderEvidence(newest_first=True), TitleEvidence(own_words(bundle))
    for row in bundle.rows(name, required=("Title", "Date")):
        if isinstance(row, Row):
            order.note(row.get("Date") or "")
            titles.note(row.get("Title") or "")
    return order, titles


def read_history(bundle: Bundle, name: str) -> Iterator[Entry]:
    evidence, titles = note_history(bundle, name)
    question = evidence.question(bundle.options.get(QUESTION, ""))
    if question is not None and question.is_open:
        raise Undecided(question)
    order = DayOrder(question.answer) if question is not None else None
    seen: set[str] = set()
    again = extras = 0
    for row in bundle.rows(name, required=("Title", "Date")):
        if isinstance(row, Bad):
            yield row
            continue
        try:
            title = checked_title(row.get("Title"))
            if is_extra(title):
                extras += 1
                continue
            viewing = day_viewing(title, row.get("Date"), order, titles)
        except (Wrong, NoDate) as error:
            yield Bad(file=name, line=row.line, why=str(error), do=FIX)
            continue
        assert viewing.foreign_key is not None
        if viewing.foreign_key in seen:
            again += 1
            continue
        seen.add(viewing.foreign_key)
        yield viewing
    for count, why in ((extras, SKIPPED["extra"]), (again, AGAIN)):
        if count:
            yield LeftOut(file=name, count=count, why=why)


def checked_title(title: str | None) -> str:
    """The title of a row; raises Wrong if it names nothing."""
    if title is None:
        raise Wrong("it has no title")
    if title.startswith(JOINT.rstrip()):
        raise Wrong(REMOVED)
    return title


def is_extra(title: str) -> bool:
    return any(mark in title.casefold() for mark in EXTRAS)


def day_viewing(title: str, date: str | None, order: DayOrder | None, titles: TitleEvidence) -> Viewing:
    """The viewing of a row with a day; raises Wrong and NoDate."""
    if date is None:
        raise Wrong("it has no date")
    at = datetime.combine(read_day(date, order), MIDDAY)
    item, language = named_item(title, titles)
    play = watched_play(item, at, "netflix", dated=Dated.DAY)
    return Viewing(play=play, foreign_key=key(title, at.date().isoformat()), language=language)


def named_item(title: str, titles: TitleEvidence) -> tuple[Item, str | None]:
    """The film or episode that a title names; raises Wrong for a season as a whole."""
    item, language = titles.read(title)
    if isinstance(item, Episode) and item.title is None and item.number is None:
        raise Wrong(NO_EPISODE)
    return item, language


def key(title: str, when: str) -> str:
    """The key of a viewing, the same in every download; a long title is cut and told apart by its digest."""
    folded = fold_title(title)
    if len(folded) > 120:
        folded = f"{folded[:100]}~{hashlib.sha256(folded.encode()).hexdigest()[:16]}"
    return f"netflix:{folded}:{when}"


# --- the account download


def read_account(bundle: Bundle, name: str) -> Iterator[Entry]:
    titles = TitleEvidence(own_words(bundle))
    for row in bundle.rows(name):
        if isinstance(row, Row) and (title := row.get("Title")) is not None:
            titles.note(title)
    for found in read_watchings(bundle, name):
        if not isinstance(found, Watching):
            yield found
            continue
        try:
            item, language = named_item(checked_title(found.title), titles)
        except Wrong as wrong:
            yield wrong.bad(name, None, f"“{found.title[:80]}”: ")
            continue
        yield Viewing(
            play=watching_play(item, found),
            foreign_key=key(found.title, found.started_at.isoformat(timespec="seconds")),
            language=language,
        )


def watching_play(item: Item, found: Watching) -> Play:
    """The play of a viewing, with how far it got: a lookup that knows the length decides if that is to the end."""
    ms = int(found.reached.total_seconds() * 1000)
    return Play(
        item=item, state=State.STOPPED, started_at=found.started_at, last_at=found.ended_at,
        watched_at=found.ended_at, position_ms=ms, position_at=found.ended_at, source="netflix",
    )  # fmt: skip
