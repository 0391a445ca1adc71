"""the rows of services' lists that are plays which came from elsewhere, at most one of each list"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "play_record",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("play_id", number, nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("row", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("job_id", number, nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_play_record_person_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["play_id"], ["play.id"], name=op.f("fk_play_record_play_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_play_record")),
        comment="A row of a service's list that is a play which came from elsewhere; a list has at most one for each play.",
    )
    op.create_index("ix_play_record_play_id", "play_record", ["play_id"], unique=False)
    create_partial_index("key", ["person_id", "key"])
    create_partial_index("job_id", ["job_id"])


def create_partial_index(column: str, columns: list[str]) -> None:
    where = sa.text(f"{column} IS NOT NULL")
    op.create_index(
        f"ix_play_record_{column}",
        "play_record",
        columns,
        unique=False,
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
