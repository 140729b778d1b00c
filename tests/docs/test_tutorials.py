import json
import re
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.ipynb"))
each = pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)


def printed(cell):
    for output in cell["outputs"]:
        yield "".join(output.get("text") or output["data"]["text/plain"])


def test_there_is_one_for_each_task():
    names = {"match", "next-items", "few-labels", "losses", "certify"}
    assert {path.stem for path in TUTORIALS} == names


@each
def test_it_was_executed_and_tells_nothing_of_the_machine(path):
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    texts = [text for cell in cells for text in printed(cell)]
    assert len(texts) >= 4
    for text in texts:
        assert len(text) < 2000
        assert not re.search(r"Traceback|/(home|root|tmp|usr|work)\b|0x[0-9a-f]{6}", text)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@each
def test_it_runs(path, script):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = script("notebooks").executed(path)
    before = json.loads(path.read_text("utf-8"))
    for cell, old in zip(book.cells, before["cells"], strict=True):
        if cell.cell_type == "code":
            assert len(list(printed(cell))) == len(list(printed(old)))
