"""A store on SQLite, and the same on PostgreSQL where its programs are installed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from thresher.review import Decided, Store


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, of the latest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Cluster:
    """A private PostgreSQL in a folder that goes away, on a port of the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.folder = programs(), folder
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(folder, self.user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "thresher", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        become = {}
        if os.getuid() == 0:
            who = pwd.getpwnam(self.user)
            become = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        log = (self.folder / "commands.log").open("ab")
        subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            stdout=log,
            stderr=log,
            check=True,
            timeout=60,
            **become,
        )
        log.close()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self._run("pg_ctl", "-D", "data", "-l", "server.log", "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def database(self) -> str:
        """The URL of a new database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        url = f"postgresql+psycopg://thresher@127.0.0.1:{self.port}"
        engine = sa.create_engine(f"{url}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"create database {name}")
        engine.dispose()
        return f"{url}/{name}"


@pytest.fixture(scope="session")
def cluster():
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    if programs() is None:
        pytest.skip("PostgreSQL's programs are not installed")
    # A short path that the server's user may enter, unlike pytest's own.
    with tempfile.TemporaryDirectory(prefix="thresher-pg-") as name:
        own = Cluster(Path(name))
        own.start()
        yield own
        own.stop("immediate")


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return request.getfixturevalue("cluster").database()


@pytest.fixture
def store(url, clock):
    with Store.open(url, clock=clock) as opened:
        yield opened


def decided(**given):
    """A decision that goes to review, unless the test says otherwise."""
    usual = {
        "at": 1_000_000.0,
        "query_id": "q1",
        "query": {"title": "sony turntable"},
        "item_id": "a",
        "score": 0.7,
        "confidence": 0.6,
        "decision": "review",
        "threshold": 0.9,
        "candidates": [{"item_id": "a", "item": "Sony", "score": 0.7, "confidence": 0.6}],
    }
    return Decided(**(usual | given))


@pytest.fixture
def review():
    return decided
