"""One-vs-all rows: a learnt vector for each item of training, beside the vector of its text."""

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from thresher.errors import InputError


class ClassifierRows(nn.Module):
    """A vector for each item, which starts where its label vector is and is then free to move.

    Equation:  w(l) = normalise(W_l)

    Source:    the second stage of NGAME (Dahiya et al., WSDM 2023): classifiers initialised from
               label embeddings, over a frozen encoder.

    Args:
        start: label vectors of the items seen in training, copied.
    Memory:    the rows; the gradient is sparse, it holds the rows in use.
    """

    def __init__(self, start: Float[Tensor, "N D"]) -> None:
        super().__init__()
        self.dim = start.shape[1]
        self.table = nn.Parameter(start.detach().clone())

    def forward(self, rows: Int64[Tensor, " n"]) -> Float[Tensor, "n D"]:
        """Unit rows of the items of these numbers."""
        return F.normalize(F.embedding(rows.to(self.table.device), self.table, sparse=True), dim=1)

    def vectors(self) -> Float32[np.ndarray, "N D"]:
        """Unit rows of all items."""
        return F.normalize(self.table.detach(), dim=1).cpu().numpy()


def fused(
    label_vectors: Float32[np.ndarray, "n D"],
    classifier_vectors: Float32[np.ndarray, "n D"],
    weight: float,
) -> Float32[np.ndarray, "n D"]:
    """One vector an item whose score is the weighted mean of label score and classifier score.

    Equation:  v = (1 - weight) z + weight w,  so  q . v = (1 - weight) q . z + weight q . w

    The query's vector is the same in both scores, so fusing vectors before the search is fusing
    scores after it, for every item and not only for those that one of the two retrieves. v is
    shorter than 1 where z and w disagree, as a mean of two cosines asks; do not normalise it. An
    item without a classifier, added after training, keeps its label vector: do not pass it.

    Source:    NGAME (Dahiya et al., WSDM 2023) adds the scores of encoder and classifier.

    Args:
        label_vectors: z, unit rows.
        classifier_vectors: w, unit rows of the same items.
        weight: of the classifiers, in [0, 1].

    Raises:
        InputError: weight lies outside [0, 1].
    """
    if not 0 <= weight <= 1:
        raise InputError(f"the weight of the classifiers is {weight}; give a share from 0 to 1")
    return np.float32(1 - weight) * label_vectors + np.float32(weight) * classifier_vectors
