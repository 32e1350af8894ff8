"""`python -m hub.storage.migrations "what it does"`: write the next step from what changed in the tables."""

import sys

from sqlalchemy import create_engine

from hub.storage.migrations import HEAD
from hub.storage.migrations.apply import apply, draft

with create_engine("sqlite://").begin() as connection:
    connection.exec_driver_sql("SELECT 1")
    apply(connection)
    draft(connection, f"{int(HEAD) + 1:04d}", sys.argv[1])
