"""The rules: filters, household rules, and the actions sent to each account. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from webhook.domain.advance import VIEWING_ACTIONS
from webhook.domain.event import MANY_OF_KIND, STREAMS, Action, Event, Kind, describe_kind
from webhook.domain.json_shapes import FiltersJson, ListsJson, RulesJson
from webhook.domain.play import Change
from webhook.domain.playback import is_reached

LIVE_ACTIONS = frozenset({Action.START, Action.PAUSE, Action.STOP})
ALWAYS_ON = frozenset({Action.START, Action.PAUSE, Action.STOP, Action.WATCHED})
"""The actions enabled by default; the others must be switched on."""

OPTIONAL_ACTIONS = (
    Action.UNWATCHED,
    Action.RATE,
    Action.ADD,
    Action.FAVOURITE,
    Action.WATCHLIST,
    Action.PROGRESS,
)
SWITCHES = (Action.WATCHED, *OPTIONAL_ACTIONS)
"""The actions that can be switched; watched is only where it is off at first, as of a media server."""

FOLLOWS: Mapping[Action, Action] = {
    Action.UNRATE: Action.RATE,
    Action.UNFAVOURITE: Action.FAVOURITE,
    Action.UNWATCHLIST: Action.WATCHLIST,
}
"""Undo actions, each sent wherever its counterpart is."""


MIN_POSITION_MS = 60_000
"""The earliest position from which a media server goes on: Plex takes none before it."""

PlaceName = Literal["libraries", "not_libraries", "players", "not_players"]
PLACES: tuple[PlaceName, ...] = ("libraries", "not_libraries", "players", "not_players")
LISTS: tuple[Literal["libraries", "not_libraries", "players", "not_players", "kinds"], ...] = (
    *PLACES,
    "kinds",
)
"""The lists that filters and an account's rules are made of."""

DRY_RUN = "dry run: shown, not sent"
"""The reason of a delivery that an account's dry run kept back; its answer says what would be sent."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a person; an empty list accepts everything."""

    libraries: tuple[str, ...] = ()
    not_libraries: tuple[str, ...] = ()
    players: tuple[str, ...] = ()
    not_players: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    home_videos: bool = False

    @classmethod
    def from_json(cls, given: FiltersJson | None) -> Filters:
        given = given or {}
        return cls.from_lists(given, home_videos=bool(given.get("home_videos")))

    @classmethod
    def from_lists(cls, given: ListsJson, *, home_videos: bool) -> Filters:
        return cls(
            libraries=tuple(given.get("libraries") or ()),
            not_libraries=tuple(given.get("not_libraries") or ()),
            players=tuple(given.get("players") or ()),
            not_players=tuple(given.get("not_players") or ()),
            kinds=tuple(given.get("kinds") or ()),
            home_videos=home_videos,
        )

    def lists(self) -> ListsJson:
        """The lists, each of them present."""
        return {
            "libraries": [*self.libraries],
            "not_libraries": [*self.not_libraries],
            "players": [*self.players],
            "not_players": [*self.not_players],
            "kinds": [*self.kinds],
        }

    @property
    def is_by_place(self) -> bool:
        """True if they ask for the player or the library."""
        return any(getattr(self, name) for name in PLACES)


def stopping_filter(filters: Filters, event: Event) -> str | None:
    """The filter that stops the event, in words, or None."""
    if event.home_video and not filters.home_videos:
        return "home_video"
    if filters.kinds and event.item.kind not in filters.kinds:
        return f"filter: only {join_kinds(filters.kinds)}, and this is {describe_kind(event.item.kind)}"
    checks = (
        ("library", event.library, filters.libraries, filters.not_libraries),
        ("player", event.player, filters.players, filters.not_players),
    )
    for name, value, only, never in checks:
        if only and not value:
            return f"filter: only the {name} {join_names(only)}, and the {name} of this is not known"
        if only and not among(value, only):
            return f"filter: only the {name} {join_names(only)}, and this is {value}"
        if among(value, never):
            return f"filter: never the {name} {value}"
    return None


def among(value: str | None, names: Iterable[str]) -> bool:
    return value is not None and value.casefold() in {name.casefold() for name in names}


def join_kinds(kinds: Iterable[str]) -> str:
    return join_names(MANY_OF_KIND.get(kind, kind) for kind in kinds)


def join_names(names: Iterable[str]) -> str:
    return " or ".join(names)


@dataclass(frozen=True, slots=True)
class AccountRules:
    """One account's own rules.

    `mark` is its watched mark in percent where it differs from the service's; `dry_run` shows what
    would be sent and sends nothing.
    """

    filters: Filters = Filters(home_videos=True)
    mark: float | None = None
    dry_run: bool = False

    @classmethod
    def from_json(cls, given: RulesJson | None) -> AccountRules:
        given = given or {}
        mark = given.get("watched_mark")
        return cls(
            # What the person lets through has passed the person's filters already.
            Filters.from_lists(given, home_videos=True),
            None if mark is None else float(mark),
            bool(given.get("dry_run")),
        )


