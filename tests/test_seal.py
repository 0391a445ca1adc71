"""The seal: what was sealed with its key is told from everything else without being decrypted."""

from __future__ import annotations

import base64

import pytest
from cryptography.fernet import Fernet, InvalidToken

from webhook.accounts.seal import Seal, Unreadable

SEAL = Seal("a key of this house")
SEALED = SEAL.seal({"access_token": "hush"})


def damage(text: str, place: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[place] ^= 1
    return base64.urlsafe_b64encode(bytes(raw)).decode()


def test_what_was_sealed_is_opened() -> None:
    assert SEAL.opens(SEALED)
    assert SEAL.open(SEALED) == {"access_token": "hush"}


@pytest.mark.parametrize(
    "sealed",
    [
        Seal("another key").seal("x"),
        *(damage(SEALED, place) for place in (0, 1, 9, 25, 40, -1)),  # version, time, IV, text, signature
        SEALED[:-8], SEALED[8:], "", "A", "no token at all", "ü" * 100, base64.urlsafe_b64encode(bytes(32)).decode(),
    ],
    ids=lambda sealed: f"{len(sealed)} characters",
)  # fmt: skip
def test_anything_else_is_refused_as_the_library_refuses_it(sealed: str) -> None:
    with pytest.raises(InvalidToken):
        Fernet(base64.urlsafe_b64encode(SEAL._key)).decrypt(sealed.encode())

    assert not SEAL.opens(sealed)
    with pytest.raises(Unreadable):
        SEAL.open(sealed)


def test_what_is_opened_twice_is_the_readers_own() -> None:
    SEAL.open(SEALED)["access_token"] = "changed"

    assert SEAL.open(SEALED) == {"access_token": "hush"}
    with pytest.raises(Unreadable):
        Seal("another key").open(SEALED)
