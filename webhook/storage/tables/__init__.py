"""Every table as an SQLModel class, the one definition of its rows for SQLite and PostgreSQL.

Each class has its table beside it for Core statements: `webhook` is the table of `WebhookRow`.
"""

from __future__ import annotations

from sqlalchemy import Column
from sqlalchemy.orm import configure_mappers

from webhook.storage.tables.base import TableRow, metadata, row_class_of
from webhook.storage.tables.history import (
    EditRow,
    FollowRow,
    LibraryRow,
    PlayKeyRow,
    PlayRow,
    RuntimeRow,
    TallyRow,
    TickRow,
    VideoKeyRow,
    VideoRow,
    edit,
    follow,
    library,
    play,
    play_key,
    runtime,
    tally,
    tick,
    video,
    video_key,
)
from webhook.storage.tables.items import (
    EpisodeListRow,
    ItemIdRow,
    ItemKeyRow,
    ItemRow,
    MatchRow,
    UnresolvedRow,
    episode_list,
    item,
    item_id,
    item_key,
    match,
    unresolved,
)
from webhook.storage.tables.people import (
    AppGrantRow,
    AppRow,
    AppSessionRow,
    HouseholdRow,
    IdentityRow,
    NoteRow,
    OidcUserRow,
    PersonRow,
    PrivacyRow,
    TokenRow,
    app,
    app_grant,
    app_session,
    household,
    identity,
    note,
    oidc_user,
    person,
    privacy,
    token,
)
from webhook.storage.tables.queues import (
    AccountRow,
    AttemptRow,
    DeliveryRow,
    ImportChangeRow,
    JobRow,
    WebhookRow,
    account,
    attempt,
    delivery,
    import_change,
    job,
    webhook,
)
from webhook.storage.tables.servers import (
    ExpectationRow,
    HandMarkRow,
    ServerItemKeyRow,
    ServerItemRow,
    expectation,
    hand_mark,
    server_item,
    server_item_key,
)
from webhook.storage.tables.watchlists import (
    WatchlistCopyRow,
    WatchlistReadRow,
    WatchlistRemovalRow,
    watchlist_copy,
    watchlist_read,
    watchlist_removal,
)
from webhook.storage.types import Sealed

__all__ = [
    "AccountRow",
    "AppGrantRow",
    "AppRow",
    "AppSessionRow",
    "AttemptRow",
    "DeliveryRow",
    "EditRow",
    "EpisodeListRow",
    "ExpectationRow",
    "FollowRow",
    "HandMarkRow",
    "HouseholdRow",
    "IdentityRow",
    "ImportChangeRow",
    "ItemIdRow",
    "ItemKeyRow",
    "ItemRow",
    "JobRow",
    "LibraryRow",
    "MatchRow",
    "NoteRow",
    "OidcUserRow",
    "PersonRow",
    "PlayKeyRow",
    "PlayRow",
    "PrivacyRow",
    "RuntimeRow",
    "ServerItemKeyRow",
    "ServerItemRow",
    "TableRow",
    "TallyRow",
    "TickRow",
    "TokenRow",
    "UnresolvedRow",
    "VideoKeyRow",
    "VideoRow",
    "WatchlistCopyRow",
    "WatchlistReadRow",
    "WatchlistRemovalRow",
    "WebhookRow",
    "account",
    "app",
    "app_grant",
    "app_session",
    "attempt",
    "delivery",
    "edit",
    "episode_list",
    "expectation",
    "follow",
    "hand_mark",
    "household",
    "identity",
    "import_change",
    "item",
    "item_id",
    "item_key",
    "job",
    "library",
    "match",
    "metadata",
    "note",
    "oidc_user",
    "person",
    "play",
    "play_key",
    "privacy",
    "row_class_of",
    "runtime",
    "sealed_columns",
    "server_item",
    "server_item_key",
    "tally",
    "tick",
    "token",
    "unresolved",
    "video",
    "video_key",
    "watchlist_copy",
    "watchlist_read",
    "watchlist_removal",
    "webhook",
]


def sealed_columns() -> list[Column[str]]:
    """Every column that holds something sealed."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Sealed)
    ]


configure_mappers()  # the attributes of a row can be read only after it
