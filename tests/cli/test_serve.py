"""`thresher serve` and `thresher keys`: what they refuse, and a service that is killed at work."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

from oracles.shop import trained
from thresher.cli.main import main
from thresher.review import Decided, Store


def run(capsys, *arguments):
    """Exit code, output and errors of a command."""
    code = 0
    try:
        main([str(one) for one in arguments])
    except SystemExit as ended:
        code = ended.code or 0
    return code, *capsys.readouterr()


def test_a_key_is_made_shown_and_ended(capsys, tmp_path):
    database = tmp_path / "own.db"
    code, secret, _ = run(
        capsys, "keys", "create", "ann", "--role", "reviewer", "--database", database
    )
    assert code == 0
    with Store.open(f"sqlite:///{database}") as store:
        key = store.who(secret.strip())
    assert (key.name, key.role) == ("ann", "reviewer")
    _, shown, _ = run(capsys, "keys", "list", "--database", database)
    assert shown.split() == [key.id, "reviewer", "ann"]
    assert run(capsys, "keys", "revoke", key.id, "--database", database)[0] == 0
    assert "revoked" in run(capsys, "keys", "list", "--database", database)[1]
    code, _, said = run(capsys, "keys", "revoke", "nobody", "--database", database)
    assert (code, "no key 'nobody'" in said) == (2, True)
    code, _, said = run(capsys, "keys", "create", "x", "--role", "boss", "--database", database)
    assert (code, "client, reviewer, admin" in said) == (2, True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_others_are_not_served_without_a_key(capsys, tmp_path, tmp_path_factory, host):
    given = ("--host", host, "--database", tmp_path / "own.db")
    code, _, said = run(capsys, "serve", trained(tmp_path_factory) / "model", *given)
    assert (code, "thresher keys create" in said) == (2, True)


def test_a_folder_that_is_no_artifact_is_refused_and_no_database_is_made(capsys, tmp_path):
    for given in ((), ("--database", tmp_path / "own.db")):
        code, _, said = run(capsys, "serve", tmp_path / "empty", *given)
        assert (code, "no artifact" in said) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_used_is_refused(capsys, tmp_path, tmp_path_factory):
    artifact = trained(tmp_path_factory) / "model"
    for given, sentence in ((tmp_path / "no" / "own.db", "cannot be used now"), ("", "empty text")):
        code, _, said = run(capsys, "serve", artifact, "--database", given)
        assert (code, sentence in said) == (2, True)


def test_without_the_extra_the_line_of_pip_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "thresher.review", None)
    code, _, said = run(capsys, "keys", "list", "--database", tmp_path / "own.db")
    assert (code, "pip install 'thresher[serve]'" in said) == (2, True)


class Served:
    """The service in a process of its own."""

    def __init__(self, artifact, database, stderr=None):
        command = "from thresher.cli.main import main; main()"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                command,
                "serve",
                artifact,
                "--port",
                "0",
                "--database",
                database,
            ],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self.port = int(re.search(r":(\d+)/review", self.process.stdout.readline())[1])

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(
            method, path, json.dumps(body or {}), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        found = response.status, response.read()
        connection.close()
        return found

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(60)
        self.process.stdout.close()


def judge(served, judged, enough):
    """Lease and judge until the service is gone."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while (leased := served.ask("POST", "/v1/cases/lease"))[0] == 200:
            path = f"/v1/cases/{json.loads(leased[1])['id']}/verdict"
            status, body = served.ask("POST", path, {"kind": "none"})
            assert status == 200
            judged.append((json.loads(body)["case_id"], json.loads(body)["id"]))
            if len(judged) == 300:
                enough.set()


def write(served, written):
    """Add items until the service is gone."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        for i in range(1000):
            item = {"id": f"n{i}", "title": f"wundervolt samovar {i}"}
            assert served.ask("PUT", "/v1/items", {"items": [item]})[0] == 200
            written.append(item["id"])


@pytest.mark.slow
def test_what_is_opened_is_said_before_the_address(tmp_path_factory, tmp_path):
    artifact = trained(tmp_path_factory) / "model"
    served = Served(artifact, tmp_path / "own.db", subprocess.PIPE)
    served.end()
    with served.process.stderr as said:
        assert said.readline() == f"opening {artifact} ...\n"


@pytest.mark.slow
def test_a_service_killed_at_work_has_all_that_it_acknowledged(tmp_path_factory, tmp_path):
    """A thousand verdicts and items over HTTP, killed with -9 in the middle, started again."""
    artifact, database = trained(tmp_path_factory) / "model", tmp_path / "own.db"
    with Store.open(f"sqlite:///{database}") as store:
        store.log(
            [
                Decided(at=0.0, query_id=str(i), query={}, item_id="i1", decision="review")
                for i in range(1000)
            ]
        )
    served = Served(artifact, database)
    judged, written, enough = [], [], threading.Event()
    threads = [
        threading.Thread(target=judge, args=(served, judged, enough)),
        threading.Thread(target=write, args=(served, written)),
    ]
    for thread in threads:
        thread.start()
    enough.wait(300)
    served.end(signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert written
    again = Served(artifact, database)
    try:
        status, body = again.ask("GET", "/v1/policy")
        assert status == 200
        assert json.loads(body)["changed_items"] >= len(written)
    finally:
        again.end()
    with Store.open(f"sqlite:///{database}") as store:
        kept = Counter((one.case_id, one.id) for one in store.verdicts())
        assert set(judged) <= set(kept)
        assert set(kept.values()) == {1}
        assert len({case for case, _ in kept}) == len(kept)
        assert set(written) <= {change.item_id for change in store.items_since()}
