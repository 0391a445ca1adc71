"""Looking up items of which a service gives titles alone: a show by the titles of its episodes, a film by its own.

A title is only sure where the lookups know one thing of exactly that title, first shown before it was watched.
A show is believed where the titles of its episodes agree, and of several shows of one title the only one of which
they do. Everything else waits for a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show
from webhook.domain.outcome import Retry, Undelivered, Unmatched
from webhook.identity.resolver import candidate_json
from webhook.lookups import Candidate, ListedEpisode, Lookup, common_ids, has_title, id_pairs, rank
from webhook.transfer.text_match import EpisodePlace, EpisodeTitles, Placing
from webhook.transfer.text_titles import possible_episodes

MAX_SHOWS = 5
"""The number of shows of one title whose episodes are compared."""

MAX_READINGS = 4
"""The number of ways in which a film's title is tried as that of an episode."""

SEVERAL = "several have exactly this title, and nothing in the file says which of them it is"
NO_SUCH_TITLE = "the lookups know nothing of exactly this title"
OTHER_EPISODES = "its episodes have other titles than the file gives, so it may be another show of this name"
SOME_MISSING = "the show is known, but not which of its episodes these are: {titles}"
LISTED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPlay:
    """A play of which the file gave titles: its number in the history, its item, and when it was watched."""

    id: int
    item: Item
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An item that is sure, and how many minutes it runs where the lookup says so."""

    item: Item
    minutes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TextAnswer:
    """The items of the plays that are sure, and why the others wait, if any do."""

    found: Mapping[int, Found] = field(default_factory=dict)
    open: Unmatched | None = None
    asked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class KnownShow:
    """A show with its episodes, in the lookup's language and in that of the file."""

    show: Candidate
    listed: Sequence[ListedEpisode]
    translated: Sequence[ListedEpisode] = ()

    def place_all(self, items: Sequence[Episode]) -> Placing:
        return EpisodeTitles(self.listed, self.translated).place_all(items)

    def find(self, item: Episode, place: EpisodePlace) -> Found:
        """The episode at this place, with the ids that the lookup has of it and of its show."""
        listed = next(one for one in self.listed if (one.season, one.number) == place)
        show_ids = item.show_ids.merge(self.show.ids)
        season, number = place
        whole = replace(item, season=season, number=number, ids=item.ids.merge(listed.ids), show_ids=show_ids)
        return Found(item=whole, minutes=listed.minutes)


