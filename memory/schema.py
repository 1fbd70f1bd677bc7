"""Bring a database to the tables of this version, or refuse it untouched."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, inspect, select
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from move37.records import UserError

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 3737

# Alembic's context is a module-level proxy: two threads must not migrate at once.
_migrating = threading.Lock()


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for this connection; no ini file is involved.

    A developer who changed the tables writes the migration with it, on a database of the last
    version: `alembic.command.revision(alembic_config(connection), "what", autogenerate=True)`.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def upgrade(engine: Engine, where: str) -> None:
    """Create or migrate the tables in one transaction.

    A process that opens the database meanwhile waits for this one, then finds nothing to do.

    Raises:
        UserError: the database is of a newer version, or holds tables that are not ours.
    """
    with _migrating:
        with engine.connect() as connection:
            if _is_current(connection, where):
                return
        if engine.dialect.name == "sqlite":
            _use_wal(engine)
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
            if not _is_current(connection, where):
                command.upgrade(alembic_config(connection), "head")


def _use_wal(engine: Engine) -> None:
    # WAL is a property of the file; it cannot be switched on inside a transaction. SQLite does not
    # wait here for a process that is writing, whatever the connection's timeout.
    connection = engine.raw_connection()
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(sqlite3.OperationalError),
            wait=wait_random(0.01, 0.1),
            stop=stop_after_delay(30),
            reraise=True,
        ):
            with attempt:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _is_current(connection: Connection, where: str) -> bool:
    scripts = ScriptDirectory.from_config(alembic_config(connection))
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        if inspect(connection).get_table_names():
            raise UserError(f"{where} holds tables of another program: name another database")
        return False
    if revision not in {script.revision for script in scripts.walk_revisions()}:
        raise UserError(
            f"{where} was written by a newer version of move37 (revision {revision}): "
            "update move37, or name another database"
        )
    return revision == scripts.get_current_head()
