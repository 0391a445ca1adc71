"""The API's documentation at /api/docs, rendered from the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import orjson
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.people.scopes import DESCRIPTIONS
from webhook.service import Service
from webhook.web.docs.openapi import load_document
from webhook.web.http.addresses import address_of
from webhook.web.http.operations import Operation
from webhook.web.http.page import Page
from webhook.web.http.sessions import Sessions
from webhook.web.visible import Visitor

Schema = Mapping[str, Any]

WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}
SEPARATOR = re.compile(r"[/.]")
NO_WORD = re.compile(r"[^a-z0-9]+")
FIELD = re.compile(r"{(\w+)}")
SHAPE = "#/components/schemas/"
MAX_DEPTH = 2
"""Maximum depth of nested fields in one table."""

MIN_SHARED = 5
"""Minimum fields of a schema that another is described as an extension of; fewer are alike by chance."""

GROUPS = {
    "Webhooks and deliveries": ("webhooks", "deliveries"),
    "Needs you": ("needs-you", "held", "unmatched", "unresolved", "search", "silent"),
    "History": ("plays", "numbers"),
    "Library": ("library", "shows", "films", "up-next", "follows", "calendar", "watchlist"),
    "Import and export": ("imports", "exports", "jobs", "catch-up"),
    "People": ("people", "identities", "household"),
    "Signing in": ("sessions", "passkeys", "oidc-users"),
    "VideoScrobbler apps": ("apps", "privacy"),
    "Connections": ("connections", "accounts", "sign-ins"),
    "Set-up": ("urls", "templates"),
    "The service": ("summary", "settings", "tokens", "backup", "openapi"),
}
"""The groups with the first words of their paths; a test finds an operation that none of them has."""


class Docs(Page):
    def __init__(
        self, service: Service, sessions: Sessions, operations: Sequence[Operation[Any, Any]]
    ) -> None:
        super().__init__(service, sessions)
        self.operations = operations

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/docs", self.page(self.docs))]

    async def docs(self, request: Request, visitor: Visitor) -> Response:
        described = await load_document(address_of(self.service, request), self.operations)
        schemas = described["components"]["schemas"]
        known = {
            "program": described["info"]["version"],
            "server": described["servers"][0]["url"],
            "groups": groups(described),
            "scopes": DESCRIPTIONS,
            "shapes": {name: shape(name, schemas) for name in sorted(schemas)},
        }
        return self.render(request, "docs.html", known, visitor)


def groups(api: Schema) -> dict[str, list[dict[str, object]]]:
    """The operations by group."""
    titles = {word: title for title, words in GROUPS.items() for word in words}
    found: dict[str, list[dict[str, object]]] = {title: [] for title in GROUPS}
    for path, methods in api["paths"].items():
        word = SEPARATOR.split(path)[1]
        found[titles[word]].extend(
            operation(api, path, method, described) for method, described in methods.items()
        )
    return {title: operations for title, operations in found.items() if operations}


def operation(api: Schema, path: str, method: str, described: Schema) -> dict[str, object]:
    body = described.get("requestBody", {})
    return {
        "method": method.upper(),
        "path": path,
        "anchor": NO_WORD.sub("-", f"{method}{path}".lower()).strip("-"),
        "summary": quote_names(described["summary"]),
        "open": described["security"] == [],
        "scope": scope_of(described),
        "in_path": params(described, "path"),
        "in_query": params(described, "query"),
        "body": contents(body.get("content", {}), is_input=True),
        "body_about": body.get("description"),
        "answers": [
            {
                "status": status,
                "description": answer["description"],
                "contents": contents(answer.get("content", {})),
            }
            for status, answer in described["responses"].items()
            if status != "default"
        ],
        "curl": text_of(
            curl(api["servers"][0]["url"], path, method, described, api["components"]["schemas"])
        ),
    }


def params(described: Schema, place: str) -> list[dict[str, object]]:
    """The parameters in the query, or in the path, where it goes without saying that each is required."""
    return [
        field_row(
            one["name"],
            {"description": one.get("description"), **one["schema"]},
            place == "query" and one.get("required", False),
        )
        for one in described["parameters"]
        if one["in"] == place
    ]


def scope_of(described: Schema) -> str | None:
    """The scope that the operation requires of a token; None for a public one."""
    return next((scope for one in described["security"] for scopes in one.values() for scope in scopes), None)


def contents(content: Schema, *, is_input: bool = False) -> list[dict[str, object]]:
    """The media types, each with its type in words, and a table if the schema is unnamed."""
    return [
        {
            "media": media,
            "type": describe_type(one["schema"]),
            "rows": []
            if describe_type(one["schema"])["shape"]
            else list(fields(one["schema"], is_input=is_input)),
        }
        for media, one in content.items()
    ]


# --- shapes in words


def describe_type(schema: Schema) -> dict[str, str | None]:
    """A type in words, and the named schema to link to."""
    name = shape_name(schema)
    if name is not None:
        return {"text": name, "shape": name}
    if (item := page_type(schema)) is not None:
        inner = describe_type(item)
        return {"text": f"page of {inner['text']}", "shape": inner["shape"]}
    if schema.get("items"):
        inner = describe_type(schema["items"])
        return {"text": f"list of {inner['text']}", "shape": inner["shape"]}
    if "anyOf" in schema:
        parts = [describe_type(part) for part in schema["anyOf"]]
        shape = next((part["shape"] for part in parts if part["shape"]), None)
        return {"text": " or ".join(str(part["text"]) for part in parts), "shape": shape}
    return {"text": in_words(schema), "shape": None}


def shape_name(schema: Schema) -> str | None:
    ref = schema.get("$ref")
    return None if ref is None else str(ref).removeprefix(SHAPE)


def page_type(schema: Schema) -> Schema | None:
    """The schema of a list page's items; None if the schema is not a list page."""
    properties = schema.get("properties", {})
    return properties["items"].get("items") if properties.keys() == {"items", "next"} else None


