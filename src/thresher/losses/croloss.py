"""CROLoss: a smooth rank of each true item, weighted for how many items are retrieved."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from thresher.checks import above_0, are_numbers
from thresher.errors import InputError
from thresher.losses.tensors import call
from thresher.losses.tiles import Tile, streamed
from thresher.types import Matching, Ratio

NUMBERS = 2**20
"""Values of z that are worked on at a time: 4 MiB in float32, near enough to a cache."""
STEEPEST = 30.0
"""Log of the most that a positive weighs. Adam's squares of e^30 / T are finite in float32."""


class Kernel(NamedTuple):
    """A smooth step from 0, where z is far below 0, upwards."""

    psi: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    """The derivative, written over z."""


_KERNELS: Mapping[str, Kernel] = {
    "softplus": Kernel(F.softplus, torch.sigmoid_),
    "hinge": Kernel(lambda z: (z + 0.5).relu_(), lambda z: z.gt_(-0.5)),
    "sigmoid": Kernel(torch.sigmoid, lambda z: z.sigmoid_().addcmul_(z, z, value=-1)),
}
KERNELS = ("exp", *_KERNELS)
"""e^z alone is too large to be added up: it has a path of its own, in logarithms."""


class Odds(NamedTuple):
    """w_j = q_p / q_j, as logarithms of q."""

    columns: Tensor
    own: Tensor

    def factors(self) -> tuple[Tensor, Tensor]:
        """Of rows and of columns: their products are w, and none overflows unless w does."""
        rarest = self.columns.amin()
        return (self.own - rarest).exp(), (rarest - self.columns).exp()


