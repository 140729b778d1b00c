"""What an item's vector has beside its text: learnt vectors, shared or private, and prototypes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from safetensors.torch import load_file, save_file
from scipy import sparse
from torch import Tensor, nn

from thresher.types import Inputs, Table

TABLES = ("table", "free")
"""Parameters that hold a vector for single items: their gradients are sparse."""


@dataclass(frozen=True)
class LabelInputs:
    """Items of a batch: their prepared texts, and which of the items seen in training they are.

    Args:
        text: prepared texts, one an item.
        rows: number of each item among those seen in training; -1 for an item added since.
        own: the training query that stands beside each item in the batch; -1 for none.
    """

    text: Inputs
    rows: Int64[Tensor, " n"]
    own: Int64[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> "LabelInputs":
        return LabelInputs(self.text[rows], self.rows[rows], self.own[rows])


@dataclass(frozen=True)
class LabelTable:
    """Items of a whole catalogue, prepared once; texts and rows as in `LabelInputs`."""

    text: Table
    rows: Int64[Tensor, " N"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> LabelInputs:
        return LabelInputs(self.text[rows], self.rows[rows], torch.full_like(self.rows[rows], -1))

    def take(self, rows: Int64[Tensor, " n"]) -> LabelInputs:
        """The items of these numbers, in this order, beside no query."""
        return self.taken(rows, torch.full_like(rows, -1))

    def taken(self, rows: Int64[Tensor, " n"], own: Int64[Tensor, " n"]) -> LabelInputs:
        """The items of these numbers, each beside a training query of its own; -1 for none."""
        return LabelInputs(self.text.take(rows), self.rows[rows], own)


def shared_places(
    groups: Int64[np.ndarray, " N"], counts: Int64[np.ndarray, " N"], private: int
) -> tuple[Int64[np.ndarray, " N"], int]:
    """Which learnt vector each item uses, and how many there are.

    The `private` most frequent items, by the counts of their training queries and of equal ones the
    first, use one of their own, all others that of their cluster, whose number is in `groups`. The
    clusters' come first, in their order, then the private ones from the most frequent on; a cluster
    whose items are all private has none.
    """
    frequent = np.argsort(-counts, kind="stable")[:private]
    places = groups.copy()
    places[frequent] = groups.max(initial=-1) + 1 + np.arange(len(frequent))
    used, places = np.unique(places, return_inverse=True)
    return places.astype(np.int64), len(used)


class SharedLabels(nn.Module):
    """Moves each item's vector away from its text by a vector learnt for the item or its cluster.

    Equation:  z(l) = normalise(h(l) + A[place_l]) where h(l) is the unit vector of the item's text,
    of D numbers. A starts at 0: untrained, z is h. An item added after training is its text.

    Source:    Dahiya et al., *Deep encoders with auxiliary parameters for extreme classification*
               (DEXA), KDD 2023: 65,536 rows; the 1,000 vectors of frequent items are in the code.

    Args:
        dim: width D of the vectors.
        places: row of A that each item uses (`shared_places`).
        rows: number of rows of A.
    Memory:    rows * dim floats; the gradient is sparse, it holds the rows in use.
    """

    places: Tensor

    def __init__(self, dim: int, places: Int64[Tensor, " N"], rows: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("places", places.clone())
        self.table = nn.Parameter(torch.zeros(rows, dim))

    def forward(
        self, text: Float[Tensor, "n D"], rows: Int64[Tensor, " n"], own: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n D"]:
        """Unit rows; `own` changes nothing, as no query goes into them."""
        rows = rows.to(self.places.device)
        known, rows = (rows >= 0)[:, None], rows.clamp(min=0)
        learnt = F.embedding(self.places[rows], self.table, sparse=True)
        return torch.where(known, F.normalize(text + known * learnt, dim=1), text)

    def settings(self) -> dict[str, Any]:
        """The sizes."""
        return {"dim": self.dim, "labels": len(self.places), "rows": len(self.table)}

    def save(self, folder: Path) -> None:
        """Writes `labels.safetensors`."""
        save_file(self.state_dict(), folder / "labels.safetensors")

    @classmethod
    def load(cls, folder: Path, *, dim: int, labels: int, rows: int) -> "SharedLabels":
        """The labels of these sizes with the weights that were written."""
        made = cls(dim, torch.zeros(labels, dtype=torch.int64), rows)
        made.load_state_dict(load_file(folder / "labels.safetensors"))
        return made


class PrototypeLabels(nn.Module):
    """Makes one vector of an item's text, a learnt vector and the queries it was the answer to.

    Equation:  c = normalise( sum of the item's training queries ), its own query left out
               x = (h, f, c), the text, the learnt vector and the centroid
               u_j = LN(x_j) + e_j,    y_j = x_j + sum_i softmax_i( u_j M u_i / sqrt(D) ) u_i O
               z(l) = normalise( sum_j y_j + gelu(LN(y_j) R) S )
    where a part that is missing, the centroid of an item without queries, is left out of both sums.
    f, e, O and S start at 0: untrained, z is the direction of the mean of the parts. An item added
    after training is its text.

    In training an item stands beside one of its own queries (`own`), and that query is left out:
    otherwise the centroid of an item with one query is the query, and the pair is right for
    nothing. Queries of the same wording as the one left out stay in.

    Source:    *PRIME* (NAACL 2025): the mean over a one-layer transformer of the three.
    Differs:   one head, its pairs of matrices multiplied out (M for query and key, O for value and
               output); hidden width D; no biases, no dropout. LN adds 1 / D, the mean square of a
               unit row, to the variance: a learnt vector near 0 is not blown up to full length.
               Leaving out the own query, and the start at 0, are ours (reconstructed).

    Args:
        dim: width D of the vectors.
        labels: number of items seen in training.
        generator: of the random start of M and R.
    Memory:    2 * labels * dim floats; while training also queries * dim float16, in the
               checkpoints too, so that a run resumes exactly; `save` leaves them out. The gradient
               of f is sparse.
    """

    sums: Tensor
    counts: Tensor
    queries: Tensor

    def __init__(self, dim: int, labels: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.dim = dim
        self.free = nn.Parameter(torch.zeros(labels, dim))
        self.kinds = nn.Parameter(torch.zeros(3, dim))
        self.scale = nn.ParameterList(torch.ones(dim) for _ in range(2))
        self.match, self.hidden = (
            nn.Parameter(torch.randn(dim, dim, generator=generator) / math.sqrt(dim))
            for _ in range(2)
        )
        self.value, self.out = (nn.Parameter(torch.zeros(dim, dim)) for _ in range(2))
        self.register_buffer("sums", torch.zeros(labels, dim))
        self.register_buffer("counts", torch.zeros(labels, dtype=torch.int64))
        # As many rows as there are queries, known at the first refresh: kept as extra state.
        none = torch.zeros(0, dim, dtype=torch.float16)
        self.register_buffer("queries", none, persistent=False)

    def refresh(self, query_vectors: Float[Tensor, "Q D"], pairs: Int64[np.ndarray, "P 2"]) -> None:
        """Takes the queries as they are encoded now; the loop calls it before each epoch.

        Args:
            query_vectors: unit rows; those that stand in no pair are not read.
            pairs: true training pairs (row of `query_vectors`, item); each stands once.
        """
        stored = query_vectors.detach().half()
        shape = (len(self.free), len(stored))
        member = sparse.csr_matrix((np.ones(len(pairs), np.float32), pairs.T[::-1]), shape)
        # Of the rounded vectors, so that leaving one out leaves exactly the others.
        self.sums.copy_(torch.from_numpy(member @ stored.float().cpu().numpy()))
        self.counts.copy_(torch.from_numpy(np.diff(member.indptr)))
        self.set_extra_state(stored)

    @torch.no_grad()
    def store(
        self,
        rows: Int64[np.ndarray, " n"],
        vectors: Float[Tensor, "n D"],
        pairs: Int64[np.ndarray, "P 2"],
    ) -> None:
        """Puts queries as they were just encoded in place of older ones; the loop's, after a step.

        Centroids of the weights before an epoch hold the tower back: a query would have to match
        where its neighbours were, not where they are.

        `rows` are queries as `refresh` numbers them, each once; `vectors` their unit rows; `pairs`
        their true training pairs (place in `rows`, item).
        """
        at = torch.from_numpy(rows).to(self.sums.device)
        stored = vectors.to(self.queries.dtype)
        moved = stored.to(self.sums.dtype) - self.queries[at].to(self.sums.dtype)
        places, items = torch.from_numpy(pairs).to(self.sums.device).unbind(1)
        self.sums.index_add_(0, items, moved[places])
        self.queries[at] = stored

    def forward(
        self, text: Float[Tensor, "n D"], rows: Int64[Tensor, " n"], own: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n E"]:
        """[prototype | text], unit rows side by side, E = 2 D; the arguments as in `LabelInputs`.

        In training `own`, a true query of each item, is left out of its centroid.
        """
        rows, own = rows.to(self.sums.device), own.to(self.sums.device)
        known, rows = rows >= 0, rows.clamp(min=0)
        free = F.embedding(rows, self.free, sparse=True) * known[:, None]
        centroid, seen = self._centroids(rows, own)
        parts = torch.stack([text.to(free.dtype), free, centroid], dim=1)
        present = torch.stack([torch.ones_like(known), known, known & seen], dim=1)
        prototype = F.normalize(self._layer(parts, present).sum(1), dim=1)
        return torch.cat([torch.where(known[:, None], prototype, text), text], dim=1)

    def _centroids(self, rows: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Unit rows, and whether there is a query at all."""
        sums, counts = self.sums[rows], self.counts[rows]
        if self.training and len(self.queries):
            left = own >= 0
            sums = sums - left[:, None] * self.queries[own.clamp(min=0)].to(sums.dtype)
            counts = counts - left.long()
        return F.normalize(sums, dim=1), counts > 0

    def _layer(
        self, x: Float[Tensor, "n 3 D"], present: Bool[Tensor, "n 3"]
    ) -> Float[Tensor, "n 3 D"]:
        """What the layer makes of the parts; zeros where one is missing."""
        u = F.layer_norm(x, (self.dim,), self.scale[0], eps=1 / self.dim) + self.kinds
        # With a dimension for heads, here of one, torch has a fast kernel.
        asked, seen = (u @ self.match).unsqueeze(1), u.unsqueeze(1)
        mask = present[:, None, None].expand(-1, 1, 3, -1)
        attended = F.scaled_dot_product_attention(asked, seen, seen, attn_mask=mask).squeeze(1)
        y = x + attended @ self.value
        hidden = F.layer_norm(y, (self.dim,), self.scale[1], eps=1 / self.dim) @ self.hidden
        return (y + F.gelu(hidden) @ self.out) * present[..., None]

    def get_extra_state(self) -> Tensor:
        """The stored queries, for the checkpoints of a run."""
        return self.queries

    def set_extra_state(self, state: Tensor) -> None:
        """Puts stored queries back, however many they are."""
        self.queries = state.to(self.sums.device)

    def settings(self) -> dict[str, Any]:
        """The sizes."""
        return {"dim": self.dim, "labels": len(self.free)}

    def save(self, folder: Path) -> None:
        """Writes `labels.safetensors`: what inference needs, so not the stored queries."""
        kept = {k: v for k, v in self.state_dict().items() if k != "_extra_state"}
        save_file(kept, folder / "labels.safetensors")

    @classmethod
    def load(cls, folder: Path, *, dim: int, labels: int) -> "PrototypeLabels":
        """The labels of these sizes with the weights that were written."""
        made = cls(dim, labels, generator=torch.Generator())
        kept = load_file(folder / "labels.safetensors")
        made.load_state_dict({**kept, "_extra_state": made.queries})
        return made
