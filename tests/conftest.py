"""Puts this folder on the path, so that tests import their oracles by name, and checks shapes.

The first calls of a function in a test are checked against its annotations, in the modules that
state the shapes of arrays. A check costs more than a call about one word or file; the types of the
others are the work of mypy.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
shapes = import_module("oracles.shapes")


def stating_shapes() -> list[str]:
    """The modules that name types of arrays."""
    package = Path(find_spec("thresher").submodule_search_locations[0])
    names = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text("utf-8")
        if "from jaxtyping import" in text or "from thresher.types import" in text:
            parts = path.relative_to(package.parent).with_suffix("").parts
            names.append(".".join(part for part in parts if part != "__init__"))
    return names


install_import_hook(stating_shapes(), "oracles.shapes.checked")


@pytest.fixture(autouse=True)
def shapes_checked():
    """Every test checks the first calls anew."""
    shapes.begin()


@pytest.fixture
def types_unchecked():
    """Types and shapes are not checked at run time, as where the package is installed."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


torch.set_num_threads(1)
# No test depends on the speed of the machine.
settings.register_profile("thresher", deadline=None, max_examples=50)
settings.load_profile("thresher")
