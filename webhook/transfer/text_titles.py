"""Titles of services that give everything as one text, such as `Dark: Staffel 1: Geheimnisse`. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from webhook.domain.event import Episode, Item, Movie
from webhook.domain.items import fold_title
from webhook.transfer.season_words import FoundSeason, read_number, read_season

JOINT = ": "
SUFFIX = re.compile(r"\((?:episode|folge|épisode|episodio|episódio|aflevering|odcinek|avsnitt|afsnit|jakso|エピソード|에피소드)\s?(\d{1,4})\)$", re.IGNORECASE)  # fmt: skip
REPEATED = re.compile(r"(?<=\s)(?:\d{1,2}|[IVX]{1,4})$")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTitle:
    """A title taken apart: an episode's show, season, title and number, as far as the text names them.

    `sure` is false where only a weak word, such as `Part`, says that it is an episode at all.
    """

    show: str
    season: int | None
    title: str | None
    number: int | None = None
    language: str | None = None
    sure: bool = True

    @property
    def episode(self) -> Episode:
        return Episode(show=self.show, season=self.season, number=self.number, title=self.title)


def split_title(text: str, own: Collection[str] = ()) -> TextTitle | None:
    """The episode that a text names by a season, a number in brackets or the repeated show; None if it names none.

    The season is looked for from the right, since shows have colons in their names too; a strong word comes
    before a weak one. `own` are a person's own words for a season.
    """
    bare, number = split_number(text)
    parts = bare.split(JOINT)
    seasons = [
        (place, season)
        for place in range(len(parts) - 1, 0, -1)
        if (season := read_season(parts[place], own))
    ]
    strong = next((one for one in seasons if one[1].strong), None)
    if strong is not None:
        return by_season(parts, *strong, number)
    if (repeated := repeated_show(parts, number)) is not None:
        return repeated
    last = len(parts) - (1 if number is None else 0)  # a weak word at the end is of a film: “Dune: Part Two”
    weak = next((one for one in seasons if one[0] < last), None)
    return by_season(parts, *weak, number) if weak is not None else single_season_episode(parts, number)


def by_season(parts: list[str], place: int, season: FoundSeason, number: int | None) -> TextTitle:
    return TextTitle(
        show=JOINT.join(parts[:place]),
        season=season.number,
        title=JOINT.join(parts[place + 1 :]) or None,
        number=number,
        language=season.language,
        sure=season.strong or number is not None,
    )


def repeated_show(parts: list[str], number: int | None) -> TextTitle | None:
    """An episode whose season is the show's name with a number: `Stranger Things: Stranger Things 4: …`."""
    for place in range(1, len(parts) - 1):
        show = JOINT.join(parts[:place])
        again = REPEATED.search(parts[place])
        name = parts[place][: again.start()] if again else parts[place]
        if fold_title(name) == fold_title(show):
            season = read_number(again[0]) if again else None
            return TextTitle(show=show, season=season, title=JOINT.join(parts[place + 1 :]), number=number)
    return None


def single_season_episode(parts: list[str], number: int | None) -> TextTitle | None:
    """An episode with its number in brackets and no season: the show has only one."""
    if number is None or len(parts) < 2:
        return None
    return TextTitle(show=JOINT.join(parts[:-1]), season=1, title=parts[-1], number=number)


def split_number(text: str) -> tuple[str, int | None]:
    """A title without `(Episode 4)` at its end, and that number."""
    found = SUFFIX.search(text)
    return (text, None) if found is None else (text[: found.start()].rstrip(), int(found[1]))


def possible_episodes(text: str, own: Collection[str] = ()) -> list[TextTitle]:
    """Every way to read a text as an episode of a show, the longest show first, for a lookup to confirm."""
    found = split_title(text, own)
    parts = text.split(JOINT)
    plain = [
        TextTitle(show=JOINT.join(parts[:place]), season=None, title=JOINT.join(parts[place:]), sure=False)
        for place in range(len(parts) - 1, 0, -1)
        if read_season(parts[place], own) is None
    ]
    return [*([found] if found is not None else []), *plain]


# --- what a whole file says about its titles


@dataclass(slots=True)
class TitleEvidence:
    """The shows that a file proves: by a strong word for a season, or by several titles of one weak season."""

    own: tuple[str, ...] = ()
    shows: set[str] = field(default_factory=set)
    weak: dict[tuple[str, int | None], str] = field(default_factory=dict)

    def note(self, text: str) -> None:
        found = split_title(text, self.own)
        if found is None:
            return
        show = fold_title(found.show)
        if found.sure:
            self.shows.add(show)
            return
        title = fold_title(found.title or "")
        if self.weak.setdefault((show, found.season), title) != title:
            self.shows.add(show)

    def read(self, text: str) -> tuple[Item, str | None]:
        """The episode or film that a text names, and the language of its word for a season, if it says one."""
        found = split_title(text, self.own)
        if found is not None and (found.sure or fold_title(found.show) in self.shows):
            return found.episode, found.language
        parts = text.split(JOINT)
        for place in range(len(parts) - 1, 0, -1):
            show = JOINT.join(parts[:place])
            if fold_title(show) in self.shows:
                return Episode(show=show, title=JOINT.join(parts[place:])), None
        return Movie(title=text), None
