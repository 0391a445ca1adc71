"""Models of people, tokens and apps in the API: requests and replies."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from webhook.domain.json_shapes import FiltersJson
from webhook.people import passwords, tokens
from webhook.people.passkeys import MAX_PASSKEY_NAME
from webhook.people.scopes import Scope
from webhook.people.sessions import SignInMethod
from webhook.queries.people import PersonJson
from webhook.storage.json_fields import Count, Id, ItemFields, Time, one_of
from webhook.web.http.models import Body, Expect, FilterLists, Flag, OneOf, Query, Texts, check_text

TOKEN_KINDS = ("webhook", "api", "app")
"""The kinds of tokens created here: for media servers, scripts and, as app passwords, the TV Time API."""

ALL_KINDS = (*TOKEN_KINDS, "videoscrobbler")
"""All kinds of tokens; the last is the session of an app."""

MAX_TITLE = 100
Title = Annotated[
    str,
    Field(max_length=MAX_TITLE),
    AfterValidator(check_text),
]
PersonName = Annotated[str, Field(min_length=1, max_length=64)]
Zone = Annotated[str | None, Field(description="A time zone's name such as Europe/Berlin; null is UTC.")]
Password = Annotated[
    str,
    Field(
        json_schema_extra={
            "minLength": passwords.MIN_PASSWORD_LENGTH,
            "maxLength": passwords.MAX_PASSWORD_LENGTH,
        }
    ),
]


# --- people


class PersonDetail(PersonJson):
    timezone: Zone
    has_password: Annotated[bool, Field(description="Whether they can sign in.")]


class NewPerson(Body):
    name: Annotated[
        str,
        Field(max_length=200, json_schema_extra={"maxLength": 64}),
        AfterValidator(check_text),
    ]


class PersonChange(Body):
    name: Annotated[
        str,
        Field(max_length=200, json_schema_extra={"minLength": 1, "maxLength": 64}),
        AfterValidator(check_text),
        Expect("text of 1 to 64 characters"),
    ] = ""
    timezone: Zone = None


class RemovedPerson(TypedDict):
    name: str
    removed: bool
    gone: dict[str, Count]


class IdentityRequest(Body):
    identity: Annotated[
        str,
        Field(examples=["plex:Anna"]),
        Expect("text such as plex:Anna or plex:Anna@SERVER"),
    ]


class IdentitiesQuery(Query):
    ignored: Flag = False


class PersonFilters(FilterLists):
    home_videos: bool = False

    def to_json(self) -> FiltersJson:
        """The filters as they are stored."""
        return {**self.lists(), "home_videos": self.home_videos}


class HeardJson(ItemFields):
    """A webhook with what its event says."""

    webhook: Id
    received_at: Time | None
    action: SkipJsonSchema[str]
    artist: SkipJsonSchema[str | None]
    library: str | None
    player: str | None


class StoppedWebhook(HeardJson):
    why: str


class Preview(TypedDict):
    looked_at: Count
    stopped: list[StoppedWebhook]


class Invitation(TypedDict):
    person: str
    url: str
    valid_until: Time | None


class PasswordChange(Body):
    known: str
    password: Password


class ChangedPassword(TypedDict):
    name: str
    changed: bool


class OidcUserJson(TypedDict):
    """A user of the OpenID provider, and the person they are here; null until the owner says whom."""

    id: Id
    issuer: str
    label: str
    person: str | None
    last_seen: Time | None


class SessionJson(TypedDict):
    """A browser in which somebody is signed in."""

    id: Id
    person: str
    method: Annotated[str, one_of(SignInMethod)]
    browser: str
    address: str
    created_at: Time | None
    last_seen: Time | None
    current: bool


class PasskeyJson(TypedDict):
    """A passkey of somebody, and the host that it is for."""

    id: Id
    name: str
    person: str
    rp_id: str
    created_at: Time | None
    last_used: Time | None


class PasskeyChange(Body):
    name: Annotated[
        str,
        Field(json_schema_extra={"minLength": 1, "maxLength": MAX_PASSKEY_NAME}),
        AfterValidator(check_text),
        Expect(f"text of 1 to {MAX_PASSKEY_NAME} characters"),
    ]


class OidcUserRequest(Body):
    person: Annotated[str, Field(description="Who the user is.")]


class HouseholdRequest(Body):
    players: Texts = Field(default_factory=list)
    libraries: Texts = Field(default_factory=list)
    people: Texts = Field(default_factory=list)


# --- tokens


class TokenFields(TypedDict):
    id: Id
    kind: Annotated[str, OneOf(lambda: ALL_KINDS)]
    name: str | None
    person: Annotated[str | None, Field(description="Whose what comes with it is; null is everybody's.")]
    scopes: Annotated[
        list[Annotated[str, one_of(Scope)]] | None,
        Field(
            description="What an API token may do; null is everything, as it was for all before there were scopes."
        ),
    ]
    expires_at: Annotated[Time | None, Field(description="When it ends; null is never.")]


class TokenJson(TokenFields):
    created_at: Time | None
    expired: Annotated[bool, Field(description="It has ended, and lets nobody in any more.")]
    problem: Annotated[
        str | None, Field(description="What to do where its secret cannot be opened any more.")
    ]


class NewToken(TokenFields):
    secret: Annotated[str, Field(description="Shown this once.")]
    urls: Annotated[
        dict[str, str] | None,
        Field(description="For a webhook token the address to paste, by source."),
    ]
    calendar: Annotated[
        str | None,
        Field(description="For a token with the scope calendar the address to subscribe to."),
    ]


class TokenRequest(Body):
    """A request for a token; only an API token has `scopes`."""

    kind: Annotated[
        Literal["webhook", "api", "app"],
        Field(description="For media servers, for scripts, or for apps made for TV Time."),
    ]
    name: Title | None = Field(None, description="To tell it from the others.")
    person: Title | None = Field(None, description="Whose; a member's tokens are their own.")
    scopes: Annotated[
        list[Annotated[Scope, Field(strict=False)]] | None,
        Field(
            min_length=1,
            description="What an API token may do, and no more than the token that asks; everything that "
            "one may if it is not given.",
            examples=[[Scope.READ]],
        ),
        Expect(f"a list of some of {', '.join(Scope)}"),
    ] = None
    expires_in_days: Annotated[
        int | None,
        Field(
            ge=1,
            le=tokens.MAX_TOKEN_DAYS,
            description="When it ends, and no later than the token that asks; never if it is not given. "
            "A webhook token never ends.",
        ),
        Expect(f"a whole number from 1 to {tokens.MAX_TOKEN_DAYS}, or null for never"),
    ] = None

    @model_validator(mode="after")
    def check_kind(self) -> Self:
        if self.kind != "api" and self.scopes is not None:
            raise ValueError("scopes: only an API token has scopes.")
        if self.kind == "webhook" and self.expires_in_days is not None:
            raise ValueError(f"expires_in_days: {tokens.WEBHOOK_TOKENS_NEVER_END}")
        return self


class RevokedToken(TypedDict):
    id: Id
    revoked: bool
