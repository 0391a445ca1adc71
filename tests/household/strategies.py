"""Strategies: stories of a few lines for Hypothesis, and households to tell them in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hypothesis import strategies as st

from tests.household.catalogue import Title
from tests.household.habits import Habit
from tests.household.narrator import EVERYTHING, Choice, Gap, narrate
from tests.household.noise import Noise
from tests.household.runs import Run
from tests.household.senders import Setup
from tests.household.story import DEVICES, Story

LISTENED_ONLY = Setup(plex=False, webhooks=False, listened=True)
LISTENED = (LISTENED_ONLY, replace(LISTENED_ONLY, synced=True, ahead=3600))
"""Households that are listened to alone; the clocks of one are an hour ahead."""

BESIDE = (
    Setup(listened=True, progress=True),
    Setup(listened=True, synced=True, tautulli=True, jellyfin="nameless"),
    Setup(listened=True, saved_only=True, own_address="cleo", kodi=True),
)
"""Households that are listened to and send webhooks as well."""

SETUPS = (
    Setup(),
    Setup(tautulli=True, jellyfin="template"),
    Setup(plex=False, tautulli=True, progress=True),
    Setup(synced=True, progress=True),
    Setup(ahead=3600, jellyfin="nameless"),
    Setup(saved_only=True, kodi=True),
    Setup(ahead=40, tautulli=True, own_address="cleo"),
    Setup(synced=True, kodi=True, progress=True, jellyfin="nameless"),
    LISTENED_ONLY,
    Setup(listened=True, synced=True),
    Setup(listened=True, tautulli=True, kodi=True, ahead=40),
)
TROUBLE = (Noise(lost=0.15), Noise(doubled=0.2, late=0.2), Noise(lost=0.08, doubled=0.05, late=0.05))
LOST_WEBHOOKS = Noise(lost=0.3, doubled=0.1, late=0.1, webhooks_only=True)


def stories(habits: Collection[Habit], titles: Collection[Title] = EVERYTHING) -> st.SearchStrategy[Story]:
    """Stories of one to six choices by two people."""
    choices = st.builds(
        Choice,
        who=st.integers(0, 1),
        device=st.integers(0, len(DEVICES) - 1),
        habit=st.sampled_from([*habits]),
        title=st.integers(0, 200),
        gap=st.sampled_from([Gap.SOON, Gap.AT_ONCE, Gap.LATER, Gap.NEXT_DAY, Gap.WEEKS, Gap.MEANWHILE]),
        detail=st.integers(0, 99),
    )
    return st.lists(choices, min_size=1, max_size=6).map(lambda made: narrate(made, titles))


def runs(
    habits: Collection[Habit], noises: Collection[Noise], titles: Collection[Title] = EVERYTHING
) -> st.SearchStrategy[Run]:
    """Such stories, in a household of some setup, with some noise on the way."""
    return st.builds(Run, stories(habits, titles), st.sampled_from(SETUPS), st.sampled_from([*noises]))
