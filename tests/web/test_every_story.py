"""What the commands say of rows of every state and shape: whatever is kept, it can be said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tests.prepared import open_service
from tests.web.every_row import Rows
from tests.web.test_every_get import SET_UP
from webhook import cli
from webhook.cli.trace import story, whole_trace
from webhook.storage.db import Database
from webhook.storage.tables import webhook

LISTS = (
    ("accounts",), ("people", "list"), ("token", "list"), ("household", "list"), ("apps", "list"), ("jobs",),
    ("unmatched",), ("history", "list", "--limit", "500"), ("library", "list"), ("numbers", "--person", "me"),
    ("doctor", "--offline"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rows")
    service = open_service({"DATA_DIR": str(place), **SET_UP})
    service.database.do(lambda connection: Rows(service, connection).fill())
    asyncio.run(service.http.aclose())
    service.database.close()
    return place


def test_every_webhook_has_a_story(folder: Path) -> None:
    database = Database(f"sqlite:///{folder}/watchmark.db")
    ids = database.ask(lambda connection: connection.execute(select(webhook.c.id)).scalars().all())

    told = [database.ask(lambda connection, one=one: whole_trace(connection, one)) for one in ids]  # type: ignore[misc]
    stories = [list(story(found)) for found in told if found is not None]
    database.close()

    assert len(stories) == len(ids)
    assert all(len(lines) > 1 for lines in stories)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_every_list_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    for name, value in {"DATA_DIR": str(folder), **SET_UP}.items():
        monkeypatch.setenv(name, value)

    said, as_json = (CliRunner().invoke(cli.app, [*words, *more]) for more in ([], ["--json"]))

    for ended in (said, as_json):
        assert ended.exception is None or isinstance(ended.exception, SystemExit), repr(ended.exception)
        assert ended.exit_code == (1 if words[0] == "doctor" else 0)
        assert ended.stdout
