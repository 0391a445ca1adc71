"""The seal: secrets are encrypted with a key that lies outside the database."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from webhook.settings import SettingsError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


class Unreadable(SettingsError):
    """A sealed value that was sealed with another key or is damaged."""


MAX_DECRYPTED = 256
"""Sealed values that are not decrypted anew each time their accounts are claimed."""

SIGNATURE_BYTES = 32
"""The length of the HMAC with which a Fernet token ends."""


class Seal:
    """Encrypts secrets with a key that is stored outside the database."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"watchmark seal\0" + secret.encode()).digest()
        self.signing = hashlib.sha256(b"watchmark cookies\0" + secret.encode()).hexdigest()
        self._decrypt_once = lru_cache(MAX_DECRYPTED)(self._decrypt)

    @cached_property
    def _fernet(self) -> Fernet:
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(self._key))

    def seal(self, value: Any) -> str:
        return self._fernet.encrypt(orjson.dumps(value)).decode()

    def open(self, sealed: str) -> Any:
        """Decrypt a sealed value; raises Unreadable if it was sealed with another key."""
        return orjson.loads(self._decrypt_once(sealed))

    def _decrypt(self, sealed: str) -> bytes:
        if not self.opens(sealed):
            raise Unreadable("it was sealed with another key than the one that is here")
        return self._fernet.decrypt(sealed.encode())

    def opens(self, sealed: str) -> bool:
        """True if the value was sealed with this key: its signature is checked, and nothing is decrypted.

        The first half of the key signs all that is before the signature
        (https://github.com/fernet/spec/blob/master/Spec.md).
        """
        try:
            token = base64.urlsafe_b64decode(sealed.encode())
        except binascii.Error:
            return False
        signed, signature = token[:-SIGNATURE_BYTES], token[-SIGNATURE_BYTES:]
        return hmac.compare_digest(signature, hmac.digest(self._key[:16], signed, "sha256"))
