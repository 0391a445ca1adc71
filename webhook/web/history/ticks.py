"""Episodes ticked on a show's page: marked as watched by hand, alone or up to one of them, and unmarked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, select

from webhook.domain.event import Episode, Ids, Show
from webhook.domain.play import Dated
from webhook.history import edits, library
from webhook.history.shows import Place, read_episodes
from webhook.storage.tables import episode_list, play
from webhook.transfer import manual_plays
from webhook.transfer.manual_plays import Invalid, NewPlay
from webhook.web.history.episodes import EpisodeJson, ShowJson, plays_of, whole_show
from webhook.web.http.errors import Problem

MARKS_AT_ONCE = 25
"""Episodes marked in one transaction, so that webhooks that arrive meanwhile are stored in between."""

PLACE = re.compile(r"([0-9]{1,4})x([0-9]{1,5})")


def parse_place(given: str) -> Place:
    """The season and the number of an episode; raises Problem."""
    found = PLACE.fullmatch(given)
    if found is None:
        raise Problem(422, "Choose an episode.")
    return int(found[1]), int(found[2])


def places_up_to(show: ShowJson, last: Place, today: date) -> list[Place]:
    """The unwatched episodes that have aired up to this one, which counts in any case; specials only on their own."""
    return [
        place
        for one in show["episodes"]
        if (place := place_of(one)) <= last
        and not one["plays"]
        and (place[0] > 0 or last[0] == 0)
        and (place == last or is_aired(one, today))
    ]


def place_of(episode: EpisodeJson) -> Place:
    return episode["season"], episode["number"]


def is_aired(episode: EpisodeJson, today: date) -> bool:
    return episode["aired"] is not None and episode["aired"] <= today.isoformat()


def next_episode(episodes: Sequence[EpisodeJson]) -> EpisodeJson | None:
    """The first unwatched one after the episode that was watched last, else the first unwatched one."""
    left = [one for one in episodes if not one["plays"]]
    watched = [one for one in episodes if one["plays"]]
    last = max(watched, key=lambda one: (one["plays"][-1]["watched_at"] or "", place_of(one)), default=None)
    later = (one for one in left if last is not None and place_of(one) > place_of(last))
    return next(later, left[0] if left else None)


def find_episode(show: ShowJson, place: Place) -> EpisodeJson:
    """An episode of the show; raises Problem."""
    found = next((one for one in show["episodes"] if place_of(one) == place), None)
    if found is None:
        raise Problem(404, "This show has no such episode.")
    return found


def mark_episodes(
    connection: Connection,
    person_id: int,
    key: str,
    places: Sequence[Place],
    dated: Dated,
    can: edits.Recipients,
    by: str | None,
    now: datetime,
) -> int:
    """Add a play by hand for each of these episodes that has none; returns how many are new."""
    show = whole_show(connection, person_id, key)
    unwatched = {place_of(one) for one in show["episodes"] if not one["plays"]} if show else set()
    made = 0
    for item in episode_items(connection, person_id, key, [one for one in places if one in unwatched]):
        try:
            new = NewPlay(item=item, watched_at=now, dated=dated)
            made += manual_plays.add(connection, person_id, new, can, by, now).is_new
        except Invalid:  # it is in the history by another key
            continue
    return made


def episode_items(connection: Connection, person_id: int, key: str, places: Iterable[Place]) -> list[Episode]:
    """Episodes of a show as they are listed, or as their place alone says."""
    show = identify_show(connection, person_id, key)
    stored = connection.execute(
        select(episode_list.c.episodes).where(episode_list.c.show_key == key)
    ).scalar()
    listed = {(one.season, one.number): one for one in read_episodes(stored) or ()}
    return [
        Episode(
            title=listed[place].title if place in listed else None,
            ids=listed[place].ids if place in listed else Ids(),
            show=show.title,
            show_ids=show.ids,
            season=place[0],
            number=place[1],
        )
        for place in places
    ]


def identify_show(connection: Connection, person_id: int, key: str) -> Show:
    """A show with its title and every id by which the person's history knows it."""
    kind, _, number = key.partition(":")
    ids, title = Ids(tvdb=int(number)) if kind == "tvdb" else Ids(), None
    followed = library.find_follow(connection, person_id, key)
    if followed is not None:
        ids, title = ids.merge(Ids.from_json(followed.ids)), followed.show
    for row in plays_of(connection, person_id, key):
        title, ids = title or row.item.get("show"), ids.merge(Ids.from_json(row.item.get("show_ids")))
    return Show(title=title, ids=ids)


def was_added_by_hand(connection: Connection, episode: EpisodeJson) -> bool:
    """True if every play of an episode was added here, so that removing it loses nothing that was reported."""
    wanted = select(play.c.source).where(play.c.id.in_([one["id"] for one in episode["plays"]]))
    return set(connection.execute(wanted).scalars()) <= {manual_plays.SOURCE}


def unmark_episode(
    connection: Connection, episode: EpisodeJson, can: edits.Tellers, by: str | None, now: datetime
) -> list[edits.EditResult]:
    """Remove every play of an episode, here and at the trackers."""
    return [edits.remove_play(connection, one["id"], can, by, now) for one in episode["plays"]]
