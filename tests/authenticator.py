"""An authenticator in software: makes passkeys and signs with them as a browser hands it on, and can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Authenticator:
    """One passkey; what is set here is what its answers say, true or not."""

    origin: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: str = ""
    rp_id: str = ""
    flags: int = PRESENT | VERIFIED
    count: int = 0
    counts: bool = True

    def create(self, options: dict[str, Any], **changes: Any) -> str:
        """The answer to `navigator.credentials.create`, as the page's script sends it; `changes` are of the client's data."""
        self.handle, self.rp_id = options["user"]["id"], self.rp_id or options["rp"]["id"]
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        data = self.data(ATTESTED) + attested + self.public_key()
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self.client_data("webauthn.create", options["challenge"], changes)
        return self.answer({"clientDataJSON": encode(client), "attestationObject": encode(attestation)})

    def get(self, options: dict[str, Any], **changes: Any) -> str:
        """The answer to `navigator.credentials.get`."""
        self.count += self.counts
        data, client = self.data(), self.client_data("webauthn.get", options["challenge"], changes)
        signed = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        said = {"clientDataJSON": client, "authenticatorData": data, "signature": signed}
        return self.answer({**{name: encode(raw) for name, raw in said.items()}, "userHandle": self.handle})

    def data(self, more: int = 0) -> bytes:
        hashed = hashlib.sha256(self.rp_id.encode()).digest()
        return hashed + bytes([self.flags | more]) + self.count.to_bytes(4, "big")

    def public_key(self) -> bytes:
        at = self.key.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32, "big"), -3: at.y.to_bytes(32, "big")})

    def client_data(self, kind: str, challenge: str, changes: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps({**said, **changes}).encode()

    def answer(self, response: dict[str, str]) -> str:
        known = encode(self.credential_id)
        return json.dumps({"id": known, "rawId": known, "type": "public-key", "response": response})
