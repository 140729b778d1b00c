"""Options that each may be set, but not together."""

from collections.abc import Mapping, Sequence
from typing import Any

from thresher.errors import InputError
from thresher.train.views import SPREAD_OUT, VIEWS

Section = Mapping[str, Any]


def check_together(sections: Mapping[str, Section], terms: Sequence[Section]) -> None:
    """InputError for sections that do not fit together, in one sentence.

    Args:
        sections: of a run, each a table of plain values.
        terms: of its objective.
    """
    train, tower, labels = sections["train"], sections["tower"], sections["labels"]
    kind = tower["kind"]
    of_items = labels["kind"] != "text" or sections["classifiers"]["epochs"]
    if kind in ("tfidf", "vectors") and of_items:
        raise InputError(
            f"the tower {kind!r} has no trainable parameters; remove [labels] and [classifiers]"
        )
    if labels["kind"] == "prototype" and train["negatives"] == "catalogue":
        # Each column is made without the query beside it, which only a batch of pairs can do.
        raise InputError(
            "labels.kind = 'prototype' learns from the items of a batch; leave out "
            "train.negatives = 'catalogue'"
        )
    one_vector = (
        train["hard_negatives"]
        or train["cluster_from_epoch"] >= 0
        or train["negatives"] == "catalogue"
        or of_items
    )
    if tower.get("interests", 1) > 1 and one_vector:
        raise InputError(
            "train.hard_negatives, cluster_from_epoch, negatives = 'catalogue', [labels] and "
            "[classifiers] need one vector a query; leave them out, or tower.interests"
        )
    read = [t["name"] for t in terms if t["links"] in (VIEWS, SPREAD_OUT)]
    if read and kind not in ("bag", "features"):
        raise InputError(
            f"the term {read[0]!r} reads views of items, which are parts of a bag of tokens or "
            f"features, and the tower is {kind!r}; leave the term out, or set tower.kind to 'bag' "
            "or 'features'"
        )
