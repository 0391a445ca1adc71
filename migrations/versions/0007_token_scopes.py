"""token scopes: what an API token opens, and when a token ends; those from before open everything and never end"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("token", sa.Column("scopes", sa.Text(), nullable=True))
    op.add_column("token", sa.Column("expires_at", sa.BigInteger(), nullable=True))
