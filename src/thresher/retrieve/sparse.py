"""Exact search over sparse rows: the index of the TF-IDF tower."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from scipy import sparse

from thresher.files import aside
from thresher.retrieve.hits import Hits
from thresher.retrieve.index import allowed_rows


@dataclass(frozen=True)
class SparseExact:
    """All inner products with a sparse catalogue, a block of queries at a time.

    Args:
        rows: one sparse row an item [N, V].

    Memory: `BLOCK` x N floats above the rows.
    """

    rows: sparse.csr_matrix

    BLOCK = 512

    def __len__(self) -> int:
        return self.rows.shape[0]

    def search(
        self, vectors: sparse.csr_matrix, k: int, *, allow: Bool[np.ndarray, " N"] | None = None
    ) -> Hits:
        """The k closest items of each sparse query row; ties go to the lowest row number.

        Raises:
            InputError: as other indexes do, see `Index.search`.
        """
        allowed_rows(vectors, k, allow, shape=self.rows.shape)
        rows = np.full((vectors.shape[0], k), -1, np.int64)
        scores = np.full((vectors.shape[0], k), -np.inf, np.float32)
        columns = self.rows.T.tocsr()
        for start in range(0, vectors.shape[0], self.BLOCK):
            block = (vectors[start : start + self.BLOCK] @ columns).toarray()
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
                rows[start + i, : len(found)] = found
                scores[start + i, : len(found)] = line[found]
        return Hits(rows, scores)

    def save(self, folder: Path) -> None:
        """Write rows.npz."""
        with aside(folder / "rows.npz") as part:
            sparse.save_npz(part, self.rows)

    @classmethod
    def load(cls, folder: Path) -> "SparseExact":
        """Read what `save` wrote."""
        return cls(sparse.load_npz(folder / "rows.npz").tocsr())
