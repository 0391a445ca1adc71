"""Signatures: https://www.last.fm/api/authspec, section 8."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

UNSIGNED = frozenset({"format", "callback", "api_sig"})


def signature(params: Mapping[str, str], secret: str) -> str:
    """The `api_sig` of these parameters: md5 of each name and value, by name, and then the secret."""
    signed = "".join(name + params[name] for name in sorted(params) if name not in UNSIGNED)
    return hashlib.md5((signed + secret).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def is_valid(params: Mapping[str, str], secret: str) -> bool:
    """True if the parameters carry the right signature; compared in constant time."""
    given = params.get("api_sig", "").lower().encode("utf-8", "replace")
    return hmac.compare_digest(given, signature(params, secret).encode())
