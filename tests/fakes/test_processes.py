"""Every fake runs by itself too, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx

FOLDER = Path(__file__).parent
NAMES = sorted(
    file.name.removeprefix("test_").removesuffix("_fake.py") for file in FOLDER.glob("test_*_fake.py")
)


def test_each_runs_by_itself_prints_where_and_shows_its_state() -> None:
    with ExitStack() as stack:
        running = {}
        for name in NAMES:
            command = [sys.executable, "-m", f"tests.fakes.{name}", "--port", "0"]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=FOLDER.parents[1])
            )
            stack.callback(process.terminate)
            running[name] = process

        for name, process in running.items():
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            state = httpx.get(f"{url}/_control/state", timeout=10).json()
            assert state["calls"] == [], name
