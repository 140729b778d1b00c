"""Killed processes, a database that goes away and comes back, a full disk: what was said stays."""

import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from thresher.review import Store, Unavailable
from thresher.review.schema import verdicts

WRITER = Path(__file__).parent / "writer.py"


def killed(url, names, count, lines):
    """Start writers, kill them with -9 once so many lines were acknowledged: what they said."""
    writers = [
        subprocess.Popen(
            [sys.executable, WRITER, url, name, str(count)], stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]
    said = [[] for _ in writers]

    def read(writer, own):
        for line in writer.stdout:
            own.append(line.split())

    threads = [threading.Thread(target=read, args=pair) for pair in zip(writers, said, strict=True)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3000):
            if sum(map(len, said)) >= lines or all(w.poll() is not None for w in writers):
                break
            time.sleep(0.02)
    finally:
        for writer in writers:
            writer.kill()
        for writer, thread in zip(writers, threads, strict=True):
            writer.wait()
            thread.join()
            writer.stdout.close()
    return [line for own in said for line in own]


def check_kept(url, said):
    """Every acknowledged verdict and item is there, none twice, and nothing is half there."""
    with Store.open(url) as store:
        kept = Counter((one.case_id, one.id) for one in store.verdicts())
        told = [
            (case, event)
            for what, case, event in (s for s in said if len(s) == 3)
            if what == "verdict"
        ]
        assert len(told) > 10
        assert set(told) <= set(kept)
        assert set(kept.values()) == {1}
        assert set(Counter(case for case, _ in kept).values()) == {1}
        done = {case.id for case in store.cases(status="done", limit=10_000)}
        assert done == {case for case, _ in kept}
        items = {change.item_id: change.version for change in store.items_since()}
        for what, version, name in (s for s in said if len(s) == 3):
            if what == "item":
                assert items[name] == int(version)
        if store.database.sqlite:
            with store.database.read() as connection:
                assert connection.exec_driver_sql("pragma integrity_check").scalar() == "ok"


def run_and_kill(url, review, count, lines):
    with Store.open(url) as store:
        store.log([review(query_id=str(i)) for i in range(2 * count)])
    said = killed(url, ["ann", "bob"], count, lines)
    assert len(said) < 2 * (2 * count + 1), "the writers were done before they were killed"
    check_kept(url, said)


def test_what_was_acknowledged_before_a_kill_is_there_once(url, review):
    run_and_kill(url, review, 300, 80)


@pytest.mark.slow
@pytest.mark.parametrize("lines", [40, 400, 1000, 1800])
def test_a_thousand_verdicts_and_items_under_kills(url, review, lines):
    run_and_kill(url, review, 500, lines)


def test_a_full_disk_is_an_error_and_nothing_is_half_written(tmp_path, review):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.log([review(query_id=str(i)) for i in range(20)])
        with store.database.engine.connect() as connection:
            pages = connection.exec_driver_sql("pragma page_count").scalar()

        def limit(connection, _):
            connection.execute(f"pragma max_page_count={pages + 8}")

        store.database.engine.dispose()
        sa.event.listen(store.database.engine, "connect", limit)
        logged = [20]

        def fill():
            for _ in range(1000):
                store.log([review(query={"title": "x" * 900}) for _ in range(3)])
                logged[0] += 3

        with pytest.raises(Unavailable, match="full"):
            fill()
        assert len(store.decisions(limit=10_000)) == logged[0]
        assert store.queue()["open"] == logged[0]
        with pytest.raises(Unavailable, match="full"):
            store.upsert([{"id": "a", "title": "x" * 200_000}])
        assert store.items_since() == []
        sa.event.remove(store.database.engine, "connect", limit)
        store.database.engine.dispose()
        store.upsert([{"id": "a", "title": "x" * 200_000}])
        store.log([review()])
        assert store.queue()["open"] == logged[0] + 1


def test_a_locked_file_is_unavailable_and_free_again(tmp_path, monkeypatch):
    monkeypatch.setattr("thresher.review.database.BUSY_SECONDS", 0.2)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with Store.open(url) as store, Store.open(url) as other:
        with store.database.write() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(verdicts)) == 0
            with pytest.raises(Unavailable, match="locked"):
                other.set("a", 1)
            assert other.settings("a") is None  # readers wait for nobody
        other.set("a", 1)
        assert store.settings("a") == 1


def test_a_database_that_stops_and_starts_loses_no_verdict(cluster, review):
    """Three reviewers judge while PostgreSQL is stopped and started; each tries again."""
    count = 90
    with Store.open(cluster.database()) as store:
        store.log([review(query_id=str(i)) for i in range(count)])
        given, away, failed = [], [], []

        def again(call, *arguments, **more):
            for _ in range(600):
                try:
                    return call(*arguments, **more)
                except Unavailable as error:
                    away.append(error)
                    time.sleep(0.05)
            raise AssertionError("the database did not come back")

        def work(name):
            try:
                while (case := again(store.lease, name, order="age")) is not None:
                    one = again(store.verdict, case.id, reviewer=name, kind="none")
                    given.append((case.id, one.id))
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bob", "eve")]
        for thread in threads:
            thread.start()
        while len(given) < count // 3 and not failed:
            time.sleep(0.01)
        cluster.stop("immediate")
        time.sleep(0.3)
        cluster.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert away
        kept = Counter((one.case_id, one.id) for one in store.verdicts())
        assert set(given) == set(kept)
        assert set(kept.values()) == {1}
        assert len(kept) == count


def test_nothing_is_acknowledged_into_a_file_that_is_gone(tmp_path, review):
    path, moved = tmp_path / "store.db", tmp_path / "moved.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.log([review()])
        path.rename(moved)
        for ask in (store.items_version, lambda: store.log([review()])):
            with pytest.raises(Unavailable, match="was moved, removed or replaced"):
                ask()
        assert not path.exists()
        shutil.copy(moved, path)
        with pytest.raises(Unavailable, match="was moved, removed or replaced"):
            store.log([review()])
        moved.rename(path)
        store.log([review(query_id="q2")])
        with (
            pytest.raises(Unavailable, match="was moved"),
            store.database.write(),
        ):
            path.rename(moved)
        moved.rename(path)
        assert [one.query_id for one in store.decisions()] == ["q1", "q2"]
