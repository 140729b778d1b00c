"""Runs a tower over prepared inputs, block by block; and inputs that are vectors already."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from thresher.types import Inputs


@torch.no_grad()
def vectors(tower: nn.Module, inputs: Inputs, *, rows: int = 4096) -> Float32[np.ndarray, "Q D"]:
    """Unit rows of all inputs, without dropout and without gradient; the tower's mode is kept."""
    was_training = tower.training
    tower.eval()
    try:
        starts = range(0, max(len(inputs), 1), rows)
        out = [tower(inputs[i : i + rows]).float().cpu() for i in starts]
    finally:
        tower.train(was_training)
    return torch.cat(out).numpy()


@dataclass(frozen=True)
class Rows:
    """Inputs that are the rows of a tensor."""

    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> "Rows":
        return Rows(self.rows[rows])

    def take(self, rows: Int64[Tensor, " n"]) -> "Rows":
        """The rows of these numbers, in this order."""
        return Rows(self.rows[rows])
