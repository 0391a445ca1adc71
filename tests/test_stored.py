"""Settings made in the browser: sealed, and below what the environment says. On both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from webhook import stored
from webhook.credentials import Seal
from webhook.db import Database
from webhook.settings import SettingsError
from webhook.tables import note

SEAL = Seal("a key of this house")


def keep(database: Database, **changes: str | None) -> None:
    database.do(lambda connection: stored.keep(connection, SEAL, changes))


def read(database: Database, seal: Seal = SEAL) -> dict[str, str]:
    return database.ask(lambda connection: stored.read(connection, seal))


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

    value = database.ask(lambda connection: connection.execute(select(note.c.value)).scalar_one())

    assert "hush-hush" not in str(value)
    assert "TMDB" not in str(value)


def test_with_another_key_it_says_what_to_do(database: Database) -> None:
    keep(database, TMDB_TOKEN="hush-hush")

    with pytest.raises(SettingsError, match="SECRET_KEY"):
        read(database, Seal("another key"))


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
    found = stored.under(environ, {"TMDB_TOKEN": "browser"})

    assert found.get("TMDB_TOKEN") == token
    assert all(found[name] == value for name, value in environ.items() if value)