class TextLookup:
    """Asks the lookups about titles."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self.lookups = lookups

    async def find(self, plays: Sequence[TextPlay], language: str | None) -> TextAnswer:
        """What the plays of one show, or of one film, are; raises Retry where a lookup is down."""
        first = plays[0].item
        if isinstance(first, Episode):
            answer = await self.find_episodes(plays, language)
        elif isinstance(first, Movie):
            answer = await self.find_film(plays, first)
        else:
            answer = TextAnswer(open=Unmatched(NO_SUCH_TITLE))
        return replace(answer, asked=frozenset(play.id for play in plays))

    # --- shows

    async def find_episodes(self, plays: Sequence[TextPlay], language: str | None) -> TextAnswer:
        items = [play.item for play in plays if isinstance(play.item, Episode)]
        chosen = next((item.show_ids for item in items if item.show_ids), None)
        if chosen is not None:
            known = await self.show_of(chosen, items, language)
            return partial_answer(plays, items, known, known.place_all(items) if known else Placing())
        title = items[0].show or ""
        exact, near = await self.candidates(Kind.SHOW, title, max(play.at for play in plays).year)
        for lookup, shows in exact:
            if len(shows) > MAX_SHOWS:
                return TextAnswer(open=wait_for_person(SEVERAL, shows))
            found = [(known, known.place_all(items)) for one in shows
                     if (known := await self.episodes_of(lookup, one, items, language)) is not None]  # fmt: skip
            if found:
                return choose_show(plays, items, shows, found)
        alone = [one for _, shows in exact for one in shows]
        return TextAnswer(open=wait_for_person(OTHER_EPISODES if alone else NO_SUCH_TITLE, alone or near))

    async def show_of(self, ids: Ids, items: Sequence[Episode], language: str | None) -> KnownShow | None:
        """The show that a person chose, with its episodes."""
        for lookup in self.lookups:
            one = Candidate(kind=Kind.SHOW, title=items[0].show, ids=ids, via=lookup.name)
            if (known := await self.episodes_of(lookup, one, items, language)) is not None:
                return known
        return None

    async def episodes_of(
        self, lookup: Lookup, show: Candidate, items: Sequence[Episode], language: str | None
    ) -> KnownShow | None:
        """The show with its episodes, in the file's language too where the lookup's own is not enough."""
        listed = await lookup.episodes(show.ids)
        if not listed:
            return None
        known = KnownShow(show, listed)
        if language in (None, "en") or len(known.place_all(items).by_title) == len(items):
            return known
        translated = await lookup.episodes(show.ids, language)
        return KnownShow(show, listed, translated or ())

    # --- films

    async def find_film(self, plays: Sequence[TextPlay], film: Movie) -> TextAnswer:
        """The film of exactly this title, or the episode that the title may be instead; never where both exist."""
        title, year = film.title or "", min(play.at for play in plays).year
        exact, near = await self.candidates(Kind.MOVIE, title, year)
        films = distinct(one for _, found in exact for one in found)
        episodes = await self.read_as_episode(plays, title)
        if len(films) == 1 and not episodes and films[0].year is not None:
            minutes = await self.film_minutes(exact[0][0], films[0])
            item = replace(film, ids=film.ids.merge(films[0].ids), year=films[0].year)
            return TextAnswer(found={play.id: Found(item=item, minutes=minutes) for play in plays})
        if len(episodes) == 1 and not films:
            return TextAnswer(found={play.id: episodes[0] for play in plays})
        if films or episodes:
            return TextAnswer(open=wait_for_person(SEVERAL, films))
        return TextAnswer(open=wait_for_person(NO_SUCH_TITLE, near))

    async def read_as_episode(self, plays: Sequence[TextPlay], title: str) -> list[Found]:
        """The episodes that a title such as `Show: Episode` may name, the longest show first."""
        for reading in possible_episodes(title)[:MAX_READINGS]:
            asked = [replace(plays[0], item=reading.episode)]
            answer = await self.find_episodes(asked, reading.language)
            if answer.found and reading.title:
                by_title = [one for one in answer.found.values() if isinstance(one.item, Episode)]
                return [replace(one, item=replace(one.item, title=reading.title)) for one in by_title]
        return []

    async def film_minutes(self, lookup: Lookup, film: Candidate) -> int | None:
        for name, value in id_pairs(film.ids, lookup.film_ids):
            for one in await lookup.films(name, value):
                return one.minutes
        return None

    # --- both

    async def candidates(
        self, kind: Kind, title: str, year: int
    ) -> tuple[list[tuple[Lookup, list[Candidate]]], list[Candidate]]:
        """Per lookup those of exactly this title that were there by this year, and all that are like it."""
        item: Item = Movie(title=title) if kind is Kind.MOVIE else Show(title=title)
        exact: list[tuple[Lookup, list[Candidate]]] = []
        near: list[Candidate] = []
        trouble: Undelivered | None = None
        for lookup in self.lookups:
            try:
                found = await lookup.search(item)
            except Undelivered as error:
                trouble = error
                continue
            near += found
            if same := [one for one in found if has_title(title, one) and (one.year or 0) <= year + 1]:
                exact.append((lookup, same))
        if trouble is not None:
            raise trouble if isinstance(trouble, Retry) else Retry(trouble.reason, lane=False)
        return exact, near


def choose_show(
    plays: Sequence[TextPlay],
    items: Sequence[Episode],
    shows: Sequence[Candidate],
    found: Sequence[tuple[KnownShow, Placing]],
) -> TextAnswer:
    """The one show of which the episodes' titles agree; without titles, the only one of this name.

    Of several shows of one name the one is meant that alone has some of the titles; what another has too waits.
    """
    counts = Counter(index for _, placing in found for index in {*placing.by_title, *placing.unclear})
    shared = {index for index, count in counts.items() if count > 1}
    if len(shows) > 1:
        shared |= set(range(len(items))) - counts.keys()
    agreeing = [(known, placing) for known, placing in found if placing.by_title.keys() - shared]
    if len(agreeing) > 1 or (not agreeing and len(shows) > 1):
        return TextAnswer(open=wait_for_person(SEVERAL, shows))
    known, placing = agreeing[0] if agreeing else found[0]
    if not placing.is_likely:
        return TextAnswer(open=wait_for_person(OTHER_EPISODES, [known.show]))
    answer = partial_answer(plays, items, known, placing.leave_out(shared))
    if answer.open is not None and len(shows) > 1:
        answer.open.candidates = wait_for_person(SEVERAL, shows).candidates
    return answer


def partial_answer(
    plays: Sequence[TextPlay], items: Sequence[Episode], known: KnownShow | None, placing: Placing
) -> TextAnswer:
    """The episodes that have a place, and the others by their titles."""
    places = placing.places
    found = (
        {}
        if known is None
        else {plays[index].id: known.find(items[index], place) for index, place in places.items()}
    )
    missing = [
        item.title or f"{item.season}x{item.number}"
        for index, item in enumerate(items)
        if index not in places
    ]
    if not missing:
        return TextAnswer(found=found)
    said = ", ".join(dict.fromkeys(missing[:LISTED])) + (" …" if len(missing) > LISTED else "")
    return TextAnswer(found=found, open=Unmatched(SOME_MISSING.format(titles=said)))


def wait_for_person(reason: str, candidates: Iterable[Candidate]) -> Unmatched:
    return Unmatched(reason, candidates=[candidate_json(one) for one in rank(list(candidates))])


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates without those that another one of them is by an id, or by its title and year."""
    found: list[Candidate] = []
    for one in candidates:
        same = next((other for other in found if is_same(one, other)), None)
        if same is None:
            found.append(one)
        else:
            found[found.index(same)] = replace(same, ids=same.ids.merge(one.ids))
    return found


def is_same(one: Candidate, other: Candidate) -> bool:
    """True for one film as two services know it; of one service, two with other ids are two."""
    if common_ids(one.ids, other.ids):
        return True
    return one.via != other.via and not one.ids.contradicts(other.ids) and one.year == other.year
