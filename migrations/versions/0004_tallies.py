"""tallies: the numbers of a person, kept until a play that they count changes

A migration that makes `play` or `play_key` anew, as batch operations do on SQLite, has to call `watch` again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COUNTED = (
    "person_id",
    "kind",
    "item",
    "dated",
    "duration_ms",
    "watched_at",
    "unwatched_at",
    "removed_at",
)
"""The columns of a play that its person's numbers are counted from."""


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("what", sa.String(length=100), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("titles", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_tally_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "what", "token", name=op.f("pk_tally")),
        comment="What a person's plays before `until` come to, as numbers.py counts them; triggers let go of it.",
    )
    op.create_index(
        "ix_webhook_shown", "webhook", ["id", "state", "source", "identity_id", "token_id"], unique=False
    )
    watch()


def watch() -> None:
    """Let go of the tallies of which a play or what it is known by changes: of its time, and of all after it."""
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES:
        op.execute(statement)


CHANGED_COLUMNS = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in COUNTED)
DISTINCT_COLUMNS = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in COUNTED)
FORGET = "DELETE FROM tally WHERE person_id = {0}.person_id AND until > {0}.watched_at;"
FORGET_KEY = """
    DELETE FROM tally WHERE person_id = {0}.person_id
    AND until > (SELECT watched_at FROM play WHERE id = {0}.play_id);
"""

SQLITE = (
    f"""CREATE TRIGGER tally_play_added AFTER INSERT ON play WHEN NEW.watched_at IS NOT NULL
    BEGIN {FORGET.format("NEW")} END""",
    f"""CREATE TRIGGER tally_play_gone AFTER DELETE ON play WHEN OLD.watched_at IS NOT NULL
    BEGIN {FORGET.format("OLD")} END""",
    f"""CREATE TRIGGER tally_play_changed AFTER UPDATE OF {", ".join(COUNTED)} ON play
    WHEN (OLD.watched_at IS NOT NULL OR NEW.watched_at IS NOT NULL) AND ({CHANGED_COLUMNS})
    BEGIN {FORGET.format("OLD")} {FORGET.format("NEW")} END""",
    f"CREATE TRIGGER tally_key_added AFTER INSERT ON play_key BEGIN {FORGET_KEY.format('NEW')} END",
    f"CREATE TRIGGER tally_key_gone AFTER DELETE ON play_key BEGIN {FORGET_KEY.format('OLD')} END",
)

# Whoever changes plays holds the lock of their person in common until the end of the transaction. To begin
# a tally takes it alone, so that no change is under way which could not see that one is begun (tallies.py).
POSTGRES = (
    """CREATE FUNCTION tally_forget(whose bigint, since bigint) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(7102, whose::int);
        DELETE FROM tally WHERE person_id = whose AND until > since;
    END $$""",
    """CREATE FUNCTION tally_play() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN PERFORM tally_forget(OLD.person_id, OLD.watched_at); END IF;
        IF TG_OP <> 'DELETE' THEN PERFORM tally_forget(NEW.person_id, NEW.watched_at); END IF;
        RETURN NULL;
    END $$""",
    """CREATE FUNCTION tally_key() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE one play_key := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(7102, one.person_id::int);
        IF EXISTS (SELECT FROM tally WHERE person_id = one.person_id) THEN
            DELETE FROM tally WHERE person_id = one.person_id
            AND until > (SELECT watched_at FROM play WHERE id = one.play_id);
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER tally_play_added AFTER INSERT ON play
    FOR EACH ROW WHEN (NEW.watched_at IS NOT NULL) EXECUTE FUNCTION tally_play()""",
    """CREATE TRIGGER tally_play_gone AFTER DELETE ON play
    FOR EACH ROW WHEN (OLD.watched_at IS NOT NULL) EXECUTE FUNCTION tally_play()""",
    f"""CREATE TRIGGER tally_play_changed AFTER UPDATE OF {", ".join(COUNTED)} ON play
    FOR EACH ROW WHEN ((OLD.watched_at IS NOT NULL OR NEW.watched_at IS NOT NULL) AND ({DISTINCT_COLUMNS}))
    EXECUTE FUNCTION tally_play()""",
    """CREATE TRIGGER tally_key_changed AFTER INSERT OR DELETE ON play_key
    FOR EACH ROW EXECUTE FUNCTION tally_key()""",
)


def downgrade() -> None:
    raise NotImplementedError("There is no way back from here: restore a backup made before this version.")
