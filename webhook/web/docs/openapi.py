"""The OpenAPI document: what the JSON API takes and gives, kept by hand and tested to match its routes.

One file is one group, as in `webhook.web.api`; the apps' routes stand beside the VideoScrobbler API itself.
"""

from __future__ import annotations

from importlib import metadata
from types import ModuleType

from webhook.people.scopes import DESCRIPTIONS
from webhook.web.activity import openapi_deliveries, openapi_webhooks
from webhook.web.connections import openapi as connections
from webhook.web.history import openapi as history
from webhook.web.http.access import PUBLIC, ROUTES
from webhook.web.http.schema import TEXTUAL, Schema, thing
from webhook.web.needs_you import openapi as needs
from webhook.web.people import openapi as people
from webhook.web.people import openapi_apps
from webhook.web.settings import openapi as settings
from webhook.web.transfer import openapi as transfer

PARTS: tuple[ModuleType, ...] = (
    openapi_webhooks,
    openapi_deliveries,
    needs,
    history,
    transfer,
    people,
    connections,
    settings,
    openapi_apps,
)
PROBLEM = thing(
    type=TEXTUAL,
    title=TEXTUAL,
    status={"type": "integer"},
    detail=TEXTUAL,
)


def document(address: str) -> Schema:
    """The whole document, of a service at this address."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Watchmark",
            "version": version(),
            "description": "Lists are newest first, paged by cursor: give `next` as `after`. "
            "Errors are application/problem+json.",
        },
        "servers": [{"url": f"{address}/api/v1"}],
        "security": [{"token": []}, {"session": []}],
        "paths": {
            path: {method: with_scope(path, method, described) for method, described in methods.items()}
            for part in PARTS
            for path, methods in part.paths().items()
        },
        "components": {
            "schemas": {
                "Problem": PROBLEM,
                **{name: schema for part in PARTS for name, schema in part.schemas().items()},
            },
            "securitySchemes": {
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
            },
        },
    }


def with_scope(path: str, method: str, described: Schema) -> Schema:
    """The operation with the scope that a token needs for it."""
    scope = ROUTES[f"/api/v1{path}"][method.upper()]
    if scope is PUBLIC:
        return {**described, "security": []}
    if path == "/calendar.ics":
        return {**described, "security": [{"feed": [scope]}]}
    return {**described, "security": [{"token": [scope]}, {"session": []}]}


def version() -> str:
    try:
        return metadata.version("watchmark")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
