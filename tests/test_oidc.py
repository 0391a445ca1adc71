"""The OpenID client alone: what it sends, and every answer of a provider that it refuses. Without a socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import respx
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from webhook import clock
from webhook.accounts import oidc
from webhook.accounts.oidc import AuthRequest, OidcError, OpenIDProvider, Settings
from webhook.people.oidc_users import OidcUser

pytestmark = pytest.mark.unit

ISSUER = "https://auth.example.org"
CALLBACK = "http://watchmark.test/sign-in/oidc/callback"
CLIENT = "watch mark"
SECRET = "s:cret/"
CODE = "code-1"
Change = Callable[[dict[str, Any]], None]


@cache
def signing_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass
class Provider:
    """A provider behind respx: what it says of itself, its keys, and the token that it gives for the code."""

    settings: Settings
    begun: AuthRequest | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    keys: list[RSAKey] = field(default_factory=lambda: [signing_key("one")])
    sign: Callable[[dict[str, Any]], str] | None = None
    userinfo: dict[str, Any] | None = None
    access_token: str = "access"
    redeemed: list[httpx.Request] = field(default_factory=list)
    keys_read: int = 0
    fault: Any = None
    """What it answers with instead of describing itself."""

    def describe(self, request: httpx.Request) -> httpx.Response:
        if isinstance(self.fault, Exception):
            raise self.fault
        return self.fault or httpx.Response(200, json=self.document())

    def document(self) -> dict[str, Any]:
        usual = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "jwks_uri": f"{ISSUER}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
        }
        return {**usual, **self.metadata}

    def key_set(self, request: httpx.Request) -> httpx.Response:
        self.keys_read += 1
        return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})

    def token(self, request: httpx.Request) -> httpx.Response:
        self.redeemed.append(request)
        if len(self.redeemed) > 1:
            return httpx.Response(400, json={"error": "invalid_grant", "error_description": "<b>used</b>"})
        assert self.begun is not None
        now = int(clock.now().timestamp())
        usual = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "42",
            "nonce": self.begun.nonce,
            "iat": now,
            "exp": now + 300,
        }
        claims = {name: value for name, value in {**usual, **self.claims}.items() if value is not None}
        text = (self.sign or signed)(claims)
        return httpx.Response(
            200, json={"id_token": text, "access_token": self.access_token, "token_type": "Bearer"}
        )

    def told(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {self.access_token}"
        return httpx.Response(200, json=self.userinfo) if self.userinfo else httpx.Response(403, json={})

    def routes(self, router: respx.MockRouter) -> None:
        router.get(f"{ISSUER}/.well-known/openid-configuration").mock(side_effect=self.describe)
        router.get(f"{ISSUER}/jwks").mock(side_effect=self.key_set)
        router.post(f"{ISSUER}/token").mock(side_effect=self.token)
        router.get(f"{ISSUER}/userinfo").mock(side_effect=self.told)


def signed(claims: Mapping[str, Any], kid: str = "one") -> str:
    return jwt.encode({"alg": "RS256", "kid": kid}, dict(claims), signing_key(kid))


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider(Settings(issuer=ISSUER, client_id=CLIENT, client_secret=SECRET, name="Authelia"))
    made.claims = {"preferred_username": "anna"}
    with respx.mock(assert_all_called=False) as router:
        made.routes(router)
        yield made


def sign_in(provider: Provider, **answer: str | None) -> OidcUser:
    """Go there and come back with this answer, beside what a provider answers with."""

    async def there_and_back() -> OidcUser:
        async with httpx.AsyncClient() as http:
            client = OpenIDProvider(provider.settings, http)
            provider.begun = await client.begin(CALLBACK)
            usual = {"code": CODE, "state": provider.begun.state, **answer}
            return await client.finish(
                provider.begun, {name: value for name, value in usual.items() if value is not None}
            )

    return asyncio.run(there_and_back())


def refusal(provider: Provider, **answer: str | None) -> str:
    with pytest.raises(OidcError) as refused:
        sign_in(provider, **answer)
    return str(refused.value)


# --- what is sent


def test_a_user_is_known_by_issuer_and_subject(provider: Provider) -> None:
    assert sign_in(provider) == OidcUser(ISSUER, "42", "anna")


def test_the_browser_is_sent_with_state_nonce_and_a_challenge(provider: Provider) -> None:
    sign_in(provider)

    assert provider.begun is not None
    address = urlsplit(provider.begun.url)
    query = {name: value for name, (value,) in parse_qs(address.query).items()}
    digest = hashlib.sha256(provider.begun.verifier.encode()).digest()
    assert (address.netloc, address.path) == ("auth.example.org", "/authorize")
    assert query == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": CALLBACK,
        "scope": "openid profile",
        "state": provider.begun.state,
        "nonce": provider.begun.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }


def test_no_two_sign_ins_share_a_secret(provider: Provider) -> None:
    sign_in(provider)
    first = provider.begun
    provider.redeemed.clear()
    sign_in(provider)

    assert first is not None
    assert provider.begun is not None
    assert {*first[1:4]}.isdisjoint(provider.begun[1:4])


@pytest.mark.parametrize(
    ("secret", "methods", "authorization", "fields"),
    [
        (SECRET, None, "watch%20mark:s%3Acret%2F", set()),
        (SECRET, ["client_secret_basic", "client_secret_post"], "watch%20mark:s%3Acret%2F", set()),
        (SECRET, ["client_secret_post"], None, {"client_id", "client_secret"}),
        ("", None, None, {"client_id"}),
    ],
)
def test_the_code_is_redeemed_with_the_verifier_and_the_clients_secret(
    provider: Provider, secret: str, methods: list[str] | None, authorization: str | None, fields: set[str]
) -> None:
    provider.settings = Settings(issuer=ISSUER, client_id=CLIENT, client_secret=secret)
    provider.metadata = {"token_endpoint_auth_methods_supported": methods}

    sign_in(provider)

    (request,) = provider.redeemed
    assert provider.begun is not None
    sent = {name: value for name, (value,) in parse_qs(request.content.decode()).items()}
    assert sent.keys() == {"grant_type", "code", "redirect_uri", "code_verifier"} | fields
    assert (sent["code"], sent["redirect_uri"]) == (CODE, CALLBACK)
    assert sent["code_verifier"] == provider.begun.verifier
    basic = request.headers.get("authorization", "").removeprefix("Basic ")
    assert (base64.b64decode(basic).decode() or None) == authorization


# --- who it is


@pytest.mark.parametrize(
    ("claims", "label"),
    [
        ({"preferred_username": None, "email": "a@example.org"}, "a@example.org"),
        ({"preferred_username": " ", "name": "Anna\u202e\n B"}, "Anna B"),
        ({"preferred_username": None}, "42"),
        ({"preferred_username": "x" * 500}, "x" * 200),
    ],
)
def test_the_label_is_what_people_would_call_them(
    provider: Provider, claims: dict[str, Any], label: str
) -> None:
    provider.claims = claims
    provider.userinfo = {"sub": "42"}

    assert sign_in(provider).label == label


@pytest.mark.parametrize(
    ("claim", "claims", "person"),
    [
        ("preferred_username", {"preferred_username": "anna"}, "anna"),
        ("preferred_username", {"preferred_username": ["anna"]}, None),
        ("watchmark", {"watchmark": "ben"}, "ben"),
        ("email", {"email": "a@example.org", "email_verified": True}, "a@example.org"),
        ("email", {"email": "a@example.org"}, None),
        ("email", {"email": "a@example.org", "email_verified": "true"}, None),
    ],
)
def test_a_claim_names_the_person_where_the_settings_say_so(
    provider: Provider, claim: str, claims: dict[str, Any], person: str | None
) -> None:
    provider.settings = Settings(issuer=ISSUER, client_id=CLIENT, person_claim=claim)
    provider.claims = claims

    assert sign_in(provider).person == person


def test_what_the_token_lacks_is_read_of_the_userinfo(provider: Provider) -> None:
    provider.settings = Settings(issuer=ISSUER, client_id=CLIENT, person_claim="watchmark")
    provider.userinfo = {"sub": "42", "watchmark": "ben", "preferred_username": "other"}

    assert sign_in(provider) == OidcUser(ISSUER, "42", "anna", "ben")


def test_the_userinfo_of_another_user_is_refused(provider: Provider) -> None:
    provider.claims, provider.userinfo = {}, {"sub": "43", "preferred_username": "ben"}

    assert "another user" in refusal(provider)


# --- what is refused


@pytest.mark.parametrize("state", ["", "x", None, "ü"])
def test_another_state_is_refused_and_its_code_not_redeemed(provider: Provider, state: str | None) -> None:
    assert "another sign-in" in refusal(provider, state=state)
    assert provider.redeemed == []


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "of another sign-in"}, "invalid_claim (nonce)"),
        ({"nonce": None}, "missing_claim (nonce)"),
        ({"iss": "https://evil.example"}, "invalid_claim (iss)"),
        ({"iss": f"{ISSUER}/"}, "invalid_claim (iss)"),
        ({"iss": None}, "missing_claim (iss)"),
        ({"aud": "another client"}, "invalid_claim (aud)"),
        ({"aud": None}, "missing_claim (aud)"),
        ({"aud": [CLIENT, "another client"]}, "missing_claim (azp)"),
        ({"aud": [CLIENT, "another client"], "azp": "another client"}, "invalid_claim (azp)"),
        ({"exp": 1_000_000_000}, "expired_token (exp)"),
        ({"exp": None}, "missing_claim (exp)"),
        ({"exp": "later"}, "invalid_claim (exp)"),
        ({"iat": 9_999_999_999}, "invalid_claim (iat)"),
        ({"at_hash": "b2Ygc29tZXRoaW5nIGVsc2U"}, "invalid_claim (at_hash)"),
        ({"sub": None}, "missing_claim (sub)"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(provider: Provider, claims: dict[str, Any], said: str) -> None:
    provider.claims = claims

    assert refusal(provider) == f"The ID token of Authelia is not valid: {said}."


@pytest.mark.parametrize("subject", ["", 42, ["42"], "x" * 256])
def test_a_token_of_nobody_is_refused(provider: Provider, subject: Any) -> None:
    provider.claims = {"sub": subject}

    assert "ID token of Authelia" in refusal(provider)


def unsigned(claims: dict[str, Any]) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}."


def signed_with_the_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET * 6))


def signed_by_another(claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, other)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    ("sign", "said"),
    [
        (unsigned, "unsupported_algorithm"),
        (signed_with_the_secret, "unsupported_algorithm"),
        (signed_by_another, "bad_signature"),
        (lambda claims: signed(claims)[:-4] + "AAAA", "bad_signature"),
        (lambda claims: "no token", "decode_error"),
        (lambda claims: "", "decode_error"),
    ],
)
def test_a_token_that_the_provider_did_not_sign_is_refused(
    provider: Provider, sign: Callable[[dict[str, Any]], str], said: str
) -> None:
    provider.sign = sign

    assert refusal(provider) == f"The ID token of Authelia is not valid: {said}."


def test_a_code_is_redeemed_once(provider: Provider) -> None:
    sign_in(provider)

    assert refusal(provider) == "Authelia refused: invalid_grant."


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"code": None, "error": "access_denied"}, "Authelia did not sign you in: access_denied."),
        ({"code": None, "error": "<script>"}, "Authelia did not sign you in: error."),
        ({"code": None}, "without a code"),
        ({"iss": "https://evil.example"}, "another provider"),
    ],
)
def test_an_answer_without_a_code_or_of_another_provider_is_refused(
    provider: Provider, answer: dict[str, str | None], said: str
) -> None:
    assert said in refusal(provider, **answer)
    assert provider.redeemed == []


def test_a_provider_that_says_iss_has_to_say_it(provider: Provider) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}

    assert "another provider" in refusal(provider)
    assert sign_in(provider, iss=ISSUER).subject == "42"


# --- the provider itself


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"issuer": "https://evil.example"}, "calls itself https://evil.example"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "does not say its authorization_endpoint"),
        ({"token_endpoint": None}, "does not say its token_endpoint"),
        ({"jwks_uri": "file:///etc/passwd"}, "does not say its jwks_uri"),
    ],
)
def test_a_provider_that_is_not_what_it_should_be_is_refused(
    provider: Provider, metadata: dict[str, Any], said: str
) -> None:
    provider.metadata = metadata

    assert said in refusal(provider)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (httpx.ConnectError("refused"), "cannot be reached"),
        (httpx.Response(503, text="down"), "Authelia refused: 503."),
        (httpx.Response(200, text="<html>"), "no JSON"),
        (httpx.Response(200, json=[]), "Authelia refused: 200."),
    ],
)
def test_a_provider_that_cannot_be_asked_is_said(provider: Provider, reply: Any, said: str) -> None:
    provider.fault = reply

    assert said in refusal(provider)


def test_a_key_that_the_provider_has_changed_is_read_again(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "MIN_KEYS_AGE", -1.0)
    provider.keys = [signing_key("one"), signing_key("two")]

    def sign_with_new(claims: dict[str, Any]) -> str:
        provider.keys = [signing_key("two"), signing_key("three")]
        return signed(claims, "three")

    provider.sign = sign_with_new

    async def there_and_back() -> OidcUser:
        async with httpx.AsyncClient() as http:
            client = OpenIDProvider(provider.settings, http)
            await client.read_keys(await client.read_metadata(), 0)
            provider.begun = await client.begin(CALLBACK)
            return await client.finish(provider.begun, {"code": CODE, "state": provider.begun.state})

    assert asyncio.run(there_and_back()).subject == "42"
    assert provider.keys_read == 2


def test_only_keys_that_verify_signatures_count() -> None:
    key = signing_key("one").as_dict(private=False)
    listed = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
        {**key, "use": "enc"},
        {"kty": "RSA"},
        "nothing",
        key,
    ]

    assert [one.kid for one in oidc.parse_keys({"keys": listed})] == ["one"]
    assert oidc.parse_keys({"keys": "none"}) == []
