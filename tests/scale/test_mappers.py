"""Ray makes the parts that this process makes, also where a worker dies in the middle."""

import builtins
import os
import signal
from dataclasses import replace

import pytest

from thresher.errors import InputError
from thresher.scale.job import Job, Worker, run
from thresher.scale.mappers import on_ray


def missing(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name.startswith("ray"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)


def test_without_the_extra_it_says_which_and_the_parts_that_are_there_stay(
    shop, queries, tmp_path, monkeypatch
):
    job = Job(kind="encode", model=shop / "model", queries=queries, out=tmp_path, part_rows=50)
    missing(monkeypatch)
    with pytest.raises(
        InputError, match=r"--on ray needs the extra: pip install 'thresher\[scale\]'"
    ):
        next(iter(on_ray(Worker, job, [0])))


class Dies(Worker):
    """Is killed in the middle of the second part, the first time."""

    def __call__(self, number):
        mark = self.job.out / ".died"
        if number == 1 and not mark.exists():
            mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(number)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["match", "encode"])
def test_the_files_are_those_of_this_process(cluster, shop, queries, tmp_path, kind):
    one = Job(kind=kind, model=shop / "model", queries=queries, out=tmp_path / "one", part_rows=30)
    two = replace(one, out=tmp_path / "two")
    assert run(two, on="ray", quiet=True) == {**run(one, quiet=True), "out": str(two.out)}
    for path in one.out.iterdir():
        assert (two.out / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_loses_nothing(cluster, shop, queries, tmp_path, monkeypatch):
    one = Job(
        kind="match", model=shop / "model", queries=queries, out=tmp_path / "one", part_rows=30
    )
    two = replace(one, out=tmp_path / "two")
    run(one, quiet=True)
    monkeypatch.setattr("thresher.scale.job.Worker", Dies)
    run(two, on="ray", quiet=True)
    assert (two.out / ".died").exists()
    for path in one.out.iterdir():
        assert (two.out / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_a_user_got_wrong_is_said_as_here(cluster, shop, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["a"], "name": ["x"]}), tmp_path / "q.parquet")
    job = Job(
        kind="match", model=shop / "model", queries=tmp_path / "q.parquet", out=tmp_path / "o"
    )
    with pytest.raises(InputError, match="has no column 'title'"):
        run(job, on="ray", quiet=True)
