"""The data folder in every state that a disk, a user or another version can leave it in: a sentence, no traceback."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from alembic import command
from typer.testing import CliRunner

from tests.evening import film
from webhook import app, cli, clock, logs, settings
from webhook.accounts.keys import new_key
from webhook.accounts.seal import Seal
from webhook.cli import serve
from webhook.cli._reload import Front
from webhook.maintenance import integrity
from webhook.people import tokens
from webhook.queues import inbox
from webhook.service import Service
from webhook.storage import migrate
from webhook.storage.db import Damaged, Database, Unavailable
from webhook.storage.types import to_ms

ROOT = Path(__file__).parent.parent
COMMANDS: Sequence[Sequence[str]] = (
    ("serve",),
    ("doctor", "--offline"),
    ("urls",),
    ("token", "list"),
    ("rekey",),
    ("backup", "copy.zip"),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a household leaves it, its log cleared."""
    folder = tmp_path_factory.mktemp("template")
    service = app.open_service({"DATA_DIR": str(folder), "CLAIM_FIRST_USER": "true"})
    for number in range(20):
        received(service, film("media.scrobble", title=f"Film {number}"))
    service.database.close()
    with closing(sqlite3.connect(folder / "watchmark.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def received(service: Service, payload: Any) -> None:
    raw = json.dumps(payload).encode()
    one = inbox.ReceivedWebhook(
        source="plex", token_id=None, received_at=clock.now(), content_type="application/json", raw=raw
    )
    service.database.do(lambda connection: inbox.store_webhooks(connection, [one]))
    service.database.do(lambda connection: service.interpreter.interpret(connection, [16]))


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    for name in list(os.environ):
        if name.endswith("_FILE") or name in ("SECRET_KEY", "DATABASE_URL", "HOST", "PORT"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(folder))
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setattr(serve, "run_server", serve_nobody)
    return folder


def serve_nobody(server: uvicorn.Server, doors: Sequence[socket.socket]) -> None:
    """In the place of the server: everything is open, and is closed again."""
    front: Any = server.config.app
    assert isinstance(front, Front)
    front.service.database.close()
    asyncio.run(front.service.http.aclose())
    for door in doors:
        door.close()
    server.started = True


def run(*words: str) -> tuple[int, str]:
    """The end of a command and what it says, which never is a traceback."""
    ended = CliRunner().invoke(cli.app, list(words))
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    assert "Traceback" not in ended.output
    return ended.exit_code, ended.output


# --- states


def database(folder: Path) -> Path:
    return folder / "watchmark.db"


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def empty(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).write_bytes(b"")

    return change


def at_version(number: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with closing(sqlite3.connect(database(folder))) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (number,))

    return change


def lone_log(folder: Path) -> None:
    """What is left of a database of which somebody took the main file away while its log held commits."""
    connection = sqlite3.connect(database(folder))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE x (y)")
    log = (folder / "watchmark.db-wal").read_bytes()
    connection.close()
    database(folder).unlink()
    (folder / "watchmark.db-wal").write_bytes(log)


def folder_instead(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return change


def bare(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def file_instead(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


def newest_backup(folder: Path) -> None:
    assert run("backup", f"{folder}/evening.zip")[0] == 0
    cut(database(folder), 30_000)


STATES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, ""),
    "a file in its place": (file_instead, "cannot be created: File exists"),
    "nothing in it": (bare, ""),
    "an empty database": (empty("watchmark.db"), ""),
    "an empty key": (empty("secret.key"), "secret.key is empty"),
    "an empty lock": (empty("watchmark.lock"), ""),
    "an empty log": (empty("watchmark.db-wal"), ""),
    "everything empty": (empty("watchmark.db", "secret.key", "watchmark.lock"), "secret.key is empty"),
    "no key": (lambda folder: (folder / "secret.key").unlink(), "secret.key is missing"),
    "another key": (
        lambda folder: (folder / "secret.key").write_text(new_key()),
        "does not fit the database",
    ),
    "a key that is no text": (lambda folder: (folder / "secret.key").write_bytes(b"\xff\xfe"), "too short"),
    "a folder for the key": (folder_instead("secret.key"), "secret.key is a folder"),
    "a folder for the database": (folder_instead("watchmark.db"), "unable to open database file"),
    "a folder for the lock": (folder_instead("watchmark.lock"), "Is a directory"),
    "a lock that is no text": (lambda folder: (folder / "watchmark.lock").write_bytes(b"\xff\xfe"), ""),
    "another file": (
        lambda folder: database(folder).write_bytes(b"no database " * 999),
        "the database is damaged",
    ),
    "half a header": (lambda folder: cut(database(folder), 60), "the database is damaged"),
    "one page": (lambda folder: cut(database(folder), 4096), "the database is damaged"),
    "half of it": (lambda folder: cut(database(folder), 30_000), "the database is damaged"),
    "a backup beside it": (newest_backup, "/data/evening.zip"),
    "a log without it": (lone_log, "its log"),
    "a newer version": (at_version("9999"), "made by a newer version of Watchmark"),
}
"""What the folder is left like, and what is said of it where nothing can be done with it."""

STARTS = {name for name, (_, says) in STATES.items() if not says}


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_the_folder_is_said_in_a_sentence(home: Path, state: str) -> None:
    change, says = STATES[state]
    change(home)

    said = {words: run(*words) for words in COMMANDS}

    code, sentence = said["serve",]
    assert code == (0 if state in STARTS else 1), sentence
    assert says in sentence
    assert len([line for line in sentence.splitlines() if line.startswith("watchmark: ")]) == (code and 1)
    assert {code for code, _ in said.values()} <= {0, 1}


def test_a_refusal_changes_nothing(home: Path) -> None:
    lone_log(home)
    before = {path.name: path.read_bytes() for path in home.iterdir() if path.name != "watchmark.lock"}

    for words in COMMANDS:
        run(*words)

    assert {
        path.name: path.read_bytes() for path in home.iterdir() if path.name != "watchmark.lock"
    } == before


def test_an_older_version_is_brought_up_to_date_by_the_start_alone(home: Path, tmp_path: Path) -> None:
    bare(home)
    made_by_older(home)

    code, before = run("token", "list")
    started, _ = run("serve")
    after, _ = run("token", "list")

    assert code == 1
    assert "made by an older version of Watchmark. Start this one once" in before
    assert (started, after) == (0, 0)


def made_by_older(folder: Path) -> None:
    opened = Database(f"sqlite:///{database(folder)}")
    opened.do(lambda connection: command.upgrade(migrate.alembic_config(connection), "0001"))
    opened.close()
    with closing(sqlite3.connect(database(folder))) as connection, connection:
        connection.execute(
            "INSERT INTO person (name, owner, filters, created_at) VALUES ('me', 1, '{}', ?)",
            (to_ms(clock.now()),),
        )


def test_settings_made_in_the_browser_outlive_the_move_of_secrets(home: Path) -> None:
    bare(home)
    made_by_older(home)
    (home / "secret.key").write_text(new_key())
    sealed = Seal((home / "secret.key").read_text().strip()).seal({"SILENCE_DAYS": "9"})
    with closing(sqlite3.connect(database(home))) as connection, connection:
        connection.execute("INSERT INTO note (name, value) VALUES ('settings', ?)", (json.dumps(sealed),))

    service = app.open_service({"DATA_DIR": str(home)})
    service.database.close()

    assert service.settings.silence_days == 9


def test_of_two_processes_the_second_is_told_of_the_first(home: Path) -> None:
    with migrate.hold_lock(settings.load({"DATA_DIR": str(home)}).database):
        said = {words: run(*words) for words in COMMANDS}

    assert said["serve",][0] == said["rekey",][0] == 1
    assert f"another Watchmark (process {os.getpid()})" in said["serve",][1]
    assert said["token", "list"][0] == 0


# --- what a start prints


def test_only_the_first_start_prints_what_lets_others_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(home)
    monkeypatch.setattr(serve, "run_server", announce_only)

    first, second = run("serve")[1], run("serve")[1]
    for_a_script = json.loads(run("serve", "--json")[1])

    token = for_a_script["webhooks"]["emby"].rsplit("/", 1)[1]
    assert token in first
    assert token not in second
    assert "Webhook addresses: watchmark urls" in second


def announce_only(server: Any, doors: Sequence[socket.socket]) -> None:
    server.announce()
    serve_nobody(server, doors)


def test_an_installation_that_was_updated_prints_no_addresses_again(home: Path) -> None:
    bare(home)
    made_by_older(home)
    service = app.open_service({"DATA_DIR": str(home)})

    first = service.database.do(serve.note_start)
    service.database.close()

    assert first is False


# --- bytes that are others


@pytest.mark.parametrize("seed", range(24))
def test_flipped_bytes_are_said_in_a_sentence(home: Path, seed: int) -> None:
    dice = random.Random(seed)
    held = bytearray(database(home).read_bytes())
    for _ in range(dice.choice((1, 20, 400))):
        held[dice.randrange(0 if seed % 2 else 100, len(held))] ^= dice.randrange(1, 256)
    database(home).write_bytes(held)

    for words in COMMANDS:
        code, _ = run(*words)
        assert code in (0, 1)


@pytest.mark.parametrize("text", ["{broken", "\udcff"])
def test_a_value_that_is_no_json_is_damage(home: Path, text: str) -> None:
    with closing(sqlite3.connect(database(home))) as connection, connection:
        held = text.encode("utf-8", "surrogateescape")
        connection.execute("UPDATE person SET filters = CAST(? AS TEXT)", (held,))

    code, said = run("people", "list")

    assert code == 1
    assert "the database" in said


# --- at the door, while the service runs


def spoil(path: Path) -> None:
    """A disk that gives back something else than was written, from the second page on."""
    held = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (len(held) - 4096))


def test_a_database_that_is_damaged_meanwhile_is_503_at_the_door_and_no_part_ends(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = app.open_service({"DATA_DIR": str(home)})
    logs.configure("text", "info")
    token = tokens.new_secret()
    service.database.do(
        lambda connection: tokens.add_token(connection, "webhook", token, "", service.started_at)
    )

    async def evening() -> tuple[httpx.Response, dict[str, int], set[str]]:
        transport = httpx.ASGITransport(app.web_app(service), raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        async with app.run_service(service), client:
            assert (await client.post(f"/webhooks/emby/{token}", json={})).status_code == 200
            checkpoint(home)
            spoil(database(home))
            refused = await client.post(f"/webhooks/emby/{token}", json={})
            pages = {
                path: (await client.get(path)).status_code for path in ("/sign-in", "/readyz", "/healthz")
            }
            await asyncio.sleep(1.5)  # every part has come to the database meanwhile
            ended = {task.get_name() for task in service.tasks if task.done()}
        return refused, pages, ended

    refused, pages, ended = asyncio.run(evening())

    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert "the database is damaged" in refused.json()["detail"]
    assert "watchmark restore" in refused.json()["detail"]
    assert pages["/healthz"] == 200
    assert pages["/readyz"] == 503
    assert ended == set()
    written = capsys.readouterr().err
    assert "database is damaged" in written
    assert "Traceback" not in written


def checkpoint(folder: Path) -> None:
    with closing(sqlite3.connect(database(folder))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# --- looked at when it starts, and every night


def looked_at(folder: Path) -> tuple[Service, httpx.Response]:
    service = app.open_service({"DATA_DIR": str(folder), "WORKER": "false"})

    async def look() -> httpx.Response:
        transport = httpx.ASGITransport(app.web_app(service))
        async with (
            app.run_service(service),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            await service.integrity.look(service.stop)
            return await client.get("/readyz")

    return service, asyncio.run(look())


def test_damage_is_found_by_the_look_at_the_start_and_said_in_readyz(home: Path) -> None:
    assert run("backup", f"{home}/evening.zip")[0] == 0
    misplace_an_index(database(home))

    service, ready = looked_at(home)

    assert service.integrity.damage
    assert ready.status_code == 503
    assert "The database is damaged" in ready.json()["reason"]
    assert f"watchmark restore {home}/evening.zip" in ready.json()["reason"]


def misplace_an_index(path: Path) -> None:
    """Damage that no reader meets by itself: a page of the free list that is a page of a table, too."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'edit') "
            "WHERE name = 'video'"
        )


def test_a_whole_database_is_ready(home: Path) -> None:
    service, ready = looked_at(home)

    assert service.integrity.damage is None
    assert ready.status_code == 200


def test_the_doctor_says_the_damage_and_which_backup_to_restore(home: Path) -> None:
    assert run("backup", f"{home}/evening.zip")[0] == 0
    misplace_an_index(database(home))

    code, said = run("doctor", "--offline")

    assert code == 1
    assert "PROBLEM database: it is damaged" in said
    assert f"watchmark restore {home}/evening.zip" in said


@pytest.mark.parametrize(
    "bound", [{"stop": lambda: True}, {"seconds": 0.0}], ids=["told to stop", "too long"]
)
def test_a_look_is_broken_off(home: Path, bound: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "STEP", 1)
    opened = Database(f"sqlite:///{database(home)}")

    with pytest.raises(TimeoutError):
        integrity.find_damage(opened, **bound)

    assert integrity.find_damage(opened) is None
    opened.close()


def test_a_look_is_taken_beside_the_loop(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def find_damage(*given: Any) -> str:
        looked.append(threading.get_ident())
        return "a page is gone"

    monkeypatch.setattr(integrity, "find_damage", find_damage)
    opened = integrity.Integrity(Database(f"sqlite:///{database(home)}"))

    asyncio.run(opened.look(asyncio.Event()))
    opened.database.close()

    assert looked != [threading.get_ident()]
    assert opened.damage == "a page is gone"


def test_the_next_look_is_at_night() -> None:
    for hour in range(24):
        now = datetime(2026, 11, 29, hour, 10).astimezone()

        then = (now + integrity.until_night(now)).time()

        assert then == integrity.NIGHT
        assert timedelta(0) < integrity.until_night(now) <= timedelta(days=1)


# --- what others on this machine may do, and what this process may not


def test_the_folder_and_what_is_in_it_are_their_owners_alone(tmp_path: Path, home: Path) -> None:
    shutil.rmtree(home)

    assert run("serve")[0] == 0

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}
    assert modes.pop("data") == 0o700
    assert {name for name, mode in modes.items() if mode & 0o077 and name != "imports"} == set()


def test_the_doctor_says_that_others_may_look_in(home: Path) -> None:
    home.chmod(0o755)
    open_to_others = run("doctor", "--offline")[1]
    home.chmod(0o700)

    assert f"other users on this machine can read it. Restrict it: chmod 700 {home}" in open_to_others
    assert "others on this machine" not in run("doctor", "--offline")[1]


SCRIPT = """
import json, sys
from typer.testing import CliRunner
from webhook import cli
said = {}
for words in json.loads(sys.argv[1]):
    ended = CliRunner().invoke(cli.app, words)
    fault = None if isinstance(ended.exception, SystemExit | None) else repr(ended.exception)
    said[words[0]] = [ended.exit_code, ended.output, fault]
print(json.dumps(said))
"""


def run_restricted(before: Callable[[], None] | None = None) -> dict[str, list[Any]]:
    """The commands in a process to which the modes of files apply, also where it is root's."""
    restricted = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if not os.geteuid() else []
    command = [*restricted, sys.executable, "-c", SCRIPT, json.dumps(COMMANDS)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True, preexec_fn=before
    )
    said: dict[str, list[Any]] = json.loads(ended.stdout)
    assert "Traceback" not in ended.stderr + ended.stdout
    assert {fault for _, _, fault in said.values()} == {None}
    return said


def to_another(path: Path, mode: int) -> None:
    """Gives it to somebody else, where that can be done, so that this process is kept out."""
    if not os.geteuid():
        os.chown(path, 10001, 10001)
        path.chmod(mode)
    else:
        path.chmod(0)


@pytest.mark.parametrize("name", [".", "watchmark.db", "secret.key", "watchmark.lock"])
def test_what_belongs_to_somebody_else_names_both_users_and_the_command(home: Path, name: str) -> None:
    path = home / name
    run("serve")
    to_another(path, 0o700 if path.is_dir() else 0o600)

    said = run_restricted()
    with contextlib.suppress(OSError):
        os.chown(path, os.geteuid(), os.getegid())
    path.chmod(0o700)

    code, sentence, _ = said["serve"]
    assert code == 1
    assert f"Watchmark runs as user id {os.geteuid()}" in sentence
    assert f"{path}" in sentence
    if not os.geteuid():
        assert f"it belongs to user id 10001: sudo chown -R 0:{os.getegid()}" in sentence


def test_a_folder_that_may_only_be_read_is_said(home: Path) -> None:
    home.chmod(0o500)

    said = run_restricted()
    home.chmod(0o700)

    assert {said[name][0] for name in ("serve", "urls", "token", "rekey")} == {1}
    assert f"DATA_DIR={home} cannot be written to" in said["serve"][1]
    assert f"chmod -R u+rwX {home}" in said["serve"][1]


@pytest.mark.parametrize("fresh", [True, False], ids=["first start", "later"])
def test_a_full_disk_is_said(home: Path, fresh: bool) -> None:
    if fresh:
        shutil.rmtree(home)
        home.mkdir()

    said = run_restricted(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))

    assert said["serve"][0] == 1
    assert "disk" in said["serve"][1] or "too large" in said["serve"][1]
    assert not (home / "secret.key").exists() or (home / "secret.key").stat().st_size > 32
    assert run("serve")[0] == 0


def test_damage_is_told_from_what_passes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"no database " * 999)

    with pytest.raises(Damaged, match="file is not a database"):
        Database(f"sqlite:///{path}").ask(lambda connection: None)
    with pytest.raises(Unavailable) as passing:
        Database(f"sqlite:///{tmp_path}/y.db").ask(
            lambda connection: connection.exec_driver_sql("SELECT x FROM y")
        )

    assert not isinstance(passing.value, Damaged)
