"""Runs a tower over prepared inputs, block by block."""

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

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
