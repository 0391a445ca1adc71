"""Ids of shows that Plex names only by its own id, found once a show from its episodes' ids.

Plex's newer agents send an episode's ids but for its show only `plex://show/…`. Another play of that
episode, a lookup, or the Plex Media Server knows the show. The ids found are stored under Plex's id and
written into the plays, and library entries under the show's title are merged with those under its ids. This
runs apart from the deliveries; a question waits in the table `unresolved` until it is answered, and an
answer that contradicts a known id is shown to a person instead of written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, cast

import structlog
from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from webhook import clock
from webhook.domain.event import Episode, Ids, Show, item_from_json, item_to_json
from webhook.domain.items import id_keys, same_item
from webhook.domain.outcome import Retry, Snooze, Undelivered
from webhook.identity import matches
from webhook.identity.lookup_round import LookupRound
from webhook.identity.resolutions import find_show_ids, plex_show_key, store_show_ids
from webhook.identity.resolver import ID_LABELS, NO_LOOKUPS, Identity
from webhook.servers import Server
from webhook.storage.db import Database, Unavailable
from webhook.storage.json_shapes import CandidateJson
from webhook.storage.rows import fetch_all
from webhook.storage.tables import UnresolvedRow, note, person, play, play_key, unresolved
from webhook.transfer.show_merge import KnownShow, complete_plays, contradictions, merge_relations, plays_of

log = structlog.get_logger()

KIND = "plex_show"
"""The kind of these questions in the lookup queue."""

CURSOR = "plex shows looked for"
"""The name of the note with the id of the last play scanned."""

FEW = 5
SCANNED = 500
BATCH = 100  # plays that are written in one transaction
STEP_BACK = 10_000
"""The number of plays scanned again each hour: on PostgreSQL an earlier id may be committed later."""

SAMPLES = 20
ASKED = 5
"""The most episodes of a show that the lookups are asked about."""

POLL_SECONDS = 2.0
FIRST = timedelta(minutes=1)
MAX_LOOKUP_PAUSE = timedelta(days=1)
NOBODY = "nobody who was asked knows the show by its episodes"
NEEDED = ("tvdb",)
REMEMBERED = ""
"""The `via` of ids that were stored earlier."""


class KnowsShows(Protocol):
    """A media server that knows the ids of its shows at other services."""

    async def show_ids(self, plex: str, shows: Sequence[str], episodes: Sequence[str]) -> Ids | None:
        """The show's ids, or None if unknown; raises Retry and Dead. The server's keys are given."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The local facts of a show: some of its episodes, and its ids from other plays."""

    title: str | None
    episodes: Sequence[Episode]
    shows: Sequence[str]  # the keys of the show and of its episodes on their media server
    keys: Sequence[str]
    told: Ids | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    ids: Ids
    via: str


