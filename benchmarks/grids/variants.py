"""What is added to a backbone: ALC, TCM, both; and in the ablations one part of them at a time."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

# On the vectors that are searched, whichever links the backbone itself has.
# A head of 64 does as well as one as wide as the vectors, and costs less (docs/log.md).
_TCM: Mapping[str, Any] = {"kind": "tcm", "links": "query_item"}
_ALC: Mapping[str, Any] = {"kind": "alc", "links": "query_item", "hidden": 64}
WEIGHTS: Mapping[str, float] = MappingProxyType({"alc": 1.0, "tcm": 0.1})
"""Of a term that says none. On PriceRunner TCM at 1 costs a hinge 0.014 of P@1, at 0.1 nothing."""


class Variant(NamedTuple):
    """What is added to a backbone.

    Args:
        title: after the backbone's own.
        terms: of the objective, besides the backbone's own.
        group: rows of one group stand together in the figure of the ablations.
        train: keys of `[train]`.
    """

    title: str
    terms: Sequence[Mapping[str, Any]]
    group: str = ""
    train: Mapping[str, Any] = MappingProxyType({})


FULL: Sequence[Variant] = (
    Variant("", ()),
    Variant(" + TCM", (_TCM,)),
    Variant(" + ALC", (_ALC,)),
    Variant(" + ALC + TCM", (_ALC, _TCM)),
)


def ablations() -> Iterator[Variant]:
    """Each part of ALC and TCM by itself; what is not said stays at its default."""
    for variant in FULL:
        yield variant._replace(group="defaults")
    parts: Mapping[str, Mapping[str, Any]] = {
        "b1 alone": {"b2": 0.0},
        "b2 alone": {"b1": 0.0},
        **{f"K {k}": {"hardest": k} for k in (1, 5, 20)},
        "context pooled": {"context": "pooled"},
        "context query_batch": {"context": "query_batch"},
        "form softmax": {"form": "softmax"},
        "head 256": {"hidden": 256},
        **{f"weight {weight:g}": {"weight": weight} for weight in (0.3, 3.0)},
    }
    for title, options in parts.items():
        yield Variant(f" + ALC, {title}", ({**_ALC, **options},), "ALC")
    for rate in (0.0005, 0.05):
        train = {"head_learning_rate": rate}
        yield Variant(f" + ALC, head rate {rate:g}", (_ALC,), "ALC", train)
    for weight in (0.3, 1.0):
        yield Variant(f" + TCM, weight {weight:g}", ({**_TCM, "weight": weight},), "TCM weight")
    for high in (0.6, 0.7, 0.8, 0.9):
        for low in (0.2, 0.3, 0.4, 0.5):
            if (high, low) != (0.9, 0.5):  # the defaults, above
                term = {**_TCM, "margin_pos": high, "margin_neg": low}
                yield Variant(f" + TCM, margins {high:g} {low:g}", (term,), f"TCM m+ {high:g}")
