"""outages: since when an account's tracker is down"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("failing_since", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
