"""`docs/troubleshooting.md` has every state and every reason that a person can meet, and none that is gone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from webhook import cli
from webhook.domain.event import REASONS
from webhook.domain.outcome import Park
from webhook.domain.states import DeliveryState, WebhookState
from webhook.web.visible import DELIVERY_STATES, WEBHOOK_STATES

pytestmark = pytest.mark.unit

TEXT = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text()
CODE = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return re.split(r"^#+ ", TEXT.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("The webhook", WebhookState),
        ("Why a webhook is ignored", REASONS),
        ("The delivery", DeliveryState),
        ("The account", Park),
    ],
)
def test_every_state_and_reason_has_a_row(heading: str, codes: Iterable[str]) -> None:
    assert sorted(CODE.findall(section(heading))) == sorted(map(str, codes))


@pytest.mark.parametrize(
    ("heading", "words"), [("The webhook", WEBHOOK_STATES), ("The delivery", DELIVERY_STATES)]
)
def test_a_state_is_named_as_on_the_pages(heading: str, words: dict[str, str]) -> None:
    rows = [row for row in section(heading).splitlines() if CODE.match(row)]

    assert {row.split("`")[1]: row.split(" | ")[1] for row in rows} == dict(words)


def test_the_commands_that_it_names_are_there() -> None:
    named = {tuple(words.split()) for words in re.findall(r"`watchmark ([a-z][a-z-]*(?: [a-z]+)*)", TEXT)}

    for words in named:
        said = CliRunner().invoke(cli.app, [*words, "--help"])
        assert said.exit_code == 0, f"watchmark {' '.join(words)}: {said.output}"
