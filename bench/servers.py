"""Processes under measurement: started on one core, measured from the other, ended by their pid."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
SERVER_CORE, LOADER_CORE = "0", "1"


@contextlib.contextmanager
def process(
    *command: str, env: Mapping[str, str] | None = None, core: str = SERVER_CORE, logs: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python process on one core, and the first line it prints; ended when the block is left.

    `logs` is where its standard error goes, if not to ours.
    """
    pinned = ["taskset", "-c", core, sys.executable, *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    started = subprocess.Popen(
        pinned, stdout=subprocess.PIPE, stderr=logs, text=True, cwd=ROOT, env=environment
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(command)} ended before it was ready")
        yield started, line.strip()
    finally:
        started.terminate()
        started.wait(30)


@contextlib.contextmanager
def service(
    core: str = SERVER_CORE, **settings: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A real Watchmark process with a data directory of its own; what it printed when it was ready."""
    env = {"PORT": "0", "CLAIM_FIRST_USER": "true", **settings}
    command = ("-m", "webhook", "serve", "--json")
    with (
        temporary_folder() as folder,
        process(*command, env={"DATA_DIR": folder, **env}, core=core, logs=subprocess.DEVNULL) as (
            started,
            line,
        ),
    ):
        ready = json.loads(line)
        wait_for(ready["url"] + "/healthz")
        yield started, ready


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True)


def wait_for(url: str, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url).is_success:
                return
        time.sleep(0.05)
    raise SystemExit(f"{url} did not answer within {seconds:.0f} s")


@dataclass(frozen=True)
class Load:
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def wrk(url: str, connections: int, seconds: int, script: Path | None = None) -> Load:
    """What wrk measures against an address, from the loader's core."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: install it with apt-get install wrk")
    command = ["taskset", "-c", LOADER_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-s", str(script)] if script else []
    said = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Load(
        per_second=float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)),  # type: ignore[union-attr]
        p50_ms=latency(said, "50%"),
        p99_ms=latency(said, "99%"),
        errors=int(bad.group(1)) if bad else 0,
    )


def latency(said: str, which: str) -> float:
    found = re.search(rf"{which}\s+([\d.]+)(us|ms|s|m)", said)
    assert found is not None
    return float(found.group(1)) * UNITS[found.group(2)]


def table(title: str, rows: list[tuple[str, str, str]]) -> None:
    """Prints what was measured beside its limit."""
    print(f"\n{title}")
    width = max(len(name) for name, _, _ in rows)
    for name, measured, limit in rows:
        print(f"  {name:<{width}}  {measured:>22}  {limit}")
    sys.stdout.flush()
