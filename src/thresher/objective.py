"""What training minimises: a list of weighted losses, reduced exactly on one process or many."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from thresher.checks import are_numbers
from thresher.distributed import all_sum, gather, rank, world
from thresher.errors import InputError
from thresher.losses import LOSSES
from thresher.losses.tensors import full_precision, matching_of
from thresher.types import Embeddings, Links, Loss, Matching, Ratio

TOTAL = "total"
Views = Callable[[Embeddings], Embeddings]


@dataclass(frozen=True)
class Term:
    """One line of an objective: a loss, the links that it reads, and its weight.

    Args:
        name: how the term is called in the logs; a part of a loss is logged as "name/part".
        loss: any `Loss`.
        links: name of the batch's links that the loss reads.
        weight: factor of the reduced loss in the total; 0 only logs it.
    """

    name: str
    loss: Loss
    links: str = "query_item"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.loss, type) or not isinstance(self.loss, Loss):
            raise InputError(
                f"{self.loss!r} is no loss; give one such as losses.Softmax(), a pair of a loss "
                "and its weight, or a Term"
            )
        if not (are_numbers(self.weight) and math.isfinite(self.weight) and self.weight >= 0):
            raise InputError(
                f"the weight of term {self.name!r} is {self.weight!r}; give a finite number >= 0"
            )


@final
class Objective(nn.Module):
    """Add several losses into the one number that training minimises.

    Equation:
        total = sum over terms t and their parts p of
        weight_t * (sum over processes of num_tp) / (sum over processes of den_tp)

    Called with plain tensors, as a loss is, every term compares the same queries and items. The
    training loop calls `reduce` with named embeddings and links, and each term reads its own.

    On several processes each query is compared with the items of all of them, and each process
    returns world * num / all_sum(den): the mean of the processes' gradients is then the gradient
    that one process would have on the whole batch. Averaging them is the loop's work
    (`distributed.average_gradients`, or DistributedDataParallel), over the towers' parameters and
    over `self.parameters()`, which holds the parameters of losses that have some.

    A process's links name its own rows, and columns relative to its own first column. A pair with
    a column that another process holds is written with a number below 0 or from C on: on equal
    shares of C columns, `links.shift(-rank * C)` of the links made for the whole batch.

    Vectors in half precision are compared in float32: at a temperature of 0.05 the rounding of
    bfloat16 moves a logit by 0.1.

    Args:
        terms: a loss, or a list of at least one: a loss, a pair of a loss and its weight, or a
            `Term`. Terms without a name get that of their kind: "softmax", "alc", then "softmax_2".
        block: left rows that are scored at a time; None scores all at once. The gradient is the
            same, and the scores are computed twice.
        views: makes further named vectors from the encoded ones, such as the two halves of an
            item's vector; it wins over an encoded name.

    Attributes:
        logs: every part of the last call with plain tensors, unweighted, and "total".

    Terms that read the same links share their scores, where these are no more than 2^24.

    Memory: Q x C scores for each term; with `block`, block x C of one term at a time.

    Raises:
        InputError: no terms, two of one name, a term whose links or rows the batch lacks.
        FloatingPointError: a term is infinite or not a number; raised on every process at once.

    Example:
        >>> from thresher.losses import HardestPairs, Softmax
        >>> objective = Objective([Softmax(), (HardestPairs(), 0.5)])
        >>> total = objective(torch.eye(4), torch.eye(4), positives=torch.tensor([[0, 0], [0, 1]]))
        >>> list(objective.logs)
        ['softmax', 'alc/query_label', 'alc/query_batch', 'total']
    """

    def __init__(
        self,
        terms: Sequence[Term | Loss | tuple[Loss, float]] | Term | Loss,
        *,
        block: int | None = None,
        views: Views | None = None,
    ) -> None:
        super().__init__()
        self.terms = _named([terms] if isinstance(terms, Term | Loss) else terms)
        names = [term.name for term in self.terms]
        if not names or len(set(names)) < len(names) or TOTAL in names:
            raise InputError(
                f"the terms of the objective are named {names}; give at least one, each its own "
                f"name, none {TOTAL!r}"
            )
        if block is not None and not (are_numbers(block, whole=True) and block >= 1):
            raise InputError(f"block is {block!r} rows; give 1 or more, or leave it out")
        self.block = block
        self.views = views
        self.logs: dict[str, float] = {}
        # Registered, so that parameters() and to() reach them.
        self.learned = nn.ModuleList(t.loss for t in self.terms if isinstance(t.loss, nn.Module))

    def forward(
        self,
        queries: Tensor,
        items: Tensor | None = None,
        *,
        positives: Tensor | None = None,
        ignored: Tensor | None = None,
        labels: Tensor | None = None,
        ref_labels: Tensor | None = None,
        log_q: Tensor | None = None,
        normalize: bool = False,
    ) -> Tensor:
        """The total of plain tensors, to call `backward` on; options as in `thresher.losses.call`.

        The pairs name this process's own queries and items, of which each process has as many.
        """
        m = matching_of(queries, items, positives, ignored, labels, ref_labels, log_q, normalize)
        total, self.logs = self.reduce(
            {m.links.left: m.left, m.links.right: m.right}, {"query_item": m.links}
        )
        return total

    def reduce(
        self, embeddings: Embeddings, links: Mapping[str, Links]
    ) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """The total to call `backward` on, and what to log: every part, unweighted, and "total".

        Logged values are those of the whole batch and equal on all processes.
        """
        weights: list[float] = []
        ratios: dict[str, Ratio] = {}
        device = next(iter(embeddings.values())).device
        with torch.autocast(device.type, enabled=False):
            if self.views is not None:
                embeddings = {**embeddings, **self.views(embeddings)}
            matchings = self._matchings(embeddings, links)
            for term in self.terms:
                for part, ratio in self._ratios(term.loss, matchings[term.links]).items():
                    ratios[f"{term.name}/{part}".rstrip("/")] = ratio
                    weights.append(term.weight)
            return _reduce(ratios, weights)

    def _matchings(self, embeddings: Embeddings, links: Mapping[str, Links]) -> dict[str, Matching]:
        """One matching for each links in use; the right rows of a name are gathered once."""
        matchings: dict[str, Matching] = {}
        gathered: dict[str, Tensor] = {}
        readers = Counter(term.links for term in self.terms)
        for term in self.terms:
            if term.links in matchings:
                continue
            if term.links not in links:
                raise InputError(
                    f"term {term.name!r} reads links {term.links!r}, but this batch has "
                    f"{sorted(links)}; name one of these in the term"
                )
            link = links[term.links]
            for side in (link.left, link.right):
                if side not in embeddings:
                    raise InputError(
                        f"links {term.links!r} join {link.left!r} and {link.right!r}, but this "
                        f"batch has inputs {sorted(embeddings)}; add {side!r} to the batch"
                    )
            right = embeddings[link.right]
            if link.right not in gathered:
                gathered[link.right] = gather(full_precision(right))
            wide = link.shift(rank() * len(right))
            if wide.log_q is not None:
                wide = replace(wide, log_q=gather(full_precision(wide.log_q)))
            left = full_precision(embeddings[link.left])
            shared = readers[term.links] > 1
            matchings[term.links] = Matching(left, gathered[link.right], wide, shared)
        return matchings

    def _ratios(self, loss: Loss, m: Matching) -> dict[str, Ratio]:
        """The loss's ratios: at once, or over blocks of left rows, which are independent."""
        if m.links.blocks > 1:
            return _added(self._ratios(loss, part) for part in _strided(m))
        if self.block is None or len(m.left) <= self.block:
            return loss.ratios(m)
        ratios: list[dict[str, Ratio]] = []
        for number, left in enumerate(m.left.split(self.block)):
            links = _rows(m.links, number * self.block, number * self.block + len(left))
            # Only the block's two sums are kept; backward scores the block again.
            block = (left, m.right, links)
            ratios.append(
                checkpoint(lambda *args: loss.ratios(Matching(*args)), *block, use_reentrant=False)
            )
        return _added(ratios)


