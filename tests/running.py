"""A real Watchmark process, started, spoken to over HTTP, and killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, cast

import httpx
from sqlalchemy import Connection

from tests.forked import Forked
from tests.prepared import open_service
from webhook.accounts import accounts
from webhook.people import people, tokens
from webhook.service import Service

ROOT = Path(__file__).parent.parent
SOON = 20.0


class Process:
    """`watchmark serve` with a data directory of its own. Settings are variables of its environment."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_FILE")}
        mine = {"DATA_DIR": str(folder), "PORT": "0", "LOG_LEVEL": "warning", "PYTHONPATH": str(ROOT)}
        mine["PLEX_ACCOUNT_URL"] = "http://127.0.0.1:9"  # nobody is asked at the real one
        mine["CLAIM_FIRST_USER"] = "true"  # most stories begin with a household that is set up
        self.settings = {**mine, **settings}
        self.environ = {**kept, **self.settings}
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.http = httpx.Client(timeout=30)

    def start(self) -> Self:
        self.process = self.begin(self.folder / "log.txt")
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(SOON)
            self.closed()
            raise AssertionError(self.log()[-3000:])
        self.ready = json.loads(line)
        self.url = self.ready["url"]
        eventually(self.healthy, "the process answers")
        return self

    def begin(self, log: Path) -> subprocess.Popen[str]:
        """`watchmark serve --json`, of which the log goes to the file."""
        return cast(Any, Forked(["serve", "--json"], self.environ, log))

    def healthy(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.http.get(self.url + "/healthz").is_success
        return False

    def kill(self) -> None:
        """The power of kill -9: nothing is finished, nothing is said."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(SOON)
        self.closed()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(SOON)
        self.closed()
        return code

    def closed(self) -> None:
        assert self.process is not None
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    # --- speaking to it

    def post(self, source: str, payload: Any, **given: Any) -> httpx.Response:
        """Send a webhook as its source does: Plex as multipart with a thumbnail, others as text."""
        address = self.ready["webhooks"][source]
        if given:
            return self.http.post(address, **given)
        body = json.dumps(payload)
        if source == "plex":
            parts: Any = {
                "payload": (None, body, "application/json"),
                "thumb": ("thumb.jpg", b"\xff\xd8" * 4000, "image/jpeg"),
            }
            return self.http.post(address, files=parts)
        return self.http.post(
            address, content=body.encode(), headers={"Content-Type": "text/plain; charset=utf-8"}
        )

    def api(self, path: str, **params: Any) -> Any:
        answer = self.http.get(f"{self.url}/api/v1{path}", params=params, headers=self.bearer)
        assert answer.is_success, answer.text
        return answer.json()

    def api_post(self, path: str, **given: Any) -> Any:
        answer = self.http.post(f"{self.url}/api/v1{path}", headers=self.bearer, **given)
        assert answer.is_success, answer.text
        return answer.json()

    def held_up(self) -> float:
        """The longest, in seconds, that it has held up its own event loop."""
        text = self.http.get(f"{self.url}/metrics", headers=self.bearer).text
        found = next(line for line in text.splitlines() if line.startswith("watchmark_loop_held_up_seconds "))
        return float(found.split()[1])

    @property
    def bearer(self) -> Mapping[str, str]:
        return {"Authorization": "Bearer api-secret"}

    def run(self, *words: str) -> str:
        """What a command says, on the same data."""
        errors = self.folder / "errors.txt"
        command = Forked(words, self.environ, errors)
        with command.stdout:
            said = command.stdout.read()
        assert command.wait(60) == 0, errors.read_text()
        return said

    # --- before it starts

    def prepare(self, change: Callable[[Connection, Service], object] | None = None) -> Self:
        """Make the database, an API token, and whatever else a test needs in it."""

        def prepared(connection: Connection, service: Service) -> None:
            sealed = service.seal.seal("api-secret")
            tokens.add_token(connection, "api", "api-secret", sealed, service.started_at)
            if change is not None:
                change(connection, service)

        return self.prepared(prepared)

    def prepared(self, change: Callable[[Connection, Service], object]) -> Self:
        service = open_service(self.settings)
        service.database.do(lambda connection: change(connection, service))
        service.database.close()
        return self

    def connect(self, tracker: str, tokens: Mapping[str, Any], person: str = "me") -> Self:
        """Sign a person in with tokens got elsewhere."""

        def connected(connection: Connection, service: Service) -> None:
            person_id = people.find_person(connection, person).id
            sealed = service.seal.seal(dict(tokens))
            accounts.store_tokens(
                connection, person_id, service.trackers[tracker], sealed, person, service.started_at
            )

        return self.prepared(connected)


class Installed(Process):
    """The same by the very command that a person starts."""

    def begin(self, log: Path) -> subprocess.Popen[str]:
        with log.open("a") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "webhook", "serve", "--json"],
                cwd=self.folder, env=self.environ, text=True, stdout=subprocess.PIPE, stderr=file,
            )  # fmt: skip


@contextlib.contextmanager
def started(process: Process) -> Iterator[Process]:
    """The process, running; killed at the end if it still does."""
    process.start()
    try:
        yield process
    finally:
        if process.process is not None:
            process.kill()
        process.http.close()


def eventually(holds: Callable[[], bool], what: str, seconds: float = SOON) -> None:
    """Wait until it holds; fail with what did not."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError(f"within {seconds:.0f} s it did not come true that {what}")
