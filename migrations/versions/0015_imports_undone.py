"""answers to the questions of an import, and what it changed, so that it can be undone"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("job", sa.Column("options", sa.Text(), nullable=True))
    op.add_column("job", sa.Column("undone_at", sa.BigInteger(), nullable=True))
    op.add_column("unresolved", sa.Column("language", sa.String(length=8), nullable=True))
    op.create_table(
        "import_change",
        sa.Column("id", number, nullable=False),
        sa.Column("job_id", number, nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_import_change_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_change")),
        comment="What an import changed besides the plays that it added, as it was before and after.",
    )
    op.create_index("ix_import_change_job_id", "import_change", ["job_id"], unique=False)
    op.create_index(
        "ix_play_job_id",
        "play",
        ["job_id"],
        unique=False,
        sqlite_where=sa.text("job_id IS NOT NULL"),
        postgresql_where=sa.text("job_id IS NOT NULL"),
    )


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
