"""The training loop: batches of true pairs, one step each, validation, checkpoints, a log."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thresher import distributed
from thresher.data.sampler import PairBatch
from thresher.errors import InputError
from thresher.negatives.clusters import clustered_order
from thresher.negatives.hard import hard_negatives
from thresher.objective import Objective
from thresher.progress import Bar
from thresher.retrieve import build
from thresher.towers.labels import PrototypeLabels
from thresher.towers.model import RetrievalModel
from thresher.training import checkpoint
from thresher.training.batches import Batches, Pairs
from thresher.training.checkpoint import Position
from thresher.training.optimizer import RowAdagrad
from thresher.training.options import TrainOptions
from thresher.training.step import cached_step, plain_step
from thresher.types import Inputs

HARD_DEPTH = 32
"""Closest wrong items of a query from which those of a step are drawn."""


Validate = Callable[[], Mapping[str, float]]


def train(
    model: RetrievalModel,
    objective: Objective,
    pairs: Pairs,
    options: TrainOptions,
    folder: Path,
    *,
    validate: Validate | None = None,
    resume: bool = False,
    fingerprint: str = "",
    quiet: bool = False,
    label: str = "",
) -> dict[str, float]:
    """Trains the model in place and returns the validation metrics of the weights it keeps.

    Writes `log.jsonl`, `last.safetensors` (to resume from) and `best.safetensors` into the folder.
    A run that was killed and resumed ends with the same weights, bit for bit, on one CPU process:
    every random choice of a step is seeded by (seed, epoch, step).

    `validate` measures the model as it is, after every epoch. With `resume` a run goes on from
    `last.safetensors` if it is there, unless its fingerprint of configuration and data is another.
    `label` stands before the number of the epoch in the bar.

    Raises:
        InputError: with fewer training pairs than a batch needs, on a metric that validation does
            not measure, or on a checkpoint of another configuration.
    """
    run = Run(model, objective, pairs, options, folder)
    folder.mkdir(parents=True, exist_ok=True)
    position, plan = run.resumed(fingerprint) if resume else (run.started(fingerprint), None)
    with torch.random.fork_rng(devices=[]), Bar("pairs", quiet=quiet or run.rank > 0) as bar:
        while position.epoch < options.epochs and not 0 < options.patience <= position.stale:
            if plan is None:
                plan = run.plan(position.epoch)
            run.epoch(position, plan, bar, label)
            run.refresh()
            position, plan = run.finished(position, validate() if validate else {}), None
    best = folder / "best.safetensors"
    if validate is None or not best.exists():
        return {}
    checkpoint.load(best, run.modules)
    return dict(validate())


@dataclass(frozen=True)
class _Plan:
    """What is made before an epoch: an order of its pairs, the closest wrong items of queries."""

    order: np.ndarray | None = None
    hard: np.ndarray | None = None

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint in the middle of an epoch keeps."""
        parts = {"order": self.order, "hard": self.hard}
        return {name: torch.from_numpy(x) for name, x in parts.items() if x is not None}


