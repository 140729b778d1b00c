"""`thresher export`: what it writes, and what it refuses."""

import numpy as np
import pytest

from thresher.data.tables import read_table
from thresher.export.encode import Encoder
from thresher.retriever import Retriever


def test_it_writes_a_folder_that_makes_the_models_vectors(answer, run, shop, tmp_path):
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    found = answer("export", shop / "model", "--to", "onnx", "--out", tmp_path / "out")
    assert (found["compared"], found["dim"]) == (300, 32)
    assert found["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    offers = read_table(shop / "queries.csv")
    own = Retriever.open(shop / "model").encode(offers)
    vectors = Encoder(tmp_path / "out").encode(offers.to_pylist())
    np.testing.assert_allclose(vectors, own, atol=1e-6)
    said = run("export", shop / "model", "--out", tmp_path / "more").out
    assert "vectors of 300 items differ by at most" in said


def test_what_is_written_for_sentence_transformers_is_not_compared(run, shop, tmp_path):
    code, out, _ = run("export", shop / "model", "--to", "static", "--out", tmp_path / "out")
    assert code == 0
    assert "not compared with the model" in out
    assert (tmp_path / "out" / "modules.json").is_file()


def test_an_unknown_form_and_a_full_folder_are_refused(refused, shop, tmp_path):
    said = refused("export", shop / "model", "--to", "stat", "--out", tmp_path / "out")
    assert said == "no export to 'stat'; give one of onnx, static; did you mean 'static'?"
    (tmp_path / "mine").write_text("")
    said = refused("export", shop / "model", "--to", "static", "--out", tmp_path)
    assert said.endswith("holds something already; give a new folder")


def test_a_model_of_histories_has_no_text_tower(refused, buyers, tmp_path):
    said = refused("export", buyers / "model", "--to", "static", "--out", tmp_path / "out")
    assert said.startswith("a tower with layers or histories is not exported")
