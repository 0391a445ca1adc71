"""Marks that the people who share a Plex server set by hand, each read with that person's own token.

plex.tv gives the owner these tokens; whoever has none there may have signed in to the server here. Of anybody else it is
unknown what they mark.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from webhook import clock
from webhook.domain.outcome import Undelivered
from webhook.servers import Audience
from webhook.servers.plex.account import PlexAccount
from webhook.servers.plex.api import PlexApi, Unauthorized
from webhook.servers.plex.polling import Poller

log = structlog.get_logger()

MEMBERS_INTERVAL = 300.0
"""Seconds between two looks at the marks of those who share a server, one person after the other."""

TOKENS_INTERVAL = 3600.0
PEOPLE = "people"
"""What it is remembered under, beside the line to the server, whose tokens are used."""

FROM_PLEX_TV, SIGNED_IN = "plex.tv", "sign-in"
User = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who shares the server, as webhooks name them, and their token for it."""

    user: User
    token: str
    by: str = FROM_PLEX_TV


class Members:
    """Asks for the marks of those who share a server; `covers` says whether a person's playing of an item was heard."""

    def __init__(
        self,
        account: PlexAccount,
        api: PlexApi,
        audience: Audience,
        server: Mapping[str, Any],
        covers: Callable[[str, User], bool],
    ) -> None:
        self.account = account
        self.api = api
        self.audience = audience
        self.server = server
        self.covers = covers
        self.pollers: dict[str, Poller] = {}  # by token
        self.members: dict[str, Member] = {}  # likewise
        self.found_at: float | None = None

    async def run(self) -> None:
        """Poll until cancelled; nobody's failure is another's."""
        while True:
            await self.poll()
            await asyncio.sleep(MEMBERS_INTERVAL)

    async def poll(self) -> None:
        if self.found_at is None or time.monotonic() - self.found_at >= TOKENS_INTERVAL:
            await self.find_tokens()
        for token, poller in list(self.pollers.items()):
            try:
                await poller.poll()
            except Unauthorized:
                del self.pollers[token], self.members[token]
                await self.remember_people(self.members.values())
            except Undelivered as error:
                log.info("A person's marks on Plex could not be read.", action="poll_marks", why=str(error))

    async def find_tokens(self) -> None:
        """Find who shares the server, and keep what is known of those that still do."""
        self.members = {member.token: member for member in await self.find_members()}
        self.pollers = {
            token: self.pollers.get(token) or self.new_poller(member)
            for token, member in self.members.items()
        }
        await self.remember_people(self.members.values())
        self.found_at = time.monotonic()

    async def remember_people(self, members: Iterable[Member]) -> None:
        """Remember whose tokens are used, where each is from and since when, so that a page can say it."""
        before = await self.audience.recall(PEOPLE) or {}
        now = clock.stamp(clock.now())
        people = {
            str(one.user["title"]): {
                "by": one.by,
                "since": before.get(one.user["title"], {}).get("since", now),
            }
            for one in members
        }
        if people != before:
            await self.audience.remember(PEOPLE, people)

    async def find_members(self) -> list[Member]:
        """Those of whom plex.tv gives the token, and those who signed in here; each once."""
        try:
            names = await self.api.account_names()
            shared = await self.account.shared_tokens(str(self.server["uuid"]))
        except Undelivered as error:
            log.info("plex.tv does not say who shares the server.", action="shared_tokens", why=str(error))
            names, shared = {}, []
        found = [
            Member({"id": one.account, "title": name}, one.token)
            for one in shared
            if (name := names.get(one.account) or one.name)
        ]
        known = {member.user["title"] for member in found}
        own = await self.audience.sign_ins()
        return found + [
            Member({"title": name}, token, SIGNED_IN) for name, token in own.items() if name not in known
        ]

    def new_poller(self, member: Member) -> Poller:
        api = PlexApi(self.api.http, self.api.address, member.token)
        api.calls = self.api.calls

        def covers(item: str) -> bool:
            return self.covers(item, member.user)

        return Poller(api, self.audience, self.server, member.user, covers)
