"""jobs, the library, the household; what imports know of a play"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "episode_list",
        sa.Column("show_key", sa.String(length=300), nullable=False),
        sa.Column("via", sa.String(length=32), nullable=False),
        sa.Column("episodes", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("show_key", name=op.f("pk_episode_list")),
        comment="The episodes that a show has, as a lookup gave them.",
    )
    op.create_table(
        "household",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("players", sa.Text(), nullable=False),
        sa.Column("libraries", sa.Text(), nullable=False),
        sa.Column("people", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household")),
        comment="What plays there, of somebody here, counts for these people (ids).",
    )
    op.create_table(
        "unresolved",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("candidates", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_unresolved")),
        comment="Items of imported plays that came without an id: asked about, or waiting for a person.",
    )
    op.create_index("ix_unresolved_due_at", "unresolved", ["state", "due_at"], unique=False)
    op.create_table(
        "library",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("relation", sa.String(length=16), nullable=False),
        sa.Column("item_key", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_library_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "relation", "item_key", name=op.f("pk_library")),
        comment="What a person has rated, loves, has on the watchlist or owns; value is the rating, 0 to 10.",
    )
    op.create_table(
        "job",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_job_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_job_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        comment="Long work: an import, a backfill, a catch-up. What it has done, so that it goes on after a kill.",
    )
    op.create_table(
        "edit",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("play_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("by", sa.String(length=64), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["play_id"], ["play.id"], name=op.f("fk_edit_play_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edit")),
        comment="What a person changed about a play by hand.",
    )
    op.create_index(op.f("ix_edit_play_id"), "edit", ["play_id"], unique=False)
    op.add_column("delivery", job_id())
    op.create_index(
        "ix_delivery_job_id",
        "delivery",
        ["job_id", "state"],
        unique=False,
        sqlite_where=sa.text("job_id IS NOT NULL"),
        postgresql_where=sa.text("job_id IS NOT NULL"),
    )
    op.add_column(
        "follow", sa.Column("state", sa.String(length=16), server_default="following", nullable=False)
    )
    op.add_column("identity", sa.Column("ignored", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("person", sa.Column("timezone", sa.String(length=64), nullable=True))
    op.add_column("play", sa.Column("dated", sa.String(length=8), server_default="exact", nullable=False))
    op.add_column("play", sa.Column("foreign_key", sa.String(length=200), nullable=True))
    op.add_column("play", job_id())
    op.add_column("play", sa.Column("removed_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_play_foreign_key",
        "play",
        ["person_id", "foreign_key"],
        unique=True,
        sqlite_where=sa.text("foreign_key IS NOT NULL"),
        postgresql_where=sa.text("foreign_key IS NOT NULL"),
    )
    op.create_index("ix_play_started_at", "play", ["started_at"], unique=False)
    op.create_index("ix_play_person_watched", "play", ["person_id", "watched_at"], unique=False)


def job_id() -> sa.Column[int]:
    return sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
