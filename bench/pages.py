"""Pages: how long each takes where a person has 100,000 plays: `python -m bench.pages`."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
from argon2 import PasswordHasher
from sqlalchemy import Connection, insert, select, update

from bench.history import add
from bench.servers import service, table, wait_for
from webhook import clock
from webhook.domain.event import Action, Episode, Event, Ids, Item, Movie, Show, item_to_json
from webhook.domain.play import Play, State
from webhook.history import library, shows
from webhook.lookups import ListedEpisode
from webhook.people import people
from webhook.pipeline import planning
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.tables import account, delivery, identity, person, webhook
from webhook.transfer.records import Viewing

MUCH, FEW = 100_000, 1_000
FOLLOWED, EPISODES = 150, 40
SHOWS, FILMS = 400, 9_000
LIMIT_MS, LIMIT_KB = 100, 150
TURNS = 7
PASSWORD = "correct horse"
OWNER, MEMBER = "me", "ben"
SETTLED = 120.0  # seconds that the service has to count what it keeps counted

PAGES = (
    "/", "/activity", "/activity?state=interpreted", "/activity?state=quarantined", "/activity?source=emby",
    "/activity?outcome=needs_you", "/activity?outcome=waiting", "/activity?state=ignored", "/activity?text=zzz", "/activity?tracker=simkl", "/activity?person=ben", "/deliveries",
    "/deliveries?state=done", "/deliveries?state=expired", "/deliveries?state=dead", "/deliveries?tracker=trakt",
    "/deliveries?state=expired&person=ben", "/needs-you", "/history", "/history?limit=200", "/history?text=show",
    "/history?text=zzz", "/history?text=film 4711", "/history?kind=track", "/history?library=none", "/history?only=by-hand",
    "/history?only=not-sent", "/history?only=rewatched", "/history?view=grid&limit=100", "/history/numbers", "/history/numbers?year=all",
    "/history/numbers?year={past}", "/library", "/library/films", "/library/finished", "/library/up-to-date", "/library/loved",
    "/library?text=show", "/library/shows/tvdb:7", "/library/shows/title:show7",
    "/history/import", "/history/export", "/history/backfill", "/connections", "/setup", "/people", "/settings",
    "/history/plays/{play}", "/trace/{webhook}",
)  # fmt: skip
OWNERS = (
    "/settings",
    "/people",
    "/trace/{webhook}",
    "/activity?person=ben",
    "/deliveries?state=expired&person=ben",
)
"""Of these, the pages that only the owner sees, or that show nothing to anybody else."""


def item(number: int) -> Item:
    """Nine in ten are episodes, among them many of followed shows; a few are seen again."""
    if number % 10 == 9:
        film = number // 10 % FILMS
        return Movie(title=f"Film {film}", year=1950 + film % 70, ids=Ids(tmdb=film + 1, imdb=f"tt{film:07}"))
    show, part = number % SHOWS, number // SHOWS
    return Episode(
        title=f"Part {part}", show=f"Show {show}", season=1 + part // 10, number=1 + part % 10,
        ids=Ids(tvdb=1000 * show + part, imdb=f"tt{1000 * show + part:07}"), show_ids=Ids(tvdb=show, tmdb=show + 7),
    )  # fmt: skip


def viewing(number: int, at: datetime) -> Viewing:
    watched = Play(
        item=item(number), state=State.STOPPED, started_at=at - timedelta(minutes=40), last_at=at, watched_at=at,
        duration_ms=2_400_000, source="plex", player="Living room", library="TV Shows",
    )  # fmt: skip
    return Viewing(play=watched, foreign_key=f"bench:{number}")


# --- what the service finds


def filled(folder: str, plays: int) -> None:
    """A database with an owner and a member of so many plays each; the owner's came as webhooks."""
    database = Database(f"sqlite:///{folder}/watchmark.db", synchronous="OFF")
    migrate.migrate(database)
    database.do(lambda connection: fill(connection, plays))
    database.close()


def fill(connection: Connection, plays: int) -> None:
    now = clock.now()
    secret = PasswordHasher().hash(PASSWORD)
    ids = [people.add_person(connection, name, now, owner=name == OWNER) for name in (OWNER, MEMBER)]
    connection.execute(update(person).values(password=secret, timezone="Europe/Berlin"))
    for start in range(0, plays, 1000):
        some = range(start, min(start + 1000, plays))
        new = [(one, viewing(number, now - timedelta(hours=number))) for number in some for one in ids]
        add(connection, new)
    for one in ids:
        follow(connection, one, now)
    arrive(connection, plays, ids[0], now)


def follow(connection: Connection, person_id: int, now: datetime) -> None:
    for number in range(FOLLOWED):
        show = Show(title=f"Show {number}", ids=Ids(tvdb=number, tmdb=number + 7))
        library.follow_show(connection, person_id, show, now)
        parts = [
            ListedEpisode(
                season=1 + part // 10, number=1 + part % 10, title=f"Part {part}", aired="2015-01-01",
                ids=Ids(tvdb=1000 * number + part, imdb=f"tt{1000 * number + part:07}"),
            )
            for part in range(EPISODES)
        ]  # fmt: skip
        shows.store_list(connection, shows.ShowList(f"tvdb:{number}", "tvdb", parts, now))