def in_words(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join("null" if one is None else str(one) for one in schema["enum"])
    given = schema.get("type", "object")
    kinds = [given] if isinstance(given, str) else given
    text = " or ".join(WORDS.get(kind, kind) for kind in kinds)
    if "format" in schema:
        text += {"date-time": ", a time", "binary": ", a file"}.get(schema["format"], "")
    return text


def describe_field(schema: Schema) -> str:
    """A field's description beside its type: the sentence, the bounds and the default."""
    least, most = schema.get("minimum"), schema.get("maximum")
    bounds = f"{least} to {most}." if least is not None and most is not None and most < 2**53 else None
    longest = f"At most {schema['maxLength']} characters." if "maxLength" in schema else None
    default = f"{schema['default']} by default." if "default" in schema else None
    parts = (schema.get("description"), bounds, longest, default)
    return quote_names(" ".join(part for part in parts if part))


def quote_names(text: str) -> str:
    return text.replace("`", "\N{QUOTATION MARK}")


def shape(name: str, schemas: Mapping[str, Schema]) -> dict[str, object]:
    """The schema that a named one extends, and the fields that it adds."""
    base = find_base(name, schemas)
    shared = schemas[base]["properties"] if base else {}
    own = {key: one for key, one in schemas[name].get("properties", {}).items() if key not in shared}
    return {"base": base, "rows": list(fields({"properties": own}))}


def find_base(name: str, schemas: Mapping[str, Schema]) -> str | None:
    """The largest schema whose fields are all among those of this one; None if there is none."""
    mine = schemas[name].get("properties", {}).items()
    sizes = {
        other: len(properties)
        for other, schema in schemas.items()
        if MIN_SHARED <= len(properties := schema.get("properties", {})) < len(mine)
        and all(field in mine for field in properties.items())
    }
    return max(sizes, key=sizes.__getitem__, default=None)


def field_row(name: str, schema: Schema, is_required: bool) -> dict[str, object]:
    """The row of a parameter or a field in a table."""
    description = describe_field(schema)
    return {
        "name": name,
        "type": describe_type(schema),
        "description": f"Required. {description}".rstrip() if is_required else description,
    }


def fields(
    schema: Schema, prefix: str = "", depth: int = 0, *, is_input: bool = False
) -> Iterator[dict[str, object]]:
    """The fields of an object; nested ones have dotted names."""
    required = schema.get("required", ()) if is_input else ()
    for name, inner in schema.get("properties", {}).items():
        yield field_row(f"{prefix}{name}", inner, name in required)
        if depth < MAX_DEPTH:
            for nested, path in (
                (inner, f"{prefix}{name}."),
                (inner.get("items") or {}, f"{prefix}{name}[]."),
            ):
                yield from fields(nested, path, depth + 1, is_input=is_input)


# --- an example


def text_of(command: str) -> Markup:
    """A command as the text of an element, in which quotes need no escape."""
    return Markup(escape(command, quote=False))  # noqa: S704 - it is escaped


def curl(server: str, path: str, method: str, described: Schema, schemas: Mapping[str, Schema]) -> str:
    """A curl command to paste into a shell, with placeholders in capitals."""
    query = [
        one["name"] for one in described.get("parameters", ()) if one["in"] == "query" and one.get("required")
    ]
    filled = FIELD.sub(lambda found: found.group(1).upper(), path)
    address = f"{server}{filled}" + (
        f"?{'&'.join(f'{name}={name.upper()}' for name in query)}" if query else ""
    )
    parts: list[str] = ["curl"]
    if method not in ("get", "post") or (method == "post" and "requestBody" not in described):
        parts.append(f"-X {method.upper()}")
    if any("token" in one for one in described["security"]):
        parts.append('-H "Authorization: Bearer $TOKEN"')
    content = described.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        example = orjson.dumps(sample(content["application/json"]["schema"], schemas)).decode()
        parts += ["-H 'Content-Type: application/json'", f"-d {quote_shell(example)}"]
    elif content:
        parts.append("--data-binary @FILE")
    return " ".join([*parts, quote_shell(address)])


def quote_shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def sample(schema: Schema, schemas: Mapping[str, Schema], depth: int = 0) -> Any:
    """An example value of this schema: its own example, or a plain one."""
    if "examples" in schema:
        return schema["examples"][0]
    if name := shape_name(schema):
        return sample(schemas[name], schemas, depth)
    if "enum" in schema:
        return schema["enum"][0]
    kinds: Sequence[str] = (
        [schema.get("type", "object")] if isinstance(schema.get("type", "object"), str) else schema["type"]
    )
    if "object" in kinds:
        properties = schema.get("properties", {})
        wanted = schema.get("required") or list(properties)[:2]
        return {name: sample(properties[name], schemas, depth + 1) for name in wanted} if depth < 3 else {}
    if "array" in kinds:
        return [sample(schema.get("items") or {"type": "string"}, schemas, depth + 1)]
    plain: Mapping[str, object] = {"integer": 1, "number": 1, "boolean": True}
    text = "2026-11-22T20:15:00Z" if schema.get("format") == "date-time" else "…"
    return plain.get(kinds[0], text)
