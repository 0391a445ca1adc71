"""What a server says of itself, once it is connected: in words, with what to do where it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes._server import Server
from tests.fakes.emby import Emby
from tests.fakes.emby_server import EmbyServer
from tests.fakes.jellyfin import Jellyfin
from tests.fakes.jellyfin_server import JellyfinServer
from tests.fakes.plex import Plex
from tests.fakes.test_lastfm_fake import Secure
from webhook import client, servers
from webhook.accounts.server_sign_in import complete_address
from webhook.domain.outcome import Dead, Retry
from webhook.network import discovery
from webhook.network.discovery import FoundServer
from webhook.servers import _finding, emby, jellyfin
from webhook.servers._finding import find_servers


@pytest.fixture
def attic() -> Iterator[Server]:
    fake = Plex()
    fake.add_person()
    with Server(fake) as server:
        yield server


def described(name: str, ca_file: str = "", **settings: str) -> str:
    module = servers.modules()[name]

    async def ask() -> str:
        async with client.client(ca_file=ca_file) as http:
            return await servers.describe_server(module.build(module.Settings.model_validate(settings), http))

    return asyncio.run(ask())


def test_the_owners_token_hears_everybody(attic: Server) -> None:
    said = described("plex", url=attic.url, token=attic.fake.switches.token)

    assert said == "Connected to Attic, Plex 1.43.3.10400. 2 people use it, and all are heard."


def test_a_person_s_own_token_hears_them_alone(attic: Server) -> None:
    said = described("plex", url=attic.url, token="server-token-of-anna", user="anna")

    assert said == "Connected to Attic, Plex 1.43.3.10400. It hears only anna, whose token this is."


def test_of_a_token_that_hears_one_person_it_must_be_known_who_that_is(attic: Server) -> None:
    with pytest.raises(Dead, match="set PLEX_USER to the name of its person"):
        described("plex", url=attic.url, token="server-token-of-anna")


@pytest.mark.parametrize(("module", "fake"), [(jellyfin, JellyfinServer), (emby, EmbyServer)])
def test_a_key_hears_every_user(module: type, fake: type) -> None:
    made = fake()
    made.users["aa" * 16] = "anna"
    with Server(made) as server:
        said = described(made_name(module), url=server.url, api_key=made.switches.key)

    assert said == (
        f"Connected to {made.server_name}, {module.LABEL} {made.version}. One person uses it, and is heard."  # type: ignore[attr-defined]
    )


def made_name(module: type) -> str:
    return module.__name__.rpartition(".")[2]


def test_a_page_a_refusal_and_another_address_say_what_to_do(attic: Server) -> None:
    token = attic.fake.switches.token
    attic.fake.faults.add("GET /", status=200, body="<html>Welcome</html>")
    with pytest.raises(Dead, match="that is no JSON"):
        described("plex", url=attic.url, token=token)
    with pytest.raises(Dead, match="does not accept PLEX_TOKEN"):
        described("plex", url=attic.url, token="wrong")
    attic.fake.faults.add("GET /", status=302, headers={"location": "http://198.51.100.7/"})
    with pytest.raises(Dead, match="Set PLEX_URL to the address it really has"):
        described("plex", url=attic.url, token=token)
    with pytest.raises(Retry, match="Is it running, and is PLEX_URL"):
        described("plex", url="http://127.0.0.1:9", token=token)


def test_an_endless_answer_is_not_read_to_its_end(attic: Server) -> None:
    attic.fake.faults.add("GET /", status=200, body="x" * (9 * 1024 * 1024))

    with pytest.raises(Retry, match="sent an answer over 8192 KiB"):
        described("plex", url=attic.url, token=attic.fake.switches.token)


@pytest.mark.parametrize(
    ("source", "fake", "name"),
    [("plex", Plex, "127.0.0.1"), ("jellyfin", Jellyfin, "Cellar"), ("emby", Emby, "Loft")],
)
def test_a_server_at_a_usual_address_is_found_once_and_no_other_kind(
    monkeypatch: pytest.MonkeyPatch, source: str, fake: type, name: str
) -> None:
    async def find(wanted: str) -> list[FoundServer]:
        async with client.client() as http:
            return await find_servers(wanted, http)

    async def nobody(source: str) -> list[FoundServer]:
        return []

    monkeypatch.setattr(_finding, "discover", nobody)
    with Server(fake()) as server:
        other = "emby" if source != "emby" else "jellyfin"
        monkeypatch.setattr(
            _finding, "usual_addresses", lambda *_: [server.url, server.url, "http://127.0.0.1:9"]
        )
        assert asyncio.run(find(source)) == [FoundServer(name, server.url)]
        assert asyncio.run(find(other)) == []
        assert all("token" not in str(call.headers).lower() for call in server.fake.calls)


def test_what_answers_in_the_network_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find() -> list[FoundServer]:
        async with client.client() as http:
            return await find_servers("plex", http)

    with Server(Plex()) as server:

        async def answer(source: str) -> list[FoundServer]:
            return [FoundServer("Attic", server.url)]

        monkeypatch.setattr(_finding, "discover", answer)
        monkeypatch.setattr(_finding, "usual_addresses", lambda *_: [server.url])
        assert asyncio.run(find()) == [FoundServer("Attic", server.url)]


def test_the_usual_addresses_are_this_machine_and_the_one_that_a_container_runs_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_finding, "gateways", lambda: ["172.17.0.1"])

    found = _finding.usual_addresses("plex", 32400)

    assert found == [
        "http://localhost:32400",
        "http://plex:32400",
        "http://host.docker.internal:32400",
        "http://172.17.0.1:32400",
    ]
    assert discovery.PROBES.keys() == _finding.GREETERS.keys()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("192.168.1.10", "http://192.168.1.10:32400"),
        (" attic.lan:1234/ ", "http://attic.lan:1234"),
        ("https://plex.example.org/", "https://plex.example.org"),
        ("[fd00::1]", "http://[fd00::1]:32400"),
        ("example.org/plex", "http://example.org/plex"),
        ("", ""),
    ],
)
def test_an_address_is_completed(typed: str, meant: str) -> None:
    assert complete_address("plex", typed) == meant


def test_a_certificate_of_an_unknown_authority_names_the_setting(tmp_path: Path) -> None:
    fake = JellyfinServer()
    with Secure(fake, tmp_path) as server:
        with pytest.raises(Retry, match="set CA_FILE to that authority's certificate"):
            described("jellyfin", url=server.url, api_key=fake.switches.key)
        assert "Cellar" in described(
            "jellyfin", str(server.authority), url=server.url, api_key=fake.switches.key
        )
