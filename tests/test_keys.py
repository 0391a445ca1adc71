"""Keys: what is refused as one, another one for everything that is sealed, and the way on without it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, select, update
from typer.testing import CliRunner

from tests.faults import killed
from tests.forked import FORKS
from tests.test_data_folder import announce_only
from webhook import app, cli, clock, settings
from webhook.accounts import accounts, keys, rekey, sealed_secrets, settings_store
from webhook.accounts.seal import Seal
from webhook.cli import serve
from webhook.compat.videoscrobbler import apps
from webhook.people import people, second_factor, tokens
from webhook.service import Service
from webhook.settings import Settings, SettingsError
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.storage.tables import account, metadata, note, sealed_columns, token
from webhook.storage.tables import app as app_table
from webhook.storage.tables import second_factor as second_factor_table
from webhook.storage.types import Sealed

ROOT = Path(__file__).parent.parent
TOKENS = {"token": "token-of-hers"}
MADE = {"SILENCE_DAYS": "9", "TMDB_TOKEN": "tmdb-token-of-ours"}
GOOD = "a good key, long enough for anybody to accept"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which something of every kind is sealed."""
    folder = tmp_path_factory.mktemp("template")
    service = app.open_service({"DATA_DIR": str(folder)})
    service.database.do(lambda connection: fill(connection, service))
    service.database.close()
    return folder


def fill(connection: Connection, service: Service) -> None:
    sealed, now = service.seal.seal(dict(TOKENS)), service.started_at
    person_id = people.find_person(connection, people.FIRST_PERSON).id
    accounts.store_tokens(connection, person_id, service.trackers["listenbrainz"], sealed, "anna", now)
    apps.create_app(connection, service.seal, "Kodi", None, now)
    settings_store.store_settings(connection, service.seal, MADE)
    second_factor.enable(connection, person_id, service.seal.seal("JBSWY3DPEHPK3PXP"), 0, now)


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
    monkeypatch.setattr(serve, "run_server", announce_only)
    return folder


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{home}/watchmark.db", checkpoint=False)
    yield opened
    opened.close()


def read(folder: Path) -> Settings:
    return settings.load({"DATA_DIR": str(folder)})


def run(*words: str) -> Any:
    ended = CliRunner().invoke(cli.app, list(words))
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    assert "Traceback" not in ended.output
    return ended


def key_of(folder: Path) -> str:
    return (folder / "secret.key").read_text().strip()


def opened(database: Database, key: str) -> list[bool]:
    found = database.ask(sealed_secrets.find_secrets)
    return [Seal(key).opens(secret.text) for secret in found]


EVERYTHING = [True] * 5
"""The sign-in, the token, the app, the settings and the second factor."""


# --- nothing sealed can be forgotten


SEALS = {
    "accounts.accounts.store_sign_in": account.c.tokens,
    "app.first_start": token.c.sealed,
    "demo.populate.sign_in": account.c.tokens,
    "cli.tokens.make_token": token.c.sealed,
    "compat.tvtime.auth.TVTimeAuth.seal_cookie": "a cookie",
    "compat.videoscrobbler.apps.create_app": app_table.c.sealed,
    "accounts.credentials.Credentials.renew_tokens": account.c.tokens,
    "accounts.sealed_secrets.renew_app": app_table.c.sealed,
    "accounts.sealed_secrets.renew_token": token.c.sealed,
    "accounts.rekey.reseal_readable": "every column there is",
    "accounts.settings_store.store_settings": note.c.sealed,
    "web.people.actions.make_token": token.c.sealed,
    "web.people.second_factor.SecondFactorPages.show_secret": "a field of a form",
    "web.people.second_factor.SecondFactorPages.enable": second_factor_table.c.sealed,
    "web.connections.pages.Connections.settings": "a field of a form",
}
"""Each place that seals something, and where that is kept. What is kept must be of the type Sealed."""


def sealing_places() -> set[str]:
    """Every function of the package that calls `.seal(…)` on something."""
    found = set()
    for path in (ROOT / "webhook").rglob("*.py"):
        if ".seal(" in (text := path.read_text()):
            module = ".".join(path.relative_to(ROOT / "webhook").with_suffix("").parts)
            found |= {f"{module}.{name}" for name in calling(ast.parse(text), ())}
    return found


