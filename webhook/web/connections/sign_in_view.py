"""Sign-ins by code or web page as the pages show them: each with its link as a QR code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from webhook.accounts.sign_ins import SignIn
from webhook.service import Service
from webhook.web.connections import actions
from webhook.web.connections.models import ConnectionAccount, SignInJson
from webhook.web.visible import Visitor


class ShownSignIn(SignInJson):
    """A sign-in with the link to where one agrees to it."""

    is_server: bool
    link: str | None
    qr: str | None


def list_sign_ins(
    connection: Connection,
    service: Service,
    visitor: Visitor,
    tracker: str,
    accounts: Sequence[ConnectionAccount],
) -> list[ShownSignIn]:
    """The sign-ins at this tracker that the visitor may see; those whose result no longer holds are left out."""
    held = service.sign_ins.list_of_tracker(tracker)
    if visitor.is_admin:
        held = [*service.sign_ins.list_of_server(tracker), *held]
    made = [
        sign_in
        for sign_in in held
        if actions.may_see(visitor, sign_in) and not is_outdated(sign_in, accounts)
    ]
    return [show_sign_in(connection, sign_in) for sign_in in made]


def show_sign_in(connection: Connection, sign_in: SignIn) -> ShownSignIn:
    entry = actions.describe_sign_in(connection, sign_in)
    shown = link(entry["url"])
    return {**entry, "is_server": sign_in.is_server, "link": shown, "qr": qr(shown)}


def is_outdated(sign_in: SignIn, accounts: Sequence[ConnectionAccount]) -> bool:
    """True if a sign-in's result no longer holds: the account is gone, or was parked or tested since."""
    if sign_in.account_id is None:
        return False
    account = next((entry for entry in accounts if entry["id"] == sign_in.account_id), None)
    if account is None:
        return True
    tested_at = account["tested"]["at"] if account["tested"] else None
    since = max(filter(None, (account["since"], tested_at)), default=None)
    return sign_in.overtaken(datetime.fromisoformat(since) if since else None)


def link(url: str | None) -> str | None:
    """The address if it is safe to link to; a service's answer is not trusted."""
    return url if url and url.startswith(("https://", "http://")) else None


def qr(url: str | None) -> str | None:
    """The address as a QR code: inline SVG that the content security policy allows."""
    import segno

    if url is None:
        return None
    try:
        made = segno.make(url, micro=False, error="m")
    except segno.DataOverflowError:
        return None
    return str(made.svg_inline(scale=5, border=3, light="#fff", svgclass=None, lineclass=None))
