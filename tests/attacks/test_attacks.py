"""The real service under attack: webhooks are taken all the while, and none waits for a second.

`make soak` measures that by the clock. `make test` measures how long the service was at work meanwhile, since on a
machine that has much else to do the clock says more of that.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.attacks.attackers import CROWDS, FLOODS
from tests.evening import plex
from tests.running import ROOT, Installed, Process, started
from tests.soak_report import RecordProperty

WORST = 1.0
"""Seconds that a webhook may take to be answered, whatever goes on."""

PATIENCE = 20.0
PACE = 0.03
LEAST = 12
"""Webhooks that are sent during an attack, at least."""

TICK = 1 / os.sysconf("SC_CLK_TCK")

MEMORY = 250_000
"""KiB that an attack may cost, at most."""


@dataclass
class Measured:
    """How long each webhook took, in seconds of the clock and of the service's work; and what was refused."""

    took: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def watchmark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))  # for the attackers
    with started(Installed(tmp_path_factory.mktemp("attacked")).prepare()) as process:
        yield process
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def send_webhooks(process: Process, seconds: float) -> Measured:
    """One webhook after another, each over a connection of its own, as media servers do."""
    address = urlsplit(process.ready["webhooks"]["plex"])
    body = orjson.dumps(plex("media.resume"))
    measured = Measured()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or len(measured.took) < LEAST:
        began, worked = time.monotonic(), work(process)
        connection = HTTPConnection("127.0.0.1", address.port or 0, timeout=PATIENCE)
        try:
            connection.request("POST", f"{address.path}?{address.query}", body)
            if (status := connection.getresponse().status) != 200:
                measured.refused.append(str(status))
        except (OSError, HTTPException) as error:
            measured.refused.append(repr(error))
        finally:
            connection.close()
        measured.took.append(time.monotonic() - began)
        measured.worked.append(work(process) - worked)
        time.sleep(PACE)
    return measured


@contextmanager
def attacking(process: Process, names: Iterable[str], many: int, seconds: float) -> Iterator[None]:
    """Attacks that are under way; they end by themselves as well."""
    port = str(urlsplit(process.url).port)
    token = process.ready["webhooks"]["generic"].rsplit("/", 1)[1]
    attackers: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        for name in names:
            command = [
                sys.executable,
                "-m",
                "tests.attacks.attackers",
                name,
                port,
                token,
                str(many),
                str(seconds),
            ]
            attacker = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE))
            stack.callback(attacker.terminate)
            attackers.append(attacker)
        for attacker in attackers:
            assert attacker.stdout is not None
            assert attacker.stdout.readline() == b"ready\n"
        yield


def withstand(process: Process, names: Iterable[str], many: int, seconds: float) -> Measured:
    before = resident(process)
    with attacking(process, names, many, seconds + PATIENCE):
        measured = send_webhooks(process, seconds)
    assert measured.refused == []
    assert resident(process) - before < MEMORY
    assert process.healthy()
    return measured


def work(process: Process) -> float:
    """The seconds that the thread which answers has been at work since its start."""
    assert process.process is not None
    pid = process.process.pid
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def resident(process: Process) -> int:
    """The process's memory in KiB."""
    assert process.process is not None
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize(("names", "many"), [(FLOODS, 0), (CROWDS, 250)], ids=["floods", "crowds"])
def test_webhooks_are_taken_during_attacks(
    watchmark: Process, names: Sequence[Callable[..., object]], many: int
) -> None:
    measured = withstand(watchmark, [attack.__name__ for attack in names], many, 0.5)

    assert max(measured.worked) < WORST


@pytest.mark.soak
@pytest.mark.parametrize("attack", [*FLOODS, *CROWDS], ids=lambda attack: str(attack.__name__))
def test_webhooks_are_taken_at_once_during_a_long_attack(
    watchmark: Process, attack: Callable[..., object], record_property: RecordProperty
) -> None:
    measured = withstand(watchmark, [attack.__name__], 1000 if attack in CROWDS else 0, 30)
    record_property("webhooks during attacks", len(measured.took))

    assert max(measured.took) < WORST
