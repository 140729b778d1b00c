"""A folder that is whole or not there, with what another program needs to run it."""

import subprocess
import sys

import numpy as np
import pytest

from oracles.exported import BRANDS, TITLES, built
from thresher import export as module
from thresher.data.bundled import bundled
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.export import TARGETS, export
from thresher.export.encode import Encoder
from thresher.export.tables import Tables

ASKED = {"title": ["creme 64 gb", "e5", "new"], "brand": ["acme", "ΣΑΣ", None]}


@pytest.fixture
def onnx():
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


def test_a_program_without_thresher_makes_the_same_vectors(onnx, tmp_path):
    tower, items, data = built({"brand": BRANDS}, ASKED)
    found = export(tower, items, tmp_path / "out", "onnx")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("README.md", "encode.py", "model.onnx", "tokeniser.json")
    ]
    assert found["compared"] == len(TITLES)
    assert found["largest_difference"] < 1e-6
    program = (
        "import sys, numpy, encode\n"
        "rows = [{{'title': t, 'brand': b}} for t, b in {!r}]\n"
        "numpy.save('found.npy', encode.Encoder('.').encode(rows))\n"
        "assert 'thresher' not in sys.modules and 'torch' not in sys.modules\n"
    ).format(list(zip(ASKED["title"], ASKED["brand"], strict=True)))
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "out", check=True)
    own = tower.encode(tower.queries(data.part("train").queries))
    np.testing.assert_allclose(np.load(tmp_path / "out" / "found.npy"), own, atol=1e-6)


def test_vectors_of_a_thousand_bundled_offers_are_those_of_the_tower(onnx, tmp_path):
    offers = read_table(bundled("pricerunner") / "queries.parquet").slice(0, 1000)
    titles = offers["title"].to_pylist()
    tower, items, data = built(queries={"title": titles}, bits=14)
    export(tower, items, tmp_path / "out", "onnx")
    own = tower.encode(tower.queries(data.part("train").queries))
    assert own.shape == (1000, 16)
    np.testing.assert_allclose(Encoder(tmp_path / "out").encode(titles), own, atol=1e-6)


def test_an_export_that_differs_is_a_fault_and_leaves_nothing(onnx, tmp_path, monkeypatch):
    tower, items, _data = built()
    right = Tables.of

    def wrong(tower):
        made = right(tower)
        made.about["tables"][0]["pairs"] = False
        return made

    monkeypatch.setattr(module.Tables, "of", wrong)
    with pytest.raises(RuntimeError, match="exported vectors are off by up to"):
        export(tower, items, tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


def test_without_onnxruntime_it_says_that_nothing_was_compared(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    tower, items, _data = built()
    found = export(tower, items, tmp_path / "out", "onnx")
    assert (found["compared"], found["largest_difference"]) == (0, None)


@pytest.mark.parametrize("to", TARGETS)
def test_a_folder_that_holds_something_is_refused(tmp_path, to):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(InputError, match="out holds something already; give a new folder"):
        export(*built()[:2], tmp_path / "out", to)


def test_an_unknown_form_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no export to 'onx'; give one of onnx, static; did you"):
        export(*built()[:2], tmp_path / "out", "onx")
