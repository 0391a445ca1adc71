"""Several interpreters at once on PostgreSQL: each webhook once, in order per person, as one interpreter would."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from tests.conftest import driver, made_database
from tests.evening import plex
from webhook import sources
from webhook.accounts.accounts import insert_account
from webhook.domain.event import Kind
from webhook.domain.rules import ALWAYS_ON
from webhook.people import household, identities, people, tokens
from webhook.pipeline import turns
from webhook.pipeline.conflicts import ConflictReader
from webhook.pipeline.interpreter import Interpreter
from webhook.pipeline.shared_reads import Capabilities
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.storage import migrate
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import account, delivery, identity, person, play, webhook

NOW = datetime.now(UTC).replace(microsecond=0)
TRACKERS = {"trakt": Capabilities(frozenset({Kind.EPISODE}), ALWAYS_ON)}
Opened = Callable[[], Database]
PEOPLE = ("anna", "ben", "carla", "dora", "emil")
VIEWINGS, MANY_VIEWINGS = 30, 60
PATIENCE = 600.0
"""Seconds for an inbox that takes one or two, on a machine that is busy with much else."""


@pytest.fixture(scope="module")
def template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to, so that it can be copied."""
    with made_database(postgres_server) as url:
        with contextlib.closing(Database(driver(url))) as database:
            migrate.migrate(database)
        name = database.engine.url.database
        assert name is not None
        yield name


@pytest.fixture
def opened(postgres_server: str, template: str) -> Iterator[Opened]:
    """Makes migrated PostgreSQL databases."""
    with contextlib.ExitStack() as stack:

        def made() -> Database:
            url = stack.enter_context(made_database(postgres_server, template))
            return stack.enter_context(contextlib.closing(Database(driver(url))))

        yield made


def made_interpreter(database: Database) -> Interpreter:
    return Interpreter(database, sources.read_webhook, TRACKERS, 80.0, claim_first=True)


def settle_in(connection: Connection, claimers: Sequence[str]) -> dict[str, int]:
    """People with an account each, who share players; the tokens of their own that webhooks may come by."""
    own: dict[str, int] = {}
    for name in PEOPLE:
        person_id = people.add_person(connection, name, NOW, owner=name == "anna")
        insert_account(connection, person_id, "trakt", ALWAYS_ON, NOW)
        own[name] = add_token(connection, person_id)
    for name in claimers:
        identities.claim_identities(connection, name, f"plex:{name}", NOW)
        identities.claim_identities(connection, name, f"plex:{name}-too", NOW)
    household.add_rule(connection, ["Cinema"], [], ["anna", "dora"], NOW)
    identities.ignore_user(connection, "plex:guest", NOW)
    return own


def add_token(connection: Connection, person_id: int | None) -> int:
    secret = tokens.new_secret()
    return tokens.add_token(connection, "webhook", secret, secret, NOW, person_id=person_id)


def received(dice: random.Random, own: dict[str, int], count: int) -> list[ReceivedWebhook]:
    """A mixed inbox: viewings of several users side by side, begun, ended and begun again, on players they share."""
    viewings = [viewing(dice) for _ in range(count)]
    side_by_side: list[dict[str, Any]] = []
    while viewings:
        playing = dice.choice(viewings[:6])
        side_by_side.append(playing.pop(0))
        if not playing:
            viewings.remove(playing)
    return [
        ReceivedWebhook(
            source="plex",
            token_id=dice.choice([own.get(payload["Account"]["title"]), None, None, own["emil"]]),
            received_at=time_of(number, len(side_by_side)),
            content_type=None,
            raw=orjson.dumps(payload) if dice.random() > 0.01 else b"{",
        )
        for number, payload in enumerate(side_by_side)
    ]


