"""The household of the demo in a data folder: its people, their history, their library and what they are sent."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection, select, update

from webhook import clock
from webhook.accounts import accounts
from webhook.demo import live, past_deliveries
from webhook.demo.catalogue import FILMS_ELSEWHERE, SHOW_BY_TITLE, SHOWS, UNWATCHED_FILMS, DemoShow
from webhook.demo.household import JUNO, MIRA, SEED, TASTES, THEO, Sitting, make_sittings
from webhook.demo.senders import Report, jellyfin_report, library_of, plex_report, reports_of
from webhook.domain.event import Episode, Item, Movie, Show, Track
from webhook.domain.play import Dated, Play, State
from webhook.history import shows as episode_lists
from webhook.people import identities, passwords, people
from webhook.queues import inbox, jobs
from webhook.service import Service
from webhook.storage.tables import delivery, person, token, webhook
from webhook.transfer import manual_plays, merge
from webhook.transfer.import_counts import Counts
from webhook.transfer.manual_plays import NewPlay
from webhook.transfer.records import FOLLOWING, FOR_LATER, STOPPED, Kept, Relation, Viewing

RECENT = timedelta(days=9)
"""The time in which everything came by webhook, and is still there as it came."""

IMPORTED = timedelta(days=640)
"""What is older was imported from a file."""

SIMKL_TOKENS = {"access_token": "of-the-demo"}
GUEST = "edda"
"""A user of the media server whom nobody claims."""

WEBHOOKS_TOGETHER = 2_000


@dataclass(frozen=True, slots=True)
class Home:
    """The household in the data folder: the ids of its people, and the number of its viewings."""

    people: Mapping[str, int]
    viewings: int


def populate(
    service: Service, now: datetime, trakt_tokens: Mapping[str, Mapping[str, str]], password: str
) -> Home:
    """Put the household into an empty data folder; `now` is in its time zone, a ZoneInfo."""
    at = clock.now()
    hashed = passwords.hash_password(password)
    sittings = make_sittings(now)
    ids = service.database.do(lambda connection: move_in(connection, service, hashed, now))
    service.database.do(lambda connection: sign_in(connection, service, ids, trakt_tokens, at))
    recent = now - RECENT
    service.database.do(
        lambda connection: remember(connection, ids, [one for one in sittings if one.began < recent], now)
    )
    service.database.do(lambda connection: fill_library(connection, ids, sittings, now))
    reports = recent_reports([one for one in sittings if one.began >= recent], now)
    service.database.do(lambda connection: receive(connection, reports))
    service.database.do(lambda connection: service.interpreter.interpret(connection, [WEBHOOKS_TOGETHER]))
    service.database.do(lambda connection: add_by_hand(connection, service, ids, now))
    service.database.do(backdate)
    service.database.do(lambda connection: past_deliveries.settle_all(connection, service.trackers, now))
    return Home(people=ids, viewings=len(sittings))


# --- people


def move_in(connection: Connection, service: Service, hashed: str, now: datetime) -> dict[str, int]:
    at = now.astimezone(UTC)
    owner = people.find_person(connection, people.FIRST_PERSON)
    people.rename(connection, owner, MIRA.name)
    passwords.set_password(connection, owner.id, hashed)
    ids = {MIRA.name: owner.id}
    for taste in (THEO, JUNO):
        ids[taste.name] = people.add_person(connection, taste.name, at)
        accounts.add_builtin_accounts(connection, service.trackers, ids[taste.name], at)
    connection.execute(update(person).values(timezone=str(now.tzinfo)))
    for taste in TASTES:
        identities.claim_identities(connection, taste.name, f"{taste.source}:{taste.name.lower()}", at)
    return ids


def sign_in(
    connection: Connection,
    service: Service,
    ids: Mapping[str, int],
    trakt_tokens: Mapping[str, Mapping[str, str]],
    at: datetime,
) -> None:
    signed = [(name, "trakt", tokens) for name, tokens in trakt_tokens.items()]
    for name, tracker, tokens in [*signed, (MIRA.name, "simkl", SIMKL_TOKENS)]:
        sealed = service.seal.seal(dict(tokens))
        accounts.store_tokens(connection, ids[name], service.trackers[tracker], sealed, name.lower(), at)


# --- history


def remember(
    connection: Connection, ids: Mapping[str, int], sittings: Sequence[Sitting], now: datetime
) -> None:
    """Merge what is older than the stored webhooks; Mira's first months came with a file."""
    for taste in TASTES:
        mine = [one for one in sittings if one.person == taste.name]
        old = [one for one in mine if taste is MIRA and one.began < now - IMPORTED and one.is_watched]
        if old:
            import_file(connection, ids[taste.name], old)
        rest = [Viewing(play=play_of(one)) for one in mine if one not in old]
        merge.merge_entries(connection, ids[taste.name], rest, clock.now())


