"""the browsers that people are signed in with, and what a password needs beside it"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "session",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("browser", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        of_person("session"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("nonce", name=op.f("uq_session_nonce")),
        comment="A browser in which a person is signed in, by the name that its signed cookie holds.",
    )
    op.create_index("ix_session_person", "session", ["person_id", "last_seen"], unique=False)
    op.create_table(
        "second_factor",
        sa.Column("person_id", number, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("last_step", number, nullable=False),
        sa.Column("recovery", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        of_person("second_factor"),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_second_factor")),
        comment="What a person's password needs beside it: a secret for codes, sealed, and the digests of recovery codes.",
    )
    op.execute("DELETE FROM note WHERE name LIKE 'ended:%'")


def of_person(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_person_id")
    return sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
