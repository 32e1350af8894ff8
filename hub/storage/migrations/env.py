"""Read by Alembic at each run; the connection, with its transaction, is the caller's."""

from alembic import context

import hub.storage.tables  # noqa: F401 (adds its tables to the metadata)
from bus.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
