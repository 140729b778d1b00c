import math

import pytest
import torch

from oracles.matchings import unit
from thresher.errors import InputError
from thresher.losses import Softmax, ThresholdConsistentMargin, call

Q, C = unit(3, 4, seed=0), unit(5, 4, seed=1)
ONE = torch.ones


def test_a_vector_is_not_compared_with_itself_where_no_items_are_given():
    # Zhang et al. 2024, as tested in pytorch-metric-learning: classes 0, 0, 1, 1.
    x = torch.nn.functional.normalize(torch.tensor([[0, 1], [0.43, 0.9], [1, 0], [0.5, 0.5]]))
    # Cosines: 01 .9023 | 23 .7071 | 02 0, 03 .7071, 12 .4311, 13 .9429; margins .9 and .5.
    # Positive pairs below .9: 23, twice: .9 - .7071 = .1929.
    # Negative pairs above .5: 03 and 13, twice: (.2071 + .4429) / 2 = .3250.
    got = ThresholdConsistentMargin()(x, labels=torch.tensor([0, 0, 1, 1]))
    assert got.item() == pytest.approx(0.1929 + 0.3250, abs=1e-4)


def test_the_same_as_references_counts_the_pair_of_a_vector_with_itself():
    x, labels = unit(3, 4, seed=2), torch.arange(3)
    loss = Softmax(temperature=1.0)
    scores = (x @ x.T).tolist()
    want = sum(math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(scores)) / 3
    assert loss(x, x, labels=labels, ref_labels=labels).item() == pytest.approx(want)
    assert loss(x, labels=labels).item() == 0


def test_a_satisfied_margin_is_zero_with_zero_gradient():
    q, c = torch.eye(3, requires_grad=True), torch.eye(3, requires_grad=True)
    loss = ThresholdConsistentMargin()(q, c)
    loss.backward()
    assert loss.item() == 0
    assert q.grad.tolist() == c.grad.tolist() == [[0] * 3] * 3


def test_vectors_are_used_as_given_unless_they_are_to_be_normalised():
    loss = Softmax(temperature=0.5)
    assert loss(3 * Q, C).item() != pytest.approx(loss(Q, C).item(), rel=1e-2)
    assert loss(3 * Q, 7 * C, normalize=True).item() == pytest.approx(loss(Q, C).item())


def test_any_loss_can_be_called():
    assert call(Softmax(), Q, C).item() == Softmax()(Q, C).item()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((Q[0], C), r"queries are float64 \[4\] on cpu; give a floating-point tensor \[rows"),
        ((Q, C.long()), r"items are int64 \[5, 4\]"),
        ((Q, C[:, :3]), r"\[3, 4\] on cpu and items float64 \[5, 3\].*one length"),
        ((Q, C.float()), r"float64.*float32.*one length, type"),
        ((C, Q), "5 queries but 3 items.*give positives or labels"),
        ((Q,), "queries were given alone"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        Softmax()(*given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"positives": ONE(5, 3).bool()}, r"positives are bool \[5, 3\].*mask \[3, 5\]"),
        ({"positives": ONE(3, 5)}, r"float32 \[3, 5\].*whole numbers \[pairs, 2\]"),
        ({"ignored": ONE(4).long()}, r"ignored are int64 \[4\]"),
        ({"positives": torch.tensor([[0, 5]])}, r"rows from \[0, 5\].*3 queries and 5 items"),
        ({"ignored": torch.tensor([[-1, 0]])}, r"rows from \[-1, 0\]"),
        (
            {"labels": ONE(3)},
            r"labels are float32 \[3\].*ref_labels left out.*each of the 5 items",
        ),
        ({"labels": ONE(3), "ref_labels": ONE(3)}, "each of the 5 items"),
        ({"labels": ONE(3), "positives": ONE(3, 5).bool()}, "give one of them"),
        ({"ref_labels": ONE(5)}, "without labels"),
        ({"log_q": ONE(3)}, r"log_q is float32 \[3\].*5 items"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        Softmax()(Q, C, **given)


def test_no_pairs_may_be_of_any_type():
    none = torch.zeros(0, 2, dtype=torch.long)
    assert Softmax()(Q, C, positives=none).item() == 0
    assert Softmax()(Q, C, ignored=none).item() == Softmax()(Q, C).item()
