"""Filters of the history page: what its address asks for, and the chips that change it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from webhook.domain.event import Kind
from webhook.queries.plays import Offer, Only
from webhook.texts import texts
from webhook.web.history.models import PLAY_KINDS
from webhook.web.http.language import gettext
from webhook.web.http.params import Params

KIND_WORDS = texts({Kind.MOVIE: "Films", Kind.EPISODE: "Episodes", Kind.TRACK: "Music"})
ONLY_WORDS = texts(
    {
        Only.NOT_SENT: "Not sent",
        Only.BY_HAND: "By hand",
        Only.REWATCHED: "Rewatched",
        Only.REMOVED: "Removed",
    }
)
VIEWS = ("grid",)
MAX_LIBRARIES = 8
"""Libraries offered as chips."""


class Chip(NamedTuple):
    """A filter as a link: it sets the filter, or lets go of it where it is set."""

    words: str
    query: str
    chosen: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """The filters of an address. `person` is set where it is not the visitor."""

    person: str | None
    text: str | None
    kind: str | None
    library: str | None
    only: str | None
    view: str | None
    select: str | None

    @classmethod
    def of_params(cls, params: Params, person: str | None) -> Filters:
        return cls(
            person=person,
            text=params.text("text"),
            kind=params.choice("kind", PLAY_KINDS),
            library=params.text("library"),
            only=params.choice("only", list(Only)),
            view=params.choice("view", VIEWS),
            select=params.choice("select", ("1",)),
        )

    @property
    def narrow(self) -> bool:
        """True if plays may be left out."""
        return any((self.text, self.kind, self.library, self.only))

    def fields(self, **changes: str | None) -> dict[str, str]:
        """The parameters of the address with these changes."""
        return {name: value for name, value in {**asdict(self), **changes}.items() if value}

    def query(self, **changes: str | None) -> str:
        """The query string with these changes, with its question mark; empty for the plain page."""
        fields = self.fields(**changes)
        return f"?{urlencode(fields)}" if fields else ""

    def chips(self, names: Sequence[str], visitor: str | None, offers: Sequence[Offer]) -> Iterator[Chip]:
        """The chips of the page: people where there are several, kinds, exceptions, libraries."""
        owner = self.person or visitor
        for name in names if len(names) > 1 else ():
            chosen = name == owner
            other = None if name == visitor else name
            yield Chip(name, self.query(person=other, library=self.library if chosen else None), chosen)
        kinds = {offer.kind for offer in offers} | {self.kind}
        for kind, words in KIND_WORDS.items():
            if kind in kinds or (kind is not Kind.TRACK and len(kinds) > 1):
                yield self.toggle("kind", kind, gettext(words))
        for only, words in ONLY_WORDS.items():
            yield self.toggle("only", only, gettext(words))
        libraries = {offer.library: True for offer in offers if offer.library}
        shown = list(libraries)[:MAX_LIBRARIES] if len(libraries) > 1 else []
        for library in dict.fromkeys([*shown, *([self.library] if self.library else [])]):
            yield self.toggle("library", library, gettext("in %(library)s", library=library))

    @property
    def selects(self) -> bool:
        """True if plays are selected here; a grid has no room for that."""
        return self.select is not None and self.view is None

    @property
    def lists_removals(self) -> bool:
        """True if the plays are those that were removed."""
        return self.only == Only.REMOVED

    def toggle(self, name: str, value: str, words: str) -> Chip:
        chosen = getattr(self, name) == value
        return Chip(words, self.query(**{name: None if chosen else value}), chosen)
