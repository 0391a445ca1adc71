"""tallies by kind: they count days by kind and know when each title was watched last, so all are counted anew"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM tally")


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
