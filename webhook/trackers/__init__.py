"""Trackers: the services that plays are sent to. One file is one tracker; its name is its settings' prefix.

A tracker module has `LABEL`, `PURPOSE` (what it is for) and `SETUP` (what to get where, a step each), `Settings`
(what the environment gives it), `build` (settings and an HTTP client to a tracker) and the class that `build`
returns, which fulfils `Tracker`; `_base.BaseTracker`, `_scrobbler.Scrobbler` and `_music.MusicTracker` have the defaults.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from webhook.domain.event import Action, Item, Kind
from webhook.domain.outcome import Done, Undelivered
from webhook.domain.play import Dated
from webhook.settings import Environ, is_mentioned, read_settings
from webhook.system.modules import list_modules, load_module, load_modules

if TYPE_CHECKING:
    import httpx

    from webhook.domain.anime_index import AnimeEntry, AnimeNamespace
    from webhook.domain.copies import Copy, Expectation
    from webhook.domain.daily_calls import DailyCalls
    from webhook.trackers._facts import Facts

Tokens = Mapping[str, Any]
SignIn = Literal["device", "web", "password", "token", "receiver", "none"]
ALWAYS_BUILT = frozenset({"listenbrainz", "mdblist", "tvtime", "webhook_out"})  # they require no setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One thing to send to one account, as a tracker sees it.

    `progress` is percent (0-100), `at` is aware UTC: when it happened, as exactly as `dated` says. `mark`
    makes the watched mark, `started_at` is when the play began. `late`: nothing that happens now, because it is
    too old or was read from a record of the past, so it goes out with its date. `unsure`: an earlier attempt
    may have been recorded, so look at the service before sending. `remote_id` is the handle of what is to be
    undone, or that was stored before an earlier attempt. `asked`: a person asked for it. `anime` is its entry.
    """

    id: int
    action: Action
    item: Item
    at: datetime
    progress: float | None = None
    estimated: bool = False
    duration_ms: int | None = None
    started_at: datetime | None = None
    mark: bool = False
    rating: int | None = None
    dated: Dated = Dated.EXACT
    late: bool = False
    unsure: bool = False
    rewatch: bool = False
    remote_id: str | None = None
    attempts: int = 0
    position_ms: int | None = None
    asked: bool = False
    anime: AnimeEntry | None = None


