"""The signature of a webhook after Standard Webhooks, by which a receiver knows that it comes from here.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: `webhook-id` is the same
each time the message is tried, `webhook-timestamp` is when this try was made, and `webhook-signature` is the HMAC-SHA256 of
`ID.TIMESTAMP.BODY` in base64, after the version `v1,`.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error
from datetime import datetime

SECRET_PREFIX = "whsec_"
FEWEST, MOST = 24, 64
"""Bytes of a secret."""


def read_secret(typed: str) -> bytes:
    """The key of a secret as it is typed, `whsec_` and base64; raises ValueError with what is wrong with it."""
    try:
        key = b64decode(typed.removeprefix(SECRET_PREFIX), validate=True)
    except (Error, ValueError) as error:
        raise ValueError(f"the signing secret is not {SECRET_PREFIX} followed by base64") from error
    if not FEWEST <= len(key) <= MOST:
        raise ValueError(f"the signing secret holds {len(key)} bytes, and {FEWEST} to {MOST} are wanted")
    return key


def sign(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that sign a body."""
    seconds = int(at.timestamp())
    signed = b"%b.%d.%b" % (message_id.encode(), seconds, body)
    digest = hmac.digest(read_secret(secret), signed, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
    }