@dataclass(frozen=True, kw_only=True)
class CROLoss:
    """Raise each true item in the ranking, above all where the N items that are retrieved end.

    Equation:
        z_j = (s_ij - s_ip) / T            for the negatives j of row i, and its positive p
        x   = 1 + sum_j w_j psi(z_j)       the smooth rank of p; w_j = q_p / q_j with log_q, else 1
        L   = mean over positives (i, p) of W(x),   W(x) = (x^(1 - alpha) - 1) / (1 - alpha)
        alpha = 1: W(x) = ln x;   alpha = 0: W(x) = x - 1
        psi(z): exp e^z | softplus ln(1 + e^z) | hinge max(z + 0.5, 0) | sigmoid 1 / (1 + e^-z)
    With `rank_kernel`, the Lambda method: x1 is the rank by it, a number without gradient,
        L   = mean over positives of x1^-alpha * x

    A rank of x weighs x^-alpha: the larger alpha, the more the items that are nearly first count
    and the fewer are best retrieved. (exp, 1) is `Softmax`, (hinge, 0) is `Triplet` but for a
    factor, (softplus, 0) is `BPR`. Values compare between runs of equal options only: that of the
    Lambda method is not 0 at best but 1, and is not what its gradient makes smaller.

    The sum over the columns of a batch is an estimate of the sum over the catalogue. w_j is its
    importance correction, up to q_p, the sampling of the positive, which a rank counted in samples
    keeps; with it (exp, 1) is the corrected softmax. A column's log_q may be off by a constant.

    With alpha < 1, or the Lambda method, (exp) would grow like e^{1 / T}. From where a positive
    weighs e^30 (x^(1 - alpha) or x1^-alpha x), value and gradient go on linearly in ln x, as at
    alpha = 1. Cosines at T >= 0.1 stay below, against up to 22,000 columns, and the value there is
    that of the equation; at T = 0.02 it is not always, and is large.

    Source: Tang et al., *CROLoss: towards a customizable loss for retrieval models in
    recommender systems*, CIKM 2022, arXiv 2208.02971; kernels, T = 0.1 and the Lambda method as in
    the authors' code. Reconstructed: W and its limits, from the code's weights for single
    alphas without their constants, which differ between alpha = 1 and the rest; every alpha >= 0.
    Differs: w, several positives a row (none counts in the rank of another), the linear
    continuation.

    Args:
        kernel: psi, the smooth step: "exp", "softplus", "hinge" or "sigmoid".
        alpha: weight on small N, unitless, >= 0; 0 to 2 is usual, less for a larger N.
        temperature: T > 0, unitless; 0.02 to 0.2 is usual for unit vectors.
        rank_kernel: psi of the rank that weighs (the Lambda method), "sigmoid" is usual; none
            leaves the plain loss.

    Returns:
        {"": (sum over positives, number of positives)}.

    Memory: 2^24 scores at a time, twice where a row has more or fewer positives than one, and the
    gradients of left and right. Of the E x C values of z, 2^20 at a time.

    Raises:
        InputError: an option outside its range.

    Example:
        >>> CROLoss(kernel="exp", alpha=1.4, rank_kernel="sigmoid").temperature
        0.1
    """

    kernel: str = "softplus"
    alpha: float = 1.0
    temperature: float = 0.1
    rank_kernel: str | None = None

    def __post_init__(self) -> None:
        for name, kernel in (("kernel", self.kernel), ("rank_kernel", self.rank_kernel)):
            if kernel not in KERNELS and (name, kernel) != ("rank_kernel", None):
                raise InputError(
                    f"{name} of croloss is {kernel!r}; give one of {', '.join(KERNELS)}"
                )
        if not (are_numbers(self.alpha) and 0 <= self.alpha < math.inf):
            raise InputError(
                f"alpha of croloss is {self.alpha!r}; give a number of 0 or more, such as 1"
            )
        above_0("the temperature of croloss", self.temperature, 0.1)

    __call__ = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Sum of the weighted ranks of all positives, and their number."""
        scale = 1 / self.temperature
        log_q = None if m.links.log_q is None else m.links.log_q.to(m.left.dtype)
        return {"": streamed(m, lambda tile: self._fold(tile, log_q), scale=scale)}

    def _fold(self, tile: Tile, log_q: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        row, column = tile.pos
        hit = tile.scores[tile.pos]
        scores = tile.negatives()
        # The rule in training, and then nothing needs to be copied.
        alone = torch.equal(row, torch.arange(len(scores), device=row.device))
        gradient = scores if alone else torch.zeros_like(scores)
        loss, pull = torch.empty_like(hit), torch.empty_like(hit)
        step = max(1, min(len(scores), NUMBERS // scores.shape[1]))
        for start in range(0, len(row), step):
            some = slice(start, start + step)
            z = scores[some] if alone else scores[row[some]]
            z.sub_(hit[some, None])
            odds = None if log_q is None else Odds(log_q, log_q[column[some]])
            loss[some], weight, slope = self._weighted(z, odds)
            pull[some] = slope.sum(1).mul_(weight)
            slope.mul_(weight[:, None])
            if not alone:
                gradient.index_add_(0, row[some], slope)
        gradient.index_put_(tile.pos, -pull, accumulate=True)
        return loss.sum(), loss.new_tensor(len(loss)), gradient

    def _weighted(self, z: Tensor, odds: Odds | None) -> tuple[Tensor, Tensor, Tensor]:
        """The losses, and two factors of their derivatives by z, the second written over z."""
        log_x1 = None if self.rank_kernel is None else _log_rank(self.rank_kernel, z, odds)
        log_x, rate, slope = _log_rank_slope(self.kernel, z, odds)
        if log_x1 is None:
            loss, weight = _plain(log_x, 1 - self.alpha)
        else:
            loss, weight = _lambda(log_x - self.alpha * log_x1)
        return loss, rate.mul_(weight), slope


def _plain(log_x: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """(x^beta - 1) / beta and its derivative by ln x."""
    if beta == 0:
        return log_x, torch.ones_like(log_x)
    power = beta * log_x
    steep = power.clamp(max=STEEPEST)
    weight = steep.exp()
    return (steep.expm1() + weight * (power - steep)) / beta, weight


def _lambda(power: Tensor) -> tuple[Tensor, Tensor]:
    """e^power, x over a constant, and its derivative by ln x."""
    steep = power.clamp(max=STEEPEST)
    weight = steep.exp()
    return weight * (1 + power - steep), weight


def _log_rank(kernel: str, z: Tensor, odds: Odds | None) -> Tensor:
    """Of each row of z, ln x; z stays as it is."""
    if kernel == "exp":
        return -F.logsigmoid(-_corrected(z.clone(), odds).logsumexp(1))
    psi = _KERNELS[kernel].psi(z)
    if odds is None:
        return psi.sum(1).log1p()
    by_row, by_column = odds.factors()
    return (by_row * (psi @ by_column)).log1p()


def _log_rank_slope(kernel: str, z: Tensor, odds: Odds | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of each row of z, ln x and two factors of its derivatives, the second written over z."""
    if kernel == "exp":
        return _log_sum(_corrected(z, odds))
    log_x = _log_rank(kernel, z, odds)
    rate, slope = (-log_x).exp(), _KERNELS[kernel].slope(z)
    if odds is None:
        return log_x, rate, slope
    by_row, by_column = odds.factors()
    return log_x, rate.mul_(by_row), slope.mul_(by_column)


def _log_sum(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each row, ln (1 + sum of e^z) and the factors of its derivatives."""
    # Finite in a row without negatives too.
    top = z.amax(1).clamp(min=torch.finfo(z.dtype).min)
    total = z.sub_(top[:, None]).exp_().sum(1)
    behind = total.log() + top
    # A row with a negative has a total of 1 or more, any other 0.
    return -F.logsigmoid(-behind), behind.sigmoid() / total.clamp(min=1), z


def _corrected(z: Tensor, odds: Odds | None) -> Tensor:
    """The z of e^z times w, in place."""
    return z if odds is None else z.sub_(odds.columns).add_(odds.own[:, None])
