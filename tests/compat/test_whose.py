"""Whose a mark or a scrobble is: of whoever had signed in, whatever became of the person or the name since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests.compat._scrobbler import cinema
from tests.compat._tvtime import BOYS, Box, boxed
from webhook.compat.tvtime import marks
from webhook.compat.videoscrobbler import methods
from webhook.people import people
from webhook.queues import inbox
from webhook.storage.tables import play, webhook

FIRST, SECOND = BOYS.id_of(1, 1), BOYS.id_of(1, 2)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody interprets meanwhile, so there is nothing to wait for."""
    monkeypatch.setattr(marks, "INTERPRET_TIMEOUT", 0.0)
    monkeypatch.setattr(methods, "INTERPRET_TIMEOUT", 0.0)


def interpreted(home: Any) -> None:
    while home.do(
        lambda connection: connection.execute(
            select(webhook.c.id).where(webhook.c.state == "received")
        ).first()
    ):
        home.interpret()


def owners(home: Any) -> list[int]:
    found = home.do(
        lambda connection: connection.execute(select(play.c.person_id).order_by(play.c.id)).scalars().all()
    )
    return list(found)


def removed(home: Any, name: str) -> None:
    home.do(lambda connection: people.remove_person(connection, people.find_person(connection, name)))


def renamed(home: Any, before: str, after: str) -> None:
    home.do(lambda connection: people.rename(connection, people.find_person(connection, before), after))


def replayed(home: Any) -> None:
    def again(connection: Connection) -> int:
        return inbox.requeue(connection, connection.execute(select(webhook.c.id)).scalars().all())

    assert home.do(again)
    interpreted(home)


def became(home: Any) -> list[tuple[str, str | None]]:
    rows = home.do(
        lambda connection: connection.execute(
            select(webhook.c.state, webhook.c.reason).order_by(webhook.c.id)
        ).all()
    )
    return [(row.state, row.reason) for row in rows]


def mark(box: Box, episode: int) -> None:
    assert box.signed_in().put(f"/tvtime/episode/{episode}/watched").status_code == 200


def test_a_mark_of_a_person_who_was_removed_is_nobodys(tmp_path: Path) -> None:
    with boxed(tmp_path, WORKER="false") as box:
        mark(box, FIRST)
        removed(box.home, box.name)

        interpreted(box.home)

        assert became(box.home) == [("ignored", "person_removed")]
        assert owners(box.home) == []


def test_nor_is_it_of_whoever_comes_after(tmp_path: Path) -> None:
    with boxed(tmp_path, WORKER="false") as box:
        mark(box, FIRST)
        removed(box.home, box.name)
        box.home.person("ben")

        interpreted(box.home)

        assert owners(box.home) == []


def test_nor_does_a_replay_make_it_somebody_elses(tmp_path: Path) -> None:
    with boxed(tmp_path, WORKER="false") as box:
        mark(box, FIRST)
        interpreted(box.home)
        assert owners(box.home) == [box.person_id]
        removed(box.home, box.name)

        replayed(box.home)

        assert owners(box.home) == []


def test_a_scrobble_of_a_person_who_was_removed_is_nobodys(tmp_path: Path) -> None:
    with cinema(tmp_path, WORKER="false") as at:
        at.home.person("anna")
        at.session("anna")("video.scrobble", id="tmdb:5", position=100, state="finished")
        removed(at.home, "anna")

        interpreted(at.home)

        assert became(at.home) == [("ignored", "person_removed")]
        assert owners(at.home) == []


@pytest.mark.parametrize("pending", [True, False], ids=["pending", "replayed"])
def test_who_takes_a_name_takes_no_marks_with_it(tmp_path: Path, pending: bool) -> None:
    with boxed(tmp_path, WORKER="false") as anna:
        ben = anna.other()
        mark(anna, FIRST)
        if not pending:
            interpreted(anna.home)
        name = anna.name
        renamed(anna.home, name, "anne")
        renamed(anna.home, ben.name, name)
        ben.name = name
        mark(ben, SECOND)

        replayed(anna.home) if not pending else interpreted(anna.home)

        assert owners(anna.home) == [anna.person_id, ben.person_id]


def test_what_came_by_a_token_of_a_person_who_was_removed_waits(tmp_path: Path) -> None:
    with boxed(tmp_path, WORKER="false") as box:
        secret = box.home.token("webhook", box.person_id)
        payload = {
            "action": "watched",
            "user": "nora",
            "kind": "movie",
            "title": "Slow Light",
            "year": 2001,
        }
        box.client().post(f"/webhooks/generic/{secret}", json=payload).raise_for_status()
        removed(box.home, box.name)

        interpreted(box.home)

        assert [state for state, _ in became(box.home)] == ["unclaimed"]
        assert owners(box.home) == []
