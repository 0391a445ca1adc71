"""API of the API: its own OpenAPI document."""

from __future__ import annotations

from typing import Any

from webhook.web.docs.openapi import Schema, load_document
from webhook.web.http.addresses import address_of
from webhook.web.http.operations import PUBLIC, Call, Operation


async def get_document(call: Call[None, None]) -> Schema:
    """This document."""
    return await load_document(address_of(call.service, call.request), call.operations)


OPERATIONS: tuple[Operation[Any, Any], ...] = (Operation("GET", "/openapi.json", get_document, PUBLIC),)
