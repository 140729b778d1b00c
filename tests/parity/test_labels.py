"""Items that have more than a text: the cached step gives the gradients of the plain one."""

import numpy as np
import pytest
import torch

from oracles.tables import dataset
from thresher.losses import Softmax
from thresher.objective import Objective, Term
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.labels import LabelTable, PrototypeLabels, SharedLabels
from thresher.train.step import cached_step, plain_step
from thresher.types import Batch, Links

QUERIES = ["red kettle", "blue kettle", "toaster", "kettle 2", "cup"]
ITEMS = ["kettle red", "kettle blue", "toaster two slices", "new mug", "cup"]
PAIRS = np.array([[0, 0], [1, 1], [2, 2], [3, 0], [4, 3]])


def problem(kind):
    """Two sides and a batch: item 3 is new, and item 0 stands there twice, with either query."""
    draw = torch.Generator().manual_seed(1)
    data = dataset({"title": ITEMS}, {"title": QUERIES}, PAIRS, text=True)
    tower = FeatureTower(dim=8, bits=10, token_dropout=0.0)
    tower.fit(data, FeatureOptions())
    if kind == "shared":
        labels = SharedLabels(8, torch.tensor([0, 1, 1, 2]), 3)
    else:
        labels = PrototypeLabels(8, 4, generator=draw)
    for p in labels.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=draw)
    queries = tower.queries(data.part("train").queries).take(torch.arange(5))
    if kind == "prototype":
        labels.refresh(tower(queries), PAIRS)
    rows = torch.tensor([0, 1, 2, -1, 3])
    items = LabelTable(tower.items(), rows).taken(
        torch.tensor([0, 1, 2, 0, 4, 3]), torch.tensor([0, 1, 2, 3, 4, -1])
    )
    pos = torch.arange(5).repeat(2, 1).T
    links = Links("query", "item", pos, torch.tensor([[0, 3], [3, 0]]))
    batch = Batch({"query": queries, "item": items}, {"query_item": links})

    def encode(name, inputs):
        if name == "item":
            return labels(tower(inputs.text), inputs.rows, inputs.own)
        vectors = tower(inputs)
        return vectors.repeat(1, 2) if kind == "prototype" else vectors

    return encode, batch, [*tower.parameters(), *labels.parameters()]


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("kind", ["shared", "prototype"])
def test_the_cached_step_equals_the_plain_step(kind, chunk):
    found = []
    for step in (plain_step, lambda *args: cached_step(*args, mini_batch_size=chunk)):
        encode, batch, parameters = problem(kind)
        logs = step(encode, batch, Objective([Term("main", Softmax(), "query_item")]))
        found.append((logs, [p.grad.to_dense() for p in parameters]))
    (logs, gradients), (other_logs, other_gradients) = found
    assert logs == pytest.approx(other_logs, rel=1e-5)
    for a, b in zip(gradients, other_gradients, strict=True):
        assert a.abs().sum() > 0
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
