"""The models of the operations: whatever a field is given, it is taken or refused in a sentence that names it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from webhook import app
from webhook.web.history.models import ItemChange
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.http.operations import Operation

VALUES: tuple[object, ...] = (
    None, "", "x" * 5000, "\ud800", "\0", "1", 0, -1, 1, 10**30, 1.5, float("nan"), True, [], [1], [""], {}, {"a": 1},
)  # fmt: skip
MODELS = {
    model.__name__: model
    for operation in app.api_operations()
    for model in (operation.body, operation.query)
    if model is not None
}


@pytest.mark.parametrize("operation", app.api_operations(), ids=lambda one: f"{one.method} {one.path}")
def test_a_reply_in_json_has_a_type(operation: Operation[Any, Any]) -> None:
    is_json = "application/json" in operation.reply_media

    assert not is_json or operation.reply_type not in (None, object, Any)


def refusal(model: type[BaseModel], given: dict[str, object]) -> str | None:
    """The sentence that refuses what is given; None where it is taken."""
    try:
        validate(model, given)
    except Problem as problem:
        return problem.detail
    return None


@pytest.mark.parametrize("name", MODELS)
def test_a_field_is_taken_or_refused_in_a_sentence(name: str) -> None:
    model: type[BaseModel] = MODELS[name]

    for field in model.model_fields:
        for value in VALUES:
            said = refusal(model, {field: value})
            assert said is None or said.endswith(".")


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        ("Rules", {"watched_mark": 0}, "watched_mark must be a percentage from 1 to 100, or null."),
        ("TokenRequest", {"kind": "admin"}, "kind must be one of 'webhook', 'api' or 'app'."),
        ("TokenRequest", {"knid": "api"}, "knid is not a field here; there are kind, name, person, "),
        ("TokenRequest", {}, "kind is missing."),
        ("PlayChange", {"item": {"colour": "blue"}}, "item: colour is not a field here; there are kind, "),
        ("SettingsRequest", {"settings": {"A": 1}}, "settings: A must be text"),
        ("PersonFilters", {"kinds": ["opera"]}, "kinds must be one of 'movie', "),
        ("Dismissal", {"ids": None}, "The body must hold ids, at most "),
        ("WebhookQuery", {"limit": "0"}, "limit must be a whole number from 1 to 500."),
    ],
)
def test_the_sentence_names_the_field_and_what_it_must_be(
    model: str, given: dict[str, object], says: str
) -> None:
    assert (refusal(MODELS[model], given) or "").startswith(says)


def test_ids_are_kept_as_their_namespace_writes_them() -> None:
    change = validate(ItemChange, {"ids": {"tvdb": "81189", "imdb": "TT0903747 "}})

    assert change.ids == {"tvdb": 81189, "imdb": "tt0903747"}


@pytest.mark.parametrize("ids", [[], "81189", {"tvdb": "x"}, {"tvdb": True}, {"unheard": 1}])
def test_what_is_no_id_is_refused_in_a_sentence(ids: object) -> None:
    said = refusal(ItemChange, {"ids": ids})

    assert said is not None
    assert said.startswith("ids ")
