"""respx leads astray what goes through our own transport as well as what goes through httpx's."""

from __future__ import annotations

from typing import Any

import httpx
import respx.mocks
from respx.mocks import HTTPCoreMocker

from webhook.network.transport import Transport


class TransportMocker(HTTPCoreMocker):
    name = "transport"
    targets = [*HTTPCoreMocker.targets, f"{Transport.__module__}.{Transport.__name__}"]  # noqa: RUF012 - as respx has it

    @classmethod
    def to_httpx_request(cls, **kwargs: Any) -> httpx.Request:
        request = kwargs["request"]
        if isinstance(request, httpx.Request):
            return request
        made: httpx.Request = super().to_httpx_request(**kwargs)  # type: ignore[no-untyped-call]
        return made

    @classmethod
    async def from_async_httpx_response(
        cls, httpx_response: httpx.Response, target: Any, **kwargs: Any
    ) -> Any:
        if isinstance(target, Transport):
            return httpx_response
        return await super().from_async_httpx_response(httpx_response, target, **kwargs)  # type: ignore[no-untyped-call]


respx.mocks.DEFAULT_MOCKER = TransportMocker.name
