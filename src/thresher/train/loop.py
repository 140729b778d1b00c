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
from torch import Tensor, nn

from thresher import distributed
from thresher.data.links import batch_links, item_log_q
from thresher.data.relation import Relation
from thresher.data.sampler import PairBatch, PairSampler
from thresher.errors import InputError
from thresher.negatives.clusters import clustered_order
from thresher.objective import Objective
from thresher.progress import Bar
from thresher.towers.encode import vectors
from thresher.train import checkpoint
from thresher.train.checkpoint import Position
from thresher.train.optimizer import RowAdagrad
from thresher.train.options import TrainOptions
from thresher.train.step import cached_step, plain_step
from thresher.types import Batch, Inputs, Table


@dataclass(frozen=True)
class Pairs:
    """What is trained on: prepared queries and items, and which query rows to learn from."""

    queries: Table
    items: Table
    relation: Relation
    query_rows: np.ndarray


Validate = Callable[[], Mapping[str, float]]


def train(
    tower: nn.Module,
    objective: Objective,
    pairs: Pairs,
    options: TrainOptions,
    folder: Path,
    *,
    validate: Validate | None = None,
    resume: bool = False,
    fingerprint: str = "",
    quiet: bool = False,
) -> dict[str, float]:
    """Trains the tower in place and returns the validation metrics of the weights it keeps.

    Writes `log.jsonl`, `last.safetensors` (to resume from) and `best.safetensors` into the folder.
    A run that was killed and resumed ends with the same weights, bit for bit, on one CPU process:
    every random choice of a step is seeded by (seed, epoch, step).

    Args:
        tower: what to train, for queries and items alike.
        objective: what to minimise.
        pairs: what to learn from.
        options: how.
        folder: of the log and the checkpoints.
        validate: measures the tower as it is; called after every epoch.
        resume: go on from `last.safetensors` if it is there.
        fingerprint: of configuration and data; a checkpoint of another one is refused.
        quiet: no progress bar.

    Raises:
        InputError: with fewer training pairs than a batch needs, on a metric that validation does
            not measure, or on a checkpoint of another configuration.
    """
    run = _Run(tower, objective, pairs, options, folder)
    folder.mkdir(parents=True, exist_ok=True)
    position, order = run.resumed(fingerprint) if resume else (run.started(fingerprint), None)
    with torch.random.fork_rng(devices=[]), Bar("pairs", quiet=quiet or run.rank > 0) as bar:
        while position.epoch < options.epochs and not 0 < options.patience <= position.stale:
            if order is None:
                order = run.order(position.epoch)
            run.epoch(position, order, bar)
            position, order = run.finished(position, validate() if validate else {}), None
    best = folder / "best.safetensors"
    if validate is None or not best.exists():
        return {}
    checkpoint.load(best, run.modules)
    return dict(validate())