class Run:
    """The parts of one training run."""

    def __init__(
        self,
        model: RetrievalModel,
        objective: Objective,
        pairs: Pairs,
        options: TrainOptions,
        folder: Path,
    ) -> None:
        self.model, self.objective, self.pairs, self.options = model, objective, pairs, options
        self.folder, self.rank = folder, distributed.rank()
        self.device = next(model.parameters()).device
        own, read = isinstance(model.labels, PrototypeLabels), {t.links for t in objective.terms}
        self.batches = Batches(pairs, options, prototypes=own, read=read, device=self.device)
        self.sampler, self.place = self.batches.sampler, self.batches.place
        self.modules = {"model": model, "objective": objective}
        self.encoded: np.ndarray | None = None
        self.seen: list[Tensor] = []
        self.optimizer = RowAdagrad(
            _groups(model, objective, options), initial_accumulator=options.initial_accumulator
        )
        self.board = _tensorboard(folder) if options.tensorboard and not self.rank else None

    def started(self, fingerprint: str) -> Position:
        """The beginning, in a folder without traces of an earlier run."""
        if self.rank == 0:
            for name in ("log.jsonl", "last.safetensors", "best.safetensors"):
                (self.folder / name).unlink(missing_ok=True)
        distributed.barrier()
        return Position(0, 0, None, 0, fingerprint)

    def resumed(self, fingerprint: str) -> tuple[Position, _Plan | None]:
        """Where a killed run stopped, and the plan of its unfinished epoch."""
        last = self.folder / "last.safetensors"
        if not last.exists():
            return self.started(fingerprint), None
        position, extra = checkpoint.load(last, self.modules, self.optimizer)
        if position.fingerprint != fingerprint:
            raise InputError(
                f"{last} was written by another configuration or other data; "
                f"train without --resume, or into another folder"
            )
        plan = _Plan(**{name: tensor.numpy() for name, tensor in extra.items()})
        return position, plan if position.step else None

    def plan(self, epoch: int) -> _Plan:
        """Look-alikes, hard negatives and label centroids from the weights as they are."""
        size = self.options.cluster_size_at(epoch)
        searches = self.options.hard_negatives > 0 and epoch > 0
        self.refresh()
        if size is None and not searches:
            return _Plan()
        rows, queries = self.pairs.query_rows, self.queries()
        order = hard = None
        if size is not None:
            generator = np.random.default_rng((self.options.seed, epoch, 1))
            at = self.place[self.sampler.pairs_of(epoch)[:, 0]]
            order = clustered_order(queries[at], size=size, generator=generator)
        if searches:
            hard = np.full((len(self.pairs.relation), HARD_DEPTH), -1, np.int64)
            hard[rows] = self.hard(queries, rows)
        return _Plan(order, hard)

    def refresh(self) -> None:
        """Label centroids from the weights as they are."""
        if isinstance(self.model.labels, PrototypeLabels):
            pairs = self.pairs.relation.take(self.pairs.query_rows).pairs()
            self.model.labels.refresh(torch.from_numpy(self.queries()), pairs)

    def queries(self) -> np.ndarray:
        """Vectors of the queries that are learnt from; encoded once between two steps."""
        if self.encoded is None:
            rows = torch.from_numpy(self.pairs.query_rows)
            self.encoded = self.model.vectors(self.pairs.queries.take(rows))
        return self.encoded

    def hard(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The closest wrong items of each query that is learnt from."""
        search, relation = build(self.model.vectors(self.pairs.items)).search, self.pairs.relation
        ignored = None if self.pairs.ignored is None else self.pairs.ignored.take(rows)
        true = relation.take(rows)
        return hard_negatives(queries, search, true, depth=HARD_DEPTH, ignored=ignored)

    def epoch(self, position: Position, plan: _Plan, bar: Bar, label: str = "") -> None:
        """All steps of an epoch from the position on."""
        size, steps = self.batches.size, self.sampler.steps
        name = f"{label}epoch {position.epoch + 1}/{self.options.epochs}"
        bar.start(name, total=steps * size, done=position.step * size)
        self.model.train()
        began, done = time.perf_counter(), 0
        for step, batch in enumerate(self.sampler.epoch(position.epoch, plan.order, plan.hard)):
            if step < position.step:
                continue
            logs = self.step(position.epoch, step, batch)
            bar.advance(size, f"loss {logs['total']:.3f}")
            done += size
            if (step + 1) % 10 == 0 or step + 1 == steps:
                rate = done / (time.perf_counter() - began)
                self.log(position.epoch, step + 1, {**logs, "pairs_per_second": round(rate)})
            every = self.options.checkpoint_steps
            if every and (step + 1) % every == 0 and step + 1 < steps:
                self.save("last", replace(position, step=step + 1), plan)

    def step(self, epoch: int, step: int, rows: PairBatch) -> dict[str, float]:
        """One update of the weights."""
        seed = np.random.SeedSequence((self.options.seed, epoch, step, self.rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        number, total = epoch * self.sampler.steps + step, self.options.epochs * self.sampler.steps
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * _schedule(number, total, self.options.warmup_ratio)
        self.optimizer.zero_grad(set_to_none=True)
        self.encoded = None
        batch = self.batches.of(rows, epoch, step)
        half = self.options.precision == "bfloat16"
        size = self.options.mini_batch_size
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                if size:
                    logs = cached_step(self.encode, batch, self.objective, mini_batch_size=size)
                else:
                    logs = plain_step(self.encode, batch, self.objective)
        except FloatingPointError as error:
            raise InputError(f"epoch {epoch + 1}, step {step + 1}: {error}") from error
        distributed.average_gradients([*self.model.parameters(), *self.objective.parameters()])
        self.optimizer.step()
        self.store(rows)
        return logs

    def store(self, rows: PairBatch) -> None:
        """Keeps the centroids of label prototypes at the queries as they were just encoded."""
        seen, self.seen = self.seen, []
        if not isinstance(self.model.labels, PrototypeLabels):
            return
        queries, first = np.unique(rows.queries, return_index=True)
        vectors = distributed.gather(torch.cat(seen))[torch.from_numpy(first).to(self.device)]
        pairs = self.pairs.relation.take(queries).pairs()
        self.model.labels.store(self.place[queries], vectors, pairs)

    def encode(self, name: str, inputs: Inputs) -> Tensor:
        """One tower for every input."""
        rows: Tensor = self.model(inputs)
        # In mini-batches a query is encoded twice, the first time without gradient.
        if name == "query" and rows.requires_grad != bool(self.options.mini_batch_size):
            self.seen.append(rows.detach())
        return rows

    def finished(self, position: Position, metrics: Mapping[str, float]) -> Position:
        """Notes an epoch's validation, saves, and returns where the next epoch begins."""
        best, stale = position.best, position.stale
        if metrics:
            if self.options.metric not in metrics:
                raise InputError(
                    f"train.metric is {self.options.metric!r}; validation measures "
                    f"{', '.join(sorted(metrics))}"
                )
            value = metrics[self.options.metric]
            better = best is None or value > best
            best, stale = (value, 0) if better else (best, stale + 1)
        after = Position(position.epoch + 1, 0, best, stale, position.fingerprint)
        if metrics:
            self.log(position.epoch, self.sampler.steps, metrics, prefix="validation/")
            if stale == 0:
                self.save("best", after, None)
        self.save("last", after, None)
        return after

    def save(self, name: str, position: Position, plan: _Plan | None) -> None:
        """A checkpoint, by process 0; the best weights are kept without the optimiser."""
        if self.rank == 0:
            path = self.folder / f"{name}.safetensors"
            optimizer = self.optimizer if name == "last" else None
            extra = {} if plan is None else plan.tensors()
            checkpoint.save(path, position, self.modules, optimizer, extra)
        distributed.barrier()

    def log(self, epoch: int, step: int, values: Mapping[str, float], prefix: str = "") -> None:
        """One line of the log, and one point of each curve of TensorBoard."""
        if self.rank:
            return
        line = {"epoch": epoch, "step": step, **{prefix + k: v for k, v in values.items()}}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(prefix + name, value, epoch * self.sampler.steps + step)
            self.board.flush()


def _groups(
    model: RetrievalModel, objective: Objective, options: TrainOptions
) -> list[dict[str, Any]]:
    """Parameters with their highest learning rate."""
    rates = {
        "table": options.learning_rate,
        "label": options.label_learning_rate,
        "layers": options.layer_learning_rate,
        "head": options.head_learning_rate,
    }
    groups = {**model.parameter_groups(), "head": list(objective.parameters())}
    return [{"params": own, "peak": rates[name]} for name, own in groups.items() if own]


def _schedule(step: int, steps: int, warmup_ratio: float) -> float:
    """Share of the highest rate: it rises over the warm-up and then falls to 0, both linearly."""
    warm = max(1, math.ceil(steps * warmup_ratio))
    return min(1.0, (step + 1) / warm) * (1 - step / steps)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "train.tensorboard needs the extra: pip install 'thresher[track]'"
        ) from None
    return SummaryWriter(str(folder / "tensorboard"))
