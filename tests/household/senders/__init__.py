"""The senders: what media servers report of a story, with the holes that contracts/webhooks.md measured.

Each keeps the state that the real one keeps (view counts, resume positions, played flags), because what it sends
depends on it. A message also says in plain terms what it shows, for `determined`; the service sees its body only.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tests.household.catalogue import Title
from tests.household.story import Act, Sitting, Story, Tick

Body = Mapping[str, Any]


class Shows(StrEnum):
    """What a message shows to whoever reads it, if nothing else had arrived."""

    START = "start"
    ON = "goes on"
    REST = "rests"
    END = "end"
    FINISH = "finished"
    TICK = "ticked"
    UNTICK = "unticked"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One webhook on its way: when it arrives, and what it shows of which act."""

    at: float
    source: str
    body: Body
    act: Act
    shows: Shows
    position: int | None = None
    runtime: int | None = None
    player: bool = True  # whether it names the player, which says who else watches
    parts: bool = False  # whether it names every episode of a file that holds several
    views: int | None = None  # how often the server itself says that the account has watched it
    address: str | None = None  # whose own address it comes by, if not by the household's

    @property
    def title(self) -> Title:
        return self.act.title


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How the household's servers are set up.

    `listened` says that the servers are listened to, `plex` that the Plex server sends webhooks, `webhooks` that
    the Jellyfin and the Emby do.
    `ahead` is by how many seconds their clocks are wrong; `own_address` whose Emby posts to an address of that
    person, and names nobody; `saved_only` that Jellyfin's plugin sends nothing but what it saves; `kodi` that the
    television plays Plex by PlexKodiConnect; `scrobbles_only` that a relay keeps back what else Plex reports; `synced` that a tool marks in Jellyfin what was watched on Plex.
    """

    plex: bool = True
    listened: bool = False
    webhooks: bool = True
    tautulli: bool = False
    jellyfin: str = (
        "properties"  # or the plugin's "template", or one that is "nameless": without the server's id
    )
    progress: bool = False
    saved_only: bool = False
    synced: bool = False
    kodi: bool = False
    scrobbles_only: bool = False
    own_address: str | None = None
    ahead: int = 0
    seed: int = 0

    def dice(self, act: Act, sender: str) -> random.Random:
        """The same dice for the same act, whatever else the story tells."""
        return random.Random(f"{self.seed} {sender} {act}")  # noqa: S311 - it leaves holes in webhooks

    def copy(self, act: Act) -> int:
        """Which of the copies that a server has of the title is played."""
        return self.dice(act, "copy").randrange(act.title.copies)


class Sender(Protocol):
    def sat(self, sitting: Sitting) -> Iterator[Message]:
        """What is reported of a sitting."""
        ...

    def ticked(self, tick: Tick) -> Iterator[Message]:
        """What is reported of a mark that was set by hand."""
        ...


def messages(story: Story, setup: Setup) -> list[Message]:
    """All that arrives of the story, in the order in which it does."""
    from tests.household.senders.plex_live import LivePlex
    from tests.household.senders.sessions_live import Live

    found: list[Message] = []
    servers = senders(setup)
    for sender in servers["plex"]:
        if isinstance(sender, LivePlex):
            sender.look_ahead(story)
    for act in story.acts:
        server = act.server
        for sender in servers[server]:
            found += sender.sat(act) if isinstance(act, Sitting) else sender.ticked(act)
    for sender in (*servers["jellyfin"], *servers["emby"]):
        if isinstance(sender, Live):
            found += sender.heard()
    return in_order(found)


def in_order(found: Iterable[Message]) -> list[Message]:
    return sorted(found, key=lambda message: message.at)


def senders(setup: Setup) -> Mapping[str, list[Sender]]:
    """Who reports what is played on each server."""
    from tests.household.senders.emby import EmbyServer
    from tests.household.senders.jellyfin import JellyfinServer
    from tests.household.senders.plex import PlexServer
    from tests.household.senders.plex_live import LivePlex
    from tests.household.senders.sessions_live import LiveEmby, LiveJellyfin
    from tests.household.senders.tautulli import Tautulli

    jellyfin = LiveJellyfin(setup) if setup.listened else JellyfinServer(setup)
    emby = LiveEmby(setup) if setup.listened else EmbyServer(setup)
    server = LivePlex if setup.listened else PlexServer
    plex: list[Sender] = [server(setup, jellyfin if setup.synced else None)]
    if not setup.plex and not setup.listened:
        plex.clear()
    if setup.tautulli:
        plex.append(Tautulli(setup))
    return {"plex": plex, "jellyfin": [jellyfin], "emby": [emby]}
