"""The stage of the demo: processes of their own on loopback, with settings that touch nothing real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import orjson
from typing_extensions import TypedDict

from webhook import settings as environment
from webhook.accounts import settings_store
from webhook.system import resources

Announce = Callable[[str], None]


class StartedJson(TypedDict):
    """The first line of a process that was started: its address, and of the service that of each source's webhooks."""

    url: str
    webhooks: dict[str, str]
    welcome: str | None


class FaultJson(TypedDict):
    """Answers that a fake gives instead of its own: to which calls, and how often; -1 is always."""

    route: str
    status: int
    times: int


class StageError(Exception):
    """The demo cannot go on; the message says why."""


def run_to_end(perform: Callable[[ExitStack, Path], int]) -> int:
    """Perform in a temporary folder that is deleted at the end, on Ctrl-C and on SIGTERM; returns the exit code."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="watchmark-demo-"))
            return perform(stack, Path(folder))
    except (StageError, environment.SettingsError, httpx.HTTPError) as error:
        print(f"watchmark: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


def teller(as_json: bool) -> Announce:
    """Returns a function that prints sentences, on stderr if stdout is for a script."""
    return lambda sentence: print(sentence, file=sys.stderr if as_json else sys.stdout, flush=True)


def surroundings() -> dict[str, str]:
    """The environment without Watchmark's settings and files, so that nothing real is touched."""
    ours = {
        environment.variable(prefix, field)
        for _, prefix, cls in settings_store.setting_groups()
        for field in cls.model_fields
    }
    kept = {name: value for name, value in os.environ.items() if name not in ours and name[-5:] != "_FILE"}
    paths = [str(resources.PACKAGE.parent), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "NO_PROXY": "127.0.0.1,localhost"}


def start_fakes(
    stack: ExitStack, names: Sequence[str], environ: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Start fake trackers side by side and return their addresses; they end with the stack."""
    begun = [stack.enter_context(end_with(start(fake(name), environ, folder))) for name in names]
    return {name: str(first_line(one)["url"]) for name, one in zip(names, begun, strict=True)}


def start_painter(stack: ExitStack, environ: Mapping[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start to draw the posters into the data folder."""
    draw = [sys.executable, "-m", "webhook.demo.posters", str(folder / "pictures")]
    return stack.enter_context(end_with(start(draw, environ, folder)))


def start_service(
    stack: ExitStack, environ: Mapping[str, str], folder: Path
) -> tuple[StartedJson, subprocess.Popen[str]]:
    """Start the service and return the JSON of its first line."""
    serve = [sys.executable, "-m", "webhook", "serve", "--json"]
    running = stack.enter_context(end_with(start(serve, environ, folder)))
    return first_line(running), running


def fake(name: str) -> list[str]:
    """The command that runs a fake tracker: in a wheel it lies in the package, in a checkout in tests."""
    try:
        folder = resources.folder("fakes")
    except FileNotFoundError:
        folder = resources.folder("tests/fakes")
    package = ".".join(folder.relative_to(resources.PACKAGE.parent).parts)
    return [sys.executable, "-m", f"{package}.{name}", "--port", "0"]


def start(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start a process in a session of its own, so that a Ctrl-C is answered in order: the service first."""
    return subprocess.Popen(
        command, env=dict(environ), cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def first_line(running: subprocess.Popen[str]) -> StartedJson:
    assert running.stdout is not None
    line = running.stdout.readline()
    if not line:
        raise StageError(f"{' '.join(map(str, list(running.args)[1:4]))} did not start.")  # type: ignore[arg-type]
    found: StartedJson = orjson.loads(line)
    return found


@contextmanager
def end_with(running: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Terminate the process at the end."""
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
        if running.stdout is not None:
            running.stdout.close()
