"""The image is built, started as compose.yaml starts it, told of a play, and stopped as an engine stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.evening import film
from tests.image import engine
from tests.image.engine import Container
from tests.running import eventually
from tests.soak_report import RecordProperty

pytestmark = [pytest.mark.soak, pytest.mark.e2e]

MAX_ADDED = 180 * 2**20
"""Bytes, unpacked, that Watchmark and all it needs add to their base."""

MAX_PULLED = 180 * 10**6
"""Bytes that are pulled: the layers of the base and of Watchmark, compressed."""

IMPORTS = """
import importlib, pkgutil, webhook

for found in pkgutil.walk_packages(webhook.__path__, "webhook."):
    if found.name != "webhook.__main__" and not found.name.startswith(("webhook.fakes", "webhook.migrations")):
        importlib.import_module(found.name)
for name in ("alembic.command", "apprise", "plexapi.server", "psycopg", "sqlalchemy.dialects.postgresql.psycopg", "uvloop"):
    importlib.import_module(name)
"""
"""Imports all that is shipped. The fakes for tests want what tests bring, and migrations are run by alembic."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the image."""
    assert engine.missing_tools() == [], (
        "wanted to build an image; as root: apt-get install buildah debootstrap runc"
    )
    engine.build_base(tmp_path_factory.mktemp("base"))
    try:
        engine.build_image()
        with engine.root_of(engine.IMAGE) as found:
            yield found
    finally:
        engine.remove_images()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    os.chown(made, engine.UID, engine.UID)
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    made = tmp_path / "bundle"
    made.mkdir()
    return made


def is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def webhook_url(container: Container, source: str) -> str:
    return str(json.loads(container.ask("watchmark", "urls", "--json").stdout)[source]["url"])


def test_it_takes_a_webhook_as_nobody_with_a_root_that_cannot_be_written(
    root: Path, bundle: Path, data: Path
) -> None:
    port = free_port()
    with engine.running(root, bundle, data, PORT=port) as container:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            eventually(lambda: is_ready(http), "it is ready", 60)
            who = container.ask("id", "-u").stdout.strip()
            rights = re.findall(r"Cap(?:Prm|Eff|Bnd):\s+(\w+)", container.ask("cat", "/proc/1/status").stdout)
            refused = container.ask("touch", "/opt/watchmark/here").stderr
            answer = http.post(
                webhook_url(container, "plex"), data={"payload": json.dumps(film("media.scrobble"))}
            )
        code = container.stop()

    assert (who, set(rights)) == (str(engine.UID), {"0" * 16})
    assert "Read-only file system" in refused
    assert answer.status_code == 200
    assert code in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    assert "shutdown complete" in container.said()
    assert "replace localhost with this machine's name or address" in container.said()  # not its own


def test_its_health_check_passes_while_it_runs_and_fails_when_nothing_answers(
    root: Path, bundle: Path, data: Path
) -> None:
    port = free_port()
    kind, *check = engine.configuration()["Healthcheck"]["Test"]
    with engine.running(root, bundle, data, PORT=port) as container:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            eventually(lambda: is_ready(http), "it is ready", 60)
        well = container.ask(*check)
        ill = container.ask("env", f"PORT={free_port()}", *check)
        container.stop()

    assert kind == "CMD"
    assert (well.returncode, ill.returncode) == (0, 1)


def test_a_folder_of_root_is_explained_with_the_user_and_the_command(
    root: Path, bundle: Path, data: Path
) -> None:
    os.chown(data, 0, 0)

    with engine.running(root, bundle, data, PORT=free_port()) as container:
        code = container.process.wait(60)

    assert code != 0
    assert f"sudo chown -R {engine.UID}:{engine.UID} /data" in container.said()


def test_it_is_small_and_without_what_only_builds(root: Path, record_property: RecordProperty) -> None:
    installed = root / "opt" / "watchmark"
    added = sum(path.lstat().st_size for path in installed.rglob("*") if path.is_file())
    packages = {path.name for path in next(installed.glob("lib/python3*/site-packages")).iterdir()}

    record_property("kB unpacked", added // 1000)
    assert added < MAX_ADDED
    assert packages.isdisjoint({"pip", "setuptools", "hatchling", "pytest"})


def test_it_is_quickly_pulled(root: Path, tmp_path: Path, record_property: RecordProperty) -> None:
    size = engine.compressed_size(tmp_path / "pushed")

    record_property("kB that are pulled", size // 1000)
    assert size < MAX_PULLED


def test_what_was_left_out_is_missed_by_nothing(root: Path, bundle: Path, data: Path) -> None:
    port = free_port()
    with engine.running(root, bundle, data, PORT=port) as container:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            eventually(lambda: is_ready(http), "it is ready", 60)
        imported = container.ask("python", "-c", IMPORTS)
        container.stop()

    assert (imported.returncode, imported.stderr) == (0, "")


def test_it_speaks_german(root: Path, bundle: Path, data: Path) -> None:
    port = free_port()
    with engine.running(root, bundle, data, PORT=port) as container:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            eventually(lambda: is_ready(http), "it is ready", 60)
            page = http.get("/", headers={"Accept-Language": "de"}, follow_redirects=True)
        container.stop()

    assert page.status_code == 200
    assert '<html lang="de"' in page.text
