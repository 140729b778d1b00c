"""The optimiser: Adagrad by rows for the table of a bag, Adam for everything else."""

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adam import adam

from thresher.training.row_loops import adagrad


class RowAdagrad(Optimizer):
    """Updates only the rows that a batch uses, each more carefully the more it has moved.

    Equation, for each row r of a sparse gradient g, of D numbers, with a_r = a_0 at the start:
        a_r = a_r + |g_r|^2 / D
        p_r = p_r - lr g_r / (sqrt(a_r) + eps)
    and Adam for a dense gradient.

    A row that a batch does not use is not visited, which is exact: Adagrad does not move it. So a
    step costs the rows in use, not the rows of the table. Adam has no such rule: a row without a
    gradient goes on moving, and leaving that out ("lazy Adam", `torch.optim.SparseAdam`) is another
    method, with 2 D numbers a row to keep.

    **Source**: Duchi et al., *Adaptive subgradient methods*, JMLR 2011 (Adagrad); one number a row:
    Mudigere et al., *Software-hardware co-design for fast and scalable training of deep learning
    recommendation models*, ISCA 2022, section 4.1.4, reconstructed. Kingma and Ba, *Adam*, ICLR
    2015, algorithm 1.

    Args:
        params: parameters or groups of them, as for any torch optimiser.
        lr: step size; 0.03 to 0.3 is usual with sparse gradients, 1e-5 to 1e-2 with dense ones.
        betas: Adam's decays of the means of g and of g^2, in [0, 1).
        eps: keeps the first step from being infinite.
        initial_accumulator: a_0. At 0 the first step of a row is lr long, however small its
            gradient, so that a row that is met once is moved as far as one that is met often; above
            the squares of common gradients, rare rows stay near their start.

    Memory: one number a row; with a dense gradient two for each number of the parameter.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        initial_accumulator: float = 0.0,
    ) -> None:
        usual = {"lr": lr, "betas": betas, "eps": eps, "initial_accumulator": initial_accumulator}
        super().__init__(params, usual)

    # torch wraps these so that its compiler passes over them, and the first call of a wrapped one
    # imports the compiler: four seconds of a short run. Nothing here is compiled.
    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient; a sparse gradient is used up by it."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.is_sparse:
                    _adagrad(p, p.grad.coalesce(), self.state[p], group)
                else:
                    _adam(p, self.state[p], group)


def _adagrad(p: Tensor, grad: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    if not state:
        state["squares"] = p.new_full((len(p),), group["initial_accumulator"])
    rows, values = grad.indices()[0], grad.values()
    if p.device.type == "cpu" and p.dtype == torch.float32 and p.is_contiguous():
        table, squares, values = p.numpy(), state["squares"].numpy(), values.contiguous()
        rate, eps = np.float32(group["lr"]), np.float32(group["eps"])
        adagrad(table, squares, rows.numpy(), values.numpy(), rate, eps)
    else:
        rows_moved(p, state["squares"], rows, values, group["lr"], group["eps"])


def rows_moved(
    table: Tensor, squares: Tensor, rows: Tensor, values: Tensor, rate: float, eps: float
) -> None:
    """What `thresher.training.row_loops.adagrad` does, on any device; it uses up the values."""
    new = squares.index_select(0, rows)
    new += torch.linalg.vector_norm(values, dim=1).square_() / values.shape[1]
    squares.index_copy_(0, rows, new)
    # In place: a second copy of the gradient would cost as much as the rest.
    values.div_((new.sqrt_() + eps)[:, None])
    table.index_add_(0, rows, values, alpha=-rate)


def _adam(p: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    if not state:
        state["step"] = torch.zeros((), device=p.device)
        state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
    adam(
        [p],
        [p.grad] if p.grad is not None else [],
        [state["mean"]],
        [state["square"]],
        [],
        [state["step"]],
        fused=True,
        amsgrad=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=0.0,
        eps=group["eps"],
        maximize=False,
    )
