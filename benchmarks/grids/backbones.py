"""Backbones of extreme classification, each as the sections of a run that set it apart.

A backbone is no program: it says how an item gets its vector (`labels`), what is minimised
(`objective`) and how batches are drawn (`train`). All else is the base of the run, the same for
every backbone. A new one is one more entry.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Backbone(NamedTuple):
    """What sets a backbone apart.

    Args:
        title: as a table names it.
        sections: of a run's TOML, `objective` among them.
    """

    title: str
    sections: Mapping[str, Any]


_NGAME_TERM = {"kind": "hinge", "hardest": 10, "margin": 0.3, "temperature": 0.1}
_PRIME_TERM = _NGAME_TERM | {"smallest_margin": 0.1}
_CROLOSS_TERM = {"kind": "croloss", "kernel": "exp", "alpha": 1.4, "temperature": 0.05}

BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        # Dahiya et al., WSDM 2023. Clustered batches are the default of [train].
        "ngame": Backbone(
            "NGAME",
            {
                "labels": {"kind": "text"},
                "objective": [_NGAME_TERM],
                "train": {"positives": "one"},
            },
        ),
        # Dahiya et al., KDD 2023: NGAME whose label vectors are text plus a shared part.
        "dexa": Backbone(
            "DEXA",
            {
                "labels": {"kind": "shared", "private": 1000},
                "objective": [_NGAME_TERM],
                "train": {"positives": "one"},
            },
        ),
        # Dahiya et al., NAACL 2025: label prototypes, a dynamic margin, three ways to compare.
        "prime": Backbone(
            "PRIME",
            {
                "labels": {"kind": "prototype"},
                "objective": [
                    {"name": "main", "links": "query_item", **_PRIME_TERM},
                    {"name": "query_text", "links": "query_text", **_PRIME_TERM},
                    {"name": "text_query", "links": "text_query", **_PRIME_TERM},
                    {"kind": "prototype", "links": "text_minus_prototype", "weight": 0.1},
                ],
                "train": {"positives": "rare"},
            },
        ),
        # Gupta et al., ICLR 2024: a softmax over all labels, other positives left out.
        "dexml": Backbone(
            "DEXML",
            {
                "labels": {"kind": "text"},
                "objective": [{"kind": "softmax", "temperature": 0.05}],
                "train": {"negatives": "catalogue"},
            },
        ),
        # The library's own first term.
        "softmax": Backbone("softmax", {"objective": [{"kind": "softmax"}]}),
        # Tang et al., CIKM 2022: that softmax with more weight on what is nearly first.
        "croloss": Backbone("CROLoss", {"objective": [_CROLOSS_TERM]}),
    }
)
"""Name on the command line -> backbone."""
