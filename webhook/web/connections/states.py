"""The state of each connection and account, as pages and the API show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from sqlalchemy import Connection, delete, insert, select

from webhook import clock, trackers
from webhook.accounts.accounts import AccountCheck
from webhook.clock import stamp
from webhook.domain.outcome import Park, explain_limit, parked_sentence
from webhook.queries.people import AccountJson
from webhook.queries.reception import ReceptionJson, find_reception
from webhook.servers import is_listenable
from webhook.service import Service
from webhook.settings import plain
from webhook.storage.tables import note
from webhook.texts import end_sentence, texts
from webhook.transfer import catch_up
from webhook.web import visible
from webhook.web.connections import settings_actions
from webhook.web.connections.catalog import STATES, ServiceInfo, services
from webhook.web.connections.models import ConnectionAccount, ConnectionJson, ConnectionSetting, Tested
from webhook.web.visible import Visitor

NEEDS: Mapping[Park, str] = texts(
    {
        Park.SIGNED_OUT: "Sign in again below.",
        Park.VIP_REQUIRED: "Renew the membership, then sign in again below.",
        Park.ACCOUNT_LIMIT: "Free up space in the account or upgrade it, then test again.",
        Park.ACCOUNT_LOCKED: "Contact the service's support, then sign in again below.",
        Park.APP_DELETED: "Create a new API app at the service, save its keys below, and sign in again.",
        Park.SERVICE_CLOSED: "Enter the address of a compatible server below, or disconnect the account.",
    }
)
"""The remedy for a parked account, done on its page."""
TAIL, LONG_ENOUGH = 4, 16
"""The number of characters shown from the end of a secret, and the length it must have for that."""


# --- shown


def list_services(connection: Connection, service: Service, visitor: Visitor) -> list[ConnectionJson]:
    """The connections that the visitor may see."""
    whole = accounts_of(connection, visitor)
    seen = [one for one in services().values() if visitor.is_admin or one.takes_accounts]
    return [_describe(connection, service, visitor, one, whole) for one in seen]


def describe_service(
    connection: Connection, service: Service, visitor: Visitor, one: ServiceInfo
) -> ConnectionJson:
    return _describe(connection, service, visitor, one, accounts_of(connection, visitor))


def _describe(
    connection: Connection,
    service: Service,
    visitor: Visitor,
    one: ServiceInfo,
    whole: Sequence[ConnectionAccount],
) -> ConnectionJson:
    theirs = [entry for entry in whole if entry["tracker"] == one.name] if one.takes_accounts else []
    tested = latest_result(connection, one) if one.kind != "tracker" else None
    state = state_of(service, one, theirs, tested)
    return {
        "name": one.name,
        "label": one.label,
        "kind": one.kind,
        "state": state,
        "word": STATES[state],
        "purpose": one.purpose,
        "steps": list(one.steps),
        "sign_in": sign_in_of(service, one),
        "token_page": token_page_of(service, one),
        "settings": [setting(service, key, info) for key, info in one.fields.items()]
        if visitor.is_admin
        else [],
        "accounts": theirs,
        "tested": tested,
        "reception": reception_of(connection, service, one),
    }


def reception_of(connection: Connection, service: Service, one: ServiceInfo) -> ReceptionJson | None:
    """How a media server is heard; None of what cannot be listened to."""
    if not is_listenable(service.servers.get(one.name)) or one.kind != "server":
        return None
    return find_reception(connection, one.name, clock.now())


def accounts_of(connection: Connection, visitor: Visitor) -> list[ConnectionAccount]:
    """The visitor's accounts as the API returns them, each with its state and last test."""
    return [describe_account(connection, entry) for entry in visible.accounts(connection, visitor)]


def describe_account(connection: Connection, entry: AccountJson) -> ConnectionAccount:
    tested = last_result(connection, f"account.{entry['id']}")
    park = entry["state"] if entry["state"] in set(Park) else None
    needs = f"{parked_sentence(Park(park), entry['why'])} {NEEDS[Park(park)]}" if park else refusals(entry)
    failing = (
        tested is not None and not tested["works"] and (entry["last_done_at"] or "") < (tested["at"] or "")
    )
    state = entry["state"] if park or not failing else "not_working"
    state = "down" if not park and entry["down_since"] else state
    state = "limited" if state == "working" and entry["limits"] else state
    return {**entry, "shows": state, "word": STATES.get(state, state), "needs": needs, "tested": tested}


