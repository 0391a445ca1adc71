"""The noise: what happens to webhooks on their way. The same message always has the same fate, whatever else is sent."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.household.senders import Message, Shows, in_order

HOURS = 7 * 3600
LISTENED = "listened"
"""The key of what Watchmark hears by itself."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How often a webhook is lost, comes twice, or comes late by seconds.

    `again` is how often a relay sends a word of an end once more, hours later. With `webhooks_only` what Watchmark hears
    by itself is spared, for that is not sent.
    """

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    again: float = 0.0
    webhooks_only: bool = False
    seed: int = 0

    def over(self, messages: Sequence[Message]) -> list[Message]:
        """What arrives of these."""
        return in_order(arrived for message in messages for arrived in self.fate(message))

    def fate(self, message: Message) -> Iterator[Message]:
        if self.webhooks_only and LISTENED in message.body:
            yield message
            return
        dice = random.Random(f"{self.seed} {message.at} {message.act} {message.source}")  # noqa: S311 - bad luck
        if dice.random() < self.lost:
            return
        late = dice.uniform(1, 6) if dice.random() < self.late else 0.0
        yield replace(message, at=message.at + late)
        if dice.random() < self.doubled:
            yield replace(message, at=message.at + late + dice.uniform(0.01, 8))
        if message.shows is Shows.FINISH and dice.random() < self.again:
            yield replace(message, at=message.at + HOURS)


QUIET = Noise()
