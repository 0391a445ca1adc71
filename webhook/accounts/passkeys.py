"""Passkeys: what a browser is asked for, and the checks of what its authenticator answers.

https://www.w3.org/TR/webauthn-3/, sections 7.1 (registering) and 7.2 (signing in). Both ask that the authenticator itself
has verified who uses it, by a PIN or a finger, and that it keeps the key under a name of its own, so that nobody types one.
What verifies is loaded when the first passkey is used: most never need it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from webhook.people.passkeys import NewPasskey
from webhook.storage.tables import PasskeyRow

RP_NAME = "Watchmark"
CHALLENGE_LIFE = 300
"""Seconds within which a challenge has to be answered."""

MAX_CREDENTIAL_ID = 1400
"""Characters of base64url; an authenticator's id has 1023 bytes at most."""

DEFAULT_PORTS = {"https": 443, "http": 80}
UNREADABLE = "What your browser sent is no passkey. Try again."
REFUSED = "This passkey was refused. Sign in with your password, or try again."
NO_NAME = "Passkeys belong to a name: browsers take none for an IP address. Give this machine a name with HTTPS, and set it as BASE_URL."
NO_HTTPS = (
    "Passkeys need HTTPS, or localhost. Put a proxy with HTTPS in front, and set its address as BASE_URL."
)


class PasskeyError(Exception):
    """The passkey was not taken; the message is a sentence for the person."""


class RelyingParty(NamedTuple):
    """Whom passkeys are for: the host that they belong to, and the origin that browsers must have used them on."""

    id: str
    origin: str


class User(NamedTuple):
    """The person that an authenticator makes a passkey for; `handle` is base64url."""

    name: str
    handle: str


def relying_party(address: str) -> RelyingParty:
    """That of the service's public address; raises PasskeyError where browsers take no passkey for it."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except (ValueError, UnicodeError) as error:
        raise PasskeyError(NO_NAME) from error
    if not host or ":" in host or host.rpartition(".")[2].isdigit():
        raise PasskeyError(NO_NAME)
    if parts.scheme != "https" and not is_localhost(host):
        raise PasskeyError(NO_HTTPS)
    shown = "" if port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{port}"
    return RelyingParty(host, f"{parts.scheme}://{host}{shown}")


def is_localhost(host: str) -> bool:
    """True for the names that browsers trust without HTTPS."""
    return host == "localhost" or host.endswith(".localhost")


# --- what the browser is asked


def registration_options(party: RelyingParty, user: User, known: Sequence[str], challenge: str) -> str:
    """The options for `navigator.credentials.create`, as JSON; `known` are the ids of passkeys that the user has."""
    from webauthn import base64url_to_bytes, generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=party.id,
        rp_name=RP_NAME,
        user_id=base64url_to_bytes(user.handle),
        user_name=user.name,
        challenge=base64url_to_bytes(challenge),
        timeout=CHALLENGE_LIFE * 1000,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in known],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
    )
    return options_to_json(options)


def sign_in_options(party: RelyingParty, challenge: str) -> str:
    """The options for `navigator.credentials.get`, as JSON: any passkey of this address, whoever's it is."""
    from webauthn import base64url_to_bytes, generate_authentication_options, options_to_json
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=party.id,
        challenge=base64url_to_bytes(challenge),
        timeout=CHALLENGE_LIFE * 1000,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


# --- what it answers


def read_credential_id(credential: str) -> str:
    """The id of the passkey that a browser used; raises PasskeyError."""
    try:
        answer = orjson.loads(credential)
    except orjson.JSONDecodeError as error:
        raise PasskeyError(UNREADABLE) from error
    found = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= MAX_CREDENTIAL_ID or not found.isascii():
        raise PasskeyError(UNREADABLE)
    return found


def verify_registration(party: RelyingParty, handle: str, credential: str, challenge: str) -> NewPasskey:
    """The passkey that an authenticator made in answer to the challenge; raises PasskeyError."""
    from webauthn import base64url_to_bytes, verify_registration_response
    from webauthn.helpers import bytes_to_base64url

    read_credential_id(credential)
    try:
        made = verify_registration_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except Exception as error:  # a parser over foreign bytes: whatever it raises, this is no passkey
        raise PasskeyError(UNREADABLE) from error
    return NewPasskey(
        rp_id=party.id,
        credential_id=bytes_to_base64url(made.credential_id),
        public_key=bytes_to_base64url(made.credential_public_key),
        user_handle=handle,
        sign_count=made.sign_count,
    )


def verify_sign_in(party: RelyingParty, passkey: PasskeyRow, credential: str, challenge: str) -> int:
    """How often the authenticator says to have used this passkey, once its answer was checked; raises PasskeyError.

    Whether that is more than before is decided where it is noted, by `people.passkeys.note_use`.
    """
    from webauthn import base64url_to_bytes, verify_authentication_response
    from webauthn.helpers import bytes_to_base64url, parse_authentication_credential_json

    try:
        answer = parse_authentication_credential_json(credential)
        verified = verify_authentication_response(
            credential=answer,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as error:  # as above
        raise PasskeyError(REFUSED) from error
    handle = answer.response.user_handle
    if handle is None or not hmac.compare_digest(bytes_to_base64url(handle), passkey.user_handle):
        raise PasskeyError(REFUSED)
    return verified.new_sign_count
