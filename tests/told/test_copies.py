"""Copies on a server: found by ids of every form, and told of as soon as they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.conftest import driver
from tests.prepared import open_service
from tests.told.home import Home
from tests.told.test_echoes import film
from tests.trackers._adapters import FILM, PILOT
from tests.trackers._at_home import FILM_DTO, PLEX_FILM, SHOW_DTO
from webhook.domain.copies import Copy, choose_copies
from webhook.domain.event import Episode, Ids
from webhook.domain.outcome import Unmatched
from webhook.storage.tables import server_item

OWN = Copy(item=PILOT, item_key="1", show_key="9")


def numbered(number: int, **ids: int) -> Episode:
    return replace(PILOT, number=number, ids=Ids(**ids))  # type: ignore[arg-type]


def test_an_episode_is_found_by_its_own_id_whatever_its_number() -> None:
    elsewhere = Copy(item=numbered(7, tvdb=349232), item_key="7", show_key="9")

    assert choose_copies(numbered(7, tvdb=349232), [elsewhere]) == [elsewhere]


def test_an_episode_without_an_id_is_found_by_its_show_and_number() -> None:
    bare = Copy(item=numbered(1), item_key="5", show_key="9")

    assert choose_copies(PILOT, [bare]) == [bare]


def test_an_episode_whose_numbers_are_another_s_here_is_asked_about() -> None:
    other = Copy(item=numbered(1, tvdb=999), item_key="5", show_key="9")

    with pytest.raises(Unmatched, match="another order"):
        choose_copies(PILOT, [other])


def test_a_title_alone_is_no_copy() -> None:
    namesake = Copy(item=replace(FILM, ids=Ids()), item_key="5")

    assert choose_copies(FILM, [namesake]) == []


def test_copies_in_two_libraries_are_both_found() -> None:
    two = [Copy(item=FILM, item_key=key, library=key) for key in ("HD", "4K")]

    assert choose_copies(FILM, two) == two


def test_both_copies_are_marked_and_one_receipt_names_them(make_home: Callable[..., Home]) -> None:
    home = make_home("plex")
    home.fakes["plex"].add({**PLEX_FILM, "ratingKey": "5000"})
    home.service.interpreter.added.add(home.fakes["plex"].machine)
    home.list_servers()
    home.say("watched", FILM)

    home.delivered()

    (one,) = home.deliveries(tracker="plex")
    assert one["state"] == "done"
    assert set(home.fakes["plex"].watched()) == {"4711", "5000"}
    assert one["answer"] == "marked watched: 4711, 5000"


def test_what_is_not_there_waits_and_is_told_when_it_is_added(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    fake, film = home.fakes["jellyfin"], replace(FILM, title="New", ids=Ids(tmdb=777))
    home.say("watched", film)
    home.delivered()
    waiting = home.deliveries(tracker="jellyfin")

    fake.stock({**FILM_DTO, "Id": "77" * 16, "Name": "New", "ProviderIds": {"Tmdb": "777"}})
    home.post(added(fake, "77" * 16), "jellyfin")
    home.list_servers()
    home.delivered()

    assert [one["state"] for one in waiting] == ["waiting"]
    assert "not on this server yet" in (waiting[0]["reason"] or "")
    assert set(fake.watched()) == {"77" * 16}
    assert [one["state"] for one in home.deliveries(tracker="jellyfin")] == ["done"]


def test_a_key_that_became_another_item_is_left_alone(make_home: Callable[..., Home]) -> None:
    home = make_home("plex")
    fake = home.fakes["plex"]
    fake.items["4711"] = {
        **PLEX_FILM,
        "title": "Another",
        "year": 1950,
        "guid": "plex://movie/" + "0" * 24,
        "Guid": [],
    }
    home.say("watched", FILM)

    home.delivered()

    assert fake.watched() == {}


def test_what_is_gone_from_the_server_is_let_go_of(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    del home.fakes["jellyfin"].known[FILM_DTO["Id"]]
    home.service.interpreter.added.add(home.fakes["jellyfin"].server_id)
    home.list_servers()
    home.say("watched", FILM)

    home.delivered()

    assert [one["state"] for one in home.deliveries(tracker="jellyfin")] == ["waiting"]


def added(fake: Any, key: str) -> dict[str, Any]:
    return {"NotificationType": "ItemAdded", "ServerId": fake.server_id, "ItemId": key, "ItemType": "Movie", "Name": "New", "Provider_tmdb": "777"}  # fmt: skip


def test_two_processes_share_the_list_of_a_server(migrated_postgres_url: str, tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "DATABASE_URL": driver(migrated_postgres_url)}
    with asyncio.Runner() as runner:
        home = Home(runner, environ, "jellyfin")
        other = open_service(home.environ)
        fake = home.fakes["jellyfin"]
        for number in range(3):
            fake.stock(
                {**FILM_DTO, "Id": f"{number + 1:032x}", "ProviderIds": {"Tmdb": str(500_000 + number)}}
            )
        home.say("watched", film(2))

        async def list_and_deliver() -> None:
            for service in (home.service, other):
                service.server_lists.added.add(fake.server_id)
            await asyncio.gather(*(one.server_lists.run_once() for one in (home.service, other)))
            while await other.dispatcher.claim() or other.dispatcher._lanes:
                await asyncio.gather(*other.dispatcher._lanes)

        runner.run(list_and_deliver())
        listed = home.database.ask(
            lambda connection: sorted(connection.execute(select(server_item.c.item_key)).scalars())
        )
        watched = set(fake.watched())
        runner.run(other.http.aclose())
        other.database.close()
        home.end()

    assert listed == sorted({*fake.known} - {SHOW_DTO["Id"]})
    assert watched == {f"{3:032x}"}
