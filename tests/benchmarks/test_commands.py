"""Every command of the benchmarks can be imported, and says what it does."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = sorted(path.stem for path in HERE.glob("*.py"))
CODE = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert callable(module.main), name
    assert f"python benchmarks/{name}.py" in module.__doc__, name
"""


def test_every_command_is_whole():
    assert {"alc", "croloss", "self_supervision", "rivals", "search"} <= set(NAMES)
    subprocess.run([sys.executable, "-c", CODE, str(HERE), *NAMES], check=True, timeout=600)
