"""Run the migrations on the connection that `memory.schema` hands over."""

from alembic import context

from move37.memory.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    # SQLite alters a table by copying it; batch mode writes migrations that do so.
    render_as_batch=True,
)
context.run_migrations()
