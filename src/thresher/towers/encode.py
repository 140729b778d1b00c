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
        out = [tower(inputs[i : i + rows]).float().cpu() for i in range(0, len(inputs), rows)]
    finally:
        tower.train(was_training)
    return torch.cat(out).numpy()