class ShowIds:
    """Finds the ids of shows in the background."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        servers: Mapping[str, Server],
        learned: asyncio.Event | None = None,
    ) -> None:
        self.database = database
        self.identity = identity
        self.server = cast(KnowsShows | None, servers.get("plex"))
        self.learned = learned or asyncio.Event()
        self.step_back_at = clock.now()

    async def run(self, stop: asyncio.Event) -> None:
        never = asyncio.Event()
        while not stop.is_set():
            try:
                busy = (await self.scan() >= SCANNED) | bool(await self.run_once())
            except Unavailable as error:
                log.warning("The database is unavailable; the search for shows' ids waits.", why=str(error))
                busy = False
            await clock.awaken(never, stop, 0.05 if busy else POLL_SECONDS)

    async def scan(self) -> int:
        """Scan new plays for shows with only Plex's id; returns how many plays."""
        back = 0
        if clock.now() >= self.step_back_at + timedelta(hours=1):
            back, self.step_back_at = STEP_BACK, clock.now()
        if not back and not await self.database.read(has_new):
            return 0
        return await self.database.write(scan, back)

    async def run_once(self) -> int:
        """Answer the next few questions; returns how many."""
        able = bool(self.identity.lookups or self.server)
        rows = await self.database.read(partial(due, able=able))
        for row in rows:
            await self.answer(row)
        return len(rows)

    async def answer(self, row: UnresolvedRow) -> None:
        plex = item_from_json(row.item).ids.plex
        assert plex is not None
        try:
            found = await self.find(plex)
        except Undelivered as error:
            await self.database.write(postpone, (row.key, error))
            return
        if found is None:
            able = bool(self.identity.lookups or self.server)
            nobody = Retry(NOBODY if able else NO_LOOKUPS, after=MAX_LOOKUP_PAUSE)
            await self.database.write(postpone, (row.key, nobody))
            return
        await self.write(row.key, KnownShow(ids=replace(found.ids, plex=plex)), found.via)

    async def write(self, key: str, show: KnownShow, via: str) -> None:
        """Store the show's ids, write them into plays and library in batches, and end the question."""
        if not await self.database.write(remember, (key, show, via)):
            return
        after: int | None = 0
        while after is not None:
            after = await self.database.write(complete, (show, after))
        await self.database.write(finish, (key, show))
        self.learned.set()
        log.info("The ids of a show were found.", show=show.plex, ids=show.ids.by_namespace(), via=via)

    # --- asking

    async def find(self, plex: str) -> Answer | None:
        """The show's ids from the first that knows them; raises Retry if one that may know them fails."""
        known = await self.database.read(partial(find_answer, plex=plex))
        if known is not None:
            return known
        sample = await self.database.read(partial(sample_of, plex=plex))
        trouble: Undelivered | None = None
        found = Answer(ids=sample.told, via="history") if sample.told else None
        for ask in (self.by_lookups, self.by_server):
            try:
                found = found or await ask(plex, sample)
            except Undelivered as error:
                trouble = error
        if found is None:
            if trouble is not None:
                raise trouble
            return None
        return await self.complete(sample.title, found)

    async def by_lookups(self, plex: str, sample: Sample) -> Answer | None:
        """The show's ids from the first lookup that knows one of the episodes by its own id."""
        trouble: Undelivered | None = None
        for lookup in self.identity.lookups:
            for episode in sample.episodes[:ASKED]:
                try:
                    found = await lookup.find_by_own_ids(episode)
                except Undelivered as error:
                    trouble = error
                    break
                if isinstance(found, Episode) and (ids := replace(found.show_ids, plex=None)):
                    return Answer(ids=ids, via=lookup.name)
        if trouble is not None:
            raise trouble
        return None

    async def by_server(self, plex: str, sample: Sample) -> Answer | None:
        if self.server is None:
            return None
        ids = await self.server.show_ids(plex, sample.shows, sample.keys)
        ids = None if ids is None else replace(ids, plex=None)
        return Answer(ids=ids, via="server") if ids else None

    async def complete(self, title: str | None, found: Answer) -> Answer:
        """The answer with the id under which shows are kept here, if a lookup knows it; raises Retry."""
        if found.ids.tvdb is not None or not self.identity.lookups:
            return found
        asking = LookupRound(self.identity.lookups)
        more, _ = await asking.by_ids(Show(title=title, ids=found.ids), NEEDED)
        if more is None and asking.trouble is not None:
            raise asking.trouble
        return found if more is None else replace(found, ids=found.ids.merge(more.ids))


# --- the questions


def has_new(connection: Connection) -> bool:
    last = connection.execute(select(func.max(play.c.id))).scalar() or 0
    return last > cursor(connection)


def cursor(connection: Connection) -> int:
    return int(connection.execute(select(note.c.value).where(note.c.name == CURSOR)).scalar() or 0)


def scan(connection: Connection, waiting: list[int]) -> list[int]:
    """Add a question for each show in new plays with only Plex's id; returns how many plays."""
    before = max(cursor(connection) - max(waiting), 0)
    new = select(play.c.id, play.c.kind, play.c.item).where(play.c.id > before)
    rows = connection.execute(new.order_by(play.c.id).limit(SCANNED)).all()
    shows = {show.ids.plex: show for row in rows if (show := nameless_show(row)) is not None}
    for plex, show in shows.items():
        assert plex is not None
        put_question(connection, plex, show)
    if rows:
        move_cursor(connection, rows[-1].id)
    return [len(rows)] * len(waiting)


