"""Access: the scope that each route of the API needs of a token."""

from __future__ import annotations

import re
from collections.abc import Mapping

from webhook.people.scopes import Scope

READ, CALENDAR, WRITE, ADMIN = Scope.READ, Scope.CALENDAR, Scope.HISTORY_WRITE, Scope.ADMIN
PUBLIC = None
"""The route answers anybody."""

ROUTES: Mapping[str, Mapping[str, Scope | None]] = {
    # webhooks and deliveries
    "/api/v1/webhooks": {"GET": READ},
    "/api/v1/webhooks/replay": {"POST": WRITE},
    "/api/v1/webhooks/{id}": {"GET": READ},
    "/api/v1/webhooks/{id}/redacted": {"GET": READ},
    "/api/v1/webhooks/{id}/replay": {"POST": WRITE},
    "/api/v1/deliveries": {"GET": READ},
    "/api/v1/deliveries/dismiss": {"POST": WRITE},
    "/api/v1/deliveries/retry": {"POST": WRITE},
    "/api/v1/deliveries/{id}": {"GET": READ},
    "/api/v1/deliveries/{id}/retry": {"POST": WRITE},
    # what needs a person
    "/api/v1/needs-you": {"GET": READ},
    "/api/v1/search": {"GET": READ},
    "/api/v1/unmatched": {"GET": READ},
    "/api/v1/unmatched/{id}/match": {"POST": WRITE},
    "/api/v1/unresolved": {"GET": READ},
    "/api/v1/unresolved/dismiss": {"POST": WRITE},
    "/api/v1/unresolved/match": {"POST": WRITE},
    "/api/v1/identities": {"GET": READ},
    "/api/v1/identities/ignore": {"POST": ADMIN},
    "/api/v1/silent": {"GET": READ},
    "/api/v1/silent/dismiss": {"POST": ADMIN},
    # history
    "/api/v1/plays": {"GET": READ, "POST": WRITE},
    "/api/v1/plays/{id}": {"GET": READ, "PATCH": WRITE, "DELETE": WRITE},
    "/api/v1/plays/{id}/merge": {"POST": WRITE},
    "/api/v1/library": {"GET": READ},
    "/api/v1/numbers": {"GET": READ},
    "/api/v1/shows/{key}": {"GET": READ},
    "/api/v1/follows/next": {"GET": READ},
    "/api/v1/follows/{key}": {"PUT": WRITE, "DELETE": WRITE},
    "/api/v1/calendar.ics": {"GET": CALENDAR},
    # history in and out
    "/api/v1/imports/{kind}": {"POST": WRITE},
    "/api/v1/imports/from/{name}": {"POST": WRITE},
    "/api/v1/exports/{kind}": {"GET": READ},
    "/api/v1/accounts/{id}/backfill": {"POST": WRITE},
    "/api/v1/catch-up": {"GET": READ, "POST": WRITE},
    "/api/v1/jobs": {"GET": READ},
    "/api/v1/jobs/{id}": {"GET": READ},
    "/api/v1/jobs/{id}/cancel": {"POST": WRITE},
    # people
    "/api/v1/people": {"GET": READ, "POST": ADMIN},
    "/api/v1/people/{name}": {"GET": READ, "PATCH": ADMIN, "DELETE": ADMIN},
    "/api/v1/people/{name}/claim": {"POST": ADMIN},
    "/api/v1/people/{name}/release": {"POST": ADMIN},
    "/api/v1/people/{name}/filters": {"PUT": ADMIN},
    "/api/v1/people/{name}/filters/preview": {"POST": READ},
    "/api/v1/people/{name}/invite": {"POST": ADMIN},
    "/api/v1/people/{name}/password": {"PUT": ADMIN},
    "/api/v1/household": {"GET": ADMIN, "POST": ADMIN},
    "/api/v1/household/{id}": {"DELETE": ADMIN},
    "/api/v1/apps": {"GET": ADMIN, "POST": ADMIN},
    "/api/v1/apps/{id}": {"PUT": ADMIN, "DELETE": ADMIN},
    "/api/v1/privacy": {"GET": READ, "PUT": ADMIN},
    # connections
    "/api/v1/connections": {"GET": ADMIN},
    "/api/v1/connections/{name}": {"GET": ADMIN},
    "/api/v1/connections/{name}/settings": {"PUT": ADMIN},
    "/api/v1/connections/{name}/test": {"POST": ADMIN},
    "/api/v1/accounts": {"GET": READ},
    "/api/v1/accounts/connect": {"POST": ADMIN},
    "/api/v1/accounts/{id}": {"DELETE": ADMIN},
    "/api/v1/accounts/{id}/rules": {"PUT": ADMIN},
    "/api/v1/accounts/{id}/tells": {"PUT": ADMIN},
    "/api/v1/sign-ins/{id}": {"GET": ADMIN, "DELETE": ADMIN},
    "/api/v1/urls": {"GET": ADMIN},
    "/api/v1/templates/{source}": {"GET": PUBLIC},
    # the service
    "/api/v1/settings": {"GET": ADMIN, "PUT": ADMIN},
    "/api/v1/tokens": {"GET": ADMIN, "POST": ADMIN},
    "/api/v1/tokens/{id}": {"DELETE": ADMIN},
    "/api/v1/backup": {"GET": ADMIN},
    "/api/v1/openapi.json": {"GET": PUBLIC},
    "/api/v1/schemas/generic.json": {"GET": PUBLIC},
    "/metrics": {"GET": READ},
}
"""Every route of the API by its path and method. What reveals secrets or configures anything needs admin."""

CONVERTER = re.compile(r":\w+}")
"""What a route says of a parameter beside its name: `{id:int}`."""


def scope_of(path: str, method: str) -> Scope:
    """The scope that a route needs; raises KeyError for one that the table does not have, so nothing is open by mistake."""
    needed = ROUTES[CONVERTER.sub("}", path)][method]
    if needed is PUBLIC:
        raise KeyError(f"{method} {path} answers anybody, and asks for no token")
    return needed
