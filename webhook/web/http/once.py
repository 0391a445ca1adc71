"""Forms answered by a page instead of a redirect: a one-time secret, a preview, a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from webhook.web.http.errors import Problem
from webhook.web.http.page import Endpoint, Page
from webhook.web.http.params import form
from webhook.web.visible import Visitor

Answers = Callable[[Request, Visitor, Mapping[str, str]], Awaitable[Response]]


class Once(Page):
    def answers(self, makes: Answers, *, owner: bool = False) -> Endpoint:
        """Guard a form as `change` does, and return the handler's response."""

        async def endpoint(request: Request) -> Response:
            visitor = await self.visitor_of_form(request)
            if visitor is None:
                return self.redirect_to(request, "/sign-in")
            fields = await form(request)
            self.refuse_other_forms(visitor, fields)
            if owner and not visitor.is_admin:
                raise Problem(403, "Only the owner can do this.")
            await self.prepare(request, visitor)
            return await makes(request, visitor, fields)

        return endpoint