def nameless_show(row: Any) -> Show | None:
    """The show of a play that has only Plex's id; None for others."""
    if row.kind != "episode":
        return None
    item = item_from_json(row.item)
    assert isinstance(item, Episode)
    if item.show_ids.plex is None or item.show_ids.tvdb is not None:
        return None
    return Show(title=item.show, ids=Ids(plex=item.show_ids.plex))


def put_question(connection: Connection, plex: str, show: Show) -> None:
    """Add a question about the show, or repeat an unanswered one: a newer episode may be known."""
    now, key = clock.now(), plex_show_key(plex)
    row = connection.execute(select(unresolved).where(unresolved.c.key == key)).first()
    if row is None:
        values = {"key": key, "kind": KIND, "item": item_to_json(show), "state": "waiting"}
        try:
            with connection.begin_nested():
                connection.execute(insert(unresolved), {**values, "due_at": now, "created_at": now})
        except IntegrityError:
            return  # another process added it just now
    elif row.state == "waiting" and row.reason == NOBODY:
        connection.execute(update(unresolved).where(unresolved.c.key == key).values(due_at=now))


def move_cursor(connection: Connection, last: int) -> None:
    here = note.c.name == CURSOR
    if not connection.execute(update(note).where(here).values(value=last)).rowcount:
        connection.execute(insert(note), {"name": CURSOR, "value": last})


def due(connection: Connection, able: bool) -> list[UnresolvedRow]:
    """The questions due now; if `able`, also those that no lookup or server could be asked."""
    mine = and_(unresolved.c.kind == KIND, unresolved.c.state == "waiting")
    now = unresolved.c.due_at <= clock.now()
    alone = unresolved.c.reason == NO_LOOKUPS
    wanted = select(unresolved).where(mine, or_(now, alone) if able else now)
    return fetch_all(connection, wanted.order_by(unresolved.c.due_at).limit(FEW), UnresolvedRow)


def postpone(connection: Connection, waiting: Sequence[tuple[str, Undelivered]]) -> list[None]:
    """Ask again later: after as long as the question has waited, at most a day."""
    now = clock.now()
    for key, why in waiting:
        here = unresolved.c.key == key
        created = connection.execute(select(unresolved.c.created_at).where(here)).scalar()
        pause = max(FIRST, min(now - (created or now), MAX_LOOKUP_PAUSE))
        said = why.after if isinstance(why, Retry | Snooze) else None
        values = {"reason": why.reason, "due_at": now + max(pause, said or FIRST)}
        connection.execute(update(unresolved).where(here).values(values))
    return [None] * len(waiting)


# --- from the history


def find_answer(connection: Connection, plex: str) -> Answer | None:
    """The person's choice for the show, else the ids stored earlier; None without either."""
    choice = matches.all_choices(connection).get(plex_show_key(plex))
    if choice is not None and (chosen := replace(choice.ids, plex=None)):
        return Answer(ids=chosen, via="choice")
    remembered = find_show_ids(connection, plex)
    return None if remembered is None else Answer(ids=remembered, via=REMEMBERED)


def sample_of(connection: Connection, plex: str) -> Sample:
    rows = plays_of(connection, plex, limit=SAMPLES, latest=True)
    items = [item for row in rows if isinstance(item := item_from_json(row.item), Episode)]
    episodes = list({repr(item.ids): item for item in items if item.show_ids.plex == plex}.values())
    play_ids = [row.id for row in rows]
    bare = [replace(one, show_ids=Ids(plex=plex)) for one in episodes]
    return Sample(
        title=next((one.show for one in episodes if one.show), None),
        episodes=bare,
        shows=server_keys(connection, play_ids, "episode:of@"),
        keys=server_keys(connection, play_ids, "episode@"),
        told=ids_from_history(connection, plex, bare),
    )


