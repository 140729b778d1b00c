"""Measures the largest tensor that a piece of code makes, forward or backward."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Largest(TorchDispatchMode):
    """Within it, `numbers` grows to the most elements that one result's storage holds."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor):
                self.numbers = max(
                    self.numbers, x.untyped_storage().nbytes() // max(x.element_size(), 1)
                )
        return out