def viewing(dice: random.Random) -> list[dict[str, Any]]:
    """What a server sends of one viewing; sometimes the end is missing, and something else follows there."""
    user = dice.choice([*PEOPLE, *PEOPLE, "ben-too", "guest", "stranger", f"new{dice.randrange(4)}"])
    number, player, server = (
        dice.randrange(1, 7),
        dice.choice(["Cinema", "Kitchen", "Phone"]),
        dice.choice("ab"),
    )
    sent = []
    for event, offset in [("media.play", 0), ("media.pause", 400_000), ("media.resume", 400_000),
                          ("media.scrobble", 1_100_000), ("media.stop", 1_190_000)]:  # fmt: skip
        if dice.random() < 0.75:
            made = plex(event, number, user=user, viewOffset=offset, duration=1_200_000)
            made["Player"] = {"title": player, "uuid": player.lower()}
            made["Server"] = {"title": "Attic", "uuid": server * 40}
            sent.append(made)
    return sent or [plex("library.new")]


def time_of(number: int, count: int) -> datetime:
    """The first half came in days ago, so that things are seen again; the rest within the last minutes."""
    early = number < count / 2
    return NOW - (
        timedelta(days=4) - timedelta(minutes=7 * number) if early else timedelta(seconds=count - number)
    )


def fill(connection: Connection, seed: int, viewings: int) -> None:
    dice = random.Random(seed)
    claimers = PEOPLE if seed else ()  # without claims the first to play something is the first person
    inbox.store_webhooks(connection, received(dice, settle_in(connection, claimers), viewings))


def interpret_alone(database: Database) -> None:
    one = made_interpreter(database)
    while database.do(lambda connection: one.interpret(connection, [16]))[0]:
        pass


def interpret_together(database: Database, count: int, seed: int) -> None:
    """Several interpreters, each in a thread and with connections of its own, until nothing waits."""
    faults: list[Exception] = []

    def work(dice: random.Random) -> None:
        own = Database(database.url)
        try:
            work_off(own, dice)
        except Exception as fault:  # noqa: BLE001 - the test raises it
            faults.append(fault)
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(random.Random(f"{seed} {n}"),)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for fault in faults:
        raise fault


def work_off(database: Database, dice: random.Random) -> None:
    interpreter: Any = made_interpreter(database)
    judge = interpreter.judge

    def dawdle(*given: Any) -> Any:
        time.sleep(dice.choice([0, 0, 0.002]))
        return judge(*given)

    interpreter.judge = dawdle
    while take_turn(database, interpreter, dice):
        pass


def take_turn(database: Database, interpreter: Interpreter, dice: random.Random) -> bool:
    """A turn of an interpreter; False when nothing waits."""
    most = dice.randint(1, 8)
    window = database.ask(lambda connection: interpreter.turns.read_window(connection, most))
    time.sleep(dice.uniform(0, 0.004))
    database.do(lambda connection: interpreter.interpret_batches(connection, [window]))
    return bool(window.entries)


# --- what came of it


def outcome(connection: Connection) -> dict[str, list[Any]]:
    """The plays and deliveries of each person in their order, and the verdict on each webhook."""
    names = {row.id: row.name for row in connection.execute(select(person))}
    owners = {row.id: row.person_id for row in connection.execute(select(account))}
    users = {row.id: row.label for row in connection.execute(select(identity))}
    found: dict[str, list[Any]] = {name: [] for name in names.values()}
    places: dict[int | None, int] = {}
    for row in connection.execute(select(play).order_by(play.c.id)).mappings():
        places[row["id"]] = len(found[names[row["person_id"]]])
        found[names[row["person_id"]]].append({k: v for k, v in row.items() if k not in ("id", "person_id")})
    for row in connection.execute(select(delivery).order_by(delivery.c.id)).mappings():
        kept = ("webhook_id", "action", "mark", "happened_at", "item", "details", "state", "due_at")
        said = {name: row[name] for name in kept}
        reason = re.sub(r"\d+", "", row["reason"] or "")
        found[names[owners[row["account_id"]]]].append((said, places.get(row["play_id"]), reason))
    found["webhooks"] = [
        (row.id, row.state, row.reason, users.get(row.identity_id), len(row.events or []))
        for row in connection.execute(select(webhook).order_by(webhook.c.id))
    ]
    return found


def both_ways(opened: Opened, count: int, seed: int, viewings: int) -> tuple[Any, Any]:
    """The outcome of one inbox, by one interpreter and by several."""
    alone, together = opened(), opened()
    for database in (alone, together):
        database.do(lambda connection: fill(connection, seed, viewings))
    interpret_alone(alone)
    interpret_together(together, count, seed)
    return alone.ask(outcome), together.ask(outcome)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [2, 3])