class _Run:
    """The parts of one training run."""

    def __init__(
        self,
        tower: nn.Module,
        objective: Objective,
        pairs: Pairs,
        options: TrainOptions,
        folder: Path,
    ) -> None:
        self.tower, self.objective, self.pairs, self.options = tower, objective, pairs, options
        self.folder, self.rank, world = folder, distributed.rank(), distributed.world()
        count = int(pairs.relation.counts()[pairs.query_rows].sum())
        self.batch_size = options.pairs_a_step(count, world)
        self.sampler = PairSampler(
            pairs.relation,
            pairs.query_rows,
            batch_size=self.batch_size // world,
            seed=options.seed,
            rank=self.rank,
            world=world,
        )
        self.log_q = item_log_q(pairs.relation, pairs.query_rows) if options.logq else None
        self.modules = {"tower": tower, "objective": objective}
        heads = list(objective.parameters())
        groups: list[dict[str, Any]] = [
            {"params": list(tower.parameters()), "peak": options.learning_rate}
        ]
        groups += [{"params": heads, "peak": options.head_learning_rate}] if heads else []
        self.optimizer = RowAdagrad(groups)
        self.board = _tensorboard(folder) if options.tensorboard and not self.rank else None

    def started(self, fingerprint: str) -> Position:
        """The beginning, in a folder without traces of an earlier run."""
        if self.rank == 0:
            for name in ("log.jsonl", "last.safetensors", "best.safetensors"):
                (self.folder / name).unlink(missing_ok=True)
        distributed.barrier()
        return Position(0, 0, None, 0, fingerprint)

    def resumed(self, fingerprint: str) -> tuple[Position, np.ndarray | None]:
        """Where a killed run stopped, and the order of pairs of its unfinished epoch."""
        last = self.folder / "last.safetensors"
        if not last.exists():
            return self.started(fingerprint), None
        position, extra = checkpoint.load(last, self.modules, self.optimizer)
        if position.fingerprint != fingerprint:
            raise InputError(
                f"{last} was written by another configuration or other data; "
                f"train without --resume, or into another folder"
            )
        return position, extra["order"].numpy() if "order" in extra else None

    def order(self, epoch: int) -> np.ndarray | None:
        """The order of the training pairs, when this epoch's batches hold look-alikes."""
        if not 0 <= self.options.clustered_from <= epoch:
            return None
        items = vectors(self.tower, self.pairs.items)
        rows = self.sampler.pairs_of(epoch)[:, 1]
        generator = np.random.default_rng((self.options.seed, epoch, 1))
        size = self.options.cluster_size
        return clustered_order(items[rows], size=size, generator=generator)

    def epoch(self, position: Position, order: np.ndarray | None, bar: Bar) -> None:
        """All steps of an epoch from the position on."""
        size, steps = self.batch_size, self.sampler.steps
        name = f"epoch {position.epoch + 1}/{self.options.epochs}"
        bar.start(name, total=steps * size, done=position.step * size)
        self.tower.train()
        began, done = time.perf_counter(), 0
        for step, batch in enumerate(self.sampler.epoch(position.epoch, order)):
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
                self.save("last", replace(position, step=step + 1), order)

    def step(self, epoch: int, step: int, rows: PairBatch) -> dict[str, float]:
        """One update of the weights."""
        seed = np.random.SeedSequence((self.options.seed, epoch, step, self.rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        number, total = epoch * self.sampler.steps + step, self.options.epochs * self.sampler.steps
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * _schedule(number, total, self.options.warmup_ratio)
        self.optimizer.zero_grad(set_to_none=True)
        batch = self.batch(rows)
        if self.options.chunk:
            logs = cached_step(self.encode, batch, self.objective, chunk=self.options.chunk)
        else:
            logs = plain_step(self.encode, batch, self.objective)
        distributed.average_gradients([*self.tower.parameters(), *self.objective.parameters()])
        self.optimizer.step()
        return logs

    def batch(self, rows: PairBatch) -> Batch:
        """The inputs of a batch of pairs, and what is true between them."""
        links = batch_links(
            self.pairs.relation,
            rows.query_rows,
            rows.columns,
            offset=self.sampler.offset,
            item_log_q=self.log_q,
        )
        inputs = {
            "query": self.pairs.queries.take(torch.from_numpy(rows.query_rows)),
            "item": self.pairs.items.take(torch.from_numpy(rows.item_rows)),
        }
        return Batch(
            inputs, {"offered": links if self.options.logq else replace(links, log_q=None)}
        )

    def encode(self, name: str, inputs: Inputs) -> Tensor:
        """One tower for every input."""
        return self.tower(inputs)

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

    def save(self, name: str, position: Position, order: np.ndarray | None) -> None:
        """A checkpoint, by process 0; the best weights are kept without the optimiser."""
        if self.rank == 0:
            path = self.folder / f"{name}.safetensors"
            optimizer = self.optimizer if name == "last" else None
            extra = {} if order is None else {"order": torch.from_numpy(order)}
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
