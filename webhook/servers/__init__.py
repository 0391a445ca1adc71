"""Media servers and their own records of plays: one file is one server; its name is its source's.

A server module has `LABEL`, `PURPOSE` (its purpose), `SETUP` (a step each), `Settings` and `build`, which makes a
`Server` of its settings and an HTTP client.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

from webhook.domain.event import Event, Item
from webhook.settings import Environ, is_mentioned, read_settings
from webhook.sources._listened import Statement
from webhook.system.modules import list_modules, load_module, load_modules

if TYPE_CHECKING:
    import httpx

MAX_COUNTED_CALLS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One entry of a server's history. `key` is its key there, the same whenever it is read.

    `logged` says that the history has an entry for each viewing, not only the latest date of each item.
    """

    event: Event
    key: str
    logged: bool = False

    def record_key(self, source: str) -> str:
        """The entry's key among those of all servers."""
        return f"{source}:{self.event.server}:{self.key}"[:200]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerItem:
    """An item's place on a server: its own key there, and its show's where that is known."""

    item: Item
    item_key: str
    show_key: str | None = None


@runtime_checkable
class HasPictures(Protocol):
    """A server that gives the pictures of its items."""

    async def server_id(self) -> str | None:
        """The server's own id, as webhooks name it; raises Retry and Dead."""
        ...

    async def pictures(self, place: ServerItem) -> Sequence[bytes]:
        """The poster and the backdrop of a film or a show, the cover of a track, as far as there are any.

        They are not looked at here; raises Retry and Dead.
        """
        ...

    async def season_posters(self, place: ServerItem) -> Sequence[bytes]:
        """The poster of an episode's season, if there is one; raises Retry and Dead."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerReport:
    """What a server says of itself and of the token. `user` is whose token it is where it hears nobody else."""

    label: str
    name: str
    version: str | None
    people: int = 1
    user: str | None = None

    def sentence(self) -> str:
        system = f"{self.label} {self.version}" if self.version else self.label
        connected = f"Connected to {self.name}, {system}."
        return f"{connected} {self.audience()}"

    def audience(self) -> str:
        """Whom the token hears, in a sentence."""
        if self.user is not None:
            return f"It hears only {self.user}, whose token this is."
        if not self.people:
            return "Nobody uses it yet."
        if self.people == 1:
            return "One person uses it, and is heard."
        return f"{self.people} people use it, and all are heard."


@runtime_checkable
class Reports(Protocol):
    """A server that says which one it is, and whom it lets be heard."""

    async def report(self) -> ServerReport:
        """What it says; raises Retry where it does not answer, Dead where it refuses or is something else."""
        ...


async def describe_server(server: Server) -> str:
    """What a server says of itself, in words for a person; raises as `check` does."""
    if isinstance(server, Reports):
        return (await server.report()).sentence()
    name = await server.check()
    return f"Connected as {name}."


class Audience(Protocol):
    """Whoever listens to a server, and keeps what it says."""

    async def connect(self) -> None:
        """Take note that the server is being heard from now on."""
        ...

    async def keep(self, statement: Statement) -> None:
        """Keep a statement; it is committed once this returns."""
        ...

    def catch_up(self) -> None:
        """Have the server's own record read soon, for what could not be heard."""
        ...

    async def recall(self, name: str) -> Any:
        """What was remembered by this name, as JSON; None where nothing was."""
        ...

    async def remember(self, name: str, value: Any) -> None:
        """Remember a value by its name; it is committed once this returns."""
        ...

    async def sign_ins(self) -> Mapping[str, str]:
        """The tokens of people who signed in to this server here, by their names there."""
        ...


@runtime_checkable
class Listenable(Protocol):
    """A server that says what happens on it while it happens."""

    calls: CallMeter
    remark: str | None
    """What is less than usual about how it is heard, though nothing is lost by it."""

    async def listen(self, audience: Audience) -> None:
        """Listen over one connection until it ends; raises Retry where it broke off and Dead where it was refused.

        Nothing is made up of what happened before a connection, or between two that lie minutes apart.
        """
        ...


def is_listenable(server: object) -> TypeGuard[Listenable]:
    return isinstance(server, Listenable)


class CallMeter:
    """Counts the calls made to a server within the last minute."""

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=MAX_COUNTED_CALLS)

    def count(self) -> None:
        self.times.append(time.monotonic())

    def per_minute(self) -> int:
        since = time.monotonic() - 60
        return sum(at >= since for at in self.times)


class Server(Protocol):
    name: str  # the source whose users these are
    label: str

    def plays(self, since: datetime | None) -> AsyncIterator[Found]:
        """The viewings since then, oldest first, as recorded `watched` events; everything for None.

        Raises Retry where the server does not answer and Dead where it refuses or speaks no sense.
        """
        ...

    async def check(self) -> str:
        """The server's own name; raises as `plays` does."""
        ...


@cache
def modules() -> Mapping[str, ModuleType]:
    """Every server module by its name: the files of this folder without a leading underscore."""
    return load_modules(__name__)


def is_set_up(name: str, environ: Environ) -> bool:
    return read_settings(load_module(__name__, name).Settings, f"{name}_", environ) is not None


def build(environ: Environ, http: httpx.AsyncClient) -> dict[str, Server]:
    """The media servers that are set up to be asked, by name."""
    built: dict[str, Server] = {}
    mentioned = [name for name in list_modules(__name__) if is_mentioned(name, environ)]
    for name, module in load_modules(__name__, mentioned).items():
        given = read_settings(module.Settings, f"{name}_", environ)
        if given is not None:
            built[name] = module.build(given, http)
    return built
