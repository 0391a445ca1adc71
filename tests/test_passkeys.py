"""Passkeys: for which address there are any, and which answers of an authenticator count."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.authenticator import ATTESTED, PRESENT, VERIFIED, Authenticator, encode
from webhook import clock
from webhook.accounts.passkeys import (
    NO_HTTPS,
    NO_NAME,
    REFUSED,
    UNREADABLE,
    PasskeyError,
    RelyingParty,
    User,
    registration_options,
    relying_party,
    sign_in_options,
    verify_registration,
    verify_sign_in,
)
from webhook.people.passkeys import NewPasskey
from webhook.storage.tables import PasskeyRow

pytestmark = pytest.mark.unit

PARTY = RelyingParty("watch.example", "https://watch.example")
HANDLE = encode(b"h" * 32)
CHALLENGE = encode(b"c" * 32)
OTHER = encode(b"o" * 32)

Change = Callable[[Authenticator], dict[str, Any]]
"""Has an authenticator misbehave; gives what else its browser says."""


# --- the address


@pytest.mark.parametrize(
    ("address", "host", "origin"),
    [
        ("https://watch.example", "watch.example", "https://watch.example"),
        ("https://Watch.Example:443/sub/path", "watch.example", "https://watch.example"),
        ("https://watch.example:8443", "watch.example", "https://watch.example:8443"),
        ("https://bücher.example", "xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://localhost:8484", "localhost", "http://localhost:8484"),
        ("https://nas", "nas", "https://nas"),
    ],
)
def test_an_address_with_a_name_and_https_has_passkeys(address: str, host: str, origin: str) -> None:
    assert relying_party(address) == RelyingParty(host, origin)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://nas.lan:8484", NO_HTTPS),
        ("http://localhost.evil.example", NO_HTTPS),
        ("http://192.168.1.5:8484", NO_NAME),
        ("https://192.168.1.5", NO_NAME),
        ("https://[fd00::1]:8484", NO_NAME),
        ("https://", NO_NAME),
        ("https://x:port", NO_NAME),
        ("https://" + "x" * 70 + ".example", NO_NAME),
    ],
)
def test_other_addresses_have_none_and_it_is_said_why(address: str, why: str) -> None:
    with pytest.raises(PasskeyError, match=why):
        relying_party(address)


def test_the_authenticator_has_to_verify_who_uses_it_and_to_keep_the_key() -> None:
    made = json.loads(registration_options(PARTY, User("anna", HANDLE), [OTHER], CHALLENGE))
    asked = json.loads(sign_in_options(PARTY, CHALLENGE))

    assert made["authenticatorSelection"]["userVerification"] == "required"
    assert made["authenticatorSelection"]["residentKey"] == "required"
    assert (made["rp"]["id"], made["challenge"], made["attestation"]) == (PARTY.id, CHALLENGE, "none")
    assert [one["id"] for one in made["excludeCredentials"]] == [OTHER]
    assert asked["userVerification"] == "required"
    assert (asked["rpId"], asked["challenge"], asked["allowCredentials"]) == (PARTY.id, CHALLENGE, [])


# --- the answers


def change(**values: Any) -> Change:
    def apply(authenticator: Authenticator) -> dict[str, Any]:
        for name, value in values.items():
            setattr(authenticator, name, value)
        return {}

    return apply


def say(**said: Any) -> Change:
    return lambda authenticator: said


WRONG: dict[str, Change] = {
    "another challenge": say(challenge=OTHER),
    "another site": say(origin="https://watch.example.evil.example"),
    "no HTTPS": say(origin="http://watch.example"),
    "another port": say(origin="https://watch.example:8443"),
    "the other ceremony": say(type="webauthn.other"),
    "another address": change(rp_id="evil.example"),
    "nobody was verified": change(flags=PRESENT),
    "nobody was there": change(flags=VERIFIED),
}
"""What counts neither when a passkey is made nor when it is used."""


def register(authenticator: Authenticator, **said: Any) -> NewPasskey:
    options = json.loads(registration_options(PARTY, User("anna", HANDLE), [], CHALLENGE))
    return verify_registration(PARTY, HANDLE, authenticator.create(options, **said), CHALLENGE)


def registered(authenticator: Authenticator) -> PasskeyRow:
    new = register(authenticator)
    return PasskeyRow(id=1, person_id=1, name="Key", created_at=clock.now(), **new._asdict())


def ask(authenticator: Authenticator, **said: Any) -> str:
    return authenticator.get(json.loads(sign_in_options(PARTY, CHALLENGE)), **said)


def test_what_an_authenticator_makes_signs_in() -> None:
    authenticator = Authenticator(PARTY.origin)
    row = registered(authenticator)

    assert (row.rp_id, row.user_handle, row.sign_count) == (PARTY.id, HANDLE, 0)
    assert verify_sign_in(PARTY, row, ask(authenticator), CHALLENGE) == 1


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_an_answer_of_another_ceremony_makes_no_passkey(wrong: Change) -> None:
    authenticator = Authenticator(PARTY.origin)
    said = wrong(authenticator)

    with pytest.raises(PasskeyError, match=UNREADABLE):
        register(authenticator, **said)


@pytest.mark.parametrize(
    "wrong",
    [
        *WRONG.values(),
        change(key=ec.generate_private_key(ec.SECP256R1())),
        change(handle=OTHER),
        change(handle=""),
        change(flags=PRESENT | VERIFIED | ATTESTED),
    ],
    ids=[*WRONG, "another key", "another person", "no person", "cut off"],
)
def test_a_forged_answer_signs_nobody_in(wrong: Change) -> None:
    authenticator = Authenticator(PARTY.origin)
    row = registered(authenticator)
    said = wrong(authenticator)

    with pytest.raises(PasskeyError, match=REFUSED):
        verify_sign_in(PARTY, row, ask(authenticator, **said), CHALLENGE)


@pytest.mark.parametrize("place", ["clientDataJSON", "authenticatorData", "signature"])
def test_an_answer_that_was_changed_on_the_way_signs_nobody_in(place: str) -> None:
    authenticator = Authenticator(PARTY.origin)
    row = registered(authenticator)
    answer = json.loads(ask(authenticator))
    for changed in ("", "A", "%", answer["response"][place][:-8] + "AAAAAAAA", None, 5):
        answer["response"][place] = changed
        with pytest.raises(PasskeyError, match=REFUSED):
            verify_sign_in(PARTY, row, json.dumps(answer), CHALLENGE)


@pytest.mark.parametrize("credential", ["", "x", "[]", "{}", '{"id": 5}', '{"id": "é"}', '{"id": "AA"}'])
def test_what_is_no_answer_makes_no_passkey(credential: str) -> None:
    with pytest.raises(PasskeyError, match=UNREADABLE):
        verify_registration(PARTY, HANDLE, credential, CHALLENGE)


def test_a_passkey_of_one_address_counts_at_no_other() -> None:
    authenticator = Authenticator(PARTY.origin)
    row = registered(authenticator)
    elsewhere = RelyingParty("other.example", "https://other.example")

    with pytest.raises(PasskeyError, match=REFUSED):
        verify_sign_in(
            elsewhere, row, ask(dataclasses.replace(authenticator, origin=elsewhere.origin)), CHALLENGE
        )