def arrive(connection: Connection, count: int, person_id: int, now: datetime) -> None:
    """The webhooks of these plays, with bodies as large as Plex's, and a delivery of each."""
    user = {"source": "plex", "server": "attic", "user": "me", "label": "me", "person_id": person_id}
    connection.execute(insert(identity), {**user, "ignored": False, "first_seen": now, "last_seen": now})
    claimed = connection.execute(select(identity.c.id)).scalar_one()
    values = {"person_id": person_id, "tracker": "tvtime", "tells": ["watched"], "created_at": now}
    connection.execute(insert(account), values)
    told = connection.execute(select(account.c.id)).scalar_one()
    for start in range(0, count, 1000):
        some = range(start, min(start + 1000, count))
        connection.execute(insert(webhook), [one_webhook(number, claimed, now) for number in some])
        connection.execute(insert(delivery), [one_delivery(number, told, now) for number in some])
    for start in range(count, 2 * count, 1000):
        some = range(start, min(start + 1000, 2 * count))
        connection.execute(insert(webhook), [one_ignored(number, claimed, now) for number in some])


def one_webhook(number: int, claimed: int, now: datetime) -> dict[str, Any]:
    return {
        "id": number + 1, "source": "plex", "received_at": now, "raw": BODY, "state": "interpreted",
        "events": [event(number, now)], "identity_id": claimed, "interpreted_at": now, "content_type": "application/json",
    }  # fmt: skip


def one_ignored(number: int, claimed: int, now: datetime) -> dict[str, Any]:
    reason = f"library.new: nothing to send {number % 5}"
    return {**one_webhook(number, claimed, now), "state": "ignored", "events": [], "reason": reason}


BODY = orjson.dumps({"event": "media.scrobble", "Metadata": {"summary": "A long story. " * 200}})


def event(number: int, now: datetime) -> dict[str, Any]:
    """What the interpreter keeps of a webhook."""
    told = Event(
        action=Action.WATCHED, item=item(number), at=now, user=OWNER, server="attic", server_name="Attic",
        player="Living room", library="TV Shows", duration_ms=2_400_000,
    )  # fmt: skip
    return {**planning.event_json(told), "person": OWNER, "play": play_of(number, OWNER)}


def play_of(number: int, name: str) -> int:
    """The id of somebody's play: the owner's and the member's were put in turns."""
    return 2 * number + (1 if name == OWNER else 2)


def one_delivery(number: int, told: int, now: datetime) -> dict[str, Any]:
    return {
        "account_id": told, "webhook_id": number + 1, "play_id": play_of(number, OWNER), "key": f"watched:{play_of(number, OWNER)}",
        "action": "watched", "mark": True, "happened_at": now, "item": item_to_json(item(number)), "details": {},
        "state": "done", "created_at": now, "settled_at": now,
    }  # fmt: skip


# --- asking


@dataclass(frozen=True)
class Asked:
    """What a page took: the median of some turns, the processor's part of it, and how large the page is."""

    ms: float
    cpu_ms: float
    kb: float


def asked(browser: httpx.Client, pid: int, path: str) -> Asked:
    took, spent, size = [], [], 0
    for _ in range(TURNS):
        spent_before, began = cpu_ms(pid), time.perf_counter()
        answer = browser.get(path)
        took.append((time.perf_counter() - began) * 1000)
        spent.append(cpu_ms(pid) - spent_before)
        assert answer.status_code == 200, (path, answer.status_code)
        size = len(answer.content)
    return Asked(statistics.median(took), statistics.median(spent), size / 1024)


def cpu_ms(pid: int) -> float:
    """Processor time of all threads of a process so far, which nothing else on the machine adds to."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


def quiet(pid: int) -> None:
    """Waits until the service has nothing to do any more."""
    ends = time.monotonic() + SETTLED
    calm = 0
    while calm < 3 and time.monotonic() < ends:
        before = cpu_ms(pid)
        time.sleep(1)
        calm = calm + 1 if cpu_ms(pid) - before < 20 else 0


def signed_in(url: str, name: str) -> httpx.Client:
    browser = httpx.Client(base_url=url, timeout=60)
    answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD})
    assert answer.status_code == 303, answer.status_code
    return browser


def address(path: str, name: str, plays: int) -> str:
    past = (clock.now() - timedelta(hours=plays // 2)).year
    return path.format(past=past, play=play_of(plays // 2, name), webhook=plays // 2)


def measured(plays: int) -> dict[tuple[str, str], Asked]:
    """What each page took, by who looks at it and its address."""
    found: dict[tuple[str, str], Asked] = {}
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        filled(folder, plays)
        with service(DATA_DIR=folder) as (process, ready):
            wait_for(ready["url"] + "/healthz")
            quiet(process.pid)
            for name in (OWNER, MEMBER):
                browser = signed_in(ready["url"], name)
                for path in PAGES:
                    if name == OWNER or path not in OWNERS:
                        found[name, path] = asked(browser, process.pid, address(path, name, plays))
                browser.close()
    return found


def main() -> None:
    few, much = measured(FEW), measured(MUCH)
    rows = [
        (f"{name} {path}", f"{one.ms:.0f} ms, {one.kb:.0f} KB",
         f"processor {one.cpu_ms:.1f} ms, {one.cpu_ms / few[name, path].cpu_ms:.1f} × of {FEW:,} plays{over(one)}")
        for (name, path), one in much.items()
    ]  # fmt: skip
    table(f"Pages at {MUCH:,} plays, webhooks and deliveries (at most {LIMIT_MS} ms, {LIMIT_KB} KB)", rows)
    if slow := sum(bool(over(one)) for one in much.values()):
        raise SystemExit(f"{slow} of {len(much)} pages are over the limit.")


def over(one: Asked) -> str:
    return "  OVER THE LIMIT" if one.ms > LIMIT_MS or one.kb > LIMIT_KB else ""


if __name__ == "__main__":
    main()
