"""A shop with a trained artifact, and the command line as a function."""

import shutil
from typing import NamedTuple

import pytest

from oracles.shop import trained
from thresher.cli.main import main


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Its folder; not to be changed."""
    return trained(tmp_path_factory)


@pytest.fixture
def model(shop, tmp_path):
    """A copy of its artifact, to be changed at will."""
    return shutil.copytree(shop / "model", tmp_path / "model")


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Runs `thresher` with these arguments in this process."""

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        return Ran(end.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def refused(run):
    """Runs it, and gives the one sentence with which it was refused."""

    def call(*arguments):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err.removeprefix("error: ").rstrip("\n")

    return call
