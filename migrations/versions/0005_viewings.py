"""viewings: what was played of a play, how long things run, and users by name as Unicode compares it"""

import unicodedata
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "runtime",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_runtime")),
        comment="How long an item or the episodes of a show run, for what is sent without a duration.",
    )
    op.add_column("play", sa.Column("played_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("play", sa.Column("replayed_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("play", sa.Column("by_position", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("play", sa.Column("view_count", sa.Integer(), nullable=True))
    op.add_column("identity", sa.Column("account_ids", sa.Text(), server_default="[]", nullable=False))
    fold_users(op.get_bind())


def fold_users(connection: sa.Connection) -> None:
    """Name each user as Unicode compares it; two that become one are one, claimed if one of them was."""
    identity = sa.table(
        "identity",
        *map(
            sa.column, ("id", "source", "server", "user", "person_id", "ignored", "first_seen", "last_seen")
        ),
    )
    webhook = sa.table("webhook", sa.column("identity_id"))
    found = connection.execute(sa.select(identity).order_by(identity.c.id)).all()
    kept: dict[tuple[str, str, str], sa.Row[Any]] = {}
    for row in sorted(found, key=lambda row: (row.person_id is None, row.id)):
        user = unicodedata.normalize("NFKC", row.user).casefold()[:200]
        first = kept.setdefault((row.source, row.server, user), row)
        if first is row:
            continue
        moved = sa.update(webhook).where(webhook.c.identity_id == row.id).values(identity_id=first.id)
        connection.execute(moved)
        connection.execute(sa.delete(identity).where(identity.c.id == row.id))
    for (_, _, user), row in kept.items():
        if user != row.user:
            connection.execute(sa.update(identity).where(identity.c.id == row.id).values(user=user))
