"""How Alembic reaches the database: over the connection it is handed, in the caller's transaction."""

from alembic import context

from webhook.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
context.run_migrations()
