"""A job in parts: the rows of one machine, whoever makes them and however often it is killed."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thresher.artifact import Transaction
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.jobs.match import Answers, match
from thresher.retriever import Retriever
from thresher.scale import job as module
from thresher.scale.job import Job, run


@pytest.fixture
def job(shop, queries, tmp_path):
    """A job of four parts."""
    out = tmp_path / "out"
    return Job(kind="match", model=shop / "model", queries=queries, out=out, part_rows=30)


def rows(folder):
    tables = [pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    return pa.concat_tables(tables)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_matches_are_those_of_one_file(job, shop, queries):
    job = replace(job, top=2, keep=("shop", "item.title"))
    found = run(job, quiet=True)
    answers = Answers(top=2, keep=job.keep)
    one = match(
        shop / "model", queries, job.out.parent / "one.parquet", answers=answers, quiet=True
    )
    own, other = pq.read_table(job.out.parent / "one.parquet"), rows(job.out)
    exact = [name for name in own.column_names if name not in ("score", "confidence")]
    assert other.select(exact).equals(own.select(exact))
    for name in ("score", "confidence"):
        np.testing.assert_allclose(other[name].to_numpy(), own[name].to_numpy(), atol=1e-6)
    assert [found[k] for k in ("queries", "parts", "were_there")] == [100, 4, 0]
    assert found["accept"] == one["accepted"] > 0
    assert found["review"] == one["review"]
    assert found["known_texts"] == one["known_texts"]


def test_vectors_are_those_of_the_model(job, shop, queries):
    found = run(replace(job, kind="encode"), quiet=True)
    assert [found[k] for k in ("queries", "parts")] == [100, 4]
    table, own = rows(job.out), Retriever.open(shop / "model").encode(read_table(queries))
    assert table["query_id"].to_pylist() == read_table(queries)["id"].to_pylist()
    vectors = np.stack(table["vector"].to_numpy(zero_copy_only=False))
    np.testing.assert_allclose(vectors, own, atol=1e-6)


def test_queries_without_ids_are_numbered_on_over_parts_and_files(job, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for name, size in (("a", 40), ("b", 25)):
        table = pa.table({"title": [f"{name} {i}" for i in range(size)]})
        pq.write_table(table, folder / f"{name}.parquet")
    run(replace(job, kind="encode", queries=folder), quiet=True)
    assert rows(job.out)["query_id"].to_pylist() == [str(i) for i in range(65)]


@pytest.mark.parametrize("kind", ["match", "encode"])
@pytest.mark.parametrize("made", [0, 1, 3])
def test_a_job_that_was_killed_goes_on_and_ends_with_the_same_files(job, kind, made, monkeypatch):
    whole = replace(job, kind=kind, out=job.out.parent / "whole")
    run(whole, quiet=True)
    job = replace(job, kind=kind)
    real = module.pq.ParquetWriter.write_table

    def killed(writer, table):
        if len(list(job.out.glob("part-*.parquet"))) == made:
            raise KeyboardInterrupt  # some of the next part lies aside
        real(writer, table)

    with monkeypatch.context() as patch:
        patch.setattr(module.pq.ParquetWriter, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            run(job, quiet=True)
    assert len(list(job.out.glob("part-*.parquet"))) == made
    before = contents(job.out)
    found = run(job, quiet=True)
    assert (found["parts"], found["were_there"]) == (4, made)
    after = contents(job.out)
    assert after == contents(whole.out)
    assert before.items() <= after.items()


def test_nothing_is_made_again(job, monkeypatch):
    first = run(job, quiet=True)
    monkeypatch.setattr(module, "Worker", None)
    assert run(job, quiet=True) == {**first, "were_there": 4}


def test_parts_of_another_job_are_refused(job, shop, queries, tmp_path):
    run(job, quiet=True)

    def refused(message, **other):
        with pytest.raises(InputError, match=message):
            run(replace(job, **other), quiet=True)

    refused("holds parts of another job, with another top; give another folder", top=2)
    refused("with another kind and part_rows", kind="encode", part_rows=50)
    pq.write_table(read_table(queries).slice(0, 90), queries)
    refused("with another queries")


def test_another_model_is_another_job(job, shop, tmp_path):
    import shutil

    model = shutil.copytree(shop / "model", tmp_path / "model")
    job = replace(job, kind="encode", model=model)
    run(job, quiet=True)
    change = Transaction(model)
    change.drop("decision")
    change.commit()
    with pytest.raises(InputError, match="with another model"):
        run(job, quiet=True)


def test_what_cannot_be_done_is_said_before_anything_is_written(job, tmp_path):
    def refused(message, on="local", **other):
        with pytest.raises(InputError, match=message):
            run(replace(job, **other), on=on, quiet=True)
        assert not job.out.exists()

    refused("--on is 'spark'; give one of local, ray", on="spark")
    refused("part_rows is 0; give 1 to", part_rows=0)
    refused("--top is 1000; give 1 to 300", top=1000)
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), empty)
    refused("has columns but no rows; give at least one query", queries=empty)


def test_a_folder_of_something_else_is_refused(job):
    job.out.mkdir()
    (job.out / "mine.txt").write_text("")
    with pytest.raises(InputError, match=r"holds other files, such as 'mine\.txt'"):
        run(job, quiet=True)


def test_a_column_that_is_missing_is_named_and_leaves_no_part(job, tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"id": ["a"], "name": ["x"]}), path)
    with pytest.raises(InputError, match="has no column 'title'"):
        run(replace(job, queries=path), quiet=True)
    assert [p.name for p in job.out.iterdir()] == ["job.json"]
