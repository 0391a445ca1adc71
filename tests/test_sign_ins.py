"""Sign-ins under way: held for each person and tracker, bounded, and ended with a word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.prepared import open_service
from webhook.accounts import sign_ins
from webhook.accounts.accounts import AccountError
from webhook.accounts.sign_ins import ENDED_RETENTION, SignIn
from webhook.people import people
from webhook.service import Service
from webhook.trackers import SignInFailed


def at_trakt(
    folder: Path, work: Callable[[Service, Trakt], Awaitable[Any]], settings: dict[str, str] | None = None
) -> Any:
    """The work with an open service whose Trakt is a fake that answers once a second."""
    with Server(Trakt(interval=1)) as server:
        app_keys = {"TRAKT_CLIENT_ID": "fake-client-id", "TRAKT_CLIENT_SECRET": "fake-client-secret"}
        where = {"TRAKT_API_URL": server.url, "TRAKT_AUTH_URL": server.url}
        service = open_service({"DATA_DIR": str(folder), **app_keys, **where, **(settings or {})})

        async def run() -> Any:
            try:
                return await work(service, server.fake)
            finally:
                await service.sign_ins.close()
                await service.http.aclose()

        try:
            return asyncio.run(run())
        finally:
            service.database.close()


def me(service: Service) -> int:
    return int(
        service.database.ask(lambda connection: people.find_person(connection, people.FIRST_PERSON)).id
    )


async def ended(made: SignIn) -> None:
    async with asyncio.timeout(10):
        while made.under_way:
            await asyncio.sleep(0.05)


def test_who_agrees_is_connected(tmp_path: Path) -> None:
    async def signing_in(service: Service, trakt: Trakt) -> SignIn:
        made = await service.sign_ins.begin(me(service), "trakt")
        trakt.approve("anna", made.code.user_code)
        await ended(made)
        return made

    made = at_trakt(tmp_path, signing_in)

    assert (made.state, made.says, made.works) == ("connected", "anna", True)
    assert made.account_id is not None


def test_who_refuses_is_told_so(tmp_path: Path) -> None:
    async def refusing(service: Service, trakt: Trakt) -> SignIn:
        made = await service.sign_ins.begin(me(service), "trakt")
        trakt.deny(made.code.user_code)
        await ended(made)
        return made

    made = at_trakt(tmp_path, refusing)

    assert (made.state, made.says) == ("failed", "the sign-in was refused at Trakt")


def test_a_code_that_nobody_types_in_expires(tmp_path: Path) -> None:
    async def waiting(service: Service, trakt: Trakt) -> SignIn:
        trakt.switches.device_life = 1
        made = await service.sign_ins.begin(me(service), "trakt")
        await ended(made)
        return made

    made = at_trakt(tmp_path, waiting)

    assert made.state == "failed"
    assert "expired" in (made.says or "")


def test_begun_twice_it_is_the_same_one(tmp_path: Path) -> None:
    async def twice(service: Service, trakt: Trakt) -> list[SignIn]:
        person = me(service)
        return await asyncio.gather(*(service.sign_ins.begin(person, "trakt") for _ in range(3)))

    made = at_trakt(tmp_path, twice)

    assert len({one.id for one in made}) == 1


def test_a_cancelled_one_is_not_waited_for_and_another_can_begin(tmp_path: Path) -> None:
    async def again(service: Service, trakt: Trakt) -> tuple[SignIn, SignIn, bool]:
        first = await service.sign_ins.begin(me(service), "trakt")
        assert service.sign_ins.cancel(first)
        second = await service.sign_ins.begin(me(service), "trakt")
        trakt.approve("anna", first.code.user_code)
        await asyncio.sleep(1.5)
        return first, second, service.sign_ins.cancel(first)

    first, second, cancelled_twice = at_trakt(tmp_path, again)

    assert first.state == "cancelled"
    assert first.id != second.id
    assert second.state == "cancelled"  # by the end of the service
    assert not cancelled_twice


def test_there_are_never_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_ins, "MAX_WAITING", 1)

    async def many(service: Service, trakt: Trakt) -> None:
        await service.sign_ins.begin(me(service), "trakt")
        await service.sign_ins.begin(me(service) + 1, "trakt")

    with pytest.raises(AccountError, match="Too many"):
        at_trakt(tmp_path, many)


def test_one_that_ended_is_forgotten_after_a_while(tmp_path: Path) -> None:
    async def long_ago(service: Service, trakt: Trakt) -> list[bool]:
        made = await service.sign_ins.begin(me(service), "trakt")
        service.sign_ins.cancel(made)
        service.sign_ins.forget()
        soon = service.sign_ins.get(made.id) is made
        assert made.ended_at is not None
        made.ended_at -= 2 * ENDED_RETENTION
        service.sign_ins.forget()
        return [soon, service.sign_ins.get(made.id) is None]

    assert at_trakt(tmp_path, long_ago) == [True, True]


def test_wrong_keys_fail_at_once(tmp_path: Path) -> None:
    async def begun(service: Service, trakt: Trakt) -> None:
        await service.sign_ins.begin(me(service), "trakt")

    with pytest.raises(SignInFailed, match="does not accept the API app"):
        at_trakt(tmp_path, begun, {"TRAKT_CLIENT_ID": "wrong"})


def test_a_tracker_without_codes_cannot_be_begun(tmp_path: Path) -> None:
    async def begun(service: Service, trakt: Trakt) -> None:
        await service.sign_ins.begin(me(service), "listenbrainz")

    with pytest.raises(AccountError, match="not signed in to by a code"):
        at_trakt(tmp_path, begun)


def test_a_fault_of_ours_ends_the_sign_in_and_nothing_else(tmp_path: Path) -> None:
    async def gone(service: Service, trakt: Trakt) -> SignIn:
        made = await service.sign_ins.begin(10_000, "trakt")  # a person who was removed meanwhile
        trakt.approve("anna", made.code.user_code)
        await ended(made)
        return made

    made = at_trakt(tmp_path, gone)

    assert made.state == "failed"
    assert "in the log" in (made.says or "")
