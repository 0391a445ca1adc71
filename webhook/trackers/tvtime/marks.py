"""The watched marks of a server: each is compared with what was meant, and one of something else taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from webhook import clock
from webhook.domain.event import Episode, Movie
from webhook.domain.outcome import Dead, Done, Retry, Snooze, Unmatched
from webhook.trackers import Access, Delivery
from webhook.trackers._json import as_time
from webhook.trackers._matching import is_same_title
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._viewings import CLOCK_SLACK
from webhook.trackers.tvtime.api import API, MOVIE_SEARCH, SHOW_SEARCH, TRACKING
from webhook.trackers.tvtime.lists import WATCHES, LibraryReader
from webhook.trackers.tvtime.responses import (
    LABEL,
    REWATCH_HANDLE,
    as_candidate,
    as_mapping,
    as_rows,
    count_viewings,
    describe_answer,
    describe_mark,
    expect_field,
    is_same_place,
    order_note,
    parse_int,
    parse_movies,
    parse_text,
    shares_id,
)
from webhook.trackers.tvtime.sign_in import PasswordSignIn


class Marks(PasswordSignIn):
    """Marks episodes and movies watched, and takes back the marks of episodes."""

    lists: LibraryReader

    async def watch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        tvdb = tvdb_of(episode)
        if delivery.rewatch and delivery.unsure:
            seen = await self.lists.episode(access, tvdb)
            if done := count_viewings(seen.get("watched_count")):
                return done
        path = f"{API}/watched_episodes/episode/{tvdb}"
        began = clock.now()
        answer = await self.calls.call(access, "POST", path, is_rewatch=str(int(delivery.rewatch)))
        answer = expect_field(answer, "result", "OK")
        try:
            if not await self.is_right(episode, answer, access):
                raise Unmatched(await self.take_back(delivery, tvdb, answer, began, access))
        except (Retry, Snooze) as decision:
            raise unsettled_retry(LABEL, decision) from decision
        handle = REWATCH_HANDLE if delivery.rewatch else None
        return Done(
            answer=describe_mark(delivery, describe_answer(answer)),
            remote_id=handle,
            note=order_note(episode, answer),
        )

    async def is_right(self, episode: Episode, answer: Mapping[str, Any], access: Access) -> bool:
        """True if the episode that was marked is the one that was meant: by its show, where its place differs."""
        show = as_mapping(answer.get("show"))
        mine, theirs = episode.show_ids.tvdb, parse_int(show.get("id"))
        named = is_same_title(episode.show, parse_text(show.get("name")))
        if named is True or None not in (mine, theirs):
            return named is True or mine == theirs
        if named is None:
            return True
        return is_same_place(episode, answer) is not False and await self.is_show_title(
            episode, theirs, access
        )

    async def is_show_title(self, episode: Episode, show: int | None, access: Access) -> bool:
        """True if TV Time knows this show by our title too, in another language or spelling."""
        params = {"q": str(episode.show), "offset": "0", "limit": "20"}
        answer = await self.calls.call(access, "GET", SHOW_SEARCH, **params)
        return show is not None and any(
            parse_int(row.get("id")) == show for row in as_rows(as_mapping(answer).get("data"))
        )

    async def take_back(
        self, delivery: Delivery, tvdb: int, answer: Mapping[str, Any], began: datetime, access: Access
    ) -> str:
        """Take back a mark of another episode, where it is this call's for sure; a sentence about it.

        TV Time takes back all viewings of an episode or none, and says when it was marked: one that was
        there before, or that an earlier try may have made long ago, stays.
        """
        wrong = f"TV Time took this for {describe_answer(answer)}, which is another episode"
        if delivery.rewatch:
            return f"{wrong}; it is counted there as watched again, which cannot be taken back"
        since = delivery.at if delivery.unsure and not delivery.late else began
        seen = await self.lists.episode(access, tvdb)
        marked_at = as_time(parse_text(seen.get("watched_date")))
        if marked_at is None or marked_at < since - CLOCK_SLACK:
            return f"{wrong}; that was marked watched before, and stays so"
        await self.calls.call(access, "DELETE", f"{API}/watched_episodes/episode/{tvdb}")
        return f"{wrong}; that was taken back"

    async def unwatch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        if delivery.remote_id == REWATCH_HANDLE:
            raise Dead("TV Time takes back all viewings of an episode or none, and this was not the first")
        tvdb = tvdb_of(episode)
        await self.calls.call(access, "DELETE", f"{API}/watched_episodes/episode/{tvdb}")
        return Done(answer=f"Episode {tvdb} is no longer marked watched")

    async def watch_movie(self, delivery: Delivery, movie: Movie, access: Access) -> Done:
        uuid = movie.ids.tvtime or await self.find_movie(movie, access)
        if (
            delivery.rewatch
            and delivery.unsure
            and (done := count_viewings(await self.count_movie(uuid, access)))
        ):
            return done
        verb = "rewatch" if delivery.rewatch else "watch"
        answer = await self.calls.call(access, "POST", f"{TRACKING}/{uuid}/{verb}")
        expect_field(answer, "status", "success")
        return Done(answer=describe_mark(delivery, movie.title or uuid), remote_id=uuid)

    async def find_movie(self, movie: Movie, access: Access) -> str:
        """The uuid of a movie: by its ids, and by its title where that finds the same ids."""
        queries = [str(known) for known in (movie.ids.tvdb, movie.ids.imdb, movie.title) if known]
        candidates: dict[str, Movie] = {}
        for query in queries:
            answer = await self.calls.call(access, "GET", MOVIE_SEARCH, q=query, offset="0", limit="5")
            for film in parse_movies(answer):
                if shares_id(movie.ids, film.ids) and await self.is_movie_title(movie, film, access):
                    return str(film.ids.tvtime)
                candidates[str(film.ids.tvtime)] = film
        # Search results carry no year, so a title alone could be any film of that name.
        reason = "TV Time's search does not find this movie by an id"
        raise Unmatched(reason, candidates=[as_candidate(film) for film in candidates.values()])

    async def is_movie_title(self, movie: Movie, film: Movie, access: Access) -> bool:
        """True if a movie found by an id is the one that was meant: by more ids, its title, or a search for it."""
        common = movie.ids.by_namespace().items() & film.ids.by_namespace().items()
        if len(common) > 1 or is_same_title(movie.title, film.title) is not False:
            return True
        answer = await self.calls.call(
            access, "GET", MOVIE_SEARCH, q=str(movie.title), offset="0", limit="20"
        )
        return any(found.ids.tvtime == film.ids.tvtime for found in parse_movies(answer))

    async def count_movie(self, uuid: str, access: Access) -> int:
        """The number of viewings of the movie that TV Time has counted."""
        async for rows in self.lists.pages(access, WATCHES, "movie"):
            counts = [parse_int(row.get("rewatch_count")) or 0 for row in rows if row.get("uuid") == uuid]
            if counts:
                return len(counts) + max(counts)
        return 0


def tvdb_of(episode: Episode) -> int:
    if episode.ids.tvdb is None:
        raise Unmatched("TV Time knows episodes by their TheTVDB id, and this episode has none")
    return episode.ids.tvdb
