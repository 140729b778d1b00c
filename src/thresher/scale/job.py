"""A job over parts: what a worker does with one, and which are still to be done.

    OUT/
      job.json              model, queries and options: what the parts are of
      part-000000.parquet   one for each part of the queries, whole or not there

A part is written aside and renamed, so that a worker or a job that was killed leaves whole parts
alone; the same command makes those that are missing. Who makes them does not matter: the worker is
the same on this machine and on Ray.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thresher.artifact import Artifact
from thresher.checks import whole
from thresher.data.tables import parquet_errors
from thresher.errors import InputError
from thresher.files import FolderLock, atomic_write, make_folder, read_json, sweep, write_json
from thresher.jobs.match import Answers, check_top, decided, numbered
from thresher.progress import Bar
from thresher.retriever import BLOCK, Retriever
from thresher.scale.mappers import MAPPERS
from thresher.scale.parts import Part, described, files_of, parts_of

Kind = Literal["match", "encode"]
PART_ROWS = 8 * BLOCK
_COUNTS = b"thresher"  # what a part says of itself


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is done with queries, and where it is written.

    Args:
        kind: "match" for a row a query and place, "encode" for a vector a query.
        model: folder of the artifact, which every machine sees.
        queries: parquet file, or folder of them, likewise.
        out: folder of the parts, likewise.
        top: candidates a query, of "match".
        keep: columns to carry over, of "match".
        part_rows: queries of a part; as a multiple of 8,192 the rows are to the last bit those
            that one machine makes.
    """

    kind: Kind
    model: Path
    queries: Path
    out: Path
    top: int = 1
    keep: Sequence[str] = ()
    part_rows: int = PART_ROWS


class Worker:
    """Opens the model once and makes one part after the other.

    Args:
        job: what is to be done.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.model = Retriever.open(job.model)
        self.parts = parts_of(files_of(job.queries), job.part_rows)

    def __call__(self, number: int) -> dict[str, int]:
        """Make the part of this number, and count what is in it."""
        part, counts = self.parts[number], Counter[str]()
        blocks = self._blocks(part, counts)
        with atomic_write(self.job.out / part.name, "wb") as file:
            first = next(blocks)
            with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
                writer.write_table(first)
                for block in blocks:
                    writer.write_table(block.cast(first.schema))
                writer.add_key_value_metadata({_COUNTS: json.dumps(counts)})
        return dict(counts)

    def _blocks(self, part: Part, counts: Counter[str]) -> Iterator[pa.Table]:
        make = {"match": self._match, "encode": self._encode}[self.job.kind]
        seen = set[int]()
        for block in part.blocks(BLOCK):
            asked = numbered(self.model, block, seen, before=part.before + counts["queries"])
            yield make(asked, counts)
            counts["queries"] += len(asked)

    def _match(self, asked: Any, counts: Counter[str]) -> pa.Table:
        return decided(self.model, asked, Answers(top=self.job.top, keep=self.job.keep), counts)

    def _encode(self, asked: Any, counts: Counter[str]) -> pa.Table:
        vectors = self.model.encode(asked)
        if not isinstance(vectors, np.ndarray):
            raise InputError("a 'tfidf' tower makes sparse vectors, which no part holds")
        flat = pa.array(vectors.astype(np.float32).ravel())
        width = vectors.shape[1]
        return pa.table(
            {"query_id": asked.ids, "vector": pa.FixedSizeListArray.from_arrays(flat, width)}
        )


def run(job: Job, *, on: str = "local", quiet: bool = False) -> dict[str, Any]:
    """Make all parts that are missing, and count what is in all of them.

    Args:
        job: what is to be done.
        on: "local" for this process, "ray" for the cluster that Ray finds, or this machine's
            processors as one.
        quiet: no progress bar.

    Returns:
        Counts of queries, and of their decisions; `parts`, and how many `were_there`; `out`.

    Raises:
        InputError: for queries that cannot be used, a folder with parts of another job, or an
            engine that is not there; the parts that were made stay.
    """
    if on not in MAPPERS:
        raise InputError(f"--on is {on!r}; give one of {', '.join(MAPPERS)}")
    places = ("model", "queries", "out")  # another process may stand in another folder
    job = replace(job, **{name: getattr(job, name).resolve() for name in places})
    whole("part_rows", job.part_rows, 2**31, "queries a part")
    _check(job)
    files = files_of(job.queries)
    parts = parts_of(files, job.part_rows)
    if not parts:
        raise InputError(f"{job.queries} has columns but no rows; give at least one query")
    make_folder(job.out)
    with FolderLock(job.out, f"thresher {job.kind}"):
        _claim(job, files)
        sweep(job.out)
        missing = [part.number for part in parts if not (job.out / part.name).exists()]
        _make(job, missing, MAPPERS[on], quiet=quiet)
        counts = Counter[str]()
        for part in parts:
            counts.update(_counted(job.out / part.name))
    there = len(parts) - len(missing)
    return {**counts, "parts": len(parts), "were_there": there, "out": str(job.out)}


def _check(job: Job) -> None:
    """InputError, before anything is written, for what no part could be made of."""
    model = Retriever.open(job.model)
    if job.kind == "match":
        check_top(job.top, len(model.items))
        if model.policy is None:
            raise InputError(
                "no threshold was certified for this model and index yet; run `thresher "
                "calibrate` on the artifact first"
            )


def _claim(job: Job, files: Sequence[Path]) -> None:
    """Say what the parts are of, or compare it with what they are of."""
    names = [name for name in ("model", "index", "decision") if Artifact.open(job.model).has(name)]
    own = {k: v for k, v in asdict(job).items() if k not in ("model", "queries", "out")}
    about = {
        **own,
        "keep": list(job.keep),
        "model": Artifact.open(job.model).fingerprint(*names),
        "queries": described(files),
    }
    path = job.out / "job.json"
    if not path.exists():
        if strange := sorted(p.name for p in job.out.iterdir() if not p.name.startswith(".")):
            raise InputError(
                f"{job.out} holds other files, such as {strange[0]!r}; give a folder of its own"
            )
        write_json(path, about)
        return
    before = read_json(path, what="what the parts are of", fix="give another folder")
    if differing := [key for key in about if before.get(key) != about[key]]:
        raise InputError(
            f"{job.out} holds parts of another job, with another {' and '.join(differing)}; give "
            "another folder, or remove this one"
        )


def _make(
    job: Job,
    missing: Sequence[int],
    mapper: Callable[[Any, Job, Sequence[int]], Iterator[dict[str, Any]]],
    *,
    quiet: bool,
) -> None:
    with Bar("parts", quiet=quiet) as bar:
        bar.start("making parts", total=len(missing))
        for _ in mapper(Worker, job, missing) if missing else ():
            bar.advance(1)


def _counted(path: Path) -> dict[str, int]:
    with parquet_errors(path), pq.ParquetFile(path) as file:
        found: dict[str, int] = json.loads(file.metadata.metadata[_COUNTS])
    return found
