"""What a features run costs: self-supervision beside a plain step, and tables of many ids.

Steps of training on made-up data (`grids.synthetic`), in turn in one process, each first
every other round, so that what else the machine does falls on all. Two questions: what a
self-supervised term adds, beside the pass over items that it needs; and whether a step costs the
rows that it touches or the table.

    python benchmarks/features.py                       both, some minutes
    python benchmarks/features.py --rows 10000 1000000  smaller tables: 10 million need 6 GB
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional as F

from grids.synthetic import Synthetic, write
from thresher.config import read
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.parts import Part
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.jobs.objective import build_objective
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.model import RetrievalModel
from thresher.training.batches import pairs_of
from thresher.training.loop import Run
from thresher.training.optimizer import RowAdagrad
from thresher.training.views import views_of

TERM = '[[objective]]\nkind = "softmax"\nname = "ssl"\nlinks = "{}"\ntemperature = 0.1\n'
ARMS = {
    "plain": "",
    "spread-out (SO)": TERM.format("spread_out"),
    "views (CFM)": TERM.format("views"),
    "views (RFM)": TERM.format("views") + '[views]\nmasking = "random"\n',
    "views (NoMasking)": TERM.format("views") + '[views]\nmasking = "none"\n',
}
RUN = """
[data]
items = "items.parquet"
queries = "queries.parquet"
pairs = "pairs.parquet"
[tower]
combine = "concat"
[train]
batch_size = {batch}
[[objective]]
kind = "softmax"
temperature = 0.1
"""
WIDTH, TOUCHED = 64, 4096


def training(folder: Path, arm: str, batch: int) -> Callable[[], None]:
    """Ten steps of an arm, going on from one call to the next."""
    path = folder / "run.toml"
    path.write_text(RUN.format(batch=batch) + ARMS[arm], "utf-8")
    config = read(path)
    data = load_dataset(config.build("data"), config.folder)
    tower, options = config.build("tower"), config.build("train")
    tower.fit(data, config.build("features"))
    model = RetrievalModel(tower)
    views = views_of(config.build("views"), tower, config.objective, seed=options.seed)
    pairs = pairs_of(model, data.part("train"), views=views)
    run = Run(model, build_objective(config, tower.dim), pairs, options, folder)
    run.model.train()
    batches = (batch for epoch in range(10**6) for batch in run.sampler.epoch(epoch))

    def go() -> None:
        for _ in range(10):
            run.step(0, 0, next(batches))

    return go


def table_step(rows: int) -> Callable[[], None]:
    """Ten steps of a tower whose ids are so many, each of which touches as many of them."""
    ids = pa.array(np.arange(rows)).cast(pa.string())
    table, each = pa.table({"id": ids}), np.arange(rows)
    truth = Relation.from_pairs(each, each, shape=(rows, rows))
    train = Part(Queries.of_table(table), truth, Relation.none(truth.shape))
    parts = {"train": train, **dict.fromkeys(("validation", "calibration", "test"), train.first(0))}
    data = Dataset(table, parts, (), (), (), "items", "queries")
    tower = FeatureTower(combine="concat", layers=(64,), dim=128, dropout=0.0)
    tower.fit(data, FeatureOptions(width=WIDTH, id_min_count=0))
    tables = {"query": tower.queries(train.queries), "item": tower.items()}
    groups = tower.parameter_groups()
    optimizer = RowAdagrad(
        [{"params": groups["table"], "lr": 0.1}, {"params": groups["layers"], "lr": 1e-3}]
    )
    draw = torch.Generator().manual_seed(0)

    def go() -> None:
        for _ in range(10):
            optimizer.zero_grad(set_to_none=True)
            of = {s: torch.randint(rows, (TOUCHED // 2,), generator=draw) for s in tables}
            query, item = (tower(table.take(of[side])) for side, table in tables.items())
            F.mse_loss(query, item).backward()
            optimizer.step()

    return go


def timed(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run in each round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            begun = time.process_time()
            runs[name]()
            if turn:
                seconds[name].append(time.process_time() - begun)
    return seconds


def show(seconds: dict[str, list[float]], unit: str, per_round: float) -> None:
    """A line for each run: how much a second, and its time as a ratio to the first, by round."""
    first = next(iter(seconds))
    for name, own in seconds.items():
        rates = sorted(per_round / s for s in own)
        ratios = sorted(s / f for s, f in zip(own, seconds[first], strict=True))
        print(
            f"| {name} | {statistics.median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) "
            f"{unit} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
        )


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(Synthetic(), folder)
        print(f"processor time of one thread, batches of {given.batch} pairs and as many items\n")
        print("| arm | pairs a second | time against plain |\n|-|-|-|")
        arms = {arm: training(folder, arm, given.batch) for arm in ARMS}
        show(timed(arms, given.rounds), "pairs/s", 10 * given.batch)
    print(f"\n| ids x {WIDTH} | steps a second, {TOUCHED:,} rows each | time against the first |")
    print("|-|-|-|")
    tables = {f"{rows:,}": table_step(rows) for rows in given.rows}
    show(timed(tables, given.rounds), "steps/s", 10)


if __name__ == "__main__":
    main()
