"""The OpenAPI document: what the JSON API takes and gives, kept by hand and tested to match its routes.

One file is one group, as in `webhook.web.api`; the apps' routes stand beside the VideoScrobbler API itself.
"""

from __future__ import annotations

from importlib import metadata
from types import ModuleType

from webhook.web.openapi import (
    apps,
    connections,
    deliveries,
    history,
    needs,
    people,
    settings,
    transfer,
    webhooks,
)
from webhook.web.openapi._parts import TEXTUAL, Schema, thing

PARTS: tuple[ModuleType, ...] = (
    webhooks,
    deliveries,
    needs,
    history,
    transfer,
    people,
    connections,
    settings,
    apps,
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
        "paths": {path: about for part in PARTS for path, about in part.paths().items()},
        "components": {
            "schemas": {
                "Problem": PROBLEM,
                **{name: schema for part in PARTS for name, schema in part.schemas().items()},
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "watchmark"},
            },
        },
    }


def version() -> str:
    try:
        return metadata.version("watchmark")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
