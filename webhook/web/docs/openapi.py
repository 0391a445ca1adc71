"""The OpenAPI document, generated from the operations and their models."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any, get_origin

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from starlette.routing import compile_path
from typing_extensions import TypedDict

from webhook.people.scopes import DESCRIPTIONS
from webhook.storage.json_fields import Id
from webhook.web.http.operations import PUBLIC, Operation

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/"
BINARY: Schema = {"type": "string", "format": "binary"}
SECURITY_SCHEMES: Mapping[str, Schema] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token; one with the scope admin has all of these: "
        + " ".join(f"{scope}: {about}" for scope, about in DESCRIPTIONS.items()),
    },
    "session": {"type": "apiKey", "in": "cookie", "name": "watchmark"},
    "feed": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "An API token in the address, for programs that cannot send headers.",
    },
}


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str


async def load_document(address: str, operations: Sequence[Operation[Any, Any]]) -> Schema:
    """The document, written beside the event loop: the first time it takes a third of a second."""
    return await asyncio.to_thread(document, address, operations)


def document(address: str, operations: Sequence[Operation[Any, Any]]) -> Schema:
    """The OpenAPI document of a service at this address. Its parts are shared: read it, change nothing in it."""
    return {**describe_api(tuple(operations)), "servers": [{"url": f"{address}/api/v1"}]}


@cache
def describe_api(operations: tuple[Operation[Any, Any], ...]) -> Schema:
    """The document without the address; written once, for anybody may ask for it at any time."""
    shapes = Shapes()
    paths: dict[str, dict[str, Schema]] = {}
    for operation in operations:
        described = describe(operation, shapes)
        paths.setdefault(operation.plain_path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Watchmark",
            "version": version(),
            "description": "Lists are newest first, paged by cursor: give `next` as `after`. "
            "Errors are application/problem+json.",
        },
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {"schemas": shapes.components(), "securitySchemes": SECURITY_SCHEMES},
    }


def describe(operation: Operation[Any, Any], shapes: Shapes) -> Schema:
    """One operation; every error is the same problem document."""
    described: Schema = {
        "summary": operation.summary,
        "security": security(operation),
        "parameters": [*path_params(operation, shapes), *query_params(operation, shapes)],
        "responses": {**replies(operation, shapes), "default": error_reply(shapes)},
    }
    if operation.raw_body is not None:
        described["requestBody"] = {
            "required": True,
            "description": operation.raw_body,
            "content": {"application/octet-stream": {"schema": BINARY}},
        }
    elif operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": shapes.add(operation.body)}},
        }
    return described


def security(operation: Operation[Any, Any]) -> list[Schema]:
    if operation.scope is PUBLIC:
        return []
    if operation.token_in_query:
        return [{"feed": [operation.scope]}]
    return [{"token": [operation.scope]}, {"session": []}]


def path_params(operation: Operation[Any, Any], shapes: Shapes) -> Iterator[Schema]:
    _, _, converters = compile_path(operation.path)
    for name in converters:
        type_ = operation.path_types.get(name, Id if name == "id" else str)
        yield {"name": name, "in": "path", "required": True, "schema": shapes.add(type_)}


def query_params(operation: Operation[Any, Any], shapes: Shapes) -> Iterator[Schema]:
    if operation.query is None:
        return
    schema = shapes.inline(operation.query)
    for name, one in schema["properties"].items():
        about = {"description": one.pop("description")} if "description" in one else {}
        needed = {"required": True} if name in schema.get("required", ()) else {}
        yield {"name": name, "in": "query", **about, **needed, "schema": drop_null(one)}


def drop_null(schema: Schema) -> Schema:
    """The schema without null, for a value that may be omitted but is never null."""
    if schema.get("default") is False:
        schema = {**schema, "default": "false"}
    if "enum" in schema:
        return {**schema, "enum": [one for one in schema["enum"] if one is not None]}
    if isinstance(schema.get("type"), list):
        return {**schema, "type": next(kind for kind in schema["type"] if kind != "null")}
    return schema


def replies(operation: Operation[Any, Any], shapes: Shapes) -> dict[str, Schema]:
    about = "It is under way" if operation.status == 202 else "Done"
    content = {media: {"schema": reply_schema(operation, media, shapes)} for media in operation.reply_media}
    found: dict[str, Schema] = {str(operation.status): {"description": about, "content": content}}
    if operation.dry_run_reply is not None:
        content = {"application/json": {"schema": shapes.refer(operation.dry_run_reply)}}
        found["200"] = {"description": "What it would come to", "content": content}
    return found


def reply_schema(operation: Operation[Any, Any], media: str, shapes: Shapes) -> Schema:
    if operation.reply_type is not None:
        return shapes.refer(operation.reply_type)
    return {} if media == "application/json" else BINARY


def error_reply(shapes: Shapes) -> Schema:
    schema = shapes.refer(Problem)
    return {"description": "Why not", "content": {"application/problem+json": {"schema": schema}}}


class Shapes:
    """The schemas of all models; replies are named, and so are bodies that something else uses too."""

    def __init__(self) -> None:
        self._named: dict[str, Schema] = {}
        self._added: list[tuple[str, Schema]] = []

    def add(self, type_: Any) -> Schema:
        """Register a type and return its schema, which may later become a reference."""
        schema = self.inline(type_)
        name = schema.pop("title", None)
        if get_origin(type_) is not None:  # a generic page
            schema.pop("description", None)
        elif name is not None:
            self._added.append((plain_name(name), schema))
        return schema

    def refer(self, type_: Any) -> Schema:
        """The schema of a reply, named unless it is a generic page."""
        schema = self.add(type_)
        if get_origin(type_) is None and "properties" in schema:
            self._name(plain_name(type_.__name__), dict(schema))
        return schema

    def inline(self, type_: Any) -> Schema:
        schema = TypeAdapter[Any](type_).json_schema(
            ref_template=REFERENCE + "{model}", schema_generator=Generator
        )
        shapes = schema.pop("$defs", {})
        enums = {name: one for name, one in shapes.items() if "enum" in one}
        for name, one in shapes.items():
            if name not in enums:
                one.pop("title", None)
                self._name(name, inline_enums(one, enums))
        found: Schema = inline_enums(schema, enums)
        return found

    def components(self) -> dict[str, Schema]:
        """The named schemas; the schemas added before refer to them from now on."""
        often = Counter(name for name, _ in self._added)
        for name, schema in self._added:
            if name in self._named or often[name] > 1:
                self._name(name, dict(schema))
                schema.clear()
                schema["$ref"] = REFERENCE + name
        return dict(sorted(self._named.items()))

    def _name(self, name: str, schema: Schema) -> None:
        if self._named.setdefault(name, schema) != schema:
            raise ValueError(f"two shapes are called {name}")


def plain_name(name: str) -> str:
    """A type's name in the document, without the suffix that tells a query's type from a value."""
    return name.removesuffix("Json")


class Generator(GenerateJsonSchema):
    """JSON Schema in a readable form: without field titles, with null among the types."""

    def normalize_name(self, name: str) -> str:
        return plain_name(super().normalize_name(name))

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: Any) -> JsonSchemaValue:
        """The docstring of a query's type is for developers, and no description."""
        found = super().typed_dict_schema(schema)
        if schema["cls"].__name__.endswith("Json"):
            found.pop("description", None)
        return found

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return or_null(self.generate_inner(schema["schema"]))

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().default_schema(schema)
        return {name: one for name, one in found.items() if name != "default" or one not in (None, "")}

    def literal_schema(self, schema: Any) -> JsonSchemaValue:
        return {"enum": list(schema["expected"])}

    def union_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().union_schema(schema)
        parts = found.get("anyOf", [{}])
        is_plain = all(part.keys() == {"type"} for part in parts)
        return {"type": [part["type"] for part in parts]} if is_plain else found


def or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return {**schema, "type": [*kinds, "null"]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def inline_enums(schema: Any, enums: Mapping[str, Schema]) -> Any:
    """The schema with each reference to an enum replaced by its values."""
    match schema:
        case list():
            return [inline_enums(one, enums) for one in schema]
        case {"$ref": str(ref), **rest} if ref.removeprefix(REFERENCE) in enums:
            return {"enum": enums[ref.removeprefix(REFERENCE)]["enum"], **rest}
        case {"anyOf": [{"$ref": str(ref)}, {"type": "null"}], **rest} if (
            ref.removeprefix(REFERENCE) in enums
        ):
            return {"enum": [*enums[ref.removeprefix(REFERENCE)]["enum"], None], **rest}
        case dict():
            return {key: inline_enums(one, enums) for key, one in schema.items()}
        case _:
            return schema


def version() -> str:
    try:
        return metadata.version("watchmark")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
