"""Sign-in at an OpenID provider: the authorization code flow with PKCE, and the checks of what comes back.

https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth, https://www.rfc-editor.org/rfc/rfc7636 (PKCE)
and https://www.rfc-editor.org/rfc/rfc9207 (`iss` beside the code). What signs and verifies is loaded at the first
sign-in, so that a service that nobody signs in to needs no memory for it.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook import clock, settings
from webhook.domain.outcome import Retry
from webhook.people.oidc_users import OidcUser
from webhook.settings import Address, Environ

if TYPE_CHECKING:
    import httpx
    from joserfc.jwk import Key, KeySet

METADATA_MAX_AGE = 3600.0
"""Seconds for which the provider's discovery document and keys are kept."""

MIN_KEYS_AGE = 30.0
"""Seconds after which keys are read again where a token was signed with an unknown one."""

LEEWAY = 60
"""Seconds by which the provider's clock may differ."""

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""The signatures that count: those of a key pair. Neither `none` nor one made with the client's secret is among them."""

KEY_TYPES = ("RSA", "EC", "OKP")
MAX_SUBJECT_LENGTH = 255
MAX_LABEL_LENGTH = 200
LABEL_CLAIMS = ("preferred_username", "email", "name")


class OidcError(Exception):
    """The sign-in at the provider did not succeed; the message is a sentence for the person."""


class Settings(BaseModel):
    """Settings of the OpenID provider."""

    model_config = ConfigDict(frozen=True)

    issuer: Address = Field(
        description="The issuer of your OpenID provider, exactly as it names itself, e.g. https://auth.example.org"
    )
    client_id: str = Field(description="Client id of Watchmark at the provider")
    client_secret: SecretStr = Field(
        SecretStr(""), description="Client secret of Watchmark at the provider; empty for a public client"
    )
    name: str = Field("single sign-on", description="The provider's name on the sign-in page, e.g. Authelia")
    scopes: str = Field("openid profile", description="Scopes to ask for; openid is always among them")
    person_claim: str = Field(
        "",
        description="Claim with the name of a person here, e.g. preferred_username; empty: every user is linked by hand",
    )


