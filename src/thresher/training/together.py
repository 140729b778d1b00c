"""Options that each may be, but not together: one sentence for each."""

from collections.abc import Mapping, Sequence
from typing import Any

from thresher.errors import InputError
from thresher.training.batches import PROTOTYPE_LINKS
from thresher.training.views import SPREAD_OUT, VIEWS

_UNTRAINED = ("tfidf", "vectors")


def check_together(
    sections: Mapping[str, Mapping[str, Any]], terms: Sequence[Mapping[str, Any]], *, events: bool
) -> None:
    """InputError for sections of a run that cannot be combined; the sentence names both options.

    Sections and terms are tables with all their keys; with events queries have histories.
    """
    tower, train, labels = sections["tower"], sections["train"], sections["labels"]
    kind, own = tower["kind"], labels["kind"] != "text"
    classified = bool(sections["classifiers"]["epochs"])
    if kind in _UNTRAINED and (own or classified):
        raise InputError(
            f"the tower {kind!r} has no trainable parameters; remove [labels] and [classifiers], "
            "or set tower.kind = 'features'"
        )
    if kind not in ("features", *_UNTRAINED) and events:
        raise InputError(
            f"the tower {kind!r} reads texts, and queries are events; set tower.kind = 'features'"
        )
    several = tower.get("interests", 1) > 1
    one_vector = {
        "train.hard_negatives": train["hard_negatives"],
        "train.cluster_from_epoch": train["cluster_from_epoch"] >= 0,
        "train.negatives = 'catalogue'": train["negatives"] == "catalogue",
        "[labels]": own,
        "[classifiers]": classified,
    }
    if several and (found := [name for name, is_set in one_vector.items() if is_set]):
        raise InputError(
            f"{found[0]} needs one vector a query, and tower.interests is {tower['interests']}; "
            "remove one of the two"
        )
    if several and not events:
        raise InputError(
            f"tower.interests is {tower['interests']}, and queries have no events; leave it out"
        )
    if labels["kind"] == "prototype" and train["negatives"] == "catalogue":
        # Each column is made without the query beside it, which only a batch of pairs can do.
        raise InputError(
            "labels.kind = 'prototype' learns from the items of a batch; leave out "
            "train.negatives = 'catalogue'"
        )
    _check_links(kind, labels["kind"], terms)


def _check_links(kind: str, labels: str, terms: Sequence[Mapping[str, Any]]) -> None:
    for term in terms:
        if term["links"] in (VIEWS, SPREAD_OUT) and kind != "features":
            raise InputError(
                f"the term {term['name']!r} reads links {term['links']!r}, which are of the "
                f"features of an item, and the tower is {kind!r}; leave the term out, or set "
                "tower.kind = 'features'"
            )
        if term["links"] in PROTOTYPE_LINKS and labels != "prototype":
            raise InputError(
                f"the term {term['name']!r} reads links {term['links']!r}, which label prototypes "
                "have; set labels.kind = 'prototype', or leave the term out"
            )
