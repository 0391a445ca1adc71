"""The account at plex.tv of whoever signs in: which servers it may use, and by which token.

A list of servers names their addresses, so that one who signs in need not know any. plex.tv is asked one call at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from xml.parsers import expat

import httpx

from webhook.client import accept, call, read_json, version
from webhook.domain import values
from webhook.domain.outcome import Dead
from webhook.servers._http import ServerAddress, get_json
from webhook.servers.plex.api import PRODUCT

LABEL = "plex.tv"
CLIENT = "watchmark"
"""The name by which plex.tv knows this program: the same for every call of a sign-in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountServer:
    """A server that an account may use. `owned` if it is the account's own, whose token then hears everybody."""

    machine: str
    name: str
    owned: bool
    token: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedToken:
    """Somebody who shares a server: the number of their account, their name at plex.tv, and their token there."""

    account: str
    name: str | None
    token: str


async def request_machine(http: httpx.AsyncClient, url: str) -> str:
    """The id of the server at an address, which it tells anybody; raises Retry and Dead."""
    address = ServerAddress(label="Plex", name="plex", url=url, key="PLEX_TOKEN", mend="")
    found = await get_json(http, address, "/identity", headers={"Accept": "application/json"})
    machine = values.text(
        values.mapping(values.mapping(found).get("MediaContainer")).get("machineIdentifier")
    )
    if machine is None:
        raise address.wrong_answer("Plex answered without saying which server it is", "")
    return machine


class PlexAccount:
    """One account, by the token that its sign-in gave."""

    def __init__(self, http: httpx.AsyncClient, url: str, token: str) -> None:
        self.http = http
        self.url = url.rstrip("/")
        self.token = token

    async def servers(self) -> list[AccountServer]:
        found = await self.get_json("/api/v2/resources", {"includeHttps": "1"})
        return [server for row in values.objects(found) if (server := read_server(row)) is not None]

    async def shared_tokens(self, machine: str) -> list[SharedToken]:
        """The tokens of everybody who shares the owner's server; raises Undelivered where plex.tv gives none."""
        path = f"/api/servers/{quote(machine, safe='')}/shared_servers"
        return read_shared_tokens((await self.request("GET", path)).content)

    async def user_name(self) -> str:
        found = values.mapping(await self.get_json("/api/v2/user"))
        name = values.text(found.get("username")) or values.text(found.get("title"))
        if name is None:
            raise Dead(f"{LABEL} does not say whose account this is")
        return name

    async def get_json(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        return read_json(LABEL, await self.request("GET", path, params))

    async def request(
        self, method: str, path: str, params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        url, headers = self.url + path, self.headers()
        return accept(LABEL, await call(self.http, LABEL, method, url, headers=headers, params=params))

    def headers(self) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "X-Plex-Token": self.token,
            "X-Plex-Client-Identifier": CLIENT,
            "X-Plex-Product": PRODUCT,
            "X-Plex-Version": version(),
            "X-Plex-Device-Name": PRODUCT,
        }


def read_shared_tokens(answer: bytes) -> list[SharedToken]:
    """The tokens in an answer, which is XML; one with a document type or entities of its own is refused."""
    found: list[SharedToken] = []

    def begin(name: str, given: dict[str, str]) -> None:
        account, token = values.text(given.get("userID")), values.text(given.get("accessToken"))
        if name == "SharedServer" and account and token:
            found.append(SharedToken(account=account, name=values.text(given.get("username")), token=token))

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse_answer
    parser.StartElementHandler = begin
    try:
        parser.Parse(answer, True)
    except expat.ExpatError as error:
        raise Dead(f"{LABEL} answered with something that is no XML") from error
    return found


def refuse_answer(*_: Any) -> None:
    raise Dead(f"{LABEL} answered with a document type of its own")


def read_server(row: Mapping[str, Any]) -> AccountServer | None:
    """A media server among what an account may use; None of a player, or of a server that gives it no token."""
    machine, token = values.text(row.get("clientIdentifier")), values.text(row.get("accessToken"))
    if machine is None or token is None or "server" not in str(row.get("provides")).split(","):
        return None
    return AccountServer(
        machine=machine,
        name=values.text(row.get("name")) or machine,
        owned=row.get("owned") is True,
        token=token,
        addresses=tuple(dict.fromkeys(read_addresses(row))),
    )


def read_addresses(row: Mapping[str, Any]) -> Iterator[str]:
    """The addresses of a server, those of its home first; not those by way of somebody else's machine."""
    direct = [one for one in values.objects(row.get("connections")) if one.get("relay") is not True]
    for one in sorted(direct, key=lambda one: one.get("local") is not True):
        uri, host, port = (values.text(one.get(name)) for name in ("uri", "address", "port"))
        if uri is not None and uri.startswith(("http://", "https://")):
            yield uri.rstrip("/")
        if one.get("local") is True and host and port and ":" not in host:
            yield f"http://{host}:{port}"
