"""The second factor of a password: codes of an app after RFC 6238, and recovery codes for when the app is gone.

https://www.rfc-editor.org/rfc/rfc6238. A code counts once: neither it nor an older one is taken again (section 5.2).
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from webhook.people import tokens
from webhook.storage.rows import fetch_first
from webhook.storage.tables import SecondFactorRow, second_factor

STEP_LENGTH = 30
"""Seconds for which a code is shown."""

CODE_WINDOW = 1
"""Steps by which the clock of the app may be before or behind."""

CODE_LENGTH = 6
RECOVERY_CODES = 10
MAX_CODE_LENGTH = 64
ISSUER_NAME = "Watchmark"


def new_totp_secret() -> str:
    import pyotp  # late: most people have none

    return pyotp.random_base32()


def totp_address(secret: str, name: str) -> str:
    """The address that an app reads out of a QR code."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER_NAME)


def find_step(secret: str, code: str, now: datetime, after: int = 0) -> int | None:
    """The step of which this is the code, later than `after`; None where it is no code of now."""
    import pyotp

    totp, current, found = pyotp.TOTP(secret), int(now.timestamp()) // STEP_LENGTH, None
    for step in range(current - CODE_WINDOW, current + CODE_WINDOW + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()) and step > after:
            found = step
    return found


def strip_code(text: str) -> str:
    """A code as it is compared: without the blanks and dashes that people type."""
    return "".join(letter for letter in text[:MAX_CODE_LENGTH] if letter.isalnum()).lower()


# --- rows


def find_second_factor(connection: Connection, person_id: int) -> SecondFactorRow | None:
    mine = select(second_factor).where(second_factor.c.person_id == person_id)
    return fetch_first(connection, mine, SecondFactorRow)


def enable(connection: Connection, person_id: int, sealed: str, step: int, now: datetime) -> list[str]:
    """Store a person's second factor in place of an earlier one; return the recovery codes, which are shown once."""
    codes = [secrets.token_hex(8) for _ in range(RECOVERY_CODES)]
    disable(connection, person_id)
    values = {"person_id": person_id, "sealed": sealed, "last_step": step, "created_at": now}
    digests = [tokens.digest(code) for code in codes]
    connection.execute(insert(second_factor), {**values, "recovery": digests})
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def disable(connection: Connection, person_id: int) -> bool:
    """Remove a person's second factor; False where there is none."""
    mine = delete(second_factor).where(second_factor.c.person_id == person_id)
    return connection.execute(mine).rowcount > 0


def use_code(connection: Connection, person_id: int, secret: str | None, code: str, now: datetime) -> bool:
    """True for a code of the app, whose secret this is, or a recovery code; neither is taken again."""
    row = find_second_factor(connection, person_id)
    if row is None:
        return False
    mine, code = second_factor.c.person_id == person_id, strip_code(code)
    step = None if secret is None else find_step(secret, code, now, row.last_step)
    if step is not None:
        connection.execute(update(second_factor).where(mine).values(last_step=step))
        return True
    digest = tokens.digest(code)
    left = [one for one in row.recovery if not hmac.compare_digest(one, digest)]
    if len(left) < len(row.recovery):
        connection.execute(update(second_factor).where(mine).values(recovery=left))
    return len(left) < len(row.recovery)
