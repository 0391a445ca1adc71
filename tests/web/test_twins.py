"""Everything that a page does a script can do too: each form with its twin in the API, or why it has none."""

from __future__ import annotations

import re

import pytest
from starlette.routing import Route

from tests.web.conftest import Household, document
from webhook.compat.videoscrobbler.apps_page import AppsPage
from webhook.web.http.sessions import Passwords, Sessions
from webhook.web.routes import page_routes
from webhook.web.setup.oidc_pages import OidcPages
from webhook.web.setup.passkey_sign_in import PasskeySignIn
from webhook.web.setup.sign_in import SignInPages

TWINS = {
    "/activity/replay": "POST /webhooks/replay",
    "/trace/{id}/replay": "POST /webhooks/{id}/replay",
    "/deliveries/retry": "POST /deliveries/retry",
    "/deliveries/{id}/retry": "POST /deliveries/{id}/retry",
    "/deliveries/{id}/dismiss": "POST /deliveries/dismiss",
    "/deliveries/dismiss": "POST /deliveries/dismiss",
    "/needs-you/match": "POST /unmatched/{id}/match",
    "/needs-you/leave": "POST /unresolved/dismiss",
    "/needs-you/claim": "POST /people/{name}/claim",
    "/needs-you/heed": "POST /identities/ignore",
    "/needs-you/silence": "POST /silent/dismiss",
    "/needs-you/retry": "POST /deliveries/retry",
    "/history/add": "POST /plays",
    "/history/plays/{id}/remove": "DELETE /plays/{id}",
    "/history/plays/{id}/restore": "POST /plays/{id}/restore",
    "/history/plays/{id}/redate": "PATCH /plays/{id}",
    "/history/plays/{id}/correct": "PATCH /plays/{id}",
    "/history/plays/{id}/merge": "POST /plays/{id}/merge",
    "/history/selected": "GET /plays/{id}",
    "/history/selected/remove": "DELETE /plays/{id}",
    "/history/selected/restore": "POST /plays/{id}/restore",
    "/history/selected/move": "PATCH /plays/{id}",
    "/history/selected/shift": "POST /plays/shift",
    "/history/selected/shift/look": "POST /plays/shift",
    "/history/selected/person": "POST /plays/reassign",
    "/history/selected/person/look": "POST /plays/reassign",
    "/history/selected/send": "POST /deliveries/{id}/retry",
    "/library/shows/follow": "PUT /follows/{key}",
    "/library/shows/{key}/ticks": "POST /plays",
    "/library/films/{key}/mark": "POST /plays",
    "/library/films/{key}/unmark": "DELETE /plays/{id}",
    "/library/films/{key}/watchlist": "PUT /films/{key}/watchlist",
    "/library/watchlist/add": "POST /watchlist",
    "/library/watchlist/remove": "DELETE /watchlist/{key}",
    "/library/watchlist/until": "PATCH /watchlist",
    "/library/watchlist/read": "POST /watchlist/read",
    "/library/watchlist/services/{tracker}": "PATCH /watchlist/services/{tracker}",
    "/history/export/calendar": "POST /tokens",
    "/history/import/look": "POST /imports/{kind}",
    "/history/import/look-again": "POST /imports/{kind}",
    "/history/import/begin": "POST /imports/{kind}",
    "/history/import/from/look": "POST /imports/from/{name}",
    "/history/import/from/begin": "POST /imports/from/{name}",
    "/history/backfill/look": "POST /accounts/{id}/backfill",
    "/history/backfill/begin": "POST /accounts/{id}/backfill",
    "/history/backfill/take-back": "POST /accounts/{id}/take-back",
    "/needs-you/held": "POST /held/accept",
    "/history/jobs/{id}/undo": "POST /jobs/{id}/undo",
    "/history/jobs/{id}/cancel": "POST /jobs/{id}/cancel",
    "/connections/{name}/test": "POST /connections/{name}/test",
    "/connections/{name}/server": "POST /connections/{name}/connect",
    "/connections/{name}/settings": "PUT /connections/{name}/settings",
    "/connections/{name}/sign-in": "POST /accounts/connect",
    "/connections/{name}/cancel": "DELETE /sign-ins/{id}",
    "/connections/{name}/disconnect": "DELETE /accounts/{id}",
    "/connections/{name}/account": "PUT /accounts/{id}/rules",
    "/start/time-zone": "PATCH /people/{name}",
    "/people": "POST /people",
    "/household": "POST /household",
    "/household/{id}/remove": "DELETE /household/{id}",
    "/sessions/{id}/end": "DELETE /sessions/{id}",
    "/people/{name}/sessions/end": "DELETE /sessions/{id}",
    "/passkeys/{id}/name": "PATCH /passkeys/{id}",
    "/passkeys/{id}/remove": "DELETE /passkeys/{id}",
    "/oidc-users/{id}/link": "PUT /oidc-users/{id}",
    "/oidc-users/{id}/remove": "DELETE /oidc-users/{id}",
    "/tokens": "POST /tokens",
    "/tokens/{id}/revoke": "DELETE /tokens/{id}",
    "/people/{name}/name": "PATCH /people/{name}",
    "/people/{name}/time-zone": "PATCH /people/{name}",
    "/people/{name}/password": "PUT /people/{name}/password",
    "/people/{name}/invite": "POST /people/{name}/invite",
    "/people/{name}/claim": "POST /people/{name}/claim",
    "/people/{name}/release": "POST /people/{name}/release",
    "/people/{name}/filters": "PUT /people/{name}/filters",
    "/people/{name}/filters/preview": "POST /people/{name}/filters/preview",
    "/people/{name}/remove": "DELETE /people/{name}",
    "/people/{name}/apps": "POST /apps",
    "/people/{name}/apps/privacy": "PUT /privacy",
    "/people/{name}/apps/{id}/suspend": "PUT /apps/{id}",
    "/people/{name}/apps/{id}/resume": "PUT /apps/{id}",
    "/people/{name}/apps/{id}/remove": "DELETE /apps/{id}",
    "/settings": "PUT /settings",
    "/settings/backup": "GET /backup",
}
ALONE = {
    "/sign-in": "a script has a token",
    "/sign-out": "a token is revoked",
    "/welcome/{secret}": "the link is for a browser",
    "/sign-in/code": "a script has a token",
    "/people/{name}/second-factor": "its secret is for an app in a person's hand",
    "/people/{name}/second-factor/off": "it takes a code of that app",
    "/sign-in/passkey": "a script has a token",
    "/sign-in/passkey/options": "a script has a token",
    "/people/{name}/passkeys": "its key is in a device in a person's hand",
    "/people/{name}/passkeys/options": "its answer is for that device",
    "/people/{name}/oidc": "it leads a browser to the provider",
    "/start/find": "it only fills in a form",
    "/connections/{name}/find": "it only fills in a form",
    "/start/step": "which steps are put off is a matter of that page",
    "/theme": "the colours are a browser's",
}
"""The forms without a twin, and why."""


def forms(home: Household) -> set[str]:
    sessions = Sessions(home.service)
    entrance = SignInPages(home.service, sessions, Passwords())
    provider = OidcPages(home.service, sessions, entrance)
    passkeys = PasskeySignIn(home.service, sessions, entrance)
    ways_in = [*entrance.routes(), *provider.routes(), *passkeys.routes()]
    pages = [*page_routes(home.service, sessions), *ways_in]
    routes = [*pages, *AppsPage(home.service, sessions).routes()]
    posted = {route.path for route in routes if isinstance(route, Route) and "POST" in (route.methods or ())}
    return {re.sub(r":\w+}", "}", path) for path in posted}


def test_every_form_of_a_page_has_its_twin_or_a_reason_for_none(home: Household) -> None:
    assert forms(home) == {*TWINS, *ALONE}


@pytest.mark.parametrize("twin", sorted({*TWINS.values()}))
def test_the_twin_stands_in_the_document(twin: str) -> None:
    method, path = twin.split()

    assert method.lower() in document("http://here")["paths"][path]
