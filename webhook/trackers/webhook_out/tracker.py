"""The tracker: a play is told once, while it is live; nothing can be asked, and nothing taken back.

| answer | outcome |
|---|---|
| 2xx | told; whether the receiver knew the item it does not say |
| 401, 403 | signed out |
| 3xx, 404, 405, 410 | signed out: the address is wrong. No redirect is followed |
| 5xx, silence, a broken connection | unsure: it is not told again until a person says so |
| a web page | unsure: that is how a wrong address answers too |
| no connection | tried again |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx
import orjson

from webhook import clock
from webhook.client import call, excerpt
from webhook.domain.event import Action, Kind, describe_kind
from webhook.domain.outcome import Dead, Done, Park, Retry, Skip, Undelivered, Unmatched
from webhook.domain.retry import UNSURE_PAUSE, retry_after
from webhook.trackers import Access, Delivery, SignIn, Tokens
from webhook.trackers._base import BaseTracker, TrackerSettings, require_date
from webhook.trackers._facts import Facts
from webhook.trackers._refusals import park_as
from webhook.trackers.webhook_out.receiver import Receiver, conceal, make_receiver, read_receiver
from webhook.trackers.webhook_out.sample import TEST
from webhook.trackers.webhook_out.shapes import NEED_IDS, has_usable_id
from webhook.trackers.webhook_out.signature import sign

LABEL = "Outgoing webhook"
PURPOSE = "Tells another receiver, such as Yamtrack, Ryot, Movary or another Watchmark, what you watch as you watch it."
NOTE = "Depends on the receiver. A webhook cannot be asked or taken back."
SETUP: tuple[str, ...] = (
    "Copy the address for webhooks from the other program, with the token in it.",
    "Choose the shape it reads: nested for Yamtrack and Ryot, flat for Movary, generic for another Watchmark.",
    "The owner enters the address, since Watchmark calls it from inside your network.",
    "Send a test. An answer says that it arrived, never that it was understood.",
    "Does it forward to Trakt by itself? Then disconnect Trakt here, or each play is counted there twice.",
)
WRONG_ADDRESS = "the address is not the receiver's"
IN_DOUBT = (
    "It was sent once, and no clear answer came. A webhook cannot be asked whether it arrived: look there, and retry if "
    "it is missing"
)
WITHOUT_DATE = "it is late, and this shape has no date: the receiver would count it as watched now"
NOT_LATE = "it is late, and late plays are switched off for this receiver"
NO_ID = "this shape names films and episodes by their ids, and none is known of this one"
PAGE = re.compile(rb"\s*<(!doctype|html)", re.IGNORECASE)


class Settings(TrackerSettings):
    """It has none: each account has a receiver of its own."""


def build(settings: Settings, http: httpx.AsyncClient) -> WebhookOut:
    return WebhookOut(http)


class WebhookOut(BaseTracker):
    """Tells the receiver of an account. One at a time, so that a kill leaves no more than one in doubt."""

    name = "webhook_out"
    label = LABEL
    facts = Facts(None, None, None, None, NOTE)
    sign_in: SignIn = "receiver"
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    actions: ClassVar[Mapping[Action, str]] = {
        Action.START: "tell",
        Action.STOP: "tell",
        Action.WATCHED: "tell",
    }
    many_hosts = True
    statuses = {
        **dict.fromkeys((401, 403), park_as(Park.SIGNED_OUT, "the receiver does not accept its token")),
        **dict.fromkeys((404, 405, 410), park_as(Park.SIGNED_OUT, WRONG_ADDRESS)),
        **dict.fromkeys(range(300, 400), park_as(Park.SIGNED_OUT, WRONG_ADDRESS)),
    }

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http, "http://webhook-out", writes_per_second=1.0)

    async def tell(self, delivery: Delivery, access: Access) -> Done:
        if delivery.item.kind not in self.kinds:
            raise Dead(
                f"{LABEL} is told of films and episodes, and this is {describe_kind(delivery.item.kind)}"
            )
        if delivery.unsure:
            raise hold(delivery)
        receiver = read_receiver(access.tokens)
        check_sendable(delivery, receiver)
        return await self.post(receiver, delivery)

    async def post(self, receiver: Receiver, delivery: Delivery) -> Done:
        response = await self.submit(receiver, delivery)
        if not response.is_success:
            raise self.refuse_of(receiver, response)
        if PAGE.match(response.content):
            reason = f"{LABEL} answered {response.status_code} with a web page, as a wrong address does"
            raise Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)
        return Done(answer=f"sent; it answered {response.status_code}")

    async def submit(self, receiver: Receiver, delivery: Delivery) -> httpx.Response:
        body = receiver.body(delivery)
        headers = {**self.headers({}), **receiver.headers, **signature(receiver, delivery, body)}
        return await call(
            self.http, LABEL, "POST", receiver.url, headers=headers, json=body, public_url=receiver.public_url
        )

    def refuse_of(self, receiver: Receiver, response: httpx.Response) -> Undelivered:
        """The outcome of an answer that is no success; what it repeats of the address and the headers is left out."""
        status = response.status_code
        answer = conceal(excerpt(response), receiver)
        if status >= 500:
            reason = f"{LABEL} answered {status}: {self.error_words(response)}"
            after = retry_after(response.headers) or UNSURE_PAUSE
            return Retry(reason, answer=answer, after=after, unsure=True, suspect=status == 500)
        outcome = self.refuse(response)
        outcome.answer = answer
        return outcome

    # The sign-in

    async def accept_receiver(self, given: Mapping[str, str], stored: Tokens) -> Tokens:
        """The receiver as a person typed it; what is secret and left empty stays as stored. Raises SignInFailed."""
        return make_receiver(given, stored)

    async def check(self, access: Access) -> str:
        """Send a test: a film without ids that nobody watched, which no receiver keeps as watched."""
        receiver = read_receiver(access.tokens)
        await self.post(receiver, replace(TEST, at=datetime.now(UTC)))
        return receiver.name


def signature(receiver: Receiver, delivery: Delivery, body: Any) -> dict[str, str]:
    """The headers that sign the body as it is sent; none where the receiver has no signing secret."""
    if not receiver.secret:
        return {}
    return sign(receiver.secret, f"delivery_{delivery.id}", clock.now(), orjson.dumps(body))


def hold(delivery: Delivery) -> Undelivered:
    """What may have arrived is not sent again by itself; what only said what was on is not worth a question."""
    if not delivery.mark:
        return Skip(IN_DOUBT)
    return Dead(IN_DOUBT, resend=True)


def check_sendable(delivery: Delivery, receiver: Receiver) -> None:
    """Raise Skip where it would be dated wrongly, Unmatched where the shape could not say what it is."""
    require_date(delivery, LABEL)
    if delivery.late and not receiver.takes_late:
        raise Skip(NOT_LATE if receiver.late == "never" else WITHOUT_DATE)
    if receiver.shape in NEED_IDS and not has_usable_id(delivery.item):
        raise Unmatched(NO_ID)