def _added(ratios: Iterable[dict[str, Ratio]]) -> dict[str, Ratio]:
    totals: dict[str, Ratio] = {}
    for parts in ratios:
        for part, (num, den) in parts.items():
            before = totals.get(part, Ratio(num.new_zeros(()), den.new_zeros(())))
            totals[part] = Ratio(before.num + num, before.den + den)
    return totals


def _strided(m: Matching) -> Iterator[Matching]:
    """The matching of each block of links that have some."""
    count, links = m.links.blocks, m.links

    def apart(rows: Tensor) -> tuple[Tensor, ...]:
        return rows.unflatten(0, (-1, count)).unbind(1)

    def own(pairs: Tensor) -> tuple[Tensor, ...]:
        of = pairs[:, 0] % count
        order = of.argsort(stable=True)
        ends = torch.bincount(of, minlength=count).cumsum(0)[:-1]
        return (pairs[order] // count).tensor_split(ends.tolist())

    log_q = [None] * count if links.log_q is None else apart(links.log_q)
    sides = apart(m.left), apart(m.right), own(links.pos), own(links.ignored), log_q
    for left, right, pos, ignored, own_log_q in zip(*sides, strict=True):
        part = replace(links, pos=pos, ignored=ignored, log_q=own_log_q, blocks=1)
        yield Matching(left, right, part)


def _named(terms: Sequence[Term | Loss | tuple[Loss, float]]) -> tuple[Term, ...]:
    kinds = {constructor: kind for kind, constructor in LOSSES.items()}
    named: list[Term] = []
    seen: Counter[str] = Counter()
    if not isinstance(terms, list | tuple):
        raise InputError(f"the objective is {terms!r}; give a loss, or a list of losses")
    for term in terms:
        if not isinstance(term, Term):
            loss, weight = term if isinstance(term, tuple) and len(term) == 2 else (term, 1.0)
            kind = kinds.get(type(loss), type(loss).__name__)
            seen[kind] += 1
            name = kind if seen[kind] == 1 else f"{kind}_{seen[kind]}"
            term = Term(name, loss, weight=weight)
        named.append(term)
    return tuple(named)


def _reduce(
    ratios: Mapping[str, Ratio], weights: Sequence[float]
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    num = torch.stack([ratio.num for ratio in ratios.values()])
    den = torch.stack([ratio.den for ratio in ratios.values()])
    # One exchange for all terms. An empty set has the sum 0 and, divided by 1, the value 0.
    sums, counts = all_sum(torch.stack([num, den]))
    counts = counts.where(counts > 0, 1)
    total = (num * num.new_tensor(weights) / counts).sum() * world()
    logs = dict(zip(ratios, (sums / counts).tolist(), strict=True))
    wrong = {name: value for name, value in logs.items() if not math.isfinite(value)}
    if wrong:
        finite = {name: value for name, value in logs.items() if name not in wrong}
        raise FloatingPointError(
            f"the objective is not finite: {wrong}, while the other terms are {finite}; lower the "
            "learning rate, or look for vectors that are not finite"
        )
    logs[TOTAL] = sum(w * value for w, value in zip(weights, logs.values(), strict=True))
    return total, logs


def _rows(links: Links, start: int, stop: int) -> Links:
    """The links of left rows start:stop, which become rows 0, 1, ..."""

    def cut(pairs: Tensor) -> Tensor:
        inside = pairs[(pairs[:, 0] >= start) & (pairs[:, 0] < stop)]
        return inside - torch.tensor([start, 0], device=pairs.device)

    return replace(links, pos=cut(links.pos), ignored=cut(links.ignored))
