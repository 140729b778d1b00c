"""Approximate search for large catalogues, and the two ways to get an index: build and load."""

from pathlib import Path
from typing import Any, final

import faiss
import numpy as np
from jaxtyping import Bool, Float32
from scipy import sparse

from thresher.errors import InputError
from thresher.files import aside, write_json
from thresher.retrieve.exact import Exact
from thresher.retrieve.hits import Hits
from thresher.retrieve.index import (
    MANIFEST,
    Index,
    Kind,
    allowed_rows,
    check_rows,
    read_manifest,
    squared_norms,
    threads_for,
)
from thresher.retrieve.sparse import SparseExact

EXACT_UP_TO = 200_000  # items: above, an exact batch search costs more than it is worth
_POINTS_A_LIST = 39  # FAISS's own least number of training points a list
_SUBSET_ROWS = 50_000  # filters that keep fewer rows, or a smaller share, search them exactly:
_SUBSET_SHARE = 0.1  # inverted lists lose recall under selective filters


@final
class FaissIVF:
    """Searches a large catalogue quickly by looking only where a query's neighbours should be.

    FAISS sorts the items into `lists` clusters (k-means, seeded) and keeps each as one byte a
    dimension; a query visits the `probes` nearest clusters. The best 2 k + 32 it finds are scored
    again with the float32 vectors, exactly as `Exact` scores them, so a score means the same
    whatever the index, and a threshold certified with one holds for the other wherever the same
    items are found.

    A filter that keeps fewer than 50,000 rows or 10 % of them is searched exactly, as are the few
    queries whose visited lists hold fewer than k allowed items, or where equal scores reach past
    the last candidate (many copies of one vector).
    """

    # `lists` is Any because FAISS describes its own types in some versions only.
    def __init__(self, exact: Exact, lists: Any, *, probes: int) -> None:
        self._exact = exact
        self._lists = lists
        self._probes = min(probes, lists.nlist)

    @classmethod
    def build(
        cls,
        vectors: Float32[np.ndarray, "N D"],
        *,
        lists: int | None = None,
        probes: int | None = None,
        seed: int = 0,
    ) -> "FaissIVF":
        """Cluster and encode the vectors; the same seed gives the same index.

        `lists` is the number of clusters; 4 sqrt(N) by default, and at most N / 39, because k-means
        needs 39 training points a cluster. `probes` are the clusters visited a query; by default
        1/16 of them and at least 16. The seed is for the training sample (64 points a cluster) and
        for k-means. Vectors are best of similar lengths. InputError where one is not finite, or for
        too many lists.
        """
        exact = Exact(vectors)
        items, dimensions = vectors.shape
        most = max(1, items // _POINTS_A_LIST)
        lists = min(most, round(4 * items**0.5)) if lists is None else lists
        if items == 0 or not 1 <= lists <= most:
            raise InputError(
                f"lists is {lists} for {items} items, but k-means needs {_POINTS_A_LIST} items a "
                f"list; give 1 to {most}, or build the kind 'exact'"
            )
        index: Any = faiss.index_factory(dimensions, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = seed
        # FAISS warns below 39 points a cluster; a catalogue of fewer is one list, and fine.
        index.cp.min_points_per_centroid = 1
        size = min(items, 64 * lists)
        sample = np.random.default_rng(seed).choice(items, size, replace=False, shuffle=False)
        index.train(exact.vectors[np.sort(sample)])
        index.add(exact.vectors)
        return cls(exact, index, probes=max(16, lists // 16) if probes is None else probes)

    def over(self, vectors: Float32[np.ndarray, "N D"]) -> "FaissIVF":
        """The same clusters over other vectors: nothing is trained again."""
        exact, lists = Exact(vectors), faiss.clone_index(self._lists)
        lists.reset()
        lists.add(exact.vectors)
        return FaissIVF(exact, lists, probes=self._probes)

    def __len__(self) -> int:
        """Number of items."""
        return len(self._exact)

    @property
    def vectors(self) -> Float32[np.ndarray, "N D"]:
        """The vectors of the items, in row order; not to be written to."""
        return self._exact.vectors

    def search(
        self,
        vectors: Float32[np.ndarray, "Q D"],
        k: int,
        *,
        allow: Bool[np.ndarray, " N"] | None = None,
    ) -> Hits:
        """About the k nearest items of each query that `allow` marks; raises as `Index.search`."""
        allowed = allowed_rows(vectors, k, allow, shape=self._exact.vectors.shape)
        count = len(self) if allowed is None else len(allowed)
        if allowed is not None and count < max(_SUBSET_ROWS, _SUBSET_SHARE * len(self)):
            return self._exact.search(vectors, k, allow=allow)
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        squared_norms(queries, name="query")
        options: dict[str, Any] = {"nprobe": self._probes}
        if allow is not None and allowed is not None:
            selector: Any = faiss.IDSelectorBitmap
            options["sel"] = selector(np.packbits(allow, bitorder="little"))
        width = min(2 * k + 32, count)
        parameters = faiss.SearchParametersIVF(**options)
        visited = self._exact.vectors.size * self._probes // self._lists.nlist
        with threads_for(len(queries) * visited):
            coarse, rows = self._lists.search(queries, width, params=parameters)
        hits = self._exact.rank(queries, rows, k)
        found = (rows >= 0).sum(axis=1)
        tied = (found == width) & (width < count) & (coarse[:, min(k, width) - 1] == coarse[:, -1])
        unsettled = np.flatnonzero(tied | (found < min(k, count)))
        if len(unsettled):
            again = self._exact.search(queries[unsettled], k, allow=allow)
            hits.rows[unsettled], hits.scores[unsettled] = again.rows, again.scores
        return hits

    def save(self, folder: Path) -> None:
        """Write vectors.npy, lists.faiss and index.json; an index in the folder is replaced."""
        rows, dimensions = self._exact.vectors.shape
        manifest = {"kind": "ivf", "rows": rows, "dimensions": dimensions, "probes": self._probes}
        with aside(folder) as part:
            self._exact.write(part)
            faiss.write_index(self._lists, str(part / "lists.faiss"))
            write_json(part / MANIFEST, manifest)

    @classmethod
    def load(cls, folder: Path) -> "FaissIVF":
        """Read a saved index; the float32 vectors stay on disk, memory-mapped.

        InputError where the folder holds no such index, or its files belong to different saves.
        """
        manifest = read_manifest(folder)
        path, probes = folder / "lists.faiss", manifest.get("probes")
        if not path.exists() or not isinstance(probes, int):
            raise InputError(f"{folder} holds no complete index of kind 'ivf'; save it again")
        lists = faiss.read_index(str(path))
        check_rows(folder, promised=manifest.get("rows"), found=lists.ntotal)
        return cls(Exact.load(folder), lists, probes=probes)


def build(vectors: Float32[np.ndarray, "N D"] | sparse.csr_matrix, *, kind: Kind = "auto") -> Index:
    """Build the index that suits a catalogue.

    Args:
        vectors: one row an item, in catalogue order; sparse ones are always searched exactly.
        kind: "exact" finds the true neighbours; "ivf" is approximate and many times faster;
            "auto" is exact up to 200,000 items and ivf above. "flat" is FAISS's name for exact.

    Raises:
        InputError: the kind is unknown, or a vector is not finite.

    Example:
        >>> len(build(np.eye(3, dtype=np.float32)))
        3
    """
    if isinstance(vectors, sparse.csr_matrix):
        return SparseExact(vectors)
    if kind == "auto":
        kind = "exact" if len(vectors) <= EXACT_UP_TO else "ivf"
    if kind in ("exact", "flat"):
        return Exact(vectors)
    if kind == "ivf":
        return FaissIVF.build(vectors)
    raise InputError(f"the kind of the index is {kind!r}; give 'auto', 'exact', 'flat' or 'ivf'")


def rebuilt(index: Index, vectors: Float32[np.ndarray, "N D"] | sparse.csr_matrix) -> Index:
    """An index of the same kind over other vectors."""
    if isinstance(index, FaissIVF) and isinstance(vectors, np.ndarray):
        return index.over(vectors)
    return build(vectors, kind="exact")


def load(folder: Path) -> Index:
    """Read an index of any kind; which one stands in the folder's index.json.

    InputError where the folder holds no index, an incomplete one, or an unknown kind.
    """
    kinds: dict[str, type[Index]] = {"exact": Exact, "ivf": FaissIVF, "sparse": SparseExact}
    kind = read_manifest(folder).get("kind")
    if kind not in kinds:
        raise InputError(
            f"the index in {folder} is of kind {kind!r}, but this version reads 'exact', 'ivf' and "
            "'sparse'; build it again with `thresher index`"
        )
    return kinds[kind].load(folder)
