"""Base class of page groups: auth, CSRF-checked forms, rendering, redirects."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from typing_extensions import ReadOnly, TypedDict

from webhook import clock
from webhook.history.stats_span import zone_for
from webhook.people import people
from webhook.service import Service
from webhook.storage.db import Unavailable
from webhook.storage.tables import PersonRow
from webhook.texts import texts
from webhook.web import visible
from webhook.web.http.compression import html_response
from webhook.web.http.errors import Problem, path_of
from webhook.web.http.language import LANGUAGE, LANGUAGE_COOKIE, LANGUAGES, format_number, gettext, translate
from webhook.web.http.navigation import navigation
from webhook.web.http.params import Params, form, whole
from webhook.web.http.sessions import Sessions, base, refuse_other_sites
from webhook.web.http.templating import draw
from webhook.web.needs_you import queries as needs
from webhook.web.visible import Visitor

Draws = Callable[[Request, Visitor], Awaitable[Response]]
Makes = Callable[[Request, Visitor, Mapping[str, str]], Awaitable[str]]
Endpoint = Callable[[Request], Awaitable[Response]]

MAX_PATH_LENGTH = 1024

THEME_COOKIE = "watchmark_theme"
THEMES = ("light", "dark")
"""What a browser may choose instead of its system's colours."""

FLASH_MESSAGES = texts(
    {
        "replayed": "The webhook is processed again.",
        "retried": "Retrying.",
        "nothing": "Nothing to do: it is already done or waiting.",
        "claimed": "Claimed. Waiting webhooks are processed now.",
        "ignored": "Ignored. This user's plays are not tracked. You can undo this at the end of the list.",
        "heeded": "No longer ignored. This user's plays wait until the user is claimed.",
        "asked": "Skipped. The plays stay in the history as they are.",
        "released": "Unclaimed. Plays already processed stay as they are.",
        "matched": "Match saved. Waiting deliveries are sent now.",
        "saved": "Saved.",
        "sure": "Please confirm below. Nothing has changed yet.",
        "removed": "Removed.",
        "added": "Added to your history.",
        "created": "Added.",
        "listed": "Added to the watchlist.",
        "on-it": "It is on the watchlist already.",
        "reading": "The lists are read now. Reload in a moment.",
        "unselected": "Select a play first.",
        "known": "This play was already added.",
        "retired": "Dismissed. The server is listed again if it sends something and then falls silent.",
        "cancelled": "Cancelled. What was already sent stays.",
        "begun": "Started. Progress is shown below.",
        "import-undone": "The import is undone.",
        "tested": "Sent. Check that it arrived.",
        "connected": "Connected.",
        "disconnected": "Disconnected. What was already sent stays there.",
        "ended": "Signed out there.",
        "passkey-added": "Added. You can sign in with this passkey from now on.",
        "linked": "Linked. You can sign in with it from now on.",
    }
)
"""Messages after a change, by the word in the page's address."""

COUNT_MESSAGES = texts(
    {
        "marked": "Marked as watched: %(num)s.",
        "unmarked": "Plays removed: %(num)s.",
        "added": "Added: %(num)s.",
        "gone": "Removed: %(num)s.",
        "back": "Back in the history: %(num)s.",
        "moved": "Moved: %(num)s.",
        "shifted": "Moved: %(num)s.",
        "reassigned": "Moved: %(num)s.",
        "resent": "Sending again: %(num)s.",
        "unlisted": "Taken off the watchlist: %(num)s.",
        "listing": "Being sent: %(num)s.",
        "retried": "Retried: %(num)s. Reload to see the result.",
        "replayed": "Replayed: %(num)s.",
        "dismissed": "Dismissed: %(num)s. They stay in Activity, where you can retry them.",
        "matched": "Match saved. Deliveries sent now: %(num)s.",
        "untold": "Marks being taken back: %(num)s.",
        "accepted": "Counted as yours: %(num)s.",
        "left": "Ignored: %(num)s. Your history stays as it is.",
        "written": "Match saved. Imported plays updated: %(num)s.",
    }
)
"""Messages with a count, such as `retried-3`."""

LEFT_MESSAGES = texts(
    {
        "added": "Already there: %(num)s.",
        "gone": "Not removed: %(num)s. They were gone already.",
        "back": "Not brought back: %(num)s. They are there already, or another play stands for them.",
        "moved": "Not moved: %(num)s. Only watched plays can move, and not into the future.",
        "shifted": "Not moved: %(num)s. Their time is unknown, or it would lie in the future.",
        "reassigned": "Not moved: %(num)s. They are there already, or still playing.",
        "resent": "Nothing to send: %(num)s. They were sent, or wait already.",
    }
)
"""Messages with the count of what a change left as it was, such as the 2 of `moved-3-2`."""

