"""A shop with a trained artifact."""

import shutil

import pytest

from oracles.shop import trained


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Its folder; not to be changed."""
    return trained(tmp_path_factory)


@pytest.fixture
def model(shop, tmp_path):
    """A copy of its artifact, to be changed at will."""
    return shutil.copytree(shop / "model", tmp_path / "model")
