import numpy as np
import pytest
import torch

from thresher.towers.item_embeddings import ClassifierRows, fused


def unit(*shape, seed):
    rows = np.random.default_rng(seed).normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_rows_start_at_the_label_vectors_and_leave_them_alone():
    start = torch.from_numpy(unit(5, 4, seed=0))
    before = start.clone()
    classifiers = ClassifierRows(start)
    assert classifiers.dim == 4
    torch.testing.assert_close(classifiers(torch.tensor([3, 0, 3])), start[[3, 0, 3]])
    np.testing.assert_allclose(classifiers.vectors(), start, atol=1e-6)
    classifiers.table.data += 1
    assert torch.equal(start, before)


def test_rows_are_unit_whatever_they_have_become():
    classifiers = ClassifierRows(torch.tensor([[3.0, -4.0], [0.0, 2.0]]))
    # (3, -4) has length 5.
    torch.testing.assert_close(classifiers(torch.tensor([0])), torch.tensor([[0.6, -0.8]]))
    np.testing.assert_allclose(classifiers.vectors(), [[0.6, -0.8], [0, 1]], atol=1e-7)


def test_the_gradient_holds_the_rows_in_use():
    classifiers = ClassifierRows(torch.from_numpy(unit(5, 4, seed=0)))
    (classifiers(torch.tensor([3, 0, 3])) * torch.from_numpy(unit(3, 4, seed=1))).sum().backward()
    assert classifiers.table.grad.coalesce().indices().tolist() == [[0, 3]]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_score_of_fused_vectors_is_the_weighted_mean_of_the_scores(weight):
    queries, labels, classifiers = (unit(6, 4, seed=seed) for seed in range(3))
    expected = (1 - weight) * (queries @ labels.T) + weight * (queries @ classifiers.T)
    found = fused(labels, classifiers, weight)
    assert found.dtype == np.float32
    np.testing.assert_allclose(queries @ found.T, expected, atol=1e-6)
