"""Open a database by URL, and turn its everyday troubles into one clear line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry

from move37.records import UserError

BUSY_SECONDS = 30

# What SQLite and the drivers say, and what a user can do about it.
ADVICE = {
    "disk is full": "the disk is full: free some space and resume",
    "disk I/O error": "the disk cannot be read or written: check it and resume",
    "readonly": "it cannot be written: check its permissions",
    "read-only": "it cannot be written: check its permissions",
    "not a database": "it is not a database: name another file",
    "malformed": "it is damaged: restore a copy, or name another file",
    "unable to open": "it cannot be opened: check the path and its permissions",
    "locked": f"another program has held it for {BUSY_SECONDS} s: end that program and resume",
}


def open_engine(url: str) -> Engine:
    """Return an engine for this URL; for SQLite, the folder of the file is made.

    Raises:
        UserError: the URL cannot be read, its driver is missing, or its folder cannot be made.
    """
    try:
        parsed = make_url(url)
        _make_folder(parsed)
        engine = create_engine(parsed, connect_args=_connect_args(parsed))
    except (ArgumentError, NoSuchModuleError):
        raise UserError(
            "the database URL cannot be read: write it as sqlite:///runs/move37.sqlite "
            "or postgresql+psycopg://user@host/name"
        ) from None
    except ImportError as error:
        raise UserError(f"no driver for this database URL ({error}): install it") from None
    except OSError as error:
        raise UserError(f"{error.filename} cannot be made: {error.strerror}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def user_errors(where: str) -> Iterator[None]:
    """Turn what a user can mend (disk, permissions, a file of another kind) into a `UserError`."""
    try:
        yield
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UserError(
            f"{where}: holds records of another version of Move37 (see {place}); "
            "read it with that version, or set MOVE37_HOME to another folder"
        ) from error
    except DBAPIError as error:
        message = str(error.orig)
        for sign, advice in ADVICE.items():
            if sign in message:
                raise UserError(f"{where}: {advice}") from error
        if error.connection_invalidated or "connection" in message:
            raise UserError(f"{where}: no connection ({message.splitlines()[0]})") from error
        raise


def _make_folder(url: URL) -> None:
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    if is_file and url.database and not url.database.startswith("file:"):
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _connect_args(url: URL) -> dict[str, object]:
    return {"timeout": BUSY_SECONDS} if url.get_backend_name() == "sqlite" else {}


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"SQLite by another driver than sqlite3: {type(connection)}")
    # The driver begins no transaction by itself, so that `_begin_sqlite` chooses the kind.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    # In WAL mode anything less may lose the last experiments in a power cut.
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: one that reads first and then writes may find that another
    # process wrote in between, and SQLite refuses it without waiting.
    writes = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
