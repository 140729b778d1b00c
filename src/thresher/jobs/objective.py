"""The objective that a run's terms describe."""

import inspect

from thresher.config import Config
from thresher.losses import LOSSES
from thresher.objective import Objective, Term, Views
from thresher.towers.interests import closest_interest
from thresher.towers.model import halves
from thresher.types import Embeddings


def build_objective(config: Config, dim: int, *, interests: int = 1) -> Objective:
    """The terms of a run, for vectors of this width.

    Args:
        config: of the run.
        dim: width of the vectors that losses compare.
        interests: vectors of each query, of which the one nearest its own item is compared.
    """
    terms = []
    for row in config.objective:
        arguments = dict(row)
        name, kind, links, weight = (arguments.pop(k) for k in ("name", "kind", "links", "weight"))
        if "dim" in inspect.signature(LOSSES[kind]).parameters:
            arguments["dim"] = dim
        terms.append(Term(name, LOSSES[kind](**arguments), links, weight))
    return Objective(terms, views=_views(config, interests))


def _views(config: Config, interests: int) -> Views | None:
    if config.sections["labels"]["kind"] == "prototype":
        return halves
    if interests == 1:
        return None

    def nearest(embeddings: Embeddings) -> Embeddings:
        queries = embeddings["query"]
        return {"query": closest_interest(queries, embeddings["item"][: len(queries)])}

    return nearest