def test_several_interpreters_make_of_an_inbox_what_one_makes(opened: Opened, count: int, seed: int) -> None:
    expected, found = both_ways(opened, count, seed, VIEWINGS)

    assert len(expected["anna"]) > 5
    assert found == expected


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_inboxes_come_to_the_same(opened: Opened, seed: int) -> None:
    expected, found = both_ways(opened, 2 + seed % 3, seed, MANY_VIEWINGS)

    assert found == expected


@pytest.mark.e2e  # it may take several inboxes until the mistake shows
@pytest.mark.parametrize(
    ("name", "careless"),
    [
        ("try_locks", lambda connection, keys: dict.fromkeys(keys, True)),
        ("recheck", lambda connection, taken, known: taken),
        ("try_to_change_ownership", lambda connection: True),
    ],
)
def test_interpreters_that_are_careless_are_found_out(
    opened: Opened, name: str, careless: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the tests above would see it."""
    monkeypatch.setattr(turns, name, careless)

    assert any(is_found_out(opened, seed) for seed in range(1, 20))


def is_found_out(opened: Opened, seed: int) -> bool:
    try:
        expected, found = both_ways(opened, 3, seed, MANY_VIEWINGS)
    except (IntegrityError, Unavailable):
        return True
    return bool(found != expected)


# --- a server that ends in the middle


def test_a_webhook_that_gets_the_id_of_one_that_was_lost_is_read_itself(opened: Opened) -> None:
    """After a crash PostgreSQL counts ids again from what is on its disk."""
    database = opened()
    database.do(lambda connection: settle_in(connection, ["anna", "ben"]))
    interpreter = made_interpreter(database)

    def receive(connection: Connection, payload: dict[str, Any]) -> int:
        kept = received_webhook(payload)
        (made,) = inbox.store_webhooks(connection, [kept])
        interpreter.interpret_rows(connection, [inbox.stored_row(made, kept)])
        return made

    with contextlib.suppress(ZeroDivisionError), database.engine.begin() as connection:
        lost = receive(connection, at("tv", "anna", 1, "media.scrobble"))
        raise ZeroDivisionError  # as if the server had ended before the commit
    count_again = text("SELECT setval(pg_get_serial_sequence('webhook', 'id'), :lost, false)")
    database.do(lambda connection: connection.execute(count_again, {"lost": lost}))
    again = database.do(lambda connection: receive(connection, at("tv", "ben", 2, "media.scrobble")))

    heard = database.ask(lambda connection: connection.execute(select(webhook.c.events)).scalar_one())
    assert again == lost
    assert [(event["user"], event["number"]) for event in heard] == [("ben", 2)]


# --- two interpreters, one transaction beside the other


def received_webhook(payload: dict[str, Any]) -> ReceivedWebhook:
    return ReceivedWebhook(
        source="plex", token_id=None, received_at=NOW, content_type=None, raw=orjson.dumps(payload)
    )


def store(database: Database, *payloads: dict[str, Any]) -> list[int]:
    waiting = list(map(received_webhook, payloads))
    return database.do(lambda connection: inbox.store_webhooks(connection, waiting))


def at(player: str, user: str, number: int, event: str = "media.play") -> dict[str, Any]:
    return {**plex(event, number, user=user), "Player": {"title": player, "uuid": player}}


def take(database: Database, connection: Connection, most: int = 1) -> list[int]:
    """The ids of the webhooks that an interpreter takes, and interprets, in this transaction."""
    interpreter = made_interpreter(database)
    interpreter.turns.reach = 16
    window = database.ask(lambda reading: interpreter.turns.read_window(reading, most))
    reader = ConflictReader(connection, claim_first=False, collection_of="")
    taken = interpreter.turns.take(reader, window)
    interpreter.interpret_together(connection, taken)
    return [parsed.row.id for parsed in taken]


@pytest.fixture
def family(opened: Opened) -> Database:
    """Everybody has played something, so that nobody is new."""
    database = opened()
    database.do(lambda connection: settle_in(connection, PEOPLE))
    store(database, *(at(f"{name}'s", name, 1, "media.stop") for name in PEOPLE))
    interpret_alone(database)
    return database


def test_one_interpreter_leaves_a_person_to_another(family: Database) -> None:
    first, second, third = store(family, at("tv", "anna", 2), at("phone", "anna", 3), at("pad", "ben", 2))

    with family.engine.begin() as one, family.engine.begin() as other:
        assert take(family, one) == [first]
        assert take(family, other, most=3) == [third]

    assert family.do(lambda connection: take(family, connection)) == [second]


def test_a_person_of_a_second_user_name_is_left_to_another(family: Database) -> None:
    store(family, at("x", "anna-too", 1, "media.stop"))
    interpret_alone(family)
    first, _ = store(family, at("tv", "anna", 2), at("phone", "anna-too", 3))

    with family.engine.begin() as one, family.engine.begin() as other:
        assert take(family, one) == [first]
        assert take(family, other) == []


def test_who_would_end_the_play_of_somebody_in_work_waits(family: Database) -> None:
    store(family, at("tv", "anna", 2))
    interpret_alone(family)
    first, second = store(family, at("phone", "anna", 3), at("tv", "ben", 4))

    with family.engine.begin() as one, family.engine.begin() as other:
        assert take(family, one) == [first]
        assert take(family, other) == []

    assert family.do(lambda connection: take(family, connection)) == [second]


def test_what_names_no_player_waits_for_everybody_who_shares_one(family: Database) -> None:
    store(family, at("Cinema", "anna", 2))
    interpret_alone(family)
    nowhere = plex("media.scrobble", 2, user="anna")
    del nowhere["Player"]
    first, second = store(family, at("pad", "dora", 3), nowhere)

    with family.engine.begin() as one, family.engine.begin() as other:
        assert take(family, one) == [first]
        assert take(family, other) == []

    assert family.do(lambda connection: take(family, connection)) == [second]


def test_whose_play_a_webhook_left_alone_would_end_waits_behind_it(family: Database) -> None:
    store(family, at("tv", "anna", 2))
    interpret_alone(family)
    first, second, third = store(family, at("pad", "ben", 3), at("tv", "ben", 4), at("phone", "anna", 5))

    with family.engine.begin() as one, family.engine.begin() as other:
        assert take(family, one) == [first]
        assert take(family, other) == []

    assert family.do(lambda connection: take(family, connection, most=3)) == [second, third]


def test_a_new_user_is_met_by_one_interpreter_alone(family: Database) -> None:
    first, second, third = store(family, at("tv", "anna", 2), at("pad", "new", 2), at("phone", "ben", 3))

    with family.engine.begin() as one, family.engine.begin() as other:
        assert take(family, one) == [first]
        assert take(family, other, most=3) == []

    assert family.do(lambda connection: take(family, connection, most=3)) == [second, third]


def test_a_webhook_that_was_queued_again_goes_before_those_behind_it(family: Database) -> None:
    (first,) = store(family, at("tv", "anna", 2))
    interpret_alone(family)
    (second,) = store(family, at("tv", "anna", 3))
    interpreter = made_interpreter(family)
    window = family.ask(lambda connection: interpreter.turns.read_window(connection, 4))

    family.do(lambda connection: inbox.requeue(connection, [first]))
    late = family.do(lambda connection: interpreter.interpret_batches(connection, [window]))

    assert late == [0]
    assert family.do(lambda connection: take(family, connection, most=4)) == [first, second]


def test_a_claim_finds_the_webhook_that_is_just_found_unclaimed(family: Database) -> None:
    store(family, at("tv", "stranger", 1))
    interpret_alone(family)
    (made,) = store(family, at("tv", "stranger", 2))

    def claim() -> None:
        family.do(lambda connection: identities.claim_identities(connection, "anna", "plex:stranger", NOW))

    with family.engine.begin() as one:
        assert take(family, one) == [made]
        claiming = threading.Thread(target=claim)
        claiming.start()
        claiming.join(0.2)
        assert claiming.is_alive()
    claiming.join(PATIENCE)
    interpret_alone(family)

    found = family.ask(
        lambda connection: connection.execute(select(webhook.c.state).where(webhook.c.id == made)).scalar()
    )
    assert found == "interpreted"
