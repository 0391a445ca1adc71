"""Runs: a story told to the house, compared with the truth, and cut down to what fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.household.comparison import Fault, compare, compare_exactly
from tests.household.house import House
from tests.household.noise import QUIET, Noise
from tests.household.senders import Message, Setup, Shows, messages
from tests.household.story import Story, moment


@dataclass(frozen=True)
class Run:
    """A story, how the servers are set up, and what happens to their webhooks."""

    story: Story
    setup: Setup
    noise: Noise = QUIET
    exact: bool = False
    """Whether each viewing must count, for enough was heard of all of them."""

    def sent(self) -> list[Message]:
        return self.noise.over(messages(self.story, self.setup))

    def faults(self, house: House) -> list[Fault]:
        sent = self.sent()
        outcome = house.run(sent)
        faults = compare(self.story, sent, outcome)
        return faults + compare_exactly(self.story, outcome) if self.exact else faults

    def without(self, first: int, count: int) -> Run:
        acts = self.story.acts
        return replace(self, story=Story(acts[:first] + acts[first + count :]))

    def of(self, fault: Fault) -> Run:
        """What the fault's person did with its title, and nothing else."""
        mine = tuple(
            act for act in self.story.acts if act.title.name == fault.title and fault.person in act.people
        )
        return replace(self, story=Story(mine)) if mine else self


def cut(house: House, run: Run, fault: Fault) -> Run:
    """The run with every act left out that this fault does not need."""

    def fails(smaller: Run) -> bool:
        return any(found.is_like(fault) for found in smaller.faults(house))

    if fails(run.of(fault)):
        run = run.of(fault)
    count = len(run.story.acts) // 2
    while count:
        first = 0
        while first < len(run.story.acts):
            smaller = run.without(first, count)
            if fails(smaller):
                run = smaller
            else:
                first += count
        count //= 2
    return run


def report(run: Run, faults: Sequence[Fault]) -> str:
    """The story, the webhooks that arrived, what is right and what was counted."""
    told = [
        f"{moment(int(message.at))} {line(message)}"
        for message in run.sent()
        if message.shows is not Shows.NOTHING or message.body.get("NotificationType") != "UserDataSaved"
    ]
    parts: list[tuple[str, Sequence[object]]] = [
        ("The story", [*run.story.acts, f"({run.setup})", f"({run.noise})"]),
        ("Its webhooks", told),
        ("Its faults", faults),
    ]
    return "\n".join(
        f"\n{heading}:\n" + "\n".join(f"  {entry}" for entry in lines) for heading, lines in parts
    )


TOLD = ("PlayedToCompletion", "Played", "SaveReason", "LastPlayedDate")


def line(message: Message) -> str:
    body = message.body
    name = body.get("event") or body.get("NotificationType") or body.get("Event") or body.get("action")
    name = name or "{action} by {by}".format(**body["listened"])
    metadata = body.get("Metadata") or {}
    known = {key: metadata[key] for key in ("viewOffset", "duration", "viewCount") if key in metadata}
    known |= {key: body[key] for key in TOLD if key in body}
    known |= {} if message.position is None else {"position": message.position}
    about = ", ".join(f"{key} {value}" for key, value in known.items())
    return f"{message.source} {message.act.who} {name} {message.title.name}" + (
        f" ({about})" if about else ""
    )
