"""The receiver of webhooks as its form shows it: as typed, else as stored, with the body of a sample play."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from webhook.accounts.accounts import read_stored_sign_in
from webhook.service import Service
from webhook.trackers import SignInFailed, Tokens
from webhook.trackers.webhook_out.receiver import (
    LATE_LABELS,
    OWN,
    SHAPE_LABELS,
    make_receiver,
    read_receiver,
)
from webhook.trackers.webhook_out.shapes import VALUES
from webhook.web.connections import actions
from webhook.web.connections.catalog import ServiceInfo
from webhook.web.connections.states import sentence
from webhook.web.http.errors import Problem
from webhook.web.visible import Visitor

PREVIEW = "This is a preview. Nothing is saved or sent yet."
NOWHERE = "http://receiver.invalid/"
"""Stands where a preview needs no address yet."""

FIELDS = {"shape": "nested", "late": "dated", "receiver_user": "", "template": ""}
"""The fields of the form that are no secret, and what they are at first."""


class ReceiverView(TypedDict):
    """What the form of a receiver shows."""

    shapes: Mapping[str, str]
    late: Mapping[str, str]
    names: Sequence[str]
    host: str | None
    has_headers: bool
    has_secret: bool
    current: dict[str, str]
    secret: dict[str, str]
    preview: str | None
    is_asked: bool


async def describe_receiver(
    service: Service, visitor: Visitor, one: ServiceInfo, typed: Mapping[str, str]
) -> ReceiverView:
    """What the form shows: of what is stored neither the address nor the headers, only the machine."""
    person_id, _ = await actions.resolve_person(service, visitor, typed.get("person"))
    found = await read_stored_sign_in(service, person_id, one.name)
    stored = found if found.get("url") else {}
    current = {name: typed.get(name, value) for name, value in {**FIELDS, **public_fields(stored)}.items()}
    return {
        "shapes": SHAPE_LABELS,
        "late": LATE_LABELS,
        "names": VALUES,
        "host": read_receiver(stored).host if stored else None,
        "has_headers": bool(stored.get("headers")),
        "has_secret": bool(stored.get("secret")),
        "current": current,
        "secret": {name: typed.get(name, "") for name in ("address", "headers", "signing_secret")},
        "preview": preview_of(current),
        "is_asked": "preview" in typed,
    }


def public_fields(stored: Tokens) -> dict[str, str]:
    if not stored:
        return {}
    known = {name: stored[name] for name in ("shape", "late", "template")}
    return {**known, "receiver_user": stored["user"]}


def preview_of(current: Mapping[str, str]) -> str | None:
    """The body of the sample play; None where the template holds none yet."""
    if current["shape"] == OWN and not current["template"].strip():
        return None
    try:
        return read_receiver(make_receiver({**current, "address": NOWHERE}, {})).preview()
    except SignInFailed:
        return None


def check_preview(typed: Mapping[str, str]) -> None:
    """Raise Problem with the line at fault where the form has no body to show."""
    try:
        make_receiver({**typed, "address": NOWHERE, "headers": "", "signing_secret": ""}, {})
    except SignInFailed as error:
        raise Problem(422, sentence(str(error))) from error