def import_file(connection: Connection, person_id: int, sittings: Sequence[Sitting]) -> None:
    at = utc(sittings[-1].end) + timedelta(days=1)
    job_id = jobs.begin_job(
        connection, jobs.JobKind.IMPORT, "tvtime", at, person_id=person_id, name="tvtime-export.zip"
    )
    entries = [
        Viewing(play=imported_play(one), foreign_key=f"tvtime:demo:{number}")
        for number, one in enumerate(sittings)
    ]
    counts: Counts = merge.merge_entries(connection, person_id, entries, at, job_id)
    jobs.record_progress(connection, job_id, len(entries), asdict(counts), at)
    jobs.finish_job(connection, job_id, at)


def play_of(sitting: Sitting) -> Play:
    """The play as webhooks have made it."""
    taste = next(one for one in TASTES if one.name == sitting.person)
    ms = int(sitting.minutes * 60_000)
    reached = int(ms * sitting.share)
    return Play(
        item=sitting.item, state=State.STOPPED, started_at=utc(sitting.began), last_at=utc(sitting.end),
        source=taste.source, player=taste.player, library=library_of(taste, sitting.item),
        position_ms=reached, position_at=utc(sitting.end), duration_ms=ms, played_ms=reached,
        watched_at=utc(sitting.end) if sitting.is_watched else None,
    )  # fmt: skip


def imported_play(sitting: Sitting) -> Play:
    at = utc(sitting.end)
    return Play(
        item=sitting.item, state=State.STOPPED, started_at=at, last_at=at, watched_at=at, source="tvtime",
        dated=Dated.EXACT,
    )  # fmt: skip


def utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


# --- library


def fill_library(
    connection: Connection, ids: Mapping[str, int], sittings: Sequence[Sitting], now: datetime
) -> None:
    """Follow the shows that were watched, list their episodes, and keep ratings, favourites and the watchlist."""
    dice = random.Random(SEED)  # noqa: S311 - a story, no secret
    for show in SHOWS:
        listed = episode_lists.ShowList(
            f"tvdb:{show.ids.tvdb}", "tvdb", show.listing(now.date()), clock.now()
        )
        episode_lists.store_list(connection, listed)
    for name, person_id in ids.items():
        mine = [one for one in sittings if one.person == name]
        entries = [*follows(mine), *opinions(mine, dice), *(WISHES.get(name, ()))]
        merge.merge_entries(connection, person_id, entries, clock.now())


def show_item(show: DemoShow) -> Show:
    return Show(title=show.title, year=show.year, ids=show.ids)


def follows(sittings: Iterable[Sitting]) -> Iterator[Kept]:
    first: dict[str, datetime] = {}
    for one in sittings:
        if isinstance(one.item, Episode):
            first.setdefault(str(one.item.show), utc(one.began))
    for title, at in first.items():
        state = STOPPED if title == "The Patient Telescope" else FOLLOWING
        yield Kept(relation=Relation.FOLLOW, item=show_item(SHOW_BY_TITLE[title]), at=at, state=state)


def opinions(sittings: Iterable[Sitting], dice: random.Random) -> Iterator[Kept]:
    """Ratings of a third of the films, and hearts for a few films and songs."""
    seen: set[Item] = set()
    for one in sittings:
        if isinstance(one.item, Episode) or one.item in seen or not one.is_watched:
            continue
        seen.add(one.item)
        if isinstance(one.item, Movie) and dice.random() < 0.4:
            stars = float(dice.choice((4, 6, 7, 7, 8, 8, 9, 10)))
            yield Kept(relation=Relation.RATING, item=one.item, at=utc(one.end), value=stars)
        if dice.random() < (0.3 if isinstance(one.item, Track) else 0.12):
            yield Kept(relation=Relation.LOVE, item=one.item, at=utc(one.end))


