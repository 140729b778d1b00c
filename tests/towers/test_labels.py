"""What items have beside their text, against values by hand and a loop over the equation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from oracles.prototypes import prototype
from thresher.towers.labels import (
    LabelInputs,
    LabelTable,
    PrototypeLabels,
    SharedLabels,
    shared_places,
)
from thresher.types import Inputs, Table

DIM, LABELS, QUERIES = 8, 6, 10
# Item 0 has three queries, 1 has two, 2 and 3 one each, 4 and 5 none; query 3 has two items.
PAIRS = np.array([[0, 0], [1, 0], [2, 0], [3, 1], [4, 1], [5, 2], [3, 3]])


def numbers(*values):
    return torch.tensor(values, dtype=torch.int64)


def rows_of(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=draw), dim=-1)


def prototypes(seed=0, trained=True):
    """Prototypes with weights as if they had been trained, in float64."""
    draw = torch.Generator().manual_seed(seed)
    labels = PrototypeLabels(DIM, LABELS, generator=draw)
    if trained:
        for p in labels.parameters():
            p.data += 0.3 * torch.randn(p.shape, generator=draw)
    labels.double().refresh(rows_of(QUERIES, DIM, seed=seed + 1).double(), PAIRS)
    return labels


def texts(n, seed=5):
    return rows_of(n, DIM, seed=seed).double()


# --- inputs


def table():
    return LabelTable(torch.arange(10.0, 15.0)[:, None], numbers(0, 1, -1, 2, 3))


def test_the_table_is_a_table_and_what_is_taken_from_it_inputs():
    assert isinstance(table(), Table)
    assert isinstance(table().take(numbers(0)), Inputs)
    assert len(table()) == 5


def test_rows_are_taken_in_order_with_the_query_beside_them():
    found = LabelTable(Texts("abcde"), table().rows).taken(numbers(4, 2, 4), numbers(7, -1, 8))
    assert found.text.letters == "ece"
    assert found.rows.tolist() == [3, -1, 3]
    assert found.own.tolist() == [7, -1, 8]
    part = found[1:]
    assert (part.text.letters, part.rows.tolist(), part.own.tolist()) == ("ce", [-1, 3], [-1, 8])
    assert len(part) == 2


def test_without_a_batch_no_query_stands_beside_an_item():
    of_letters = LabelTable(Texts("abcde"), table().rows)
    for found in (of_letters[1:3], of_letters.take(numbers(1, 2))):
        assert isinstance(found, LabelInputs)
        assert found.text.letters == "bc"
        assert found.rows.tolist() == [1, -1]
        assert found.own.tolist() == [-1, -1]


class Texts:
    def __init__(self, letters):
        self.letters = letters

    def __len__(self):
        return len(self.letters)

    def __getitem__(self, rows):
        return Texts(self.letters[rows])

    def take(self, rows):
        return Texts("".join(self.letters[i] for i in rows.tolist()))


# --- shared places


def test_frequent_items_have_a_row_of_their_own_after_those_of_the_clusters():
    groups, counts = np.array([0, 0, 1, 2, 2, 2]), np.array([5, 1, 9, 9, 0, 2])
    # Items 2 and 3 lead with 9. Cluster 1 held item 2 alone and is gone: rows are cluster 0,
    # cluster 2, item 2, item 3.
    places, rows = shared_places(groups, counts, 2)
    assert places.tolist() == [0, 0, 2, 3, 1, 1]
    assert rows == 4


def test_more_private_rows_than_items_and_none():
    groups, counts = np.array([0, 0, 1, 2, 2, 2]), np.array([5, 1, 9, 9, 0, 2])
    # By frequency: items 2, 3, 0, 5, 1, 4.
    places, rows = shared_places(groups, counts, 10)
    assert (places.tolist(), rows) == ([2, 4, 0, 1, 5, 3], 6)
    places, rows = shared_places(groups, counts, 0)
    assert (places.tolist(), rows) == (groups.tolist(), 3)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=12), st.integers(0, 14))
def test_places_are_gapless_private_rows_are_used_once_and_clusters_stay_together(labels, private):
    groups, counts = (np.array([x[i] for x in labels], np.int64) for i in (0, 1))
    places, rows = shared_places(groups, counts, private)
    assert sorted(set(places.tolist())) == list(range(rows))
    kept = min(private, len(labels))
    own = places >= rows - kept
    assert own.sum() == kept
    assert counts[own].min(initial=9) >= counts[~own].max(initial=0)
    for a in np.flatnonzero(~own):
        same = places == places[a]
        assert (same == (~own & (groups == groups[a]))).all()


# --- shared vectors


def test_shared_vectors_of_a_worked_example():
    labels = SharedLabels(2, numbers(1, 0, 1), 2)
    with torch.no_grad():
        labels.table.copy_(torch.tensor([[0.4, -0.8], [-1.0, 2.0]]))
    text = torch.tensor([[0.6, 0.8], [1.0, 0.0], [-0.6, 0.8]])
    # Item 1 uses row 0: (0.6 + 0.4, 0.8 - 0.8) = (1, 0). Item 2 uses row 1: (1 - 1, 0 + 2) is
    # (0, 1) at unit length. The third is new.
    found = labels(text, numbers(1, 2, -1), numbers(-1, -1, -1))
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]]))


def test_untrained_shared_vectors_are_the_texts():
    text = rows_of(3, 4)
    found = SharedLabels(4, numbers(0, 0), 1)(text, numbers(0, 1, -1), numbers(3, -1, -1))
    torch.testing.assert_close(found, text)


def test_the_gradient_reaches_the_rows_in_use_and_no_other():
    labels = SharedLabels(4, numbers(2, 0, 3, 3), 5)
    text = rows_of(4, 4).requires_grad_()
    (
        labels(text, numbers(1, 2, 3, -1), numbers(0, 1, 2, 3)) * rows_of(4, 4, seed=1)
    ).sum().backward()
    assert labels.table.grad.is_sparse
    assert labels.table.grad.to_dense().abs().sum(1).gt(0).tolist() == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert (text.grad.abs().sum(1) > 0).all()


def test_a_new_item_moves_no_row():
    labels = SharedLabels(4, numbers(0), 1)
    labels(rows_of(2, 4), numbers(-1, -1), numbers(-1, -1)).sum().backward()
    assert labels.table.grad.to_dense().count_nonzero() == 0


# --- prototypes


def test_untrained_prototypes_of_a_worked_example():
    labels = PrototypeLabels(4, 3, generator=torch.Generator())
    a, b, c, d = torch.eye(4)
    labels.refresh(torch.stack([b, -c, d]), np.array([[0, 0], [1, 0], [2, 1]]))
    with torch.no_grad():
        labels.free[1] = -d
    half, text = 2**-0.5, torch.stack([a, a, a, b, a, -c])
    rows, own = numbers(0, 0, 0, 1, 2, -1), numbers(0, 1, -1, 2, -1, -1)
    # Item 0 beside query b: text a and centroid -c. Beside -c: a and b. Beside none: a and
    # (b - c) / sqrt 2, of length sqrt 2. Item 1 beside its only query: text b and free vector -d.
    # Item 2 has no query and item -1 is new: the text.
    beside = torch.stack(
        [half * (a - c), half * (a + b), half * a + (b - c) / 2, half * (b - d), a, -c]
    )
    torch.testing.assert_close(labels(text, rows, own), torch.cat([beside, text], 1))
    # To be searched, no query is left out; item 1's d is in: b - d + d = b.
    beside[:2], beside[3] = beside[2], b
    torch.testing.assert_close(labels.eval()(text, rows, own), torch.cat([beside, text], 1))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_prototypes_follow_the_equation(seed, training):
    labels = prototypes(seed).train(training)
    rows, own = numbers(0, 1, 2, 3, 4, -1, 0, 0), numbers(2, 3, 5, -1, -1, -1, -1, 0)
    text = texts(8)
    found = labels(text, rows, own).detach().numpy()
    w = {
        name: getattr(labels, name).detach().numpy()
        for name in ("kinds", "match", "value", "hidden", "out", "free")
    }
    w["scale"] = [s.detach().numpy() for s in labels.scale]
    queries = rows_of(QUERIES, DIM, seed=seed + 1).half().double().numpy()
    for i, (row, left) in enumerate(zip(rows.tolist(), own.tolist(), strict=True)):
        of_item = [q for q, item in PAIRS.tolist() if item == row and not (training and q == left)]
        free = w["free"][row] if row >= 0 else None
        expected = prototype(w, text[i].numpy(), free, queries[of_item])
        np.testing.assert_allclose(found[i], [*expected, *text[i].numpy()], atol=1e-6)


@pytest.mark.parametrize(("row", "query"), [(0, 0), (0, 2), (1, 4), (2, 5), (3, 3)])
def test_in_training_an_item_knows_nothing_of_the_query_beside_it(row, query):
    """Whatever that query is, the prototype is the same; to be searched, it counts."""
    labels, text = prototypes(), texts(1)
    queries = rows_of(QUERIES, DIM, seed=1).double()
    other = queries.clone()
    other[query] = rows_of(DIM, seed=9).double()
    for training in (True, False):
        labels.train(training)
        found = []
        for now in (queries, other):
            labels.refresh(now, PAIRS)
            found.append(labels(text, numbers(row), numbers(query)))
        assert torch.allclose(*found, atol=1e-6) == training
    # Beside no query every query counts in training too.
    torch.testing.assert_close(labels.train()(text, numbers(row), numbers(-1)), found[1])


@pytest.mark.parametrize("training", [True, False])
def test_alone_is_as_in_a_batch(training):
    labels, text = prototypes().train(training), texts(7)
    rows, own = numbers(0, 1, 2, 3, 4, 5, -1), numbers(0, 3, 5, 3, -1, -1, -1)
    together = labels(text, rows, own)
    for i in range(7):
        alone = labels(text[i : i + 1], rows[i : i + 1], own[i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1])
    assert labels(text[:0], rows[:0], own[:0]).shape == (0, 2 * DIM)


def test_both_halves_are_unit_rows_and_new_items_are_their_text():
    labels, text = prototypes(), texts(4)
    found = labels(text, numbers(0, 4, -1, -1), numbers(0, -1, -1, -1))
    proto, same = found.chunk(2, dim=1)
    torch.testing.assert_close(proto.norm(dim=1), torch.ones(4, dtype=torch.float64))
    assert torch.equal(same, text)
    assert torch.equal(proto[2:], text[2:])
    assert (proto[:2] * text[:2]).sum(1).max() < 0.999


def test_the_gradient_of_prototypes_is_right():
    labels = prototypes()
    rows, own = numbers(0, 1, 2, 4, -1, 0), numbers(2, 3, 5, -1, -1, -1)
    dense = [p for name, p in labels.named_parameters() if name != "free"]

    def run(text, *_):
        return labels(text, rows, own)

    assert torch.autograd.gradcheck(run, (texts(6).requires_grad_(), *dense))
    labels(texts(6), rows, own).square().mul(texts(6).repeat(1, 2)).sum().backward()
    assert labels.free.grad.is_sparse
    moved = labels.free.grad.to_dense().abs().sum(1) > 0
    assert moved.tolist() == [True, True, True, False, True, False]


def test_everything_learns_from_the_start_on_but_what_stands_behind_zeros():
    labels = prototypes(trained=False)
    found = labels(texts(3), numbers(0, 1, 2), numbers(0, 3, 5))
    (found * texts(3, seed=6).repeat(1, 2)).sum().backward()
    learns = {
        name
        for name, p in labels.named_parameters()
        if p.grad is not None and p.grad.to_dense().abs().sum() > 0
    }
    assert learns == {"free", "value", "out"}


def test_before_the_first_refresh_a_prototype_has_no_centroid():
    labels = PrototypeLabels(DIM, LABELS, generator=torch.Generator().manual_seed(0))
    text = texts(2).float()
    found = labels(text, numbers(0, 1), numbers(3, -1))
    torch.testing.assert_close(found, text.repeat(1, 2))


def test_the_start_follows_the_generator():
    a, b, c = (
        PrototypeLabels(DIM, 2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(a.match, b.match)
    assert not torch.equal(a.match, c.match)
    assert not torch.equal(a.match, a.hidden)


def test_mixed_precision_is_near():
    labels = prototypes().float()
    text, rows, own = texts(3).float(), numbers(0, 1, -1), numbers(0, -1, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = labels(text.bfloat16(), rows, own)
    torch.testing.assert_close(found.float(), labels(text, rows, own), atol=0.03, rtol=0)


# --- on disk


def test_a_checkpoint_of_a_run_holds_the_stored_queries():
    labels = prototypes().float()
    again = PrototypeLabels(DIM, LABELS, generator=torch.Generator().manual_seed(99))
    again.load_state_dict(labels.state_dict())
    text, rows, own = texts(3).float(), numbers(0, 1, 2), numbers(0, 3, 5)
    assert torch.equal(again(text, rows, own), labels(text, rows, own))
    assert not torch.equal(again.eval()(text, rows, own), labels(text, rows, own))


def test_what_is_saved_serves_without_the_queries(tmp_path):
    labels = prototypes().float()
    labels.save(tmp_path)
    again = PrototypeLabels.load(tmp_path, **labels.settings())
    text, rows, own = texts(4).float(), numbers(0, 3, 5, -1), numbers(-1, -1, -1, -1)
    assert torch.equal(again.eval()(text, rows, own), labels.eval()(text, rows, own))
    assert all(len(x) != QUERIES for x in load_file(tmp_path / "labels.safetensors").values())
    assert again.settings() == {"dim": DIM, "labels": LABELS}


def test_shared_vectors_are_saved_with_their_places(tmp_path):
    labels = SharedLabels(4, numbers(1, 0, 1), 2)
    labels.table.data = rows_of(2, 4)
    labels.save(tmp_path)
    again = SharedLabels.load(tmp_path, **labels.settings())
    text, rows = rows_of(3, 4, seed=1), numbers(0, 1, -1)
    assert torch.equal(again(text, rows, rows), labels(text, rows, rows))
    with pytest.raises(RuntimeError):
        SharedLabels.load(tmp_path, dim=4, labels=4, rows=2)


def test_a_stored_query_moves_the_centroids_as_a_refresh_would():
    labels, other = prototypes(), prototypes()
    vectors = rows_of(QUERIES, DIM, seed=1).double()
    moved = vectors.clone()
    rows = np.array([0, 3])
    moved[rows] = rows_of(2, DIM, seed=9).double()
    pairs = [[place, item] for place, row in enumerate(rows) for q, item in PAIRS if q == row]
    labels.store(rows, moved[rows], np.array(pairs))
    other.refresh(moved, PAIRS)
    torch.testing.assert_close(labels.sums, other.sums, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(labels.queries, other.queries)
    assert not torch.allclose(labels.sums, prototypes().sums, atol=1e-3)