@dataclass(frozen=True, slots=True)
class HouseholdRule:
    """A rule by which plays on these players, of these libraries, count for these people (ids). Empty is any."""

    players: tuple[str, ...]
    libraries: tuple[str, ...]
    people: tuple[int, ...]

    def holds(self, event: Event) -> bool:
        on_player = not self.players or among(event.player, self.players)
        return on_player and (not self.libraries or among(event.library, self.libraries))


def viewers(event: Event, claimer: int, household: Iterable[HouseholdRule]) -> tuple[int, ...]:
    """The people a viewing counts for: those of the matching household rules, else its claimant.

    Only viewings: a rating, for one, is its giver's own.
    """
    if event.action not in VIEWING_ACTIONS:
        return (claimer,)
    found = [person for rule in household if rule.holds(event) for person in rule.people]
    return tuple(dict.fromkeys(found)) or (claimer,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An account with the properties that decide which actions it gets.

    `can` is what its tracker can be told at all, `kinds` the kinds of items it takes,
    `tells` what is switched on for the account, `rules` are its own. `server` is the media server that it is an
    account at, which knows by itself what happens there.
    """

    id: int
    kinds: frozenset[Kind]
    can: frozenset[Action]
    tells: frozenset[Action]
    rules: AccountRules = AccountRules()
    server: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedDelivery:
    """One planned delivery to an account; `skipped` names the rule that stops it."""

    account_id: int
    action: Action
    key: str
    mark: bool = False
    skipped: str | None = None


def plan_deliveries(
    event: Event, change: Change | None, play_id: int | None, origin: str, targets: Iterable[Target]
) -> list[PlannedDelivery]:
    """Plan the delivery to each account. `origin` names the webhook and event it comes from."""
    return [
        planned for target in targets if (planned := plan_delivery(event, change, play_id, origin, target))
    ]


def plan_delivery(
    event: Event, change: Change | None, play_id: int | None, origin: str, target: Target
) -> PlannedDelivery | None:
    said = plan_action(event, change, play_id, origin, target)
    if said is None:
        return None
    action, key, mark = said
    if event.item.kind not in target.kinds or action not in target.can:
        return None
    if target.server is not None and target.server == server_of(event, change):
        return None
    switch = Action.WATCHED if mark else FOLLOWS.get(action, action)
    off = None if switch in target.tells else f"{switch} is switched off for this account"
    kept_back = (
        off or unlisted_stream(event, change) or account_rule(stopping_filter(target.rules.filters, event))
    )
    return PlannedDelivery(account_id=target.id, action=action, key=key, mark=mark, skipped=kept_back)


def unlisted_stream(event: Event, change: Change | None) -> str | None:
    """The reason to ignore a stream that is known only by its address, or None for anything else."""
    return (
        "a stream known by its address alone, which no service lists"
        if server_of(event, change) == STREAMS
        else None
    )


def server_of(event: Event, change: Change | None) -> str | None:
    """The media server where it happened: of a mark that of the play."""
    return change.play.server if change is not None else event.server


def account_rule(stopped: str | None) -> str | None:
    return None if stopped is None else f"this account's {stopped}"


def plan_action(
    event: Event, change: Change | None, play_id: int | None, origin: str, target: Target
) -> tuple[Action, str, bool] | None:
    """The action, its key, and True if it makes the mark; None if this account gets nothing.

    The mark's key is the play: however often it is reported, an account is told once.
    """
    if event.action not in VIEWING_ACTIONS:
        return event.action, f"{event.action}:{origin}", False
    if change is None:
        return None
    if makes_mark(event, change, target.rules.mark):
        # Where playback is sent live, the mark is the stop that ends it.
        action = Action.STOP if Action.STOP in target.can else Action.WATCHED
        return action, f"watched:{play_id}", True
    if change.undone:
        return Action.UNWATCHED, f"unwatched:{play_id}", False
    if change.tell is not None and target.server is not None:
        is_elsewhere = event.server != target.server
        is_wanted = Action.PROGRESS in target.tells and is_elsewhere and is_left(change)
        return (Action.PROGRESS, f"{Action.PROGRESS}:{origin}", False) if is_wanted else None
    if change.tell is not None:
        return change.tell, f"{change.tell}:{origin}", False
    if change.finished:  # for the history, and not for this account's own mark
        return Action.STOP, f"stop:{origin}", False
    return None


def is_left(change: Change) -> bool:
    """True if the play ended at a position that is worth going on from, and that was reported."""
    position = change.play.position_ms
    return (
        change.tell is Action.STOP
        and not change.play.estimated
        and position is not None
        and position >= MIN_POSITION_MS
    )


def makes_mark(event: Event, change: Change, own: float | None) -> bool:
    """True if this makes the watched mark for an account. The server's own report does for every one;
    a position does from the account's own mark on, where it has one."""
    if own is None:
        return change.finished
    if change.undone or change.peek:
        return False
    if event.action is Action.WATCHED or event.completed:
        return change.play.watched_at is not None
    return event.action is Action.STOP and is_reached(change.play, own)
