"""watchlists: what accounts list, what was taken off, where an entry came from, and when it leaves by itself"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("library", sa.Column("via", sa.String(length=32), nullable=True))
    op.add_column(
        "person",
        sa.Column("watchlist_until", sa.String(length=16), nullable=False, server_default="finished"),
    )
    op.create_table(
        "watchlist_read",
        sa.Column("account_id", number, autoincrement=False, nullable=False),
        sa.Column("off", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("asked", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("tried_at", sa.BigInteger(), nullable=True),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.Column("held_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_watchlist_read_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_watchlist_read")),
        comment="How far the watchlist of an account was read: the last whole read, and what the last try came to.",
    )
    op.create_table(
        "watchlist_copy",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("account_id", number, nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("handle", sa.String(length=64), nullable=True),
        sa.Column("listed_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_watchlist_copy_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watchlist_copy")),
        comment="A film or a show on the watchlist of an account; `missing` where a read that is held had it no "
        "longer.",
    )
    op.create_index("ix_watchlist_copy_account_id", "watchlist_copy", ["account_id"], unique=False)
    op.create_table(
        "watchlist_removal",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_watchlist_removal_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watchlist_removal")),
        comment="A film or a show that a person took off their watchlist, so that no older list brings it back.",
    )
    op.create_index("ix_watchlist_removal_person_id", "watchlist_removal", ["person_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
