"""live deliveries and open plays: a webhook finds those it replaces or ends without reading all that wait"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LIVE = sa.text("state = 'waiting' AND NOT mark")
OPEN = sa.text("state <> 'stopped'")


def upgrade() -> None:
    op.create_index(
        "ix_delivery_live", "delivery", ["account_id", "due_at"], sqlite_where=LIVE, postgresql_where=LIVE
    )
    op.create_index("ix_play_player", "play", ["player_id"], sqlite_where=OPEN, postgresql_where=OPEN)


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
