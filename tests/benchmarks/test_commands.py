"""Every command of the benchmarks can be imported, and says what it does."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = sorted(path.stem for path in HERE.glob("*.py"))


def test_there_are_commands():
    assert {"alc", "croloss", "self_supervision", "rivals", "search"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_whole(name):
    spec = importlib.util.spec_from_file_location(f"command_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.main)
    assert f"python benchmarks/{name}.py" in module.__doc__
