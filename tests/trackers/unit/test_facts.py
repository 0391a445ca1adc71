"""The facts that a tracker declares, held to what its class can do."""

from __future__ import annotations

from dataclasses import fields

import pytest

from webhook.domain.event import Kind
from webhook.trackers import modules
from webhook.trackers._facts import UNDECLARED, Anime, Facts, Rewatches, find_class

pytestmark = pytest.mark.unit

NAMES = [*modules()]
HOW_TO = (
    "webhook/trackers/{name} declares no facts: give its class `facts = Facts(…)` of webhook/trackers/_facts.py, "
    "as CONTRIBUTING.md says under Add a tracker."
)


def facts_of(name: str) -> Facts:
    facts = find_class(modules()[name]).facts
    if facts is UNDECLARED:
        pytest.fail(HOW_TO.format(name=name), pytrace=False)
    return facts


@pytest.mark.parametrize("name", NAMES)
def test_a_tracker_declares_what_it_costs_and_keeps(name: str) -> None:
    facts = facts_of(name)

    for field in fields(Facts):
        value = getattr(facts, field.name)
        assert value is None or type(value).__name__ == str(field.type).removesuffix(" | None"), field.name


@pytest.mark.parametrize("name", NAMES)
def test_its_note_is_the_sentence_of_its_module_that_is_translated(name: str) -> None:
    module, note = find_class(modules()[name]).__module__, facts_of(name).note

    assert note == getattr(__import__(module, fromlist=["NOTE"]), "NOTE", "")
    assert note == "" or note.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_only_what_keeps_one_mark_of_an_item_loses_a_rewatch(name: str) -> None:
    one_mark, rewatches = find_class(modules()[name]).one_mark, facts_of(name).rewatches

    assert rewatches is None or (rewatches is Rewatches.EACH) is not one_mark


@pytest.mark.parametrize("name", NAMES)
def test_only_what_takes_episodes_keeps_anime(name: str) -> None:
    kinds, anime = find_class(modules()[name]).kinds, facts_of(name).anime

    assert anime is None or (anime is Anime.NONE) is (Kind.EPISODE not in kinds)
