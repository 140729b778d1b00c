"""Vectors of queries as sums, without torch: against torch, and the same of quantised tables."""

import numpy as np
import torch
import torch.nn.functional as F

from thresher.towers.quantised import quantised
from thresher.towers.sums import unit_sums


def bags(rng, rows, size):
    lengths = rng.integers(0, 9, rows)
    lengths[0] = 0
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return (
        rng.integers(size, size=start[-1]).astype(np.int32),
        rng.normal(size=start[-1]).astype(np.float32),
        start,
    )


def test_sums_of_several_tables_are_those_of_torch():
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(size, 19)).astype(np.float32) for size in (40, 7)]
    parts = [(table, *bags(rng, 30, len(table))) for table in tables]
    total = torch.zeros(30, 19)
    for table, tokens, weights, start in parts:
        total += F.embedding_bag(
            torch.from_numpy(tokens),
            torch.from_numpy(table),
            torch.from_numpy(start.astype(np.int32)),
            mode="sum",
            per_sample_weights=torch.from_numpy(weights),
            include_last_offset=True,
        )
    expected = F.normalize(total, dim=1).numpy()
    found = unit_sums(parts, 30, 19)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not found[0].any()  # a row of nothing
    assert np.linalg.norm(found[1:], axis=1).round(5).tolist() == [1.0] * 29


def test_quantised_numbers_are_read_to_the_last_bit():
    rng = np.random.default_rng(1)
    values, scale = quantised(rng.normal(size=(50, 16)).astype(np.float32))
    own = bags(rng, 20, 50)
    whole = (values * scale[:, None]).astype(np.float32)
    single = unit_sums([(whole, *own)], 20, 16)
    np.testing.assert_array_equal(unit_sums([((values, scale), *own)], 20, 16), single)
