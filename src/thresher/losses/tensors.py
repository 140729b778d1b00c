"""Call a loss with plain tensors, as in any PyTorch library: two sides in, a scalar out."""

import torch
from torch import Tensor
from torch.nn import functional as F

from thresher.errors import InputError
from thresher.types import Links, Loss, Matching


def call(
    loss: Loss,
    /,
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
    """Compare queries with items, and return a scalar to call `backward` on.

    Without `positives` and `labels`, row i's positive is item i; items beyond the last query are
    negatives of every query. Every pair that is neither positive nor ignored is a negative. A part
    of the loss without a pair to count is 0, with zero gradient.

    Only the tensors given are compared. In several processes use `Objective`, which compares each
    query with the items of all of them.

    Args:
        loss: any loss.
        queries: the left vectors [Q, D]. Vectors are used as given and scores are inner products;
            most losses expect unit vectors (see `normalize`). Half precision is read as float32.
        items: the right vectors [C, D]; left out, queries are compared with each other and no
            query with itself, as in pytorch-metric-learning.
        positives: which pairs are true: a boolean mask [Q, C], or pairs (row, column) [E, 2].
        ignored: pairs that are neither positive nor negative, in either form. Wins over positives.
        labels: class of each query [Q]; pairs of equal labels are positives. In place of
            `positives`.
        ref_labels: class of each item [C]; that of the query in the same row when left out.
        log_q: natural log of the probability with which each item was sampled into the batch [C].
        normalize: divide each vector by its length first, so that scores are cosines.

    Raises:
        InputError: shapes, types or devices that do not fit together, or a pair out of range.

    Example:
        >>> from thresher.losses import Softmax
        >>> queries = items = torch.eye(2)
        >>> Softmax(temperature=1.0)(queries, items)  # ln(1 + e^-1), of both rows
        tensor(0.3133)
        >>> Softmax(temperature=1.0)(queries, items, positives=torch.tensor([[0, 1]]))  # ln(1 + e)
        tensor(1.3133)
    """
    m = matching_of(queries, items, positives, ignored, labels, ref_labels, log_q, normalize)
    # Inner products of half precision would be rounded by more than a margin.
    with torch.autocast(queries.device.type, enabled=False):
        return torch.stack([ratio.value() for ratio in loss.ratios(m).values()]).sum()


def matching_of(
    queries: Tensor,
    items: Tensor | None,
    positives: Tensor | None,
    ignored: Tensor | None,
    labels: Tensor | None,
    ref_labels: Tensor | None,
    log_q: Tensor | None,
    normalize: bool,
) -> Matching:
    """The matching that plain tensors describe, see `call`; InputError where they do not fit."""
    left, right = _vectors(queries, queries if items is None else items, normalize)
    shape = (len(left), len(right))
    positive = _positives(positives, labels, ref_labels, left, shape, alone=items is None)
    out = positive[:0] if ignored is None else _keys("ignored", ignored, left, shape)
    if items is None:
        out = torch.cat([out, _own(left, shape)])
    positive = positive[~torch.isin(positive, out)]
    if log_q is not None:
        if not isinstance(log_q, Tensor) or log_q.shape != shape[1:]:
            raise InputError(
                f"log_q is {_describe(log_q)}; give one floating-point number for each of the "
                f"{shape[1]} items"
            )
        log_q = log_q.to(right)
    links = Links("query", "item", _pairs(positive, shape), _pairs(out, shape), log_q)
    return Matching(left, right, links)


def full_precision(x: Tensor) -> Tensor:
    """Half precision as float32; anything else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _vectors(queries: Tensor, items: Tensor, normalize: bool) -> tuple[Tensor, Tensor]:
    for name, x in (("queries", queries), ("items", items)):
        if not isinstance(x, Tensor) or x.ndim != 2 or not x.is_floating_point():
            raise InputError(
                f"{name} are {_describe(x)}; give a floating-point tensor [rows, dimensions]"
            )
    left, right = full_precision(queries), full_precision(items)
    if (left.shape[1], left.dtype, left.device) != (right.shape[1], right.dtype, right.device):
        raise InputError(
            f"queries are {_describe(queries)} and items {_describe(items)}; give vectors of one "
            "length, type and device"
        )
    return (F.normalize(left, dim=1), F.normalize(right, dim=1)) if normalize else (left, right)


def _positives(
    positives: Tensor | None,
    labels: Tensor | None,
    ref_labels: Tensor | None,
    like: Tensor,
    shape: tuple[int, int],
    *,
    alone: bool,
) -> Tensor:
    """Keys of the positive pairs."""
    if positives is not None and labels is not None:
        raise InputError("both positives and labels were given; give one of them")
    if labels is None and ref_labels is not None:
        raise InputError("ref_labels were given without labels; give the labels of the queries too")
    if positives is not None:
        return _keys("positives", positives, like, shape)
    if labels is None:
        if alone:
            raise InputError("queries were given alone; give items, labels or positives too")
        return _own(like, shape)
    ref = labels if ref_labels is None else ref_labels
    if labels.shape != shape[:1] or ref.shape != shape[1:]:
        raise InputError(
            f"labels are {_describe(labels)} and ref_labels {_describe(ref_labels)}; give one "
            f"for each of the {shape[0]} queries, and in ref_labels one for each of the {shape[1]} "
            "items"
        )
    return _keys("labels", labels[:, None] == ref.to(labels.device), like, shape)


def _own(like: Tensor, shape: tuple[int, int]) -> Tensor:
    """Keys of the pairs (i, i)."""
    if shape[0] > shape[1]:
        raise InputError(
            f"there are {shape[0]} queries but {shape[1]} items, so that item i cannot be the "
            "positive of every row i; give positives or labels"
        )
    return torch.arange(shape[0], device=like.device) * (shape[1] + 1)


def _keys(name: str, pairs: Tensor, like: Tensor, shape: tuple[int, int]) -> Tensor:
    """Each pair (row, column) once, as the number row * C + column, in ascending order."""
    mask = isinstance(pairs, Tensor) and pairs.dtype == torch.bool
    if mask and pairs.shape == shape:
        return pairs.to(like.device).flatten().nonzero().squeeze(1)
    whole = isinstance(pairs, Tensor) and not (mask or pairs.is_floating_point())
    if not whole or pairs.shape[1:] != (2,):
        raise InputError(
            f"{name} are {_describe(pairs)}; give a boolean mask [{shape[0]}, {shape[1]}], or "
            "whole numbers [pairs, 2]: row of the query, row of the item"
        )
    pairs = pairs.to(like.device).long()
    if ((pairs < 0) | (pairs >= pairs.new_tensor(shape))).any():
        raise InputError(
            f"{name} hold rows from {pairs.amin(0).tolist()} to {pairs.amax(0).tolist()}; give "
            f"rows of the {shape[0]} queries and {shape[1]} items, counted from 0"
        )
    return torch.unique(pairs[:, 0] * shape[1] + pairs[:, 1])


def _pairs(keys: Tensor, shape: tuple[int, int]) -> Tensor:
    columns = max(1, shape[1])
    return torch.stack([keys // columns, keys % columns], 1)


def _describe(x: object) -> str:
    if not isinstance(x, Tensor):
        return "left out" if x is None else f"a {type(x).__name__}"
    return f"{str(x.dtype).removeprefix('torch.')} {list(x.shape)} on {x.device}"
