"""A database by URL: SQLite in WAL mode or PostgreSQL, one transaction a call."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from thresher.errors import InputError
from thresher.review.records import Unavailable
from thresher.review.schema import migrate

BUSY_SECONDS = 10.0
_EXAMPLES = "sqlite:///reviews.db or postgresql://user@host/database"


class Database:
    """Transactions on one database; `read` sees a snapshot, `write` is committed when it returns.

    SQLite takes the write lock when a transaction begins, in WAL mode with `synchronous=FULL`: what
    is committed survives a power cut. On PostgreSQL, writers of one stream of numbered rows take
    turns, so that a reader who has seen row n has seen all before it.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self._writing = self.engine.execution_options(write=True)
        self._turn = threading.Lock()
        self._file: tuple[str, tuple[int, int] | None] | None = None
        with self.write("schema") as connection:
            migrate(connection)
        if self.sqlite:
            with self.read() as connection:
                files = connection.exec_driver_sql("PRAGMA database_list")
                path = next(row.file for row in files if row.name == "main")
            self._file = path, _identity(path)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that changes nothing."""
        self._check_file()
        with _refused(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, stream: str | None = None) -> Iterator[sa.Connection]:
        """A transaction that is on the disk when the block ends, or never was.

        Args:
            stream: of numbered rows, whose writers take turns.

        Raises:
            Unavailable: when the database is away, locked, moved, or its disk is full.
        """
        self._check_file()
        with _refused():
            if self.sqlite:  # threads of one process wait here, not by sleeping on the file's lock
                with self._turn, self._writing.begin() as connection:
                    yield connection
                    self._check_file()  # what is committed is to be found under its path
                return
            with self._writing.begin() as connection:
                if stream is not None:
                    lock = sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"thresher.{stream}"))
                    connection.execute(sa.select(lock))
                yield connection

    def _check_file(self) -> None:
        """Unavailable where another file, or none, is at the path of the open SQLite database."""
        if self._file is not None and _identity(self._file[0]) != self._file[1]:
            raise Unavailable(
                f"the database file {self._file[0]} was moved, removed or replaced; put it back, "
                "or start the service again"
            )

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _identity(path: str) -> tuple[int, int] | None:
    """What tells a file from every other; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise InputError(f"{url!r} is no URL of a database; give one such as {_EXAMPLES}") from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    given: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value, default=str).decode(),
        "json_deserializer": _loads,
    }
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise InputError("the database needs a file; give one such as sqlite:///reviews.db")
        engine = sa.create_engine(parsed, pool_size=8, max_overflow=24, **given)
        sa.event.listen(engine, "connect", _configure)
        sa.event.listen(engine, "begin", _begin)
        return engine
    if parsed.get_backend_name() != "postgresql":
        raise InputError(f"{parsed.get_backend_name()!r} is not supported; give {_EXAMPLES}")
    try:
        return sa.create_engine(
            parsed, pool_pre_ping=True, pool_timeout=BUSY_SECONDS, max_overflow=24, **given
        )
    except (ImportError, NoSuchModuleError):
        raise InputError(
            "PostgreSQL needs a driver; run `pip install 'thresher[postgres]'`"
        ) from None


def _loads(value: Any) -> Any:
    # SQLite keeps a JSON number in its own type.
    return value if isinstance(value, int | float) else orjson.loads(value)


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={int(BUSY_SECONDS * 1000)}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _refused() -> Iterator[None]:
    """Errors of the database that are nobody's input, as Unavailable."""
    try:
        yield
    except PoolTimeout:
        raise Unavailable("all connections to the database are in use; try again") from None
    except DBAPIError as error:
        said = str(error.orig).strip().partition("\n")[0]
        if "not a database" in said:
            raise InputError("the file is no SQLite database; give another one") from error
        if isinstance(error, OperationalError) or error.connection_invalidated:
            raise Unavailable(f"the database cannot be used now ({said}); try again") from error
        raise
