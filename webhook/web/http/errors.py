"""Errors of the web as replies in words, and security headers on every reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import orjson
import structlog
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhook.people import people
from webhook.storage.db import Unavailable
from webhook.texts import texts
from webhook.web.http.language import ENGLISH, LANGUAGE, LANGUAGE_COOKIE, choose_language, prepare

log = structlog.get_logger()

ErrorPage = Callable[[Request, int, str], Awaitable[Response]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a browser says `Origin: null` on our own forms too, and over plain HTTP nothing
    # else tells them from another site's (https://fetch.spec.whatwg.org/#append-a-request-origin-header).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MACHINES = ("/api/", "/metrics", "/healthz", "/readyz")
PROGRAMS = ("/api/v1/", "/api/1.0", "/metrics", "/healthz", "/readyz")
"""What only programs ask for; what else lies under /api is a page."""
LATER = {"Retry-After": "30"}
HTTP_ERRORS = texts(
    {404: "There is nothing at this address.", 405: "This address is not used with that method."}
)
UNKNOWN_PERSON = "There is nobody of that name here any more."


def path_of(scope: Scope) -> str:
    """The path within the application, without its mount prefix."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


class Problem(Exception):
    """A request that is refused; the detail is a sentence for the caller."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, *, see: str | None = None
    ) -> None:
        """`see` is the page where a person can fix the problem."""
        super().__init__(detail)
        self.see = see
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class Shell:
    """Middleware that adds security headers, knows the language of pages, and logs unhandled errors."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        language = language_of(scope)
        await prepare(language)
        before = LANGUAGE.set(language)
        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return
        except Exception:  # the application has already answered 500
            # Only the first part: what follows in /welcome/ is a secret.
            log.exception(
                "A page or an API call failed with an unexpected error.",
                page=path_of(scope).strip("/").split("/")[0],
            )
        finally:
            LANGUAGE.reset(before)


def language_of(scope: Scope) -> str:
    """The language of the answer: the browser's for a page, English for a program."""
    if path_of(scope).startswith(PROGRAMS):
        return ENGLISH
    request = HTTPConnection(scope)
    return choose_language(
        request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", "")
    )


def web(routes: list[BaseRoute], page: ErrorPage) -> Shell:
    """The routes as an application in its middleware; `page` renders an error for people."""
    faults = Faults(page)
    handlers = {
        Problem: faults.problem,
        HTTPException: faults.http_error,
        Unavailable: faults.unavailable,
        people.PeopleError: faults.unknown,
        ClientDisconnect: faults.handle_disconnect,
        Exception: faults.fault,
    }
    application = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    application.router.redirect_slashes = False
    return Shell(application)


class Faults:
    """Exception handlers: problem+json for API callers, a page for people."""

    def __init__(self, page: ErrorPage) -> None:
        self.page = page

    async def problem(self, request: Request, error: Problem) -> Response:
        request.state.see = error.see
        return await self.answer(request, error.status, error.detail, error.headers)

    async def http_error(self, request: Request, error: HTTPException) -> Response:
        detail = HTTP_ERRORS.get(error.status_code, error.detail)
        return await self.answer(request, error.status_code, detail, dict(error.headers or {}))

    async def unavailable(self, request: Request, error: Unavailable) -> Response:
        why = f"The database cannot be used now: {error}. Nothing was changed; try again in a moment."
        return await self.answer(request, 503, why, LATER)

    async def unknown(self, request: Request, error: people.PeopleError) -> Response:
        """Answer when a person was renamed or removed meanwhile; the error lists everybody, so its text is hidden."""
        return await self.answer(request, 404, UNKNOWN_PERSON, {})

    async def handle_disconnect(self, request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # the client is gone

    async def fault(self, request: Request, error: Exception) -> Response:
        why = "Something is wrong here, not with what you asked. It is in the log."
        return await self.answer(request, 500, why, {})

    async def answer(
        self, request: Request, status: int, detail: str, headers: Mapping[str, str]
    ) -> Response:
        if path_of(request.scope).startswith(MACHINES):
            response = problem(status, detail)
        else:
            response = await self.page(request, status, detail)
        response.headers.update(headers)
        return response


def problem(status: int, detail: str) -> Response:
    """An error as application/problem+json (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(orjson.dumps(body), status, media_type="application/problem+json")


async def problem_page(request: Request, status: int, detail: str) -> Response:
    """The error for an application that has no pages."""
    return problem(status, detail)
