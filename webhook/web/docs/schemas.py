"""The published JSON schemas of the generic webhook, for editors and tests of sender authors."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.sources import generic

MEDIA_TYPE = "application/schema+json"


def routes() -> list[BaseRoute]:
    return [Route(generic.SCHEMA_PATH, of_generic)]


async def of_generic(request: Request) -> Response:
    return Response(orjson.dumps(generic.schema()), media_type=MEDIA_TYPE)
