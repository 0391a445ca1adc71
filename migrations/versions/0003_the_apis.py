"""the VideoScrobbler API: apps, their sessions, privacy, local ids"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "video",
        counted("id"),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_video")),
        comment="The local ids of the VideoScrobbler API; the kind is film, tv or url.",
    )
    op.create_table(
        "video_key",
        sa.Column("key", sa.String(length=300), nullable=False),
        number("video_id"),
        sa.ForeignKeyConstraint(
            ["video_id"], ["video.id"], name=op.f("fk_video_key_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_video_key")),
        comment="What a video is found by again, as in play_key.",
    )
    op.create_index(op.f("ix_video_key_video_id"), "video_key", ["video_id"], unique=False)
    op.create_table(
        "privacy",
        number("person_id"),
        sa.Column("seen_by", sa.String(length=8), nullable=False),
        of_person("privacy"),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_privacy")),
        comment="Who sees through the VideoScrobbler API what a person watches: everyone, friends or nobody.",
    )
    op.create_table(
        "app",
        counted("id"),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        number("person_id", nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("suspended_at", sa.BigInteger(), nullable=True),
        of_person("app"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app")),
        sa.UniqueConstraint("key", name=op.f("uq_app_key")),
        comment="A program that may use the VideoScrobbler API: its API key, and its shared secret, sealed.",
    )
    op.create_table(
        "app_session",
        number("token_id"),
        number("app_id"),
        of_app("app_session"),
        sa.ForeignKeyConstraint(
            ["token_id"], ["token.id"], name=op.f("fk_app_session_token_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_app_session")),
        comment="Through which app a session key, which is a token, was given out.",
    )
    op.create_table(
        "app_grant",
        sa.Column("digest", sa.String(length=64), nullable=False),
        number("app_id"),
        number("person_id"),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        of_app("app_grant"),
        of_person("app_grant"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_app_grant")),
        comment="That a person has let an app in, by the token it asked with; a token gives one session.",
    )


def counted(name: str) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, autoincrement=True, nullable=False)


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=nullable)


def of_person(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_person_id")
    return sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=name, ondelete="CASCADE")


def of_app(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["app_id"], ["app.id"], name=op.f(f"fk_{table}_app_id"), ondelete="CASCADE"
    )


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