def wishes(films: Iterable[Item], shows: Iterable[DemoShow]) -> list[Kept]:
    films_wanted = [Kept(relation=Relation.WATCHLIST, item=item) for item in films]
    shows_wanted = [show_item(show) for show in shows]
    return [
        *films_wanted,
        *(Kept(relation=Relation.WATCHLIST, item=item) for item in shows_wanted),
        *(Kept(relation=Relation.FOLLOW, item=item, state=FOR_LATER) for item in shows_wanted),
    ]


WISHES: Mapping[str, Sequence[Kept]] = {
    MIRA.name: wishes(
        [film.item for film in UNWATCHED_FILMS],
        [SHOWS[11], SHOW_BY_TITLE["Nine Small Planets"]],
    ),
    THEO.name: wishes([UNWATCHED_FILMS[1].item], [SHOW_BY_TITLE["Bellweather"]]),
}


# --- the last days, by webhook


def recent_reports(sittings: Iterable[Sitting], now: datetime) -> list[Report]:
    tastes = {taste.name: taste for taste in TASTES}
    found = [report for one in sittings for report in reports_of(tastes[one.person], one)]
    found += [
        report
        for one in sittings
        if isinstance(one.item, Movie) and one.person == MIRA.name
        for report in trailers(one)
    ]
    return sorted([*found, *guest_reports(now), *live.opening_reports(now)], key=lambda report: report.at)


def trailers(sitting: Sitting) -> Iterator[Report]:
    """The trailer before a film, which is ignored."""
    at = sitting.began - timedelta(minutes=3)
    yield plex_report(
        "media.play", MIRA, sitting.item, 2, at,
        type="clip", subtype="trailer", extraType=1, Guid=[], title="Coming in spring",
    )  # fmt: skip


def guest_reports(now: datetime) -> Iterator[Report]:
    """The viewings of a guest, who is a user of the media server and nobody here."""
    evening = datetime.combine(now.date() - timedelta(days=1), time(19, 5), tzinfo=now.tzinfo)
    show = SHOW_BY_TITLE["A Quiet Department"]
    for number in (1, 2, 3):
        began = evening + timedelta(minutes=(number - 1) * (show.minutes + 1))
        about = (GUEST, "Guest room", show.episode(1, number), show.minutes)
        yield jellyfin_report("PlaybackStart", *about, began)
        ends = began + timedelta(minutes=show.minutes)
        yield jellyfin_report("PlaybackStop", *about, ends, 1.0, PlayedToCompletion=True)


def receive(connection: Connection, reports: Iterable[Report]) -> None:
    kept = select(token.c.id).where(token.c.kind == "webhook").order_by(token.c.id)
    token_id = connection.execute(kept).scalars().first()
    assert token_id is not None
    inbox.store_webhooks(connection, [report.to_webhook(token_id) for report in reports])


def backdate(connection: Connection) -> None:
    """Date what the interpreter has written just now as if it had run all the time."""
    connection.execute(update(webhook).values(interpreted_at=webhook.c.received_at))
    connection.execute(update(delivery).values(created_at=delivery.c.happened_at))


# --- by hand


def add_by_hand(connection: Connection, service: Service, ids: Mapping[str, int], now: datetime) -> None:
    """Add what was seen elsewhere: on an aeroplane, at a friend's, and once long ago."""
    sent_to = {"trakt": service.trackers["trakt"]}
    noon = datetime.combine(now.date(), time(12), tzinfo=UTC)
    for name, film, at, dated in (
        (MIRA.name, FILMS_ELSEWHERE[1], noon - timedelta(days=250), Dated.TICKED),
        (MIRA.name, FILMS_ELSEWHERE[0], noon - timedelta(days=16), Dated.DAY),
        (THEO.name, UNWATCHED_FILMS[0], utc(now - timedelta(days=5, hours=3)), Dated.EXACT),
    ):
        new = NewPlay(item=film.item, watched_at=at, dated=dated)
        manual_plays.add(connection, ids[name], new, sent_to, MIRA.name, at + timedelta(hours=2))
