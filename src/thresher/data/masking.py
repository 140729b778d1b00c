"""Which features of an item are hidden in each of two views of it; the keys of `[views]`."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from thresher.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """How two views of one item are made, which a tower then learns to place together.

    Args:
        masking: which features are hidden in each view, see `draw_masks`: "correlated" hides those
            together that tell most about each other; "random" splits the features by chance;
            "independent" hides a half in each view, by chance; "none" hides none.
        value_dropout: share of the values of multi-valued features that each view drops, in [0, 1);
            0.1 to 0.5 is usual. A feature keeps its values where all of them would go.
        mask_id: true takes the id for a feature like others, hidden or not; false hides it in both
            views, so that content alone must agree.
        items: items a step that are drawn from the whole catalogue, each equally likely, over all
            processes; as many as the batch has pairs when left out.
    """

    masking: Literal["correlated", "random", "independent", "none"] = "correlated"
    value_dropout: float = 0.3
    mask_id: bool = True
    items: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.value_dropout < 1:
            raise InputError(
                f"views.value_dropout must be 0 or more and below 1, got {self.value_dropout}"
            )
        if self.items is not None and self.items < 1:
            raise InputError(f"views.items must be at least 1, got {self.items}")


class Hidden(NamedTuple):
    """True for each feature that is hidden in the first view, and in the second."""

    first: Bool[np.ndarray, " k"]
    second: Bool[np.ndarray, " k"]


def draw_masks(
    options: ViewOptions,
    k: int,
    id_features: Collection[int],
    generator: np.random.Generator,
    information: Float64[np.ndarray, "k k"] | None = None,
) -> Hidden:
    """Draw which features are hidden in each of two views, for all items of one batch.

    Equation, of the m features that may be hidden:
        correlated (CFM)             first = {seed} + the h features of highest MI to the seed,
                                     h = min(floor(m / 2), m - 2);  second = the others
        random (RFM)                 first = floor(m / 2) features by chance;  second = the others
        independent (RFM_no_compl)   first, second = floor(m / 2) features by chance, each its own
        none                         first = second = no feature

    The seed is any of the m features, each equally likely; of equal MI, the earlier feature goes
    first. Without `mask_id`, the ids are hidden in both views, and m counts the other features.
    Each view keeps one of the m features, always. A generator in the same state on every process
    gives the same masks. "correlated" alone needs the `information`, in nats, of every two of the k
    features.

    A trap: the id of an item has the highest MI with every feature (nothing tells more than which
    item it is). So with "correlated" and `mask_id`, from 3 features on, the first view hides the id
    in every batch and the second sees it in every batch, unless other features tie with it.

    **Source**: Yao et al., *Self-supervised learning for large-scale item recommendations*, CIKM
    2021, arXiv 2007.12865: RFM, RFM_no_compl, and CFM with one draw a batch.

    **Reconstructed**: the others are drawn once a batch too; the second view hides the odd feature,
    and with "independent" neither does.

    **Differs**: of two features, CFM would hide both in the first view; here the seed alone.

    Raises:
        InputError: fewer than 2 features may be hidden (1 with "none"), or "correlated" has no
            mutual information of k features.

    Example:
        >>> draw_masks(ViewOptions(masking="none", mask_id=False), 3, {0}, np.random.default_rng(0))
        Hidden(first=array([ True, False, False]), second=array([ True, False, False]))
    """
    free = np.array([i for i in range(k) if options.mask_id or i not in id_features], np.int64)
    _check(options, k, len(free))
    half = len(free) // 2
    if options.masking == "none":
        first = second = free[:0]
    elif options.masking == "correlated":
        first = _correlated(free, generator, information, k)
        second = np.setdiff1d(free, first)
    else:
        first, second = np.split(generator.permutation(free), [half])
        if options.masking == "independent":
            second = generator.permutation(free)[:half]
    each = np.arange(k)
    bound = ~np.isin(each, free)
    return Hidden(*(bound | np.isin(each, chosen) for chosen in (first, second)))


def _correlated(
    free: Int64[np.ndarray, " m"],
    generator: np.random.Generator,
    information: Float64[np.ndarray, "k k"] | None,
    k: int,
) -> Int64[np.ndarray, " chosen"]:
    """A seed feature and those that tell most about it."""
    if information is None or len(information) != k:
        given = "none" if information is None else f"that of {len(information)}"
        raise InputError(
            f"views.masking is 'correlated', which needs the mutual information of the {k} "
            f"features, got {given}; measure it on the items, or set views.masking = 'random'"
        )
    seed = generator.choice(free)
    others = free[free != seed]
    # Rounded, so that a tie stays one in whatever order its sums were made.
    told = information[seed, others].round(9)
    most = min(len(free) // 2, len(free) - 2)
    return np.append(others[np.argsort(-told, kind="stable")[:most]], seed)


def _check(options: ViewOptions, k: int, free: int) -> None:
    fewest = 1 if options.masking == "none" else 2
    if free < fewest:
        beside = "" if options.mask_id else " beside the id, which views.mask_id = false hides"
        raise InputError(
            f"views.masking is {options.masking!r}, but of {k} feature(s) {free} can be masked"
            f"{beside}, and each view must keep one; give {fewest} or more, or set views.masking = "
            "'none' and views.mask_id = true"
        )
