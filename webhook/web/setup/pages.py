"""Setup pages: the addresses to paste into each media server, with its last webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.clock import stamp
from webhook.pipeline.receiver import Rejection
from webhook.service import Service
from webhook.settings import LOOPBACK
from webhook.web.http.addresses import Url, address_of, addresses
from webhook.web.http.arrivals import ArrivalJson, arrivals
from webhook.web.http.page import Page
from webhook.web.visible import Visitor

SOURCE_ORDER = ("plex", "jellyfin", "emby", "tautulli")


class Setup(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/setup", self.page(self.setup))]

    async def setup(self, request: Request, visitor: Visitor) -> Response:
        known = await read_sources(self.service, request, visitor)
        return self.render(request, "setup.html", known, visitor)


class OtherUrl(TypedDict):
    """The address of a source for a token that is not the shared one."""

    name: str | None
    url: str


class SourceSetup(Url):
    """A source with its shared address, and those of the other tokens."""

    others: list[OtherUrl]


class SetupSources(TypedDict):
    """What there is to set up each source with: its addresses, last webhook and last refusal."""

    sources: dict[str, SourceSetup]
    came: dict[str, ArrivalJson]
    turned: dict[str, dict[str, str]]
    only_here: bool
    loopback: bool
    from_elsewhere: str | None


async def read_sources(service: Service, request: Request, visitor: Visitor) -> SetupSources:
    address = address_of(service, request)
    found, came = await service.database.read(
        lambda connection: (addresses(connection, service, visitor, address), arrivals(connection, visitor))
    )
    turned = service.receiver.turned_away if visitor.is_admin else {}
    return {
        "sources": by_source(found),
        "came": came,
        "turned": turned_since(turned, came),
        "only_here": is_loopback(address),
        "loopback": service.settings.host in LOOPBACK,
        "from_elsewhere": service.settings.lan_address,
    }


def by_source(found: Sequence[Url]) -> dict[str, SourceSetup]:
    """Each source once, with its shared address first, and those of the other tokens."""
    shown: dict[str, SourceSetup] = {}
    for entry in sorted(found, key=lambda entry: source_rank(entry["source"])):
        source = shown.setdefault(entry["source"], {**entry, "others": []})
        if source["token"] != entry["token"]:
            source["others"].append({"name": entry["token_name"], "url": entry["url"]})
    return shown


def turned_since(
    turned: Mapping[str, Rejection], came: Mapping[str, ArrivalJson]
) -> dict[str, dict[str, str]]:
    """Each source's last refusal, if it came after the last accepted webhook, as the page shows it."""
    last = {source: datetime.fromisoformat(at) for source, one in came.items() if (at := one["at"])}
    return {
        source: {"at": stamp(one.at) or "", "peer": one.peer, "why": one.why}
        for source, one in turned.items()
        if source not in last or last[source] < one.at
    }


def source_rank(source: str) -> int:
    """The sort rank of a source: the most used first, the others in their order."""
    return SOURCE_ORDER.index(source) if source in SOURCE_ORDER else len(SOURCE_ORDER)


def is_loopback(address: str) -> bool:
    """True for a loopback address, to which no other machine can send."""
    return urlsplit(address).hostname in LOOPBACK
