"""Models of services and accounts in the API: requests and replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from webhook.accounts.sign_ins import SignInState
from webhook.domain.json_shapes import RulesJson
from webhook.domain.rules import SWITCHES
from webhook.queries.people import AccountFields
from webhook.queries.reception import ReceptionJson
from webhook.storage.json_fields import Id, Time
from webhook.trackers import SignIn as SignInMethod
from webhook.trackers.webhook_out.receiver import LATE_LABELS, SHAPE_LABELS
from webhook.trackers.webhook_out.template import MAX_TEMPLATE
from webhook.web.activity.models import TrackerName
from webhook.web.connections.catalog import STATES, ServiceKind, services
from webhook.web.http.models import Body, DescribedBy, Expect, FilterLists, OneOf, check_text

MAX_SETTING_LENGTH = 4000

GivenText = Annotated[
    str,
    Field(max_length=MAX_SETTING_LENGTH),
    AfterValidator(check_text),
    Expect(f"text of at most {MAX_SETTING_LENGTH} characters"),
]
LongText = Annotated[
    str,
    Field(max_length=MAX_TEMPLATE),
    AfterValidator(check_text),
    Expect(f"text of at most {MAX_TEMPLATE} characters"),
]
ServiceName = Annotated[str, OneOf(services)]
ServiceState = Annotated[str, OneOf(lambda: STATES)]
StateWord = Annotated[str, OneOf(STATES.values)]
MARKS = (1, 100)
"""The range of a watched mark, in percent."""


class Rules(FilterLists):
    """An account's rules, which apply at once; an omitted field means no rule. While `dry_run` is true, deliveries are shown and not sent, not even afterwards, unless they are retried."""

    watched_mark: Annotated[
        float | None,
        Field(ge=MARKS[0], le=MARKS[1], description="Percent; null is what counts everywhere."),
        Expect(f"a percentage from {MARKS[0]} to {MARKS[1]}, or null"),
    ] = None
    dry_run: bool = False

    def to_json(self) -> RulesJson:
        """The rules as they are stored."""
        mark = self.watched_mark
        exact = int(mark) if mark is not None and mark.is_integer() else mark
        return {"watched_mark": exact, "dry_run": self.dry_run, **self.lists()}


class Account(AccountFields):
    rules: Annotated[RulesJson, DescribedBy(Rules)]


class Tested(TypedDict):
    works: bool
    says: str
    at: Time | None


class ConnectionSetting(TypedDict):
    variable: str
    description: str | None
    required: bool
    secret: bool
    default: str | None
    set: bool
    by: Literal["environment", "file", "browser"] | None
    fixed: Annotated[
        bool, Field(description="The environment says it, so that it can only be changed there.")
    ]
    value: Annotated[str | None, Field(description="Null for a secret, which is never shown again.")]
    ends: Annotated[str | None, Field(description="The last characters of a secret that is long enough.")]
    left_out: Annotated[
        str | None,
        Field(description="Why what was set in the browser cannot be used, where that is so."),
    ]


class ConnectionAccount(Account):
    shows: ServiceState
    word: StateWord
    needs: str | None
    tested: Tested | None


class ConnectionJson(TypedDict):
    name: str
    label: str
    kind: ServiceKind
    state: ServiceState
    word: StateWord
    purpose: str
    steps: list[str]
    sign_in: SignInMethod | None
    token_page: Annotated[
        str | None, Field(description="Where a person gets the token that they paste, if that is a page.")
    ]
    settings: list[ConnectionSetting]
    accounts: list[ConnectionAccount]
    tested: Tested | None
    reception: Annotated[
        ReceptionJson | None, Field(description="Of a media server that can be listened to: how it is heard.")
    ]


class SignInJson(TypedDict):
    id: str
    tracker: str
    person: str | None
    state: SignInState
    user_code: Annotated[
        str | None, Field(description="To be typed in at `url`; null where one only agrees there.")
    ]
    url: str | None
    seconds_left: int
    says: Annotated[
        str | None,
        Field(description="Once it is connected the account's name or what it lacks, else why not."),
    ]
    works: bool | None
    account: int | None


class TestRequest(Body):
    account: Annotated[Id | None, Expect("the id of an account; see /api/v1/accounts")] = None


class TestResult(TypedDict):
    account: int | None
    person: str | None
    works: bool
    says: str


class TestReport(TypedDict):
    name: str
    works: bool
    results: list[TestResult]


class SettingsRequest(Body):
    settings: dict[str, GivenText | None] = Field(
        description="By variable, e.g. TMDB_TOKEN; null lets one go, what is not named stays."
    )
    anyway: bool = Field(False, description="Keep them even where the service cannot be asked.")


class SavedSettings(TypedDict):
    saved: bool
    works: bool | None
    says: str
    reopens: bool


class SignInRequest(Body):
    tracker: TrackerName
    person: GivenText | None = Field(None, description="For whom; else for whose the API token is.")
    username: GivenText | None = None
    password: GivenText | None = Field(None, description="Used once, and not kept.")
    token: GivenText | None = None
    address: GivenText | None = Field(
        None, description="The address of a receiver; the stored one if omitted."
    )
    shape: Annotated[str, OneOf(lambda: SHAPE_LABELS)] | None = Field(
        None, description="The body a receiver gets."
    )
    headers: GivenText | None = Field(
        None, description="The headers of a receiver, one Name: value a line; the stored ones if omitted."
    )
    template: LongText | None = Field(None, description="A receiver's own body, with {{names}} in it.")
    late: Annotated[str, OneOf(lambda: LATE_LABELS)] | None = Field(
        None, description="The late plays that a receiver gets."
    )
    receiver_user: GivenText | None = Field(None, description="The user name that a receiver gets.")
    signing_secret: GivenText | None = Field(
        None, description="Signs what a receiver gets, after Standard Webhooks; the stored one if omitted."
    )

    def texts(self) -> Mapping[str, str]:
        return self.model_dump(exclude_none=True)


class ServerSignIn(Body):
    """A Jellyfin or an Emby is signed in to by the name and the password of an administrator.

    Without a name a Plex or a Jellyfin is signed in to by a code.
    """

    address: GivenText | None = Field(
        None, description="Of a Plex it may be left to plex.tv, which knows it."
    )
    username: GivenText | None = Field(None, description="Of an administrator of a Jellyfin or an Emby.")
    password: GivenText | None = Field(None, description="Used once, and not kept.")


class ServerConnected(TypedDict):
    says: Annotated[str | None, Field(description="What the server says of itself, once it is connected.")]
    sign_in: Annotated[
        SignInJson | None,
        Field(description="What is still to be approved: show its code, and poll its state."),
    ]


class SignedIn(TypedDict):
    account: int | None
    works: bool | None
    says: str | None


class Connected(SignedIn):
    sign_in: SignInJson | None


class Tells(Body):
    tells: list[Annotated[str, OneOf(lambda: SWITCHES)]] = Field(
        description="Of what its tracker can be told: these on, the others off."
    )
