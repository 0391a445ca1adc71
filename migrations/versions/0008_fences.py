"""fences: each claim of an account has a number, so that its lease can be renewed"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("fence", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
