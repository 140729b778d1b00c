"""Measures the memory of a piece of code: its largest tensor, and what it keeps for backward."""

from contextlib import contextmanager

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
                # Of a sparse result, what it stores; its row and column numbers are as many.
                held = (x if x.layout == torch.strided else x._values()).untyped_storage()
                self.numbers = max(self.numbers, held.nbytes() // max(x.element_size(), 1))
        return out


@contextmanager
def kept_for_backward():
    """Collects {storage: its elements} of what is kept between forward and backward."""
    storages = {}

    def pack(x):
        storage = x.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes() // max(x.element_size(), 1)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield storages
