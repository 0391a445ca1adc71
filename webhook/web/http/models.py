"""Models of requests: base classes, field types, and validation errors as one sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from webhook.domain.event import Kind
from webhook.domain.json_shapes import ListsJson
from webhook.domain.rules import LISTS
from webhook.queries.paging import MAX_PAGE_SIZE, PAGE_SIZE
from webhook.storage.json_fields import Id
from webhook.texts import texts
from webhook.web.http.errors import Problem
from webhook.web.http.params import MAX_TEXT_LENGTH, clean, whole

M = TypeVar("M", bound=BaseModel)

MAX_NAME = 50
"""Maximum characters of an unknown field's name in an error."""


class Body(BaseModel):
    """The JSON object in the body of a request: types are exact, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Query(BaseModel):
    """The query parameters of a request; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Filter(Query):
    """The query parameters of a bulk change; unknown ones are refused, as a misspelt filter must not match everything."""

    model_config = ConfigDict(extra="forbid")


class Removed(TypedDict):
    id: int
    removed: bool


# --- types of fields


@dataclass(frozen=True, slots=True)
class Expect:
    """Annotation with a field's expected value in words, for the error message."""

    text: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Restricts a text to names that are known only after plug-ins are loaded."""

    names: Callable[[], Collection[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler(Annotated[source, AfterValidator(self.check)])

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": [*self.names()]}

    def check(self, value: str) -> str:
        if value not in self.names():
            raise ValueError(f"must be one of {', '.join(sorted(self.names()))}")
        return value


@dataclass(frozen=True, slots=True)
class DescribedBy:
    """Documents a JSON object of a reply by the model that checks it in requests."""

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(self.model)


def check_text(value: str) -> str:
    if not clean(value, len(value)):
        raise ValueError("must be text without unprintable characters")
    return value


def parse_number(value: object) -> object:
    number = whole(value) if isinstance(value, str) else value
    if type(number) is not int:
        raise ValueError("must be a whole number")
    return number


def _parse_limit(value: object) -> object:
    number = parse_number(value)
    return min(number, MAX_PAGE_SIZE) if isinstance(number, int) else number


def _parse_flag(value: object) -> object:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def parse_time(value: str) -> datetime:
    """Parse a time; one without a time zone is UTC. Raises ValueError."""
    try:
        # An unescaped + in an address arrives as a space.
        moment = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
    except ValueError as error:
        raise ValueError("must be a time such as 2026-11-22T20:15:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse_moment(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


Text = Annotated[str, Field(max_length=MAX_TEXT_LENGTH), AfterValidator(check_text)]
Name = Annotated[str, Field(max_length=64), AfterValidator(check_text)]
Texts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH), AfterValidator(check_text)]],
    Field(max_length=MAX_TEXT_LENGTH),
    AfterValidator(lambda texts: list(dict.fromkeys(texts))),
    Expect(f"a list of at most {MAX_TEXT_LENGTH} texts"),
]
IdMap = dict[str, int | str]
Flag = Annotated[bool, BeforeValidator(_parse_flag), WithJsonSchema({"enum": ["true", "false"]})]
Moment = Annotated[
    datetime,
    BeforeValidator(_parse_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
CURSOR = Expect("the cursor that an earlier page gave as next")
AFTER = Field(None, description="The cursor `next` of the page before.")


class PersonQuery(Query):
    person: Annotated[Name | None, Expect("the name of somebody here; see /api/v1/people")] = None


class Limited(Query):
    limit: Annotated[
        int,
        Field(ge=1, le=MAX_PAGE_SIZE),
        BeforeValidator(_parse_limit),
        Expect(f"a whole number from 1 to {MAX_PAGE_SIZE}"),
    ] = PAGE_SIZE


class Paging(Limited):
    after: Annotated[Annotated[Id, BeforeValidator(parse_number)] | None, CURSOR] = AFTER


class FilterLists(Body):
    """Lists of the values that a filter accepts; an empty one accepts everything."""

    libraries: Texts = Field(default_factory=list)
    not_libraries: Texts = Field(default_factory=list)
    players: Texts = Field(default_factory=list)
    not_players: Texts = Field(default_factory=list)
    kinds: list[Annotated[Kind, Field(strict=False)]] = Field(default_factory=list)

    def lists(self) -> ListsJson:
        """The lists that were given."""
        given: ListsJson = given_json(self, LISTS)
        return given


# --- checking


def given_json(body: BaseModel, fields: Collection[str] | None = None) -> Any:
    """The fields that a request gave, or those of them, as JSON; its shape is that of the model."""
    return body.model_dump(include=None if fields is None else {*fields}, exclude_unset=True, mode="json")


def validate(model: type[M], given: Mapping[str, object], status: int = 422) -> M:
    """Validate values as a model; raises Problem with a sentence that names the first invalid field."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Problem(status, sentence(model, error)) from error


def sentence(model: type[BaseModel], error: ValidationError) -> str:
    """The first error as a sentence; unknown fields come first, as they may be a misspelt required one."""
    errors = error.errors(include_url=False)
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    place = _find_field(model, first["loc"])
    if first["type"] == "extra_forbidden":
        word = "parameter" if issubclass(model, Query) else "field"
        name = ": ".join([*place.path, str(first["loc"][-1])[:MAX_NAME]])
        return f"{name} is not a {word} here; there are {', '.join(place.model.model_fields)}."
    own = _own_text(first) or ""
    if own.endswith("."):
        return own
    return f"{': '.join(place.path)} {_describe(first, place.expect)}.".strip()


@dataclass(frozen=True, slots=True)
class _Place:
    """The field of an error: its path, its model and its expected value."""

    path: list[str]
    model: type[BaseModel]
    expect: Expect | None = None


def _find_field(model: type[BaseModel], location: tuple[int | str, ...]) -> _Place:
    path: list[str] = []
    expect = None
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            break
        path.append(str(part))
        expect = next((one for one in field.metadata if isinstance(one, Expect)), None)
        inner = _unwrap_optional(field.annotation)
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            keys = location[len(path) :] if get_origin(inner) is dict else ()
            path += [str(key)[:MAX_NAME] for key in keys[:1]]
            break
        model = inner
    return _Place(path, model, expect)


def _unwrap_optional(annotation: object) -> object:
    given = [one for one in get_args(annotation) if one is not NoneType]
    return given[0] if len(given) == 1 and len(get_args(annotation)) == 2 else annotation


def _describe(error: ErrorDetails, expect: Expect | None) -> str:
    if expect is not None:
        return f"must be {expect.text}"
    template = SENTENCES.get(error["type"])
    if template is not None:
        return template.format_map(error.get("ctx") or {})
    return _own_text(error) or error["msg"]


def _own_text(error: ErrorDetails) -> str | None:
    """The text of an error raised by one of our own validators."""
    return str(error["ctx"]["error"]) if error["type"] == "value_error" else None


SENTENCES: Mapping[str, str] = texts(
    {
        "missing": "is missing",
        "string_type": "must be text",
        "string_unicode": "must be text",
        "string_too_long": "must be text of at most {max_length} characters",
        "string_too_short": "must be text of at least {min_length} characters",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "enum": "must be one of {expected}",
        "literal_error": "must be one of {expected}",
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "list_type": "must be a list",
        "too_long": "must be a list of at most {max_length}",
        "too_short": "must be a list of at least {min_length}",
        "dict_type": "must be an object",
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
    }
)