class AuthRequest(NamedTuple):
    """One sign-in on its way to the provider; everything but `url` is kept until its answer comes."""

    url: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class OpenIDProvider:
    """The provider of the settings: sends people there, and redeems the code that they come back with."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.name = settings.name
        self.issuer = settings.issuer
        self.http = http
        self.metadata: dict[str, Any] = {}
        self.metadata_read_at = -METADATA_MAX_AGE
        self.keys: KeySet | None = None
        self.keys_read_at = -METADATA_MAX_AGE

    # --- the way there

    async def begin(self, redirect_uri: str) -> AuthRequest:
        """A new sign-in; raises OidcError where the provider cannot be asked."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # late: most never need it

        endpoint = self.endpoint(await self.read_metadata(), "authorization_endpoint")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(dict.fromkeys(["openid", *self.settings.scopes.split()])),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
        return AuthRequest(url, state, nonce, verifier, redirect_uri)

    # --- the way back

    async def finish(self, begun: AuthRequest, answer: Mapping[str, str]) -> OidcUser:
        """The user who signed in, by the query of the address that they came back to; raises OidcError."""
        self.check_state(begun, answer)
        metadata = await self.read_metadata()
        self.check_answer(metadata, answer)
        tokens = await self.redeem(metadata, begun, answer["code"])
        claims = await self.verify(metadata, begun, tokens)
        return self.user_of(metadata, await self.complete(metadata, claims, tokens.get("access_token")))

    @staticmethod
    def check_state(begun: AuthRequest, answer: Mapping[str, str]) -> None:
        """Refuse an answer to a sign-in that this browser did not begin; raises OidcError."""
        if not hmac.compare_digest(begun.state.encode(), answer.get("state", "").encode("utf-8", "replace")):
            raise OidcError("This answer belongs to another sign-in. Start again.")

    def check_answer(self, metadata: Mapping[str, Any], answer: Mapping[str, str]) -> None:
        wants_issuer = metadata.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", None if wants_issuer else metadata["issuer"]) != metadata["issuer"]:
            raise OidcError("The answer came from another provider than the one that was asked. Start again.")
        if "error" in answer:
            raise OidcError(f"{self.name} did not sign you in: {error_code(answer['error'])}.")
        if not answer.get("code"):
            raise OidcError(f"{self.name} sent you back without a code. Start again.")

    async def redeem(self, metadata: Mapping[str, Any], begun: AuthRequest, code: str) -> Mapping[str, Any]:
        """Exchange the code for tokens; only who began the sign-in has the verifier that it needs."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect_uri,
            "code_verifier": begun.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        secret = self.settings.client_secret.get_secret_value()
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret and "client_secret_basic" in methods:
            headers["Authorization"] = basic_auth(self.settings.client_id, secret)
        else:
            fields |= {
                "client_id": self.settings.client_id,
                **({"client_secret": secret} if secret else {}),
            }
        endpoint = self.endpoint(metadata, "token_endpoint")
        answer = await self.ask("POST", endpoint, headers=headers, form=fields)
        if not isinstance(answer.get("id_token"), str):
            raise OidcError(
                f"{self.name} sent no ID token. Check that the scope openid is allowed for this client."
            )
        return answer

    async def verify(
        self, metadata: Mapping[str, Any], begun: AuthRequest, tokens: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The claims of the ID token, once its signature and each of them was checked; raises OidcError."""
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        try:
            token = await self.open_token(metadata, tokens["id_token"])
            expected = {
                "iss": {"essential": True, "value": metadata["issuer"]},
                "aud": {"essential": True, "value": self.settings.client_id},
            }
            known = {"nonce": begun.nonce, "client_id": self.settings.client_id}
            params = {**known, "access_token": tokens.get("access_token")}
            claims = CodeIDToken(token.claims, token.header, expected, params)
            claims.validate(now=int(clock.now().timestamp()), leeway=LEEWAY)
        except JoseError as error:
            raise OidcError(f"The ID token of {self.name} is not valid: {fault_of(error)}.") from error
        except (TypeError, ValueError) as error:
            raise OidcError(f"The ID token of {self.name} cannot be read.") from error
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH:
            raise OidcError(f"The ID token of {self.name} does not say whose it is.")
        return dict(claims)

    async def open_token(self, metadata: Mapping[str, Any], text: str) -> Any:
        """The token, its signature verified; keys are read again where the provider has changed them."""
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, InvalidKeyIdError

        offered = metadata.get("id_token_signing_alg_values_supported")
        allowed = [one for one in ALGORITHMS if not isinstance(offered, list) or one in offered]
        try:
            return jwt.decode(text, await self.read_keys(metadata, METADATA_MAX_AGE), algorithms=allowed)
        except (BadSignatureError, InvalidKeyIdError):
            return jwt.decode(text, await self.read_keys(metadata, MIN_KEYS_AGE), algorithms=allowed)

    async def complete(
        self, metadata: Mapping[str, Any], claims: Mapping[str, Any], access_token: object
    ) -> Mapping[str, Any]:
        """The claims with those of the userinfo endpoint, where the token lacks one that is needed."""
        wanted = [self.settings.person_claim] if self.settings.person_claim else LABEL_CLAIMS[:1]
        known = all(name in claims for name in wanted)
        if known or not isinstance(access_token, str) or "userinfo_endpoint" not in metadata:
            return claims
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        told = await self.ask("GET", self.endpoint(metadata, "userinfo_endpoint"), headers=headers)
        if told.get("sub") != claims["sub"]:
            raise OidcError(f"{self.name} described another user than the one who signed in.")
        return {**told, **claims}

    def user_of(self, metadata: Mapping[str, Any], claims: Mapping[str, Any]) -> OidcUser:
        shown = (claims.get(name) for name in LABEL_CLAIMS)
        label = next((one for one in shown if isinstance(one, str) and one.strip()), claims["sub"])
        person = claims.get(self.settings.person_claim) if self.settings.person_claim else None
        if self.settings.person_claim == "email" and claims.get("email_verified") is not True:
            person = None
        return OidcUser(
            issuer=str(metadata["issuer"]),
            subject=claims["sub"],
            label=printable(label),
            person=person if isinstance(person, str) else None,
        )

    # --- what the provider says of itself

    async def read_metadata(self) -> Mapping[str, Any]:
        """The discovery document, read once an hour; raises OidcError."""
        if time.monotonic() - self.metadata_read_at > METADATA_MAX_AGE:
            address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = await self.ask("GET", address)
            if str(metadata.get("issuer")).rstrip("/") != self.issuer.rstrip("/"):
                raise OidcError(
                    f"OIDC_ISSUER is {self.issuer}, but the provider there calls itself {metadata.get('issuer')}."
                )
            self.metadata, self.metadata_read_at = metadata, time.monotonic()
        return self.metadata

    async def read_keys(self, metadata: Mapping[str, Any], max_age: float) -> Key | KeySet:
        """The provider's public keys, not older than `max_age` seconds; a single one fits tokens that name none."""
        from joserfc.jwk import KeySet

        if self.keys is None or time.monotonic() - self.keys_read_at > max_age:
            document = await self.ask("GET", self.endpoint(metadata, "jwks_uri"))
            self.keys, self.keys_read_at = KeySet(parse_keys(document)), time.monotonic()
        if not self.keys.keys:
            raise OidcError(f"{self.name} names no key that its tokens are signed with.")
        return self.keys.keys[0] if len(self.keys.keys) == 1 else self.keys

    def endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        address = metadata.get(name)
        if not isinstance(address, str) or not address.startswith(("https://", "http://")):
            raise OidcError(f"{self.name} does not say its {name}.")
        return address

    async def ask(
        self,
        method: str,
        address: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON object that the provider answers with; raises OidcError."""
        from webhook.client import call, read_json  # late: commands read the settings alone

        try:
            response = await call(self.http, self.name, method, address, headers=headers, form=form)
            if response.is_success:
                answer = read_json(self.name, response)
            else:
                answer = None
                with suppress(Retry):
                    answer = read_json(self.name, response)
        except Retry as error:
            raise OidcError(f"{error.reason}. Try again later.") from error
        if response.is_success and isinstance(answer, dict):
            return answer
        code = answer.get("error") if isinstance(answer, dict) else None
        raise OidcError(f"{self.name} refused: {error_code(code) if code else response.status_code}.")


def open_provider(environ: Environ, http: httpx.AsyncClient) -> OpenIDProvider | None:
    """The provider of the settings, or None; raises SettingsError."""
    given = settings.read_settings(Settings, "oidc_", environ)
    return None if given is None else OpenIDProvider(given, http)


def parse_keys(document: Mapping[str, Any]) -> list[Key]:
    """The public keys for signatures in a key set; others, and what cannot be read, are left out."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    listed = document.get("keys")
    found: list[Key] = []
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("kty") in KEY_TYPES and one.get("use", "sig") == "sig":
            with suppress(JoseError, ValueError, TypeError, KeyError):
                found.append(JWKRegistry.import_key(one))
    return found


def basic_auth(client_id: str, secret: str) -> str:
    """The client's credentials, encoded after RFC 6749, 2.3.1."""
    both = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {base64.b64encode(both.encode()).decode()}"


def error_code(value: object) -> str:
    """An error code as RFC 6749 has them, or a word for what is none; never a text of somebody else's."""
    fits = isinstance(value, str) and 0 < len(value) <= 64 and value.isascii()
    return str(value) if fits and str(value).replace("_", "").isalnum() else "error"


def fault_of(error: Exception) -> str:
    """What is wrong with a token: the claim, where it is one, or the code of the error."""
    code, claim = getattr(error, "error", "error"), getattr(error, "claim", None)
    return f"{code} ({claim})" if claim else str(code)


def printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()[:MAX_LABEL_LENGTH] or "?"
