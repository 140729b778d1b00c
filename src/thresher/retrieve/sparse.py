"""Exact search over sparse rows: the index of the TF-IDF tower."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from scipy import sparse

from thresher.errors import InputError
from thresher.files import aside, write_json
from thresher.retrieve.hits import Hits
from thresher.retrieve.index import MANIFEST, allowed_rows, check_rows, read_manifest


@dataclass(frozen=True)
class SparseExact:
    """All inner products with a sparse catalogue of N rows, a block of queries at a time.

    Memory: some 0.4 GB above the rows, or the scores of one query where these are more.
    """

    rows: sparse.csr_matrix

    SCORES = 1 << 24  # that are held at a time, of 512 queries at most

    def __len__(self) -> int:
        return self.rows.shape[0]

    @property
    def vectors(self) -> sparse.csr_matrix:
        """The vectors of the items, in row order; not to be written to."""
        return self.rows

    def search(
        self, vectors: sparse.csr_matrix, k: int, *, allow: Bool[np.ndarray, " N"] | None = None
    ) -> Hits:
        """The k closest items of each sparse query row; ties go to the lowest row number.

        InputError as `Index.search`.
        """
        allowed_rows(vectors, k, allow, shape=self.rows.shape)
        hits = Hits.none(vectors.shape[0], k)
        columns = self.rows.T.tocsr()
        step = max(1, min(512, self.SCORES // max(1, len(self))))
        for start in range(0, vectors.shape[0], step):
            block = (vectors[start : start + step] @ columns).toarray()
            if allow is not None:
                block[:, ~allow] = -np.inf
            # The score at the k-th place decides who is in; above it all, at it the lowest rows.
            kth = -np.partition(-block, k - 1, axis=1)[:, k - 1]
            for i, line in enumerate(block):
                above = np.flatnonzero(line > kth[i])
                level = np.flatnonzero(line == kth[i])[: k - len(above)]
                found = np.concatenate([above, level])
                found = found[np.argsort(-line[found], kind="stable")]
                found = found[np.isfinite(line[found])]
                hits.rows[start + i, : len(found)] = found
                hits.scores[start + i, : len(found)] = line[found]
        return hits

    def save(self, folder: Path) -> None:
        """Write rows.npz and index.json; a folder that holds an index is replaced."""
        with aside(folder) as part:
            part.mkdir()
            sparse.save_npz(part / "rows.npz", self.rows)
            write_json(part / MANIFEST, {"kind": "sparse", "rows": len(self)})

    @classmethod
    def load(cls, folder: Path) -> "SparseExact":
        """Read what `save` wrote; InputError as `Index.load`."""
        manifest, path = read_manifest(folder), folder / "rows.npz"
        if not path.exists():
            raise InputError(f"{folder} holds no rows.npz; save the index again")
        rows = sparse.load_npz(path).tocsr()
        check_rows(folder, promised=manifest.get("rows"), found=rows.shape[0])
        return cls(rows)
