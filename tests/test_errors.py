"""What ended a command."""

import tempfile

import pytest

from oracles.shop import open_shop
from thresher.cli import main as cli
from thresher.errors import interrupted
from thresher.jobs import train as training


def raised(*chain):
    """The last of these errors, each caused by the one before."""
    cause = None
    for one in chain:
        one.__cause__, cause = cause, one
    return cause


def test_an_interrupt_is_known_below_what_compiled_code_makes_of_it():
    assert interrupted(KeyboardInterrupt())
    assert interrupted(raised(KeyboardInterrupt(), SystemError("a"), SystemError("b")))
    assert not interrupted(raised(ValueError(), SystemError("a")))


@pytest.mark.parametrize(("first", "code"), [(KeyboardInterrupt(), 130), (ValueError(), 3)])
def test_a_command_that_is_interrupted_in_compiled_code_is_no_fault_of_ours(
    monkeypatch, capsys, tmp_path, first, code
):
    def stop(args):
        raise raised(first, SystemError("returned a result with an exception set"))

    monkeypatch.setattr(cli, "app", stop)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == code
    assert ("fault of Thresher" in capsys.readouterr().err) == (code == 3)


def test_training_that_is_interrupted_in_compiled_code_says_how_to_go_on(
    monkeypatch, capsys, tmp_path
):
    shop = open_shop(tmp_path)

    def stop(*_, **__):
        raise raised(KeyboardInterrupt(), SystemError("returned a result with an exception set"))

    monkeypatch.setattr(training, "train", stop)
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", str(shop / "run.toml"), "--out", str(tmp_path / "m")])
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("stopped: there is no checkpoint yet")
