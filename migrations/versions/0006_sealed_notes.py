"""notes that are secrets: the settings made in the browser move into a column that is known to be sealed

An installation in which somebody is already has been started before, so its addresses are not printed again.
"""

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

note = sa.table(
    "note", sa.column("name", sa.String), sa.column("value", sa.Text), sa.column("sealed", sa.Text)
)
SETTINGS = note.c.name == "settings"
COMMENT = "What the service remembers of itself, by name{}."


def upgrade() -> None:
    op.add_column("note", sa.Column("sealed", sa.Text(), nullable=True))
    connection = op.get_bind()
    if connection.dialect.supports_comments:
        new = COMMENT.format("; `sealed` where it is a secret")
        op.create_table_comment("note", new, existing_comment=COMMENT.format(""))
    kept = connection.execute(sa.select(note.c.value).where(SETTINGS)).scalar()
    if kept is not None:
        connection.execute(sa.update(note).where(SETTINGS).values(value=None, sealed=orjson.loads(kept)))
    if connection.execute(sa.text("SELECT 1 FROM person LIMIT 1")).first():
        connection.execute(sa.insert(note), {"name": "started", "value": "true"})


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
