"""Train one cell as published, and measure its best epoch and its last.

    python -m grids.ssl_paper_cell FOLDER

What is the paper's and no key of a run: Adagrad for every parameter, number by number, at one rate
that neither rises nor falls, and so many epochs that are read at their end too. All else, the
towers, views, batches, losses and metrics, is the library's.
"""

import copy
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from thresher import baselines
from thresher.config import Config, read
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.parts import Part
from thresher.data.relation import Relation
from thresher.evaluate import as_json, evaluate
from thresher.jobs.cells import Values, measure_cell
from thresher.jobs.compare import RUN
from thresher.jobs.objective import build_objective
from thresher.retrieve import build, search_without
from thresher.towers.inputs import QueryTable
from thresher.towers.model import RetrievalModel
from thresher.training.batches import Batches, pairs_of
from thresher.training.step import plain_step
from thresher.training.views import views_of

KEPT = ("recall@10", "recall@50", "map@10", "catalogue_coverage@10")
SLICES = ("head", "tail", "unseen")
POPULARITY = "popularity/"
_TINY = 1e-10


class Adagrad:
    """Adagrad as TensorFlow has it, for dense gradients and for those of rows.

    Equation, for each number g of a gradient, with a = a_0 at the start:
        a = a + g^2,  p = p - lr g / sqrt(a)

    Source:    Duchi et al., JMLR 2011; a_0 = 0.1 is TensorFlow's default (`AdagradOptimizer`).

    Args:
        params: what is learned.
        lr: the rate, the same at every step.
        initial_accumulator: a_0.
    """

    def __init__(self, params: Iterable[Tensor], *, lr: float, initial_accumulator: float) -> None:
        self.lr = lr
        self.sums = [(p, torch.full_like(p, initial_accumulator)) for p in params]

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient; of a table only the rows in use."""
        for p, total in self.sums:
            if p.grad is not None and p.grad.is_sparse:
                grad = p.grad.coalesce()
                rows, values = grad.indices()[0], grad.values()
                new = total[rows].addcmul_(values, values)
                total[rows] = new
                p.index_add_(0, rows, values / (new.sqrt() + _TINY), alpha=-self.lr)
            elif p.grad is not None:
                total.addcmul_(p.grad, p.grad)
                p.addcdiv_(p.grad, total.sqrt() + _TINY, value=-self.lr)
            p.grad = None


def measured(folder: Path, task: Mapping[str, Any]) -> Values:
    """The numbers of the best epoch on validation, `best/...`, and of the last, `last/...`.

    `popularity/...` are those of listing what stands most often in training.
    """
    config = read(folder / RUN)
    data = load_dataset(config.build("data"), config.folder)
    torch.manual_seed(config.sections["train"]["seed"])
    model, batches, optimizer, objective = _made(config, data, float(task.get("start", 1.0)))
    validation, test = (Asked.of(model, config, data, split) for split in ("validation", "test"))
    counts = data.item_counts()
    best: dict[str, Any] = {"metric": -1.0}
    seconds, curve = 0.0, []
    for epoch in range(config.sections["train"]["epochs"]):
        began = time.process_time()
        model.train()
        for step, rows in enumerate(batches.sampler.epoch(epoch)):
            seed = np.random.SeedSequence((config.sections["train"]["seed"], epoch, step))
            torch.manual_seed(int(seed.generate_state(1)[0]))
            plain_step(lambda name, inputs: model(inputs), batches.of(rows, epoch, step), objective)
            optimizer.step()
        seconds += time.process_time() - began
        found = numbers(model, validation, counts, ks=(10,))["recall@10"]
        curve.append(found)
        if found > best["metric"]:
            best = {"metric": found, "epoch": epoch + 1, "state": copy.deepcopy(model.state_dict())}
    values: dict[str, float | None] = {
        "seconds": seconds,
        "epoch": float(best["epoch"]),
        **{f"validation/recall@10/{n}": value for n, value in enumerate(curve, 1)},
    }
    values |= _kept("last/test/", numbers(model, test, counts))
    model.load_state_dict(best["state"])
    values |= _kept("best/test/", numbers(model, test, counts))
    values |= _kept(f"test/{POPULARITY}", numbers(None, test, counts))
    values["best/validation/recall@10"] = best["metric"]
    values["last/validation/recall@10"] = curve[-1]
    return values


def _made(
    config: Config, data: Dataset, start: float
) -> tuple[RetrievalModel, Batches, Adagrad, Any]:
    """What one cell trains: the model, its batches, optimiser and objective."""
    tower, options = config.build("tower"), config.build("train")
    tower.fit(data, config.build("features"))
    tower.describe(data.items)
    with torch.no_grad():
        for table in tower.tables:
            table *= start
    model = RetrievalModel(tower)
    views = views_of(config.build("views"), tower, config.objective, seed=options.seed)
    pairs = pairs_of(model, data.part("train"), views=views)
    objective = build_objective(config, tower.dim)
    read_links = {term.links for term in objective.terms}
    batches = Batches(pairs, options, prototypes=False, read=read_links, device=torch.device("cpu"))
    rates = {"lr": options.learning_rate, "initial_accumulator": options.initial_accumulator}
    return model, batches, Adagrad(model.parameters(), **rates), objective


class Asked(NamedTuple):
    """The queries of a split.

    Args:
        part: with their true items.
        table: as the tower reads them.
        ignored: what is not listed for each.
    """

    part: Part
    table: QueryTable
    ignored: Relation

    @classmethod
    def of(cls, model: RetrievalModel, config: Config, data: Dataset, split: str) -> "Asked":
        """Those of a split, prepared once; histories are listed or not, as the run says."""
        part = data.part(split)
        ignored, histories = part.ignored, part.queries.histories
        if config.build("recommend").remove_history and histories is not None:
            ignored = ignored.union(histories.sequences().relation(len(data.items)))
        return cls(part, model.tower.queries(part.queries), ignored)


def numbers(
    model: RetrievalModel | None,
    asked: Asked,
    counts: Int64[np.ndarray, " N"],
    ks: tuple[int, ...] = (10, 50),
) -> dict[str, float]:
    """What the metrics are of the lists of a model, or of popularity without one."""
    if model is None:
        hits = baselines.popular(counts, ks[-1], asked.ignored)
    else:
        model.eval()
        index = build(model.vectors(model.items()), kind="auto")
        vectors = model.vectors(asked.table)
        hits = search_without(lambda depth: index.search(vectors, depth), ks[-1], asked.ignored)
    part = asked.part
    return evaluate(hits, part.truth, targets=part.targets, ks=ks, train_counts=counts)


def _kept(prefix: str, found: Mapping[str, float]) -> dict[str, float | None]:
    names = [*KEPT, *(f"{s}/recall@{k}" for s in SLICES for k in (10, 50))]
    return as_json({prefix + name: found[name] for name in names if name in found})


if __name__ == "__main__":
    measure_cell(measured)
