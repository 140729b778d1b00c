"""A step over the histories of users: every position of a run learns, all of them in one pass."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from thresher.data.dataset import dataset_of
from thresher.data.options import DataOptions
from thresher.losses import Softmax
from thresher.objective import Objective, Term
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.model import RetrievalModel
from thresher.training import batches as module
from thresher.training.batches import Batches, pairs_of
from thresher.training.options import TrainOptions
from thresher.types import Links, Matching

LENGTHS = (9, 2, 14, 5, 7, 11, 3, 12)  # events of each user, all of them trained on


def made(encoder, **options):
    draw = np.random.default_rng(0)
    rows = [
        {"user_id": f"u{user}", "item_id": f"i{draw.integers(12)}", "timestamp": time}
        for user, length in enumerate(LENGTHS)
        for time in range(length)
    ]
    chosen = DataOptions(shares={"train": 1.0}, protocol="users")
    data = dataset_of(chosen, events=pa.Table.from_pylist(rows))
    tower = FeatureTower(dim=8, encoder=encoder, max_history=6, dropout=0.0, seed=1)
    tower.fit(data, FeatureOptions(id_min_count=1))
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in tower.parameter_groups()["layers"]:
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    model = RetrievalModel(tower)
    given = TrainOptions(**{"batch_size": 24, "logq": True, "seed": 4, **options})
    pairs = pairs_of(model, data.part("train"))
    return tower, data, Batches(pairs, given, prototypes=False, device=torch.device("cpu"))


@pytest.mark.parametrize("encoder", ["mean", "gru", "attention"])
def test_the_loss_of_all_positions_is_the_slow_sum_over_each(monkeypatch, encoder):
    monkeypatch.setattr(module, "COLUMNS", 8)
    tower, data, batches = made(encoder)
    assert (batches.run, batches.blocks) == (3, 3)
    train = data.part("train")
    histories, users = train.queries.histories, train.groups
    rows = next(batches.sampler.epoch(0))
    batch, loss = batches.of(rows, 0, 0), Softmax(temperature=0.5)
    total, _ = Objective([Term("main", loss, "query_item")]).reduce(
        {name: tower(inputs) for name, inputs in batch.inputs.items()}, batch.links
    )
    total.backward()
    fast = [p.grad.to_dense() for p in tower.parameters()]
    tower.zero_grad()
    # Slowly: the events before each target that stand in the window of its run, read alone, against
    # the items of every third position, without those of the same user or of the same item.
    shares = np.bincount(train.truth.indices, minlength=len(data.items)) / len(train)
    slow, shared = torch.zeros(()), 0
    for i, (query, window) in enumerate(zip(rows.query_rows, rows.window_rows, strict=True)):
        first = max(int(histories.first[query]), int(histories.last[window]) - 6)
        alone = histories[query : query + 1]
        alone = type(alone)(alone.items, torch.tensor([first]), alone.last)
        one = tower(type(batch.inputs["query"])("query", {}, alone))
        columns = list(range(i % 3, 24, 3))
        items = rows.item_rows[columns]
        out = [
            [0, k]
            for k, j in enumerate(columns)
            if j != i
            and (users[rows.query_rows[j]] == users[query] or items[k] == rows.item_rows[i])
        ]
        log_q = torch.from_numpy(np.log(24 * shares[items])).float()
        pos, dropped = (
            torch.tensor([[0, columns.index(i)]]),
            torch.tensor(out, dtype=torch.int64).reshape(-1, 2),
        )
        links = Links("query", "item", pos, dropped, log_q)
        right = tower(tower.items().take(torch.from_numpy(items)))
        slow = slow + loss.ratios(Matching(one, right, links))[""].num / 24
        shared += int(query != window)
    assert shared >= 8
    slow.backward()
    torch.testing.assert_close(total, slow)
    for got, p in zip(fast, tower.parameters(), strict=True):
        torch.testing.assert_close(got, p.grad.to_dense(), atol=1e-5, rtol=1e-4)


def test_where_positions_are_drawn_each_is_read_alone():
    for options in ({"positives": "one", "batch_size": 8}, {"positives": "rare", "batch_size": 8}):
        _, _, batches = made("gru", **options)
        assert (batches.run, batches.blocks, batches.group) == (1, 1, None)


def test_hard_negatives_and_blocks_do_not_meet(monkeypatch):
    monkeypatch.setattr(module, "COLUMNS", 8)
    _, _, batches = made("gru", hard_negatives=1, logq=False)
    assert (batches.run, batches.blocks) == (3, 1)


@pytest.mark.parametrize(
    ("size", "own", "blocks"),
    # 4096 / 256; 1000 / 3 has no divisor 3, 1000 / 2 has; below 512 one; 3 does not divide 512.
    [(4096, 4096, 16), (1000, 1000, 2), (500, 500, 1), (1024, 512, 4), (1024, 64, 4)],
)
def test_blocks_hold_256_columns_or_more(size, own, blocks):
    assert module._blocks(size, own) == blocks