def calling(node: ast.AST, within: Sequence[str]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        inside = [*within, child.name] if named else within  # type: ignore[attr-defined]
        if (
            isinstance(child, ast.Call)
            and isinstance(child.func, ast.Attribute)
            and child.func.attr == "seal"
        ):
            yield ".".join(within)
        yield from calling(child, inside)


def test_every_place_that_seals_something_keeps_it_where_a_rekey_finds_it() -> None:
    assert sealing_places() == set(SEALS)
    assert {place for place in SEALS.values() if isinstance(place, Column)} == set(sealed_columns())


def test_every_sealed_column_has_a_word_for_its_loss_and_a_way_on() -> None:
    assert (
        set(sealed_secrets.DESCRIBE_UNREADABLE) == set(sealed_secrets.RENEW_SECRET) == set(sealed_columns())
    )
    assert all(len(column.table.primary_key) == 1 for column in sealed_columns())


def test_nothing_sealed_lies_in_a_column_of_another_type(database: Database) -> None:
    def look(connection: Connection) -> set[Column[Any]]:
        return {
            column
            for table in metadata.tables.values()
            for row in connection.execute(select(table))
            for column in table.columns
            if "gAAAA" in str(row._mapping[column])
        }

    assert database.ask(look) == set(sealed_columns())
    assert all(isinstance(column.type, Sealed) for column in sealed_columns())


# --- another key


def test_after_a_rekey_only_the_new_key_opens_anything(home: Path, database: Database) -> None:
    old = key_of(home)
    (home / ".secret.key.new-killed").write_text(old)

    ended = run("rekey", "--json")

    new = key_of(home)
    assert json.loads(ended.stdout)["sealed"] == len(EVERYTHING)
    assert new != old
    assert opened(database, new) == EVERYTHING
    assert not any(opened(database, old))
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in home.glob("*secret.key*")) == ["secret.key"]


def test_after_a_rekey_the_service_has_its_sign_ins_settings_and_addresses(home: Path) -> None:
    before = json.loads(run("urls", "--json").stdout)

    run("rekey")
    service = app.open_service({"DATA_DIR": str(home)})
    kept = service.database.ask(lambda connection: settings_store.load_settings(connection, service.seal))
    tokens = service.database.ask(
        lambda connection: connection.execute(select(account.c.tokens)).scalars().all()
    )
    service.database.close()

    assert json.loads(run("urls", "--json").stdout) == before
    assert kept == MADE
    assert service.settings.silence_days == 9
    assert [service.seal.open(sealed) for sealed in tokens if sealed] == [TOKENS]


def test_no_key_is_changed_while_a_service_runs(home: Path) -> None:
    old = key_of(home)
    with migrate.hold_lock(read(home).database):
        ended = run("rekey")

    assert ended.exit_code == 1
    assert "Stop that one first" in ended.output
    assert key_of(home) == old


def killed_everywhere(name: str, template: Path, place: Path) -> list[Path]:
    """Copies of the installation, each of which was killed one step later than the one before."""
    place.mkdir()
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=killed.everywhere, args=(name, str(template), str(place), theirs))
    process.start()
    theirs.close()
    steps, status = ours.recv()
    process.join(30)
    assert status == 0
    return [place / str(step) for step in range(1, steps + 1)]


def test_a_rekey_that_is_killed_anywhere_leaves_a_start_with_everything_readable(
    template: Path, tmp_path: Path
) -> None:
    """Real processes, killed before and after each change of a file, and before and after the commit."""
    left = killed_everywhere("rekey", template, tmp_path / "killed")

    kept = [started(folder) for folder in left]

    assert len(left) > 10
    assert {key == key_of(template) for key in kept} == {True, False}


