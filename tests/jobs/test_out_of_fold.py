"""Training queries are seen by towers that were trained without them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from oracles.tables import histories
from thresher.config import read
from thresher.data.dataset import Part
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.jobs import out_of_fold
from thresher.jobs.out_of_fold import examples_of
from thresher.rerank import Examples

N = 40


@pytest.fixture
def data():
    """Queries of which every two have the same text."""
    table = pa.table(
        {"id": [str(i) for i in range(N)], "title": [f"text {i // 2}" for i in range(N)]}
    )
    truth = Relation.from_pairs(np.arange(N), np.arange(N) % 5, shape=(N, 5))
    part = Part(Queries.of_table(table), truth, Relation.none((N, 5)))
    return Parts({"train": part}, ("title",))


class Parts:
    """A dataset of training queries alone."""

    def __init__(self, parts, query_text):
        self.parts, self.query_text = parts, query_text

    def part(self, name):
        return self.parts[name]


def run(monkeypatch, data, **decide):
    """Which queries each tower was trained on, and which it was asked about."""
    monkeypatch.setattr(out_of_fold, "replace", lambda data, parts: Parts(parts, data.query_text))
    config = read(
        {
            "data": {"items": "i.csv", "queries": "q.csv", "pairs": "p.csv"},
            "decide": {"target": 0.9, **decide},
        }
    )
    seen = []

    def train(rest, number):
        own = rest.part("train").queries.text(("title",))

        def asked(part, options):
            seen.append((set(own), set(part.queries.text(("title",))), number))
            n = len(part)
            return Examples(
                np.zeros((n, 1, 1), "f4"), np.ones((n, 1), bool), np.zeros((n, 1), bool), ("x",)
            )

        return SimpleNamespace(examples_of=asked)

    return examples_of(config, data, train), seen


def test_no_text_is_judged_by_a_tower_that_knows_it(monkeypatch, data):
    found, seen = run(monkeypatch, data, folds=4)
    assert len(found) == N
    assert [number for _, _, number in seen] == [1, 2, 3, 4]
    for trained, asked, _ in seen:
        assert asked
        assert not trained & asked
    assert set().union(*(asked for _, asked, _ in seen)) == {f"text {i}" for i in range(N // 2)}


def test_it_ends_once_there_are_enough(monkeypatch, data):
    monkeypatch.setattr(out_of_fold, "MOST", 15)
    found, seen = run(monkeypatch, data, folds=4)
    assert [number for _, _, number in seen] == [1, 2]
    assert len(found) == 20


def test_users_with_histories_are_no_examples(monkeypatch, data):
    part = data.part("train")
    queries = replace(part.queries, histories=histories(*[[0]] * N))
    data.parts["train"] = replace(part, queries=queries)
    assert run(monkeypatch, data) == (None, [])


@pytest.mark.parametrize("decide", [{"folds": 0}, {"scorer": "margin"}])
def test_nothing_is_trained_that_nobody_reads(monkeypatch, data, decide):
    assert run(monkeypatch, data, **decide) == (None, [])
