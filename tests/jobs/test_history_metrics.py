"""What may choose the weights of a run is what is measured after an epoch."""

import numpy as np

from thresher.evaluate.next_items import next_items
from thresher.jobs.next_items import METRICS


def test_every_metric_that_may_choose_is_measured():
    found = next_items(
        np.array([[2, 0]]),
        np.array([0, 1]),
        np.array([2]),
        ks=[2],
        repeats=False,
        train_counts=np.array([1, 1, 1]),
    )
    assert {f"{name}@2" for name in METRICS} <= found.keys()
    assert len(set(METRICS)) == len(METRICS)