def server_keys(connection: Connection, play_ids: Sequence[int], kind: str) -> list[str]:
    """The keys of this kind of the plays: the part between the server's name and the episode's number."""
    wanted = select(play_key.c.key).where(
        play_key.c.play_id.in_(play_ids), play_key.c.key.startswith(kind, autoescape=True)
    )
    found = (key.rsplit(":", 2) for key in connection.execute(wanted).scalars())
    return list(dict.fromkeys(parts[1] for parts in found if len(parts) == 3))


def ids_from_history(connection: Connection, plex: str, episodes: Sequence[Episode]) -> Ids | None:
    """The show's ids from other plays of its episodes, matched by episode ids; None if they disagree."""
    wanted = {key for one in episodes for key in id_keys(one)}
    known = select(play_key.c.play_id).where(
        play_key.c.person_id.in_(select(person.c.id)), play_key.c.key.in_(sorted(wanted))
    )
    told = Ids()
    for row in connection.execute(select(play.c.item).where(play.c.id.in_(known))):
        other = item_from_json(row.item)
        if not isinstance(other, Episode) or other.show_ids.plex is not None:
            continue  # a play with both may have got them by its title
        if any(one.ids.agrees(other.ids) and same_item(one, other) for one in episodes):
            if told.contradicts(other.show_ids):
                return None
            told = told.merge(other.show_ids)
    return told or None


# --- storing


def remember(connection: Connection, waiting: list[tuple[str, KnownShow, str]]) -> list[bool]:
    return [remember_one(connection, *entry) for entry in waiting]


def remember_one(connection: Connection, key: str, show: KnownShow, via: str) -> bool:
    """Store the show's ids; False if its plays contradict them, which is then shown to a person."""
    if contradicting := contradictions(plays_of(connection, show.plex), show):
        other = Ids.from_json(contradicting[0].item.get("show_ids"))
        log.warning(
            "A show's ids contradict those of its plays; nothing was changed.",
            show=show.plex, found=show.ids.by_namespace(), plays=other.by_namespace(), via=via,
        )  # fmt: skip
        reason = (
            f"its episodes are of {ids_in_words(show.ids)}, and {len(contradicting)} of its plays say "
            f"{ids_in_words(other)}; choose which it is"
        )
        title = contradicting[0].item.get("show")
        values = {"state": "unmatched", "reason": reason, "candidates": candidates(title, show.ids, other)}
        connection.execute(update(unresolved).where(unresolved.c.key == key).values(values))
        return False
    if via != REMEMBERED:
        store_show_ids(connection, show.plex, replace(show.ids, plex=None), via, clock.now())
    return True


def ids_in_words(ids: Ids) -> str:
    known = replace(ids, plex=None).by_namespace()
    return ", ".join(f"{ID_LABELS.get(name, f'{name} id')} {value}" for name, value in known.items())


def candidates(title: str | None, *found: Ids) -> list[CandidateJson]:
    known = [replace(ids, plex=None).by_namespace() for ids in found]
    return [{"kind": "show", "title": title, "year": None, "ids": ids} for ids in known]


def complete(connection: Connection, waiting: list[tuple[KnownShow, int]]) -> list[int | None]:
    """Write the ids into a batch of the show's plays; returns its last id, or None after all."""
    return [complete_batch(connection, show, after) for show, after in waiting]


def complete_batch(connection: Connection, show: KnownShow, after: int) -> int | None:
    rows = plays_of(connection, show.plex, after, BATCH)
    complete_plays(connection, show, rows)
    return rows[-1].id if len(rows) == BATCH else None


def finish(connection: Connection, waiting: list[tuple[str, KnownShow]]) -> list[None]:
    for key, show in waiting:
        merge_relations(connection, show)
        matches.release_deliveries(connection, {key}, clock.now())  # unmatched by Plex's id alone
        connection.execute(delete(unresolved).where(unresolved.c.key == key))
    return [None] * len(waiting)