def test_a_start_that_is_killed_while_it_ends_a_rekey_is_ended_by_the_next(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(template, broken)
    broken_off(broken, monkeypatch)
    left = killed_everywhere("load", broken, tmp_path / "killed")

    kept = [started(folder) for folder in left]

    assert len(left) > 4
    assert key_of(template) not in kept


def started(folder: Path) -> str:
    """The key with which the next start opens everything; fails where it does not."""
    database = Database(f"sqlite:///{folder}/watchmark.db", synchronous="OFF")
    seal = keys.load_seal(read(folder), database)

    assert all(seal.opens(secret.text) for secret in database.ask(sealed_secrets.find_secrets)), folder
    assert database.ask(lambda connection: settings_store.load_settings(connection, seal)) == MADE
    database.close()
    assert not (folder / "secret.key.old").exists()
    return key_of(folder)


class Crash(Exception):
    """The process ends here."""


def broken_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the key that ended after its commit, before the files were swapped."""

    def crash(*given: Any) -> None:
        raise Crash

    database = Database(f"sqlite:///{folder}/watchmark.db", synchronous="OFF")
    with monkeypatch.context() as broken:
        broken.setattr(rekey, "install", crash)
        with pytest.raises(Crash):
            rekey.rekey(read(folder), database)
    database.close()


def test_the_old_key_file_goes_only_once_the_new_key_has_opened_every_row(
    home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that another process seals with the old key between the commit and the proof."""
    old = key_of(home)
    commit = rekey.reseal

    def committed(*given: Any, **more: Any) -> Any:
        done = commit(*given, **more)
        spoil(database, Seal(old).seal("late"))
        return done

    monkeypatch.setattr(rekey, "reseal", committed)

    with pytest.raises(SettingsError, match="does not open everything"):
        rekey.rekey(read(home), database)

    assert key_of(home) == old
    keys.load_seal(read(home), database)
    assert opened(database, key_of(home)).count(True) == len(EVERYTHING) - 1


def spoil(database: Database, text: str) -> None:
    database.do(lambda connection: connection.execute(update(token).values(sealed=text)))


def test_one_thing_that_cannot_be_opened_leaves_all_as_it_was_and_is_named(
    home: Path, database: Database
) -> None:
    spoil(database, Seal("another key altogether").seal("x"))
    before = [secret.text for secret in database.ask(sealed_secrets.find_secrets)]
    old = key_of(home)

    ended = run("rekey")

    assert ended.exit_code == 1
    assert "1 secret cannot be opened with the present key" in ended.output
    assert "the address of webhook token 1 (first)" in ended.output
    assert "watchmark rekey --forget" in ended.output
    assert [secret.text for secret in database.ask(sealed_secrets.find_secrets)] == before
    assert key_of(home) == old
    assert not list(home.glob("secret.key.*"))


def test_with_a_secret_key_the_new_one_comes_from_a_file(
    home: Path, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").write_text(f"{GOOD}\n")
    old = key_of(home)
    monkeypatch.setenv("SECRET_KEY", old)

    without = run("rekey")
    ended = run("rekey", "--new-key-file", str(tmp_path / "new"))

    assert without.exit_code == 1
    assert "--new-key-file" in without.output
    assert ended.exit_code == 0
    assert "Set SECRET_KEY to the content of" in ended.output
    assert opened(database, GOOD) == EVERYTHING
    assert key_of(home) == old


def test_a_new_key_that_is_too_short_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("short\n")

    ended = run("rekey", "--new-key-file", str(tmp_path / "new"))

    assert ended.exit_code == 1
    assert "The new key is too short" in ended.output


def test_a_rekey_on_postgresql_seals_everything_too(
    home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    service = app.open_service({"DATA_DIR": str(home), "DATABASE_URL": postgres_url})
    service.database.do(lambda connection: fill(connection, service))
    old = key_of(home)

    ended = run("rekey", "--json")

    new = key_of(home)
    assert json.loads(ended.stdout)["sealed"] == len(EVERYTHING)
    assert new != old
    assert opened(service.database, new) == EVERYTHING
    service.database.close()


# --- what is no key


WEAK = {"empty": "", "a line break": "\n", "short": "a", "a word": "correct horse", "one letter": "a" * 64}


@pytest.mark.parametrize("weak", WEAK.values(), ids=WEAK)
@pytest.mark.parametrize(
    "words", [("serve",), ("urls",), ("doctor", "--offline")], ids=lambda words: words[0]
)
def test_a_key_file_that_holds_no_key_is_refused_with_what_to_do(
    home: Path, weak: str, words: Sequence[str]
) -> None:
    (home / "secret.key").write_text(weak)

    ended = run(*words)

    assert ended.exit_code == 1
    assert f"{home}/secret.key" in ended.output
    assert "empty" in ended.output or "too short" in ended.output or "can be guessed" in ended.output
    assert "watchmark rekey --forget" in ended.output
    assert (home / "secret.key").read_text() == weak


def test_a_key_file_that_a_full_disk_left_empty_is_replaced_by_a_rekey(tmp_path: Path, home: Path) -> None:
    shutil.rmtree(home)
    home.mkdir()
    (home / "secret.key").touch()

    refused, rekeyed, served = run("urls"), run("rekey"), run("urls")

    assert refused.exit_code == 1
    assert "A full disk leaves such a file" in refused.output
    assert (rekeyed.exit_code, served.exit_code) == (0, 0)
    assert keys.weakness(key_of(home)) is None


def test_what_a_weak_key_has_sealed_is_carried_over_to_a_good_one(home: Path, database: Database) -> None:
    (home / "secret.key").write_text("")
    database.do(lambda connection: seal_all(connection, Seal("")))

    refused, rekeyed = run("urls"), run("rekey")

    assert refused.exit_code == 1
    assert "nobody has to sign in again: watchmark rekey" in refused.output
    assert rekeyed.exit_code == 0
    assert opened(database, key_of(home)) == EVERYTHING
    assert keys.weakness(key_of(home)) is None


def seal_all(connection: Connection, seal: Seal) -> None:
    for secret in sealed_secrets.find_secrets(connection):
        secret.store(connection, seal.seal("x"))


@pytest.mark.parametrize("weak", [text for text in WEAK.values() if text.strip()])
def test_a_secret_key_that_is_none_is_refused_with_what_to_do(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    monkeypatch.setenv("SECRET_KEY", weak)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "fresh"))

    ended = run("serve")

    assert ended.exit_code == 1
    assert "SECRET_KEY" in ended.output
    assert "openssl rand -base64 48" in ended.output
    assert weak not in ended.output.replace("a key", "").replace("at", "") or len(weak) < 3


def test_a_key_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(SettingsError, match="No space left on device"):
        keys.write_key(tmp_path / "secret.key", keys.new_key())

    assert list(tmp_path.iterdir()) == []


def test_of_two_first_starts_at_once_one_makes_the_key(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    first = keys.load_file(path, [])

    keys.write_key(path, keys.new_key(), replace=False)

    assert keys.read_key(path) == first
    assert [one.name for one in tmp_path.iterdir()] == ["secret.key"]


def test_a_key_is_made_at_random_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = [keys.load_file(tmp_path / name, []) or "" for name in ("one", "two")]

    assert made[0] != made[1]
    assert all(len(key) == 64 for key in made)
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o600


# --- a key that is gone, or another one


def lose(home: Path) -> None:
    (home / "secret.key").unlink()


def replace(home: Path) -> None:
    (home / "secret.key").write_text(keys.new_key())


@pytest.mark.parametrize("spoilt", [lose, replace])
@pytest.mark.parametrize(
    "words",
    [("serve",), ("work",), ("urls",), ("token", "list"), ("rekey",), ("doctor", "--offline")],
    ids=lambda words: words[0],
)
def test_without_the_right_key_it_says_what_to_do_and_changes_nothing(
    home: Path, database: Database, spoilt: Callable[[Path], None], words: Sequence[str]
) -> None:
    before = [secret.text for secret in database.ask(sealed_secrets.find_secrets)]
    spoilt(home)
    files_before = sorted(path.name for path in home.iterdir())

    ended = run(*words)

    assert ended.exit_code == 1
    assert f"{home}/secret.key" in ended.output or words == ("rekey",)
    assert "watchmark rekey --forget" in ended.output
    assert [secret.text for secret in database.ask(sealed_secrets.find_secrets)] == before
    assert set(files_before) >= {path.name for path in home.iterdir()} - {"watchmark.lock"}


@pytest.mark.parametrize("spoilt", [lose, replace])
def test_without_the_right_key_nobody_is_listened_to(
    home: Path, spoilt: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(home)
    listened: list[Any] = []
    monkeypatch.setattr(socket.socket, "listen", lambda door, *backlog: listened.append(door))

    ended = run("serve")

    assert ended.exit_code == 1
    assert listened == []


def test_a_secret_key_beside_the_right_key_file_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", keys.new_key())

    ended = run("urls")

    assert ended.exit_code == 1
    assert f"{home}/secret.key holds the key that fits" in ended.output
    assert "take SECRET_KEY out" in ended.output


def test_a_key_file_of_somebody_else_names_both_users_and_the_command(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, owner = home / "secret.key", os.getuid()

    def refuse(one: Path, *given: Any, **more: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    monkeypatch.setattr(os, "getegid", lambda: 10001)

    with pytest.raises(SettingsError) as refused:
        keys.read_key(path)

    says = f"runs as user id 10001, and it belongs to user id {owner}: sudo chown -R 10001:10001 {path}"
    assert f"{path} cannot be read" in str(refused.value)
    assert says in str(refused.value)


# --- the way on without it


@pytest.mark.parametrize("spoilt", [lose, replace])
def test_a_forgotten_key_costs_sign_ins_and_settings_and_says_what_is_made_anew(
    home: Path, database: Database, spoilt: Callable[[Path], None]
) -> None:
    with_addresses = run("urls", "--json").stdout
    old_secret = json.loads(with_addresses)["emby"]["url"].rsplit("/", 1)[1]
    spoilt(home)

    ended = run("rekey", "--forget", "--json")

    said = {one["kind"]: one for one in json.loads(ended.stdout)["renewed"]}
    assert set(said) == {"sign-in", "webhook token", "app", "settings", "second factor"}
    assert said["sign-in"]["do"] == "Sign in again: watchmark connect listenbrainz --person me"
    assert said["webhook token"]["urls"]["emby"].endswith(said["webhook token"]["secret"])
    assert "watchmark token revoke 1" in said["webhook token"]["do"]
    assert "Connections" in said["settings"]["do"]
    assert opened(database, key_of(home)) == [True, True]
    let_in = database.ask(
        lambda connection: [row.digest for row in tokens.valid_tokens(connection, "webhook", clock.now())]
    )
    assert let_in == [tokens.digest(old_secret), tokens.digest(said["webhook token"]["secret"])]
    shown = json.loads(run("urls", "--json").stdout)
    assert [entry["url"] for entry in shown["emby"]["urls"]] == [said["webhook token"]["urls"]["emby"]]


def test_after_a_forgotten_key_the_service_starts_and_asks_for_the_sign_in(home: Path) -> None:
    lose(home)

    said = run("rekey", "--forget")
    service = app.open_service({"DATA_DIR": str(home)})
    (row,) = service.database.ask(
        lambda connection: connection.execute(
            select(account).where(account.c.tracker == "listenbrainz")
        ).all()
    )
    app_row = service.database.ask(lambda connection: connection.execute(select(app_table)).one())
    service.database.close()

    assert said.exit_code == 0
    assert (row.tokens, row.parked) == (None, "signed_out")
    assert service.seal.open(app_row.sealed) in said.output
    assert app_row.key in said.output
    assert service.settings.silence_days == 3


def test_what_the_present_key_opens_is_kept_and_so_is_the_key(home: Path, database: Database) -> None:
    key = key_of(home)
    spoil(database, Seal("another key altogether").seal("x"))

    ended = run("rekey", "--forget", "--json")

    said = json.loads(ended.stdout)
    assert [one["kind"] for one in said["renewed"]] == ["webhook token"]
    assert (said["sealed"], said["changed"]) == (len(EVERYTHING), False)
    assert key_of(home) == key
    assert opened(database, key) == EVERYTHING


def test_a_new_secret_key_can_be_gone_on_with(
    home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(home)
    monkeypatch.setenv("SECRET_KEY", GOOD)

    refused, forgotten, found = run("urls"), run("rekey", "--forget"), run("urls")

    assert refused.exit_code == 1
    assert forgotten.exit_code == 0
    assert "encrypted with the existing key in SECRET_KEY" in forgotten.output
    assert found.exit_code == 0
    assert opened(database, GOOD) == [True, True]


# --- one secret that cannot be opened


ALIEN = Seal("another key altogether").seal({"x": "y"})


@pytest.mark.parametrize("column", sealed_columns(), ids=str)
@pytest.mark.parametrize("text", [ALIEN, "no seal at all"], ids=["sealed with another key", "damaged"])
def test_one_secret_that_cannot_be_opened_stops_nothing_and_is_said(
    home: Path, database: Database, column: Column[str], text: str
) -> None:
    found = [one for one in database.ask(sealed_secrets.find_secrets) if one.column is column]
    database.do(lambda connection: store_all(connection, found, text))

    service = app.open_service({"DATA_DIR": str(home)})
    lost = service.database.ask(lambda connection: sealed_secrets.find_unreadable(connection, service.seal))
    service.database.close()
    commands = [
        run(*words.split()) for words in ("token list", "accounts", "apps list", "people list", "serve")
    ]

    assert len(lost) == 1
    assert lost[0].do
    assert [ended.exit_code for ended in commands] == [0] * 5
    assert "cannot be opened with this key" in commands[-1].output
    assert lost[0].what in commands[-1].output


def store_all(connection: Connection, found: Sequence[sealed_secrets.Secret[Any]], text: str) -> None:
    for secret in found:
        secret.store(connection, text)


def test_a_revoked_token_that_cannot_be_opened_is_nobodys_loss(home: Path, database: Database) -> None:
    spoil(database, ALIEN)
    database.do(lambda connection: tokens.revoke_token(connection, 1, clock.now()))

    lost = database.ask(lambda connection: sealed_secrets.find_unreadable(connection, Seal(key_of(home))))
    ended = run("rekey", "--forget", "--json")

    assert lost == []
    assert json.loads(ended.stdout)["renewed"] == []
