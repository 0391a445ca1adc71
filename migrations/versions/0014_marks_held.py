"""marks by hand that media servers reported, and those that are held"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

HELD = sa.text("state = 'held'")


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "hand_mark",
        sa.Column("webhook_id", number, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("server", sa.String(length=200), nullable=False),
        sa.Column("server_name", sa.String(length=200), nullable=True),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_hand_mark_person_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], name=op.f("fk_hand_mark_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_hand_mark")),
        comment="A mark by hand that a media server reported, and whether it is held until its person decides.",
    )
    op.create_index("ix_hand_mark_at", "hand_mark", ["person_id", "server", "action", "at"], unique=False)
    op.create_index(
        "ix_hand_mark_held",
        "hand_mark",
        ["person_id", "webhook_id"],
        unique=False,
        sqlite_where=HELD,
        postgresql_where=HELD,
    )


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
