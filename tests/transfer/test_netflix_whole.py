"""A whole Netflix history of invented titles, looked up: nothing is wrong, and what is not sure waits."""

from __future__ import annotations

import asyncio
import csv
import io
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.fakes._world import Film, Part, Series, World
from tests.identity.world import Services
from tests.soak_report import RecordProperty
from webhook import clock
from webhook.domain.event import item_from_json
from webhook.identity.resolver import Identity
from webhook.people import people
from webhook.storage.db import Database
from webhook.storage.tables import play, unresolved
from webhook.transfer import import_job
from webhook.transfer.import_feeds import FileFeed
from webhook.transfer.lookup_queue import Resolver
from webhook.transfer.questions import is_open

BEGIN = [
    "Amber",
    "Basalt",
    "Cedar",
    "Delta",
    "Ember",
    "Fjord",
    "Granite",
    "Harbour",
    "Indigo",
    "Juniper",
    "Kestrel",
    "Lantern",
    "Meadow",
    "Nimbus",
    "Orchard",
]
END = [
    "bank",
    "dale",
    "fall",
    "gate",
    "haven",
    "land",
    "mere",
    "mont",
    "port",
    "rock",
    "stead",
    "vale",
    "wick",
    "wood",
    "worth",
]
WORDS = [first + last for first in BEGIN for last in END]
SEASONS = ("Season {}", "Staffel {}", "Saison {}", "Temporada {}", "Series {}", "Part {}", "Volume {}")
Truth = tuple[str, int, int | None, int | None]
"""The kind, the TMDB id of the film or the show, the season and the number."""


@dataclass
class Made:
    """An invented catalogue, and what somebody watched of it."""

    world: World
    rows: list[tuple[str, date, Truth]]


def title(rng: random.Random, words: int = 2) -> str:
    return " ".join(rng.sample(WORDS, words))


def make(seed: int, count: int) -> Made:
    """A catalogue with namesakes, shows that the lookup lacks, numbered episodes and titles that repeat."""
    rng = random.Random(seed)  # noqa: S311 - an invented catalogue needs no cryptography
    made = Made(World(), [])
    ids = iter(range(1000, 1_000_000))
    day = date(2026, 3, 31)
    while len(made.rows) < count:
        for name, truth in (
            of_show(rng, made.world, ids) if rng.random() < 0.6 else of_film(rng, made.world, ids)
        ):
            day -= timedelta(days=rng.randrange(2))
            made.rows.append((name, day, truth))
    made.rows = made.rows[:count]
    return made


def of_film(rng: random.Random, world: World, ids: Iterator[int]) -> Iterator[tuple[str, Truth]]:
    """A film with a colon, a part, a namesake, or one that the lookup has not."""
    name = title(rng, 3)
    name += rng.choice(("", "", f": {title(rng)}", ": Part Two", f": Chapter {rng.randrange(1, 4)}"))
    own = next(ids)
    kind = rng.random()
    if kind < 0.9:
        world.add(Film(title=name, year=rng.randrange(1990, 2006), ids={"tmdb": own}))
    if kind < 0.1:
        world.add(Film(title=name, year=rng.randrange(1950, 1990), ids={"tmdb": next(ids)}))
    yield name, ("movie", own, None, None)


def of_show(rng: random.Random, world: World, ids: Iterator[int]) -> Iterator[tuple[str, Truth]]:
    """A show with a few seasons; now and then one with a namesake, without names of episodes, or not in the lookup."""
    name, own = title(rng, rng.choice((2, 3))) + rng.choice(("", "", f": {title(rng)}")), next(ids)
    numbered = rng.random() < 0.1
    parts: list[Part] = []
    for season in range(1, rng.randrange(2, 6)):
        for number in range(1, rng.randrange(4, 13)):
            named = (
                f"Episode {number}"
                if numbered
                else "Pilot"
                if rng.random() < 0.03
                else title(rng, rng.choice((2, 2, 3)))
            )
            parts.append(Part(season=season, number=number, title=named, ids={"tmdb": next(ids)}))
    show = Series(title=name, year=rng.randrange(1990, 2006), ids={"tmdb": own}, parts=parts)
    kind = rng.random()
    if kind < 0.95:
        world.add(show)
    if (
        0.8 < kind < 0.97
    ):  # a namesake that shares some titles; of a show that the lookup lacks, it shares none
        world.add(namesake(rng, show, ids, shared=0.3 if kind < 0.95 else 0.0))
    word = rng.choice(SEASONS)
    for one in rng.sample(parts, min(len(parts), rng.randrange(1, 30))):
        yield f"{name}: {word.format(one.season)}: {one.title}", ("episode", own, one.season, one.number)