def refusals(entry: AccountJson) -> str | None:
    """A sentence on the deliveries that the service refuses of a working account, and the remedy; None if none are."""
    label = trackers.label(entry["tracker"])
    said = [explain_limit(limit["reason"], limit["kind"], label) for limit in entry["limits"]]
    refused = ". ".join(filter(None, said))
    return f"{refused}, then test again. Everything else is sent." if refused else None


def state_of(
    service: Service, one: ServiceInfo, theirs: Sequence[ConnectionAccount], tested: Tested | None
) -> str:
    """The state of a service; among several accounts, the one that needs attention decides."""
    if one.kind == "tracker":
        if one.name not in service.trackers:
            return "not_set_up"
        troubled = [entry["shows"] for entry in theirs if entry["shows"] != "working"]
        return troubled[0] if troubled else "working" if theirs else "signed_out"
    if not is_set_up(service, one):
        return "not_set_up"
    if tested is None:
        return "not_tested"
    return "working" if tested["works"] else "not_working"


def is_set_up(service: Service, one: ServiceInfo) -> bool:
    names = [key for key, info in one.fields.items() if info.is_required()] or list(one.fields)
    return all(settings_actions.current(service, key) for key in names)


def sign_in_of(service: Service, one: ServiceInfo) -> trackers.SignIn | None:
    """The sign-in method of a configured tracker: device, web, password, token or none."""
    tracker = service.trackers.get(one.name) if one.takes_accounts else None
    return None if tracker is None else tracker.sign_in


def token_page_of(service: Service, one: ServiceInfo) -> str | None:
    """The page with the token of a tracker that one is pasted for; None where it is no page."""
    page: str = getattr(service.trackers.get(one.name), "token_page", "")
    return page if page.startswith("https://") else None


def setting(service: Service, key: str, info: FieldInfo) -> ConnectionSetting:
    """A setting as it is shown: of a secret only the end."""
    value = settings_actions.current(service, key)
    secret = info.annotation is SecretStr
    return {
        "variable": key,
        "description": info.description,
        "required": info.is_required(),
        "secret": secret,
        "default": None if secret or info.is_required() else plain(info.get_default()),
        "set": bool(value),
        "by": set_by(service, key, value),
        "fixed": settings_actions.is_fixed(service, key),
        "value": None if secret else value,
        "ends": value[-TAIL:] if secret and len(value) >= LONG_ENOUGH else None,
        "left_out": service.left_out.get(key),
    }


def set_by(service: Service, key: str, value: str) -> Literal["environment", "file", "browser"] | None:
    """The origin of a setting's value: `environment`, `file` (named by a variable), `browser`, or None."""
    if service.given.get(key):
        return "environment"
    if service.given.get(f"{key}_FILE"):
        return "file"
    return "browser" if value else None


# --- what the last test came to


def last_result(connection: Connection, name: str) -> Tested | None:
    found: Tested | None = connection.execute(
        select(note.c.value).where(note.c.name == f"tested.{name}")
    ).scalar()
    return found


def store_result(connection: Connection, name: str, works: bool, says: str) -> None:
    forget_result(connection, name)
    value: Tested = {"works": works, "says": says, "at": stamp(clock.now())}
    connection.execute(insert(note), {"name": f"tested.{name}", "value": value})


def forget_result(connection: Connection, name: str) -> None:
    connection.execute(delete(note).where(note.c.name == f"tested.{name}"))


def latest_result(connection: Connection, one: ServiceInfo) -> Tested | None:
    """The result of the last test, or of a server's last catch-up if that was later."""
    tested = last_result(connection, one.name)
    if one.kind != "server":
        return tested
    mark = catch_up.mark_of(connection, one.name)
    if mark.ran_at is None or (tested is not None and (tested["at"] or "") >= (stamp(mark.ran_at) or "")):
        return tested
    says = mark.error or "The last catch-up succeeded."
    return {"works": mark.error is None, "says": says, "at": stamp(mark.ran_at)}


def verdict_sentence(verdict: AccountCheck) -> str:
    """The result of an account's check, and the remedy if it does not work."""
    if verdict.works:
        return f"Working as {verdict.name}."
    said = sentence(verdict.reason or "Not working")
    return (
        f"{said} {NEEDS[verdict.park]}" if verdict.park else f"{said} Deliveries are kept; test again later."
    )


def sentence(text: str) -> str:
    """The text as a sentence: capitalised, and ended."""
    return f"{text[:1].upper()}{end_sentence(text[1:])}"
