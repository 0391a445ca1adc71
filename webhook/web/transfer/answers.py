"""Answers to the questions about a file, from a query string or from the fields of a form."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from webhook.transfer.import_feeds import FileFeed
from webhook.transfer.records import Options, Undecided, wrong_answer
from webhook.web.http.errors import Problem

ANSWER_FIELD = "answer."
"""What the name of a form's field begins with that answers a question."""

MAX_ANSWERS = 100
MAX_ANSWER = 500


def parse_answers(given: str | None) -> Options:
    """The answers in a query string such as `dates=day-first&profile=alice`; raises Problem."""
    try:
        found = parse_qsl(given or "", strict_parsing=bool(given), max_num_fields=MAX_ANSWERS)
    except ValueError as error:
        raise Problem(422, "answers is written as a query string: dates=day-first&profile=alice") from error
    return dict(found)


def answers_of_form(fields: Mapping[str, str]) -> Options:
    """The answers in a form; an empty field is none."""
    given = {
        name.removeprefix(ANSWER_FIELD): value.strip()[:MAX_ANSWER]
        for name, value in fields.items()
        if name.startswith(ANSWER_FIELD)
    }
    return {name: value for name, value in given.items() if value}


async def check_answers(feed: FileFeed) -> None:
    """Raise Problem for an answer that the file does not ask for; raises Unusable."""
    if feed.options and (wrong := wrong_answer(await feed.questions(), feed.options)) is not None:
        raise Problem(422, wrong)


async def require_answers(feed: FileFeed) -> None:
    """Raise Problem for a wrong answer or a question that must be answered first; raises Unusable."""
    questions = await feed.questions()
    if (wrong := wrong_answer(questions, feed.options)) is not None:
        raise Problem(422, wrong)
    if unanswered := [question for question in questions if question.is_open]:
        raise Problem(409, str(Undecided(unanswered[0])))