SENT_MESSAGES = texts(
    {
        "back": "Being sent again: %(num)s.",
        "shifted": "Being sent again: %(num)s.",
        "reassigned": "Being sent to their trackers: %(num)s.",
    }
)
"""Messages with the count of what trackers are sent again, such as the 1 of `back-3-0-1`."""


class Page:
    """Base of page groups: `page` and `change` guard the handlers, `render` renders, `to` redirects."""

    def __init__(self, service: Service, sessions: Sessions) -> None:
        self.service = service
        self.sessions = sessions
        self.database = service.database

    def page(self, draws: Draws) -> Endpoint:
        """Guard a page for signed-in visitors; others are redirected to the sign-in."""

        async def endpoint(request: Request) -> Response:
            visitor = await self.sessions.visitor(request)
            if visitor is not None:
                await self.prepare(request, visitor)
                return await draws(request, visitor)
            path = current_path(request, base(self.service.settings, request))
            if from_outside(request):
                return self.render(
                    request, "outside.html", {"onward": onward_from_outside(path), "leads": None}
                )
            return self.redirect_to(request, f"/sign-in?{urlencode({'next': path})}")

        return endpoint

    def owners(self, draws: Draws) -> Endpoint:
        """Guard a page for the owner only."""

        async def show_to_owner(request: Request, visitor: Visitor) -> Response:
            if not visitor.is_admin:
                raise Problem(403, "Only the owner can see this page.")
            return await draws(request, visitor)

        return self.page(show_to_owner)

    def change(self, makes: Makes, *, ends: bool = False, owner: bool = False) -> Endpoint:
        """Guard a form: check its origin and CSRF token, run the change, then redirect back."""

        async def endpoint(request: Request) -> Response:
            visitor = await self.visitor_of_form(request)
            if visitor is None:
                return self.redirect_to(request, "/sign-in")
            fields = await form(request)
            self.refuse_other_forms(visitor, fields)
            if owner and not visitor.is_admin:
                raise Problem(403, "Only the owner can do this.")
            response = self.redirect_to(request, await makes(request, visitor, fields))
            if ends:
                self.sessions.end(request, response)
            return response

        return endpoint

    async def visitor_of_form(self, request: Request) -> Visitor | None:
        """The visitor who sent a form, or None; refuses forms of other sites."""
        refuse_other_sites(request, self.service.settings)
        return await self.sessions.visitor(request)

    def refuse_other_forms(self, visitor: Visitor, fields: Mapping[str, str]) -> None:
        if not self.sessions.is_form_token(visitor, fields.get("form_token", "")):
            raise Problem(
                403, "This form belongs to another sign-in. Go back, reload the page and try again."
            )

    async def prepare(self, request: Request, visitor: Visitor) -> None:
        """Load the data of every page's frame: the number of things that need the visitor, and the time zone."""
        now, days = clock.now(), self.service.settings.silence_days
        request.state.needed, request.state.zone = await self.database.read(
            lambda connection: (
                needs.count(connection, visitor, now, days),
                zone_for(connection, visitor.person_id or 0),
            )
        )

    async def chosen_person(self, params: Params, visitor: Visitor) -> tuple[PersonRow, list[str]]:
        """The person whose history is shown, and the people to choose from."""
        name = params.text("person")
        if visitor.restricted_to is not None and name not in (None, visitor.restricted_to):
            raise Problem(403, f"You can only see the history of {visitor.restricted_to} here.")

        def read(connection: Connection) -> tuple[PersonRow, list[str]]:
            try:
                row = people.find_person(connection, name or visitor.name or "")
            except people.PeopleError as error:
                raise Problem(404, "There is no person with that name.") from error
            return row, visible.names(connection) if visitor.is_admin else []

        return await self.database.read(read)

    async def error(self, request: Request, status: int, detail: str) -> Response:
        """Render an error page, with navigation if the visitor is known."""
        visitor = None
        with contextlib.suppress(Unavailable):
            visitor = await self.sessions.visitor(request) if status < 500 else None
            if visitor is not None:
                await self.prepare(request, visitor)
        known = {"status": status, "detail": detail, "see": getattr(request.state, "see", None), "said": None}
        known["form"] = form_page(request)
        return self.render(request, "error.html", known, visitor, status)

    def redirect_to(self, request: Request, path: str) -> Response:
        return RedirectResponse(base(self.service.settings, request) + path, 303)

    def back(self, request: Request, fields: Mapping[str, str], word: str, undo: int | None = None) -> str:
        """Redirect to the page that the form was on, with a message; `undo` is the removal that it can undo."""
        prefix = base(self.service.settings, request)
        path = local(fields.get("back", "")).removeprefix(prefix) or "/"
        removal = "" if undo is None else f"undo={undo}&"
        return f"{path}{'&' if '?' in path else '?'}{removal}said={word}"

    def render(
        self,
        request: Request,
        template: str,
        known: Mapping[str, object],
        visitor: Visitor | None = None,
        status: int = 200,
    ) -> Response:
        prefix = base(self.service.settings, request)
        common = {
            "base": prefix,
            "visitor": visitor,
            "form_token": self.sessions.form_token(visitor) if visitor else "",
            "here": current_path(request, prefix),
            "said": flash_message(request),
            "undo": whole(request.query_params.get("undo", "")),
            "pictures": self.service.pictures,
            "theme": theme_of(request),
            "language": LANGUAGE.get(),
            "languages": LANGUAGES,
            "chosen_language": request.cookies.get(LANGUAGE_COOKIE, ""),
            "needed": getattr(request.state, "needed", 0),
            "nav": navigation(visitor, path_of(request.scope)) if visitor else None,
            "drawn_at": "" if request.method == "POST" else None,
        }
        zone = getattr(request.state, "zone", None)
        response = html_response(request, draw(template, {**common, **known}, zone), status)
        response.headers["Content-Language"] = LANGUAGE.get()
        for name in ("Accept-Language", "Cookie"):
            response.headers.add_vary_header(name)
        return response


