"""Exact search: every query against every item, with a reproducible order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from thresher.errors import InputError
from thresher.files import aside, write_json
from thresher.retrieve.hits import Hits
from thresher.retrieve.index import (
    MANIFEST,
    allowed_rows,
    check_rows,
    read_manifest,
    squared_norms,
    threads_for,
)

_QUERIES = 8192  # queries searched at a time
_MATRICES = 5  # queries from which a product of matrices is faster than a scan for each
_TILE = 1 << 22  # values of a tile of gathered items, or of scores: 16 MB as float32
_SCORED = 1 << 19  # values of candidates scored at a time: 4 MB as float64, which caches hold
_SCANNED = 64  # queries that share one pass over the catalogue, pair by pair
_SPARE = 16  # candidates beyond k, so that near-ties at the k-th place are seen
_WIDER = 8  # how many times more candidates the next look has, where those did not settle it


@final
class Exact:
    """Finds the true nearest items of each query, and orders equal scores by row number.

    A product of matrices, or for few queries FAISS's scan, proposes k + k/4 + 16 candidates a
    query. Its scores differ in the last bits with the position of a row in a block, so the
    candidates are scored again, each pair alone: the products summed in float64, rounded to
    float32. The float32 sum of D products is within g |q| |x| of the true one, g = D u / (1 - D u),
    u = 2^-24 (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1), so a
    query is settled when every item that was not proposed must score below its k-th. The few that
    are not, where many items have almost equal scores, are scored against the whole catalogue pair
    by pair.

    Vectors, a row an item, are kept as float32, memory-mapped arrays as they are; InputError where
    one holds NaN or infinity.

    Memory: the vectors, the result, and below 0.2 GB for k <= 100: 8,192 x 3.5 (k + 16)
    candidates of 12 bytes, and a tile of 4M values in float32 and float64.

    Example:
        >>> index = Exact(np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32))
        >>> index.search(np.array([[-1, 0]], dtype=np.float32), 2).rows
        array([[1, 0]])
    """

    def __init__(self, vectors: Float32[np.ndarray, "N D"]) -> None:
        self._vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        longest = np.sqrt(squared_norms(self._vectors, name="item").max(initial=0.0))
        dimensions = self._vectors.shape[1]
        unit = (dimensions + 4) * 2.0**-24  # + 4: the final rounding and both computed lengths
        self._error_a_length = unit / (1 - unit) * float(longest)
        self._underflow = dimensions * float(np.finfo(np.float32).tiny)

    def __len__(self) -> int:
        """Number of items."""
        return len(self._vectors)

    @property
    def vectors(self) -> Float32[np.ndarray, "N D"]:
        """The vectors of the items, in row order; not to be written to."""
        return self._vectors

    def search(
        self,
        vectors: Float32[np.ndarray, "Q D"],
        k: int,
        *,
        allow: Bool[np.ndarray, " N"] | None = None,
    ) -> Hits:
        """The k nearest items of each query that `allow` marks; raises as `Index.search`."""
        allowed = allowed_rows(vectors, k, allow, shape=self._vectors.shape)
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        lengths = np.sqrt(squared_norms(queries, name="query").astype(np.float64))
        found = Hits.none(len(queries), k)
        for start in range(0, len(queries), _QUERIES):
            block = slice(start, start + _QUERIES)
            hits = self._search_block(queries[block], lengths[block], k, allowed)
            found.rows[block, : hits.rows.shape[1]] = hits.rows
            found.scores[block, : hits.rows.shape[1]] = hits.scores
        return found

    def rank(
        self, vectors: Float32[np.ndarray, "Q D"], rows: Int64[np.ndarray, "Q w"], k: int
    ) -> Hits:
        """The best k of given candidate rows (-1: no candidate), scored pair by pair.

        Memory: 10 MB beyond the result, or the candidates of one query where these are larger.
        """
        best = Hits.none(len(rows), k)
        width, dimensions = rows.shape[1], self._vectors.shape[1]
        step = max(1, _SCORED // max(1, width * dimensions))
        last = np.iinfo(np.int64).max
        for start in range(0, len(rows), step):
            block = slice(start, start + step)
            given = rows[block]
            items = self._vectors[np.maximum(given, 0)].astype(np.float64)
            pairs = _pairwise(vectors[block].astype(np.float64), items)
            scores = np.where(given < 0, np.float32(-np.inf), pairs)
            order = np.lexsort((np.where(given < 0, last, given), -scores), axis=-1)[:, :k]
            best.rows[block, :width] = np.take_along_axis(given, order, axis=1)
            best.scores[block, :width] = np.take_along_axis(scores, order, axis=1)
        return best

    def save(self, folder: Path) -> None:
        """Write vectors.npy and index.json; a folder that holds an index is replaced."""
        with aside(folder) as part:
            self.write(part)
            rows, dimensions = self._vectors.shape
            manifest = {"kind": "exact", "rows": rows, "dimensions": dimensions}
            write_json(part / MANIFEST, manifest)

    def write(self, folder: Path) -> None:
        """Write vectors.npy alone."""
        folder.mkdir(exist_ok=True)
        np.save(folder / "vectors.npy", self._vectors, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "Exact":
        """Read a saved index; its vectors stay on disk, memory-mapped.

        InputError where the folder holds no index, or its files belong to different saves.
        """
        manifest = read_manifest(folder)
        path = folder / "vectors.npy"
        if not path.exists():
            raise InputError(f"{folder} holds no vectors.npy; save the index again")
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        check_rows(folder, promised=manifest.get("rows"), found=len(vectors))
        return cls(vectors)

    def _search_block(
        self,
        queries: Float32[np.ndarray, "Q D"],
        lengths: Float64[np.ndarray, " Q"],
        k: int,
        allowed: Int64[np.ndarray, " A"] | None,
        width: int = 0,
    ) -> Hits:
        count = len(self) if allowed is None else len(allowed)
        k = min(k, count)
        width = min(width or k + k // 4 + _SPARE, count)
        fast, rows = self._propose(queries, width, allowed)
        hits = self.rank(queries, rows, k)
        if width == count:
            return hits
        beyond = fast.min(axis=1) + self._error_a_length * lengths + self._underflow
        unsettled = np.flatnonzero(beyond >= hits.scores[:, -1])
        if len(unsettled) and _WIDER * width <= count // 2:
            # Many items have one score, as those of equal features do: look further before all.
            further = _WIDER * width
            found = self._search_block(queries[unsettled], lengths[unsettled], k, allowed, further)
            hits.rows[unsettled], hits.scores[unsettled] = found.rows, found.scores
            return hits
        for start in range(0, len(unsettled), _SCANNED):
            some = unsettled[start : start + _SCANNED]
            found = self._scan(queries[some], k, allowed)
            hits.rows[some], hits.scores[some] = found.rows, found.scores
        return hits

    def _propose(
        self,
        queries: Float32[np.ndarray, "Q D"],
        width: int,
        allowed: Int64[np.ndarray, " A"] | None,
    ) -> tuple[Float32[np.ndarray, "Q w"], Int64[np.ndarray, "Q w"]]:
        """Candidates, unordered: no item left out has a higher float32 score."""
        if allowed is None:
            return _nearest(queries, self._vectors, width)
        scores = np.empty((len(queries), 0), dtype=np.float32)
        rows = np.empty((len(queries), 0), dtype=np.int64)
        for tile in self._tiles(allowed):
            found, local = _nearest(queries, self._vectors[tile], min(width, len(tile)))
            scores, rows = np.hstack([scores, found]), np.hstack([rows, tile[local]])
            if scores.shape[1] > width:
                best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
                scores = np.take_along_axis(scores, best, axis=1)
                rows = np.take_along_axis(rows, best, axis=1)
        return scores, rows

    def _scan(
        self, queries: Float32[np.ndarray, "Q D"], k: int, allowed: Int64[np.ndarray, " A"] | None
    ) -> Hits:
        """A few queries against all allowed items, pair by pair."""
        everything = np.arange(len(self), dtype=np.int64) if allowed is None else allowed
        rows = np.empty((len(queries), 0), dtype=np.int64)
        scores = np.empty((len(queries), 0), dtype=np.float32)
        for tile in self._tiles(everything):
            items = self._vectors[tile].astype(np.float64)
            shared = np.broadcast_to(items, (len(queries), *items.shape))
            found = _pairwise(queries.astype(np.float64), shared)
            rows = np.hstack([rows, np.broadcast_to(tile, found.shape)])
            scores = np.hstack([scores, found])
            # Tiles come in row order, so a stable sort keeps the lowest row first among equals.
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            rows = np.take_along_axis(rows, best, axis=1)
            scores = np.take_along_axis(scores, best, axis=1)
        return Hits(rows, scores)

    def _tiles(self, rows: Int64[np.ndarray, " A"]) -> Iterator[Int64[np.ndarray, " T"]]:
        step = max(1, _TILE // max(1, self._vectors.shape[1]))
        for start in range(0, len(rows), step):
            yield rows[start : start + step]


def _nearest(
    queries: Float32[np.ndarray, "Q D"], items: Float32[np.ndarray, "T D"], width: int
) -> tuple[Float32[np.ndarray, "Q w"], Int64[np.ndarray, "Q w"]]:
    many = len(queries) >= _MATRICES
    with threads_for(len(queries) * items.size, matrices=many):
        if not many:
            return faiss.knn(queries, items, width, metric=faiss.METRIC_INNER_PRODUCT)
        return _nearest_by_matrices(queries, items, width)


def _nearest_by_matrices(
    queries: Float32[np.ndarray, "Q D"], items: Float32[np.ndarray, "T D"], width: int
) -> tuple[Float32[np.ndarray, "Q w"], Int64[np.ndarray, "Q w"]]:
    """The same: NumPy multiplies a tile at a time, and FAISS's heaps keep the best."""
    many = len(queries)
    scores, rows = np.empty((many, width), np.float32), np.empty((many, width), np.int64)
    heaps: Any = faiss.float_minheap_array_t()
    heaps.nh, heaps.k = many, width
    heaps.val, heaps.ids = faiss.swig_ptr(scores), faiss.swig_ptr(rows)
    heaps.heapify()
    step = min(len(items), max(256, _TILE // many))
    room = np.empty(many * step, np.float32)
    for start in range(0, len(items), step):
        tile = items[start : start + step]
        found = room[: many * len(tile)].reshape(many, len(tile))
        np.matmul(queries, tile.T, out=found)
        heaps.addn(len(tile), faiss.swig_ptr(found), start, 0, many)
    return scores, rows


def _pairwise(
    queries: Float64[np.ndarray, "Q D"], items: Float64[np.ndarray, "Q w D"]
) -> Float32[np.ndarray, "Q w"]:
    """Inner products whose bits depend on the pair alone: no matrix product, no blocking."""
    return np.einsum("qd,qwd->qw", queries, items).astype(np.float32)