class Library(Protocol):
    """The person's own TV Time library here, which always has a home for the watched mark."""

    async def mark(self, item: Item, at: datetime, *, rewatch: bool) -> str:
        """Mark an episode (by its TVDB id) or a movie watched and follow the show; returns a sentence."""

    async def unmark(self, item: Item) -> str: ...

    def history(self, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """Every mark (of a last viewing at `since` or later), with the time of its last viewing."""


class Access(Protocol):
    """An account's sign-in, as a tracker may use it, and the library of the person it belongs to."""

    @property
    def tokens(self) -> Tokens: ...

    @property
    def library(self) -> Library: ...

    async def renew(self, stale: Tokens) -> Tokens:
        """Newer tokens than `stale`, renewed once for all who wait; raises Snooze when signed out."""

    async def is_ours(self, remote_id: str) -> bool:
        """True if a delivery to this account made what the service knows by this handle."""

    async def find_copies(self, item: Item) -> Sequence[Copy]:
        """The copies of an item on the media server of this account, as it was listed last; raises Snooze before that."""

    async def note_calls(self, left: DailyCalls) -> None:
        """Store how many calls the service still takes today, to be shown."""

    async def store_handles(self, handles: Mapping[int, str]) -> None:
        """Store, before anything is sent, the handles by which deliveries (by their ids) are recognised and undone."""

    async def find_zone(self) -> tzinfo:
        """The time zone that the person's days begin in."""

    async def expect(self, expected: Sequence[Expectation]) -> None:
        """Store, before anything is sent, what the media server will report of it."""

    async def is_playing(self, copy: Copy) -> bool:
        """True while the person plays this item, there or elsewhere, as far as it is heard here."""

    async def find_delays(self, action: Action, count: int) -> Sequence[timedelta]:
        """How long each of so many changes waits that nobody asked for; those that may be made now do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceCode:
    """A device sign-in under way: show `user_code` (none if the address holds it) and `url`, poll every `interval`."""

    user_code: str = ""
    url: str
    interval: timedelta
    expires_in: timedelta
    device_code: str


class SignInFailed(Exception):
    """The sign-in did not succeed; the message is for the person."""


class Tracker(Protocol):
    name: str
    label: str
    facts: Facts
    sign_in: SignIn
    kinds: frozenset[Kind]
    tells: frozenset[Action]  # the actions it takes
    needs: Mapping[Kind, tuple[str, ...]]  # id namespaces of which the item must have one; empty: none
    wants: Mapping[Kind, tuple[str, ...]]  # ids that help to show what is on, and that it does without
    writes_per_second: float  # per account; 0 is no pacing
    host: str
    many_hosts: bool  # each account has an address of its own, so that no account's trouble is another's
    one_mark: bool  # keeps one mark of an item, however often it was watched
    undated: bool  # takes a viewing without a date
    anime_ids: AnimeNamespace | None  # keeps one entry for each anime, known by the ids of this service
    local: bool  # keeps its records in our own database, where nothing is sent over the network

    async def send(self, delivery: Delivery, access: Access) -> Done:
        """Send it to the account; raises Retry, Snooze, Unmatched or Dead."""

    async def check(self, access: Access) -> str:
        """The account's name at the service; raises as `send` does when it does not work."""


class Batches(Protocol):
    """A tracker that takes many late marks in one call."""

    batch: int  # how many deliveries one call may carry

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Done | Undelivered]:
        """Send late marks together: the outcome of each, in their order; raises what concerns all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedItem:
    """One viewing that an account holds already; of a service that keeps one play an item, its last.

    `at` is when it was watched, of a track when it began (as both music services keep it), None without a date.
    """

    item: Item
    at: datetime | None
    remote_id: str | None = None


class ListsCopies(Protocol):
    """A media server, whose account is told what the person watched elsewhere once that is switched on."""

    def copies(self, access: Access) -> AsyncIterator[Sequence[Copy]]:
        """All films and episodes that the account sees, a page at a time; raises as `send` does."""


class ListsHistory(Protocol):
    """A tracker that can list its account's history, for a backfill or an import."""

    def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """Every viewing that the account holds, page by page; raises as `send` does.

        `since` leaves out what is dated before it. Nothing comes twice, even if the list grows while it is read.
        """


class Renews(Protocol):
    """A tracker whose tokens age."""

    def stale(self, tokens: Tokens, now: datetime) -> bool:
        """True if the tokens should be renewed before the next call."""

    async def refresh(self, tokens: Tokens) -> Tokens:
        """A new set of tokens; raises Snooze(park=signed_out) when the sign-in is gone, else Retry."""


class Device(Protocol):
    """A tracker signed in to by device code."""

    async def begin(self) -> DeviceCode: ...

    async def poll(self, code: DeviceCode) -> Tokens | None:
        """The tokens, None while the person has not agreed yet; raises SignInFailed."""


class Password(Protocol):
    """A tracker signed in to by user name and password, which are used once and not kept."""

    async def login(self, username: str, password: str) -> Tokens: ...


class TokenSignIn(Protocol):
    """A tracker signed in to by a token that the service shows to the person."""

    async def accept_token(self, token: str) -> Tokens:
        """The sign-in that the token is good for; raises SignInFailed where it is not."""


class Revokes(Protocol):
    """A tracker whose sign-ins can be given back."""

    async def revoke(self, tokens: Tokens) -> None: ...


def label(name: str) -> str:
    """The tracker's name for people."""
    return str(load_module(__name__, name).LABEL) if name in list_modules(__name__) else name


@cache
def modules() -> Mapping[str, ModuleType]:
    """Every tracker module by its name: the files of this folder without a leading underscore."""
    return load_modules(__name__)


def build(environ: Environ, http: httpx.AsyncClient) -> dict[str, Tracker]:
    """The trackers that are set up, by name."""
    built: dict[str, Tracker] = {}
    wanted = [name for name in list_modules(__name__) if name in ALWAYS_BUILT or is_mentioned(name, environ)]
    for name, module in load_modules(__name__, wanted).items():
        if (given := read_settings(module.Settings, f"{name}_", environ)) is not None:
            built[name] = module.build(given, http)
    return built
