"""media servers told: what each has, what it will report of what it was told, and which server an account is at"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("account", sa.Column("server", sa.String(length=200), nullable=True))
    op.create_table(
        "server_item",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("tracker", sa.String(length=32), nullable=False),
        sa.Column("item_key", sa.String(length=64), nullable=False),
        sa.Column("show_key", sa.String(length=64), nullable=True),
        sa.Column("library", sa.String(length=200), nullable=True),
        sa.Column("item", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_item")),
        comment="A film, or an episode that a file holds, on a media server.",
    )
    op.create_index("ix_server_item_key", "server_item", ["tracker", "item_key"], unique=False)
    op.create_table(
        "server_item_key",
        sa.Column("tracker", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("server_item_id", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["server_item_id"],
            ["server_item.id"],
            name=op.f("fk_server_item_key_server_item_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tracker", "key", "server_item_id", name=op.f("pk_server_item_key")),
        comment="What an item on a media server is found by: an id, or its numbers under an id of its show.",
    )
    op.create_index("ix_server_item_key_item", "server_item_key", ["server_item_id"], unique=False)
    op.create_table(
        "expectation",
        sa.Column("person_id", number, nullable=False),
        sa.Column("server", sa.String(length=200), nullable=False),
        sa.Column("item_key", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("delivery_id", number, nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_expectation_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "person_id", "server", "item_key", "action", "value", name=op.f("pk_expectation")
        ),
        comment="A change that a media server was told to make, which it reports like any other.",
    )


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