def form_page(request: Request) -> str:
    """The path of the page whose form was sent, without what its last change left there; "" where it is not known."""
    if request.method != "POST":
        return ""
    sent_from = urlsplit(request.headers.get("referer", ""))
    kept = [(name, value) for name, value in parse_qsl(sent_from.query) if name not in ("said", "undo")]
    return local(f"{sent_from.path}?{urlencode(kept)}" if kept else sent_from.path)


def theme_of(request: Request) -> str | None:
    """The theme that this browser chose, or None for its system's."""
    chosen = request.cookies.get(THEME_COOKIE)
    return chosen if chosen in THEMES else None


def current_path(request: Request, prefix: str) -> str:
    """The path and query of this page, without what its last change left there."""
    path = prefix + quote(path_of(request.scope))
    kept = [
        (name, value) for name, value in request.query_params.multi_items() if name not in ("said", "undo")
    ]
    return f"{path}?{urlencode(kept)}" if kept else path


def local(path: str) -> str:
    """The path if it belongs to this server, else an empty text."""
    fine = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if fine and path.isascii() and len(path) <= MAX_PATH_LENGTH else ""


def flash_message(request: Request) -> str | None:
    """The message on the last change for the top of the page, or None."""
    word = request.query_params.get("said", "")
    what, *numbers = word.split("-")
    if what not in COUNT_MESSAGES or not numbers:
        return translate(FLASH_MESSAGES.get(word)) or None
    messages = (COUNT_MESSAGES[what], LEFT_MESSAGES.get(what, ""), SENT_MESSAGES.get(what, ""))
    counts = [whole(number) for number in numbers]
    said = [
        gettext(message, num=format_number(count))
        for message, count in zip(messages, counts, strict=False)
        if count and message
    ]
    return " ".join(said) or gettext(FLASH_MESSAGES["nothing"])


class Continued(TypedDict):
    """A page of a list; `next` is the cursor of the one after it."""

    next: ReadOnly[int | str | None]


def older(chosen: Mapping[str, str | None], listed: Continued) -> str | None:
    """The query string of the next page of a list."""
    if listed["next"] is None:
        return None
    return urlencode({**{name: value for name, value in chosen.items() if value}, "after": listed["next"]})


def from_outside(request: Request) -> bool:
    """True if a link on another site led here, since browsers withhold a strict cookie from such a request."""
    arrived = "arrived" in request.query_params
    return request.headers.get("sec-fetch-site") == "cross-site" and not arrived


def onward_from_outside(path: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}arrived=1"
