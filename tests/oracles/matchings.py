"""Small matchings with known links, for the tests of losses."""

import torch
from torch.nn import functional as F

from thresher.types import Links, Matching

NONE = torch.zeros(0, 2, dtype=torch.long)


def pairs(*edges):
    return torch.tensor(edges) if edges else NONE


def links(pos, drop=(), log_q=None):
    return Links("query", "item", pairs(*pos), pairs(*drop), log_q)


def unit(rows, dim, *, seed, dtype=torch.float64):
    """Unit rows whose inner products lie on both sides of zero."""
    draw = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, dim, generator=draw, dtype=dtype), dim=1)


def values(parts):
    return {name: float((ratio.num / ratio.den).detach()) for name, ratio in parts.items()}


def total(parts):
    return sum(ratio.num for ratio in parts.values())


def scored(scores):
    """A matching whose score matrix is the one given."""

    def with_links(pos, drop=(), log_q=None):
        right = torch.eye(len(scores[0]), dtype=torch.float64)
        return Matching(torch.tensor(scores, dtype=torch.float64), right, links(pos, drop, log_q))

    return with_links
