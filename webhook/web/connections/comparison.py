"""The comparison of the trackers: what each costs and keeps, and what its sign-in needs, what is free first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from webhook import servers, trackers
from webhook.domain.event import Action, Kind
from webhook.texts import texts
from webhook.trackers import SignIn, Tracker
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches, find_class

COST_LABELS: Mapping[Cost | None, str] = texts(
    {
        Cost.FREE: "free",
        Cost.SELF_HOSTED: "free, on a server of your own",
        Cost.SUBSCRIPTION: "needs a paid membership",
    }
)
DATE_LABELS: Mapping[Dates | None, str] = texts(
    {
        Dates.EACH: "of every viewing",
        Dates.FIRST: "of the first viewing",
        Dates.LAST: "of the last viewing",
        Dates.SPAN: "the first and the last day",
        Dates.NONE: "only when it was sent",
    }
)
REWATCH_LABELS: Mapping[Rewatches | None, str] = texts(
    {
        Rewatches.EACH: "each of them",
        Rewatches.COUNTED: "as a number",
        Rewatches.PAID: "for paying members",
        Rewatches.NONE: "not kept",
    }
)
ANIME_LABELS: Mapping[Anime | None, str] = texts(
    {
        Anime.ONLY: "anime only",
        Anime.ENTRIES: "with entries of its own",
        Anime.SERIES: "like any series",
        Anime.NONE: "no",
    }
)
SIGN_IN_LABELS: Mapping[SignIn, str] = texts(
    {
        "device": "You enter a code there.",
        "web": "You agree on its page.",
        "password": "You enter your name and password.",
        "token": "You paste a key from there.",
        "receiver": "The owner enters the receiver's address.",
        "none": "Nothing.",
    }
)
APP_NEEDED, ADDRESS_NEEDED = texts(
    ("The owner registers an API app there.", "The owner enters the address of the server.")
)
COST_ORDER = (Cost.FREE, Cost.SELF_HOSTED, None, Cost.SUBSCRIPTION)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerChoice:
    """A tracker as it is compared: what it declares, and what its class shows."""

    name: str
    label: str
    facts: Facts
    kinds: frozenset[Kind]
    actions: frozenset[Action]
    sign_in: SignIn
    owner_part: str | None
    """What the owner does first, in a sentence; None where a person can sign in at once."""

    @property
    def can_undo(self) -> bool:
        return Action.UNWATCHED in self.actions

    @property
    def takes_music(self) -> bool:
        return Kind.TRACK in self.kinds

    @property
    def is_free(self) -> bool:
        return self.facts.cost is Cost.FREE

    @property
    def rank(self) -> tuple[int, bool, bool, str]:
        """What is free comes first, then what takes most."""
        cost = COST_ORDER.index(self.facts.cost)
        return cost, self.facts.anime is Anime.ONLY, self.takes_music, self.label.casefold()


def list_choices(built: Mapping[str, Tracker]) -> list[TrackerChoice]:
    """Every tracker, set up or not; how one signs in may follow from the settings of one that is."""
    found = [describe_tracker(name, module, built.get(name)) for name, module in trackers.modules().items()]
    return sorted(found, key=lambda choice: choice.rank)


def describe_tracker(name: str, module: ModuleType, built: Tracker | None) -> TrackerChoice:
    declared = find_class(module)
    return TrackerChoice(
        name=name,
        label=module.LABEL,
        facts=declared.facts,
        kinds=declared.kinds,
        actions=declared.tells,
        sign_in=(built or declared).sign_in,
        owner_part=describe_owner_part(module),
    )


def describe_owner_part(module: ModuleType) -> str | None:
    """What has to be set up before anybody signs in, by the settings that have no default."""
    required = [field for field, info in module.Settings.model_fields.items() if info.is_required()]
    if not required:
        return None
    return ADDRESS_NEEDED if required == ["url"] else APP_NEEDED


def split_servers(choices: Sequence[TrackerChoice]) -> tuple[list[TrackerChoice], list[TrackerChoice]]:
    """The trackers, and the media servers that can be told as well."""
    ours = [choice for choice in choices if choice.name not in servers.modules()]
    return ours, [choice for choice in choices if choice.name in servers.modules()]
