"""What is playing in the demo: two players that go on from one thing to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from webhook import clock
from webhook.demo.catalogue import PLAYING_FILMS, SHOW_BY_TITLE
from webhook.demo.household import MIRA, THEO, Sitting, Taste
from webhook.demo.senders import Report, jellyfin_report, plex_report, reports_of
from webhook.domain.event import Item

FAST_SECONDS = 5.0
"""Seconds between what a player reports in a demo that is fast."""


@dataclass(frozen=True, slots=True)
class Player:
    """A person who watches one thing after the other."""

    taste: Taste
    sittings: Sequence[Sitting]


def players(opened: datetime) -> list[Player]:
    """Mira's film, which has been running for a while, and the episode that Theo has just begun."""
    films = [(film.item, film.minutes) for film in PLAYING_FILMS]
    show = SHOW_BY_TITLE["The Ninth Parish"]
    episodes = [(episode, show.minutes) for episode in show.episodes[THEO.pauses[show.title] :]]
    return [player_of(MIRA, films, opened, 44), player_of(THEO, episodes, opened, 9)]


def player_of(taste: Taste, items: Sequence[tuple[Item, int]], opened: datetime, minutes_ago: int) -> Player:
    began, sittings = opened - timedelta(minutes=minutes_ago), []
    for item, minutes in items:
        sittings.append(Sitting(person=taste.name, item=item, began=began, minutes=minutes))
        began += timedelta(minutes=minutes + 1)
    return Player(taste, sittings)


def opening_reports(opened: datetime) -> Iterator[Report]:
    """The webhooks of the two players until the demo opens; Mira paused her film to make tea."""
    film, episode = (player.sittings[0] for player in players(opened))
    for event, minutes_ago, reached in (
        ("media.play", 44, 0),
        ("media.pause", 7, 37),
        ("media.resume", 5, 37),
    ):
        at = opened - timedelta(minutes=minutes_ago)
        yield plex_report(event, MIRA, film.item, film.minutes, at, reached / film.minutes)
    about = (THEO.name.lower(), THEO.player, episode.item, episode.minutes)
    yield jellyfin_report("PlaybackStart", *about, episode.began)


async def play(urls: Mapping[str, str], http: httpx.AsyncClient, opened: datetime, *, fast: bool) -> None:
    """Report what the players do from now on, as it happens or, for who is in a hurry, every few seconds."""
    await asyncio.gather(*(play_on(player, urls, http, opened, fast=fast) for player in players(opened)))


async def play_on(
    player: Player, urls: Mapping[str, str], http: httpx.AsyncClient, opened: datetime, *, fast: bool
) -> None:
    for report in [report for sitting in player.sittings for report in reports_of(player.taste, sitting)]:
        if report.at > opened:
            ahead = (report.at - clock.now()).total_seconds()
            await asyncio.sleep(FAST_SECONDS if fast else max(ahead, 0))
            with suppress(httpx.HTTPError):  # one that is lost is made good by the next
                await http.post(urls[report.source], json=report.payload)
