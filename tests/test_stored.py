"""Settings made in the browser: sealed, and below what the environment says. On both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from webhook.accounts import settings_store
from webhook.accounts.seal import Seal
from webhook.storage.db import Database
from webhook.storage.tables import note

SEAL = Seal("a key of this house")


def keep(database: Database, **changes: str | None) -> None:
    database.do(lambda connection: settings_store.store_settings(connection, SEAL, changes))


def read(database: Database, seal: Seal = SEAL) -> dict[str, str]:
    return database.ask(lambda connection: settings_store.load_settings(connection, seal))


def unreadable(database: Database, seal: Seal) -> bool:
    return database.ask(lambda connection: settings_store.is_unreadable(connection, seal))


def test_where_nothing_was_set_there_is_nothing(database: Database) -> None:
    assert read(database) == {}


def test_what_is_kept_is_read_beside_what_was_kept_before(database: Database) -> None:
    keep(database, TRAKT_CLIENT_ID="one")
    keep(database, TMDB_TOKEN="two")

    assert read(database) == {"TRAKT_CLIENT_ID": "one", "TMDB_TOKEN": "two"}


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_lets_a_setting_go(database: Database, nothing: str | None) -> None:
    keep(database, TRAKT_CLIENT_ID="one", TMDB_TOKEN="two")
    keep(database, TRAKT_CLIENT_ID=nothing)

    assert read(database) == {"TMDB_TOKEN": "two"}


def test_at_rest_nothing_of_it_can_be_read(database: Database) -> None:
    keep(database, TMDB_TOKEN="hush-hush")

    row = database.ask(lambda connection: connection.execute(select(note)).one())

    assert row.sealed
    assert "hush-hush" not in str(row)
    assert "TMDB" not in str(row)


def test_with_another_key_nothing_is_read_and_what_is_set_takes_its_place(database: Database) -> None:
    other = Seal("another key")
    keep(database, TMDB_TOKEN="hush-hush")

    unread, closed = read(database, other), [unreadable(database, seal) for seal in (SEAL, other)]
    database.do(lambda connection: settings_store.store_settings(connection, other, {"SILENCE_DAYS": "9"}))

    assert unread == {}
    assert closed == [False, True]
    assert read(database, other) == {"SILENCE_DAYS": "9"}


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({}, "browser"),
        ({"TMDB_TOKEN": "environment"}, "environment"),
        ({"TMDB_TOKEN": ""}, "browser"),  # compose writes so for what is not set
        ({"TMDB_TOKEN_FILE": "/run/secrets/tmdb"}, None),
        ({"TMDB_TOKEN_FILE": ""}, "browser"),
    ],
)
def test_the_environment_is_above_it_where_it_says_something(
    environ: dict[str, str], token: str | None
) -> None:
    found = settings_store.overlay(environ, {"TMDB_TOKEN": "browser"})

    assert found.get("TMDB_TOKEN") == token
    assert all(found[name] == value for name, value in environ.items() if value)


# --- what of it can be used


@pytest.mark.parametrize(
    ("environ", "kept", "left_out"),
    [
        ({}, {"TMDB_TOKEN": "t", "RETENTION_DAYS": "30"}, set()),
        ({}, {"TMDB_TOKEN": "t", "TMDB_API_URL": "http://a:b"}, {"TMDB_API_URL"}),
        ({}, {"RETENTION_DAYS": "soon", "WATCHED_MARK": "85"}, {"RETENTION_DAYS"}),
        ({}, {"TRAKT_CLIENT_ID": "one"}, {"TRAKT_CLIENT_ID"}),
        ({"TRAKT_CLIENT_SECRET": "two"}, {"TRAKT_CLIENT_ID": "one"}, set()),
        ({"TMDB_API_URL": "http://tmdb.lan"}, {"TMDB_TOKEN": "t", "TMDB_API_URL": "http://a:b"}, set()),
    ],
)
def test_what_cannot_be_used_is_left_out_and_nothing_else(
    environ: dict[str, str], kept: dict[str, str], left_out: set[str]
) -> None:
    held, without = settings_store.usable_settings(environ, kept)

    assert without.keys() == left_out
    assert held == {**{name: value for name, value in kept.items() if name not in left_out}, **environ}
    assert all(name in why for name, why in without.items())


def test_what_the_environment_says_wrong_is_left_for_the_start_to_say() -> None:
    held, without = settings_store.usable_settings({"TMDB_API_URL": "http://a:b", "TMDB_TOKEN": "t"}, {})

    assert held["TMDB_API_URL"] == "http://a:b"
    assert without == {}


def test_of_the_plug_ins_only_those_are_looked_at_of_which_a_setting_is_there() -> None:
    found = settings_store.setting_groups(
        {"SIMKL_CLIENT_ID": "id", "PLEX_URL": "http://plex", "TMDB_TOKEN": ""}
    )

    assert {prefix for _, prefix, _ in found} == {"", "oidc_", "proxy_sign_in_", "simkl_", "plex_"}
