"""A shop with a trained artifact, and its queries as parquet."""

import gc
import subprocess

import pyarrow.parquet as pq
import pytest

from oracles.shop import trained
from thresher.data.tables import read_table


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Its folder; not to be changed."""
    return trained(tmp_path_factory)


@pytest.fixture(scope="session")
def cluster():
    """Ray with two processors."""
    ray = pytest.importorskip("ray", reason="the extra `scale` is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()
    for left in gc.get_objects():  # what it ended it did not wait for, which Python warns of
        if isinstance(left, subprocess.Popen):
            left.wait(60)


@pytest.fixture
def queries(shop, tmp_path):
    """A file of 100 queries in row groups of 30."""
    path = tmp_path / "queries.parquet"
    pq.write_table(read_table(shop / "queries.csv").slice(0, 100), path, row_group_size=30)
    return path
