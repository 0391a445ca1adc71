"""the first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "item",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("season", sa.Integer(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("learned_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
        comment="An item that was asked about once; season and number are its place as aired.",
    )
    op.create_table(
        "match",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("title", sa.String(length=500), nullable=True),
        sa.Column("season_offset", sa.Integer(), nullable=False),
        sa.Column("distrusts", sa.Boolean(), nullable=False),
        sa.Column("chosen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_match")),
        comment="What a person chose for an item, or for a whole show; distrusts: the ids that were sent are wrong.",
    )
    op.create_table(
        "note",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_note")),
        comment="What the service remembers of itself, by name.",
    )
    op.create_table(
        "person",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=True),
        sa.Column("owner", sa.Boolean(), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("name", name=op.f("uq_person_name")),
    )
    op.create_table(
        "account",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tracker", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("tokens", sa.Text(), nullable=True),
        sa.Column("tells", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("parked", sa.String(length=32), nullable=True),
        sa.Column("parked_at", sa.BigInteger(), nullable=True),
        sa.Column("parked_why", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_done_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_account_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("person_id", "tracker", name=op.f("uq_account_person_id_tracker")),
    )
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.create_index("ix_account_due_at", ["due_at"], unique=False)

    op.create_table(
        "follow",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("show_key", sa.String(length=300), nullable=False),
        sa.Column("show", sa.String(length=500), nullable=True),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("followed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_follow_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "show_key", name=op.f("pk_follow")),
        comment="The shows a person follows, in the built-in TV Time library.",
    )
    op.create_table(
        "identity",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("server", sa.String(length=200), nullable=False),
        sa.Column("user", sa.String(length=200), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("server_name", sa.String(length=200), nullable=True),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=True),
        sa.Column("last_seen", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_identity_person_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("source", "server", "user", name=op.f("uq_identity_source_server_user")),
        comment="A user of a media server; `user` is case-folded, an empty server is any server.",
    )
    op.create_table(
        "item_id",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("whose", sa.String(length=8), nullable=False),
        sa.Column("namespace", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.Column("via", sa.String(length=32), nullable=False),
        sa.Column("sure", sa.Float(), nullable=False),
        sa.Column("learned_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.id"], name=op.f("fk_item_id_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", "whose", "namespace", name=op.f("pk_item_id")),
        comment="An id of an item (whose: own) or of its show, where it came from and how sure it is, 0 to 1.",
    )
    op.create_table(
        "item_key",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.id"], name=op.f("fk_item_key_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_item_key")),
        comment="What an item is found by again.",
    )
    with op.batch_alter_table("item_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_item_key_item_id"), ["item_id"], unique=False)

    op.create_table(
        "play",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("server", sa.String(length=200), nullable=True),
        sa.Column("player", sa.String(length=200), nullable=True),
        sa.Column("player_id", sa.String(length=200), nullable=True),
        sa.Column("library", sa.String(length=200), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("resumed_at", sa.BigInteger(), nullable=True),
        sa.Column("position_ms", sa.BigInteger(), nullable=True),
        sa.Column("position_at", sa.BigInteger(), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("known_percent", sa.Float(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("watched_at", sa.BigInteger(), nullable=True),
        sa.Column("unwatched_at", sa.BigInteger(), nullable=True),
        sa.Column("manual", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_play_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_play")),
    )
    with op.batch_alter_table("play", schema=None) as batch_op:
        batch_op.create_index(
            "ix_play_open",
            ["person_id", "last_at"],
            unique=False,
            sqlite_where=sa.text("state <> 'stopped'"),
            postgresql_where=sa.text("state <> 'stopped'"),
        )
        batch_op.create_index("ix_play_person_started", ["person_id", "started_at"], unique=False)

    op.create_table(
        "tick",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("item_key", sa.String(length=300), nullable=False),
        sa.Column("show_key", sa.String(length=300), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("watched_at", sa.BigInteger(), nullable=False),
        sa.Column("rewatches", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_tick_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "item_key", name=op.f("pk_tick")),
        comment="The watched marks of the built-in TV Time library.",
    )
    op.create_table(
        "token",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=True),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_token_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
    )
    op.create_table(
        "play_key",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("play_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["play_id"], ["play.id"], name=op.f("fk_play_key_play_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "key", "play_id", name=op.f("pk_play_key")),
        comment="What a play's item is known by, so that the next event finds it.",
    )
    with op.batch_alter_table("play_key", schema=None) as batch_op:
        batch_op.create_index("ix_play_key_play_id", ["play_id"], unique=False)

    op.create_table(
        "webhook",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("token_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.String(length=200), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("identity_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("events", sa.Text(), nullable=True),
        sa.Column("interpreted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identity.id"], name=op.f("fk_webhook_identity_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["token_id"], ["token.id"], name=op.f("fk_webhook_token_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    with op.batch_alter_table("webhook", schema=None) as batch_op:
        batch_op.create_index(
            "ix_webhook_unclaimed",
            ["identity_id"],
            unique=False,
            sqlite_where=sa.text("state = 'unclaimed'"),
            postgresql_where=sa.text("state = 'unclaimed'"),
        )
        batch_op.create_index(
            "ix_webhook_waiting",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state = 'received'"),
            postgresql_where=sa.text("state = 'received'"),
        )

    op.create_table(
        "delivery",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("webhook_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("play_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("mark", sa.Boolean(), nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("unsure", sa.Boolean(), nullable=False),
        sa.Column("claimed", sa.Boolean(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("remote_id", sa.String(length=64), nullable=True),
        sa.Column("candidates", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_delivery_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["play_id"], ["play.id"], name=op.f("fk_delivery_play_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], name=op.f("fk_delivery_webhook_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("account_id", "key", name=op.f("uq_delivery_account_id_key")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index("ix_delivery_play_id", ["play_id"], unique=False)
        batch_op.create_index(
            "ix_delivery_stuck",
            ["state", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('unmatched', 'parked', 'dead')"),
            postgresql_where=sa.text("state IN ('unmatched', 'parked', 'dead')"),
        )
        batch_op.create_index(
            "ix_delivery_waiting",
            ["account_id", "due_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )
        batch_op.create_index("ix_delivery_webhook_id", ["webhook_id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("exchanges", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name=op.f("fk_attempt_delivery_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempt_delivery_id"), ["delivery_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempt_delivery_id"))

    op.drop_table("attempt")
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index("ix_delivery_webhook_id")
        batch_op.drop_index(
            "ix_delivery_waiting",
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )
        batch_op.drop_index(
            "ix_delivery_stuck",
            sqlite_where=sa.text("state IN ('unmatched', 'parked', 'dead')"),
            postgresql_where=sa.text("state IN ('unmatched', 'parked', 'dead')"),
        )
        batch_op.drop_index("ix_delivery_play_id")

    op.drop_table("delivery")
    with op.batch_alter_table("webhook", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_webhook_waiting",
            sqlite_where=sa.text("state = 'received'"),
            postgresql_where=sa.text("state = 'received'"),
        )
        batch_op.drop_index(
            "ix_webhook_unclaimed",
            sqlite_where=sa.text("state = 'unclaimed'"),
            postgresql_where=sa.text("state = 'unclaimed'"),
        )

    op.drop_table("webhook")
    with op.batch_alter_table("play_key", schema=None) as batch_op:
        batch_op.drop_index("ix_play_key_play_id")

    op.drop_table("play_key")
    op.drop_table("token")
    op.drop_table("tick")
    with op.batch_alter_table("play", schema=None) as batch_op:
        batch_op.drop_index("ix_play_person_started")
        batch_op.drop_index(
            "ix_play_open",
            sqlite_where=sa.text("state <> 'stopped'"),
            postgresql_where=sa.text("state <> 'stopped'"),
        )

    op.drop_table("play")
    with op.batch_alter_table("item_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_item_key_item_id"))

    op.drop_table("item_key")
    op.drop_table("item_id")
    op.drop_table("identity")
    op.drop_table("follow")
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_index("ix_account_due_at")

    op.drop_table("account")
    op.drop_table("person")
    op.drop_table("note")
    op.drop_table("match")
    op.drop_table("item")
