"""A shop and buyers with trained artifacts, and the command line as a function."""

import json
import shutil
from typing import NamedTuple

import pytest

from oracles.buyers import trained_on_histories
from oracles.shop import trained
from thresher.cli.main import main


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Its folder; not to be changed."""
    return trained(tmp_path_factory)


@pytest.fixture(scope="session")
def buyers(tmp_path_factory):
    """Their folder; not to be changed."""
    return trained_on_histories(tmp_path_factory)


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
def answer(run):
    """Runs it with `--json`, and gives what was printed."""

    def call(*arguments, code=0):
        ran = run(*arguments, "--json")
        assert (ran.code, ran.err) == (code, "")
        return json.loads(ran.out)

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
