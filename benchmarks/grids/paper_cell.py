"""Train and measure one cell of the paper's grid: `python -m grids.paper_cell FOLDER`."""

import re
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from grids.paper_training import Draws, Setup, Sharpness, Trainer, Vectors, hardest_share, trained
from thresher.config import Config, read
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.parts import Part
from thresher.errors import InputError
from thresher.evaluate import evaluate
from thresher.jobs.cells import Values, measure_cell
from thresher.jobs.compare import RUN
from thresher.losses import LOSSES
from thresher.retrieve import build

_KEPT = r"(head/|tail/)?recall@\d+|queries|ndcg@50|catalogue_coverage@50|popularity@50"
_TERM = ("name", "kind", "links", "weight")


def measured(folder: Path, task: Mapping[str, Any]) -> Values:
    """Recall on the splits of a task, and what training did."""
    torch.set_num_threads(1)
    config = read(folder / RUN)
    data = load_dataset(config.build("data"), config.folder)
    setup = Setup(**{f.name: task[f.name] for f in fields(Setup)})
    began = time.process_time()
    trainer = trainer_of(config, data, setup)
    train, validation = config.build("train"), data.part("validation")
    depth = int(train.metric.rpartition("@")[2])

    def validate() -> float:
        return metrics(trainer.model, validation, config, data, (depth,))[train.metric]

    values: dict[str, float | None] = {
        **trained(trainer, setup, train.learning_rate, validate),
        "seconds": time.process_time() - began,
        "hardest_share": hardest_share(trainer),
        "hardest_share_at_start": hardest_share(trainer_of(config, data, setup)),
    }
    if trainer.sharpness is not None:
        values["b"] = float(trainer.sharpness.log_b.exp())
        if trainer.sharpness.by_rank is not None:
            values["by_rank"] = float(trainer.sharpness.by_rank)
    ks = config.build("recommend").ks
    for prefix, split in task["splits"].items():
        found = metrics(trainer.model, data.part(split), config, data, ks)
        values |= {f"{prefix}{k}": v for k, v in found.items() if re.fullmatch(_KEPT, k)}
    return values


def trainer_of(config: Config, data: Dataset, setup: Setup) -> Trainer:
    """The untrained model of a run, and what trains it.

    Raises:
        InputError: no training user has events enough.
    """
    train, tower = config.build("train"), config.sections["tower"]
    (term,) = config.objective
    loss = LOSSES[term["kind"]](**{k: v for k, v in term.items() if k not in _TERM})
    draws = Draws(data.part("train"), setup.first_target)
    if not len(draws.rows):
        raise InputError(
            f"no training user has a target after {setup.first_target} events; lower --first-target"
        )
    sharpness = None
    if setup.temperature != "fixed":
        sharpness = Sharpness(by_rank=setup.temperature == "by rank")
    return Trainer(
        Vectors(len(data.items), tower["dim"], max_history=tower["max_history"], seed=train.seed),
        draws,
        loss,
        sharpness,
        batch_size=train.batch_size,
        negatives=train.num_sampled_negatives,
        seed=train.seed,
    )


def metrics(
    model: Vectors, part: Part, config: Config, data: Dataset, ks: tuple[int, ...]
) -> dict[str, float]:
    """The metrics of an exact search over the whole catalogue, the history kept."""
    assert part.queries.histories is not None
    with torch.no_grad():
        users, items = model.users(part.queries.histories).numpy(), model.items().numpy()
    ks = tuple(k for k in ks if k <= len(data.items))
    return evaluate(
        build(items, kind="exact").search(users, ks[-1]),
        part.truth,
        targets=part.targets,
        ks=ks,
        train_counts=data.item_counts(),
        count_repeats=config.build("recommend").count_repeats,
    )


if __name__ == "__main__":
    measure_cell(measured)