def namesake(rng: random.Random, show: Series, ids: Iterator[int], shared: float) -> Series:
    """Another show of this name, of whose episodes a share have the same titles."""
    parts = [
        Part(
            season=one.season,
            number=one.number,
            title=one.title if rng.random() < shared else title(rng),
            ids={"tmdb": next(ids)},
        )
        for one in show.parts
    ]
    return Series(title=show.title, year=1985, ids={"tmdb": next(ids)}, parts=parts)


def write(folder: Path, made: Made, date_format: str) -> Path:
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_ALL)
    table.writerow(("Title", "Date"))
    table.writerows((name, day.strftime(date_format)) for name, day, _ in made.rows)
    path = folder / "NetflixViewingHistory.csv"
    path.write_text(text.getvalue(), encoding="utf-8-sig")
    return path


async def bring(database: Database, made: Made, path: Path) -> None:
    person = await database.run(
        lambda connection: people.add_person(connection, "nora", clock.now(), owner=True)
    )
    feed = await FileFeed.open("netflix", path)
    await import_job.run(database, person, feed)
    services = Services(made.world)
    resolver = Resolver(database, Identity(database, services.lookups("tmdb")))
    while await resolver.run_once():
        pass
    await services.http.aclose()


def judge(database: Database, made: Made) -> Counter[str]:
    """How many rows were matched rightly or wrongly, wait, or are lost."""
    truths: dict[tuple[str, date], set[Truth]] = {}
    for name, day, truth in made.rows:
        truths.setdefault((name, day), set()).add(truth)
    keys = {f"{day}:{known_as(name)}": truth for (name, day), truth in truths.items()}
    rows = database.ask(lambda connection: connection.execute(select(play.c.item, play.c.foreign_key)).all())
    found: Counter[str] = Counter()
    for row in rows:
        item = item_from_json(row.item)
        _, folded, day = row.foreign_key.split(":")
        if is_open(item):
            found["waits"] += 1
            continue
        told = row.item
        place = (told["kind"], (told["ids"] if told["kind"] == "movie" else told["show_ids"])["tmdb"],
                 told.get("season"), told.get("number"))  # fmt: skip
        found["right" if place in keys[f"{day}:{folded}"] else "wrong"] += 1
    found["lost"] = len(truths) - len(rows)
    return found


def known_as(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def check(database: Database, made: Made, matched: float) -> None:
    found = judge(database, made)
    total = found.total()
    assert (found["wrong"], found["lost"]) == (0, 0), found
    assert found["right"] >= matched * total, found
    waiting = select(func.count()).where(unresolved.c.state == "unmatched")
    still = select(func.count()).where(unresolved.c.state == "waiting")
    assert database.ask(lambda connection: connection.execute(still).scalar_one()) == 0
    assert database.ask(lambda connection: connection.execute(waiting).scalar_one()) > 0


@pytest.mark.parametrize("date_format", ["%m/%d/%y"])
def test_nothing_of_a_history_is_wrong_or_lost(database: Database, tmp_path: Path, date_format: str) -> None:
    made = make(1, 300)

    asyncio.run(bring(database, made, write(tmp_path, made, date_format)))

    check(database, made, matched=0.75)


@pytest.mark.soak
@pytest.mark.parametrize(("seed", "date_format"), [(2, "%d/%m/%y"), (3, "%d.%m.%y"), (4, "%Y-%m-%d")])
def test_nothing_of_ten_thousand_rows_is_wrong_or_lost(
    database: Database, tmp_path: Path, seed: int, date_format: str, record_property: RecordProperty
) -> None:
    made = make(seed, 10_000)
    record_property("rows", 10_000)

    asyncio.run(bring(database, made, write(tmp_path, made, date_format)))

    check(database, made, matched=0.75)
