"""What sentence-transformers loads, and why it brings a module of its own."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from oracles.exported import BRANDS, TITLES, built
from thresher.errors import InputError
from thresher.export import export
from thresher.export.static import write_static
from thresher.export.tables import Tables

QUERIES = ["creme 64 gb", "e5 2670", ""]


@pytest.mark.parametrize("quantise", [False, True])
def test_the_files_are_there_and_the_table_is_the_towers(tmp_path, quantise):
    tower, items, _data = built(quantise=quantise)
    found = export(tower, items, tmp_path / "out", "static")
    assert (found["compared"], found["largest_difference"]) == (0, None)
    modules = json.loads((tmp_path / "out" / "modules.json").read_text("utf-8"))
    assert [module["type"].rpartition(".")[2] for module in modules] == ["HashedText", "Normalize"]
    arrays = load_file(tmp_path / "out" / "model.safetensors")
    whole = arrays["table"] * arrays["scale"][:, None] if quantise else arrays["table"]
    np.testing.assert_array_equal(whole, tower.tables[0].detach().numpy())


@pytest.mark.filterwarnings("ignore")
def test_sentence_transformers_makes_the_same_vectors_also_after_saving(tmp_path):
    library = pytest.importorskip("sentence_transformers", reason="the extra `text` is missing")
    tower, items, _data = built(queries={"title": QUERIES})
    export(tower, items, tmp_path / "out", "static")
    given = {"trust_remote_code": True, "device": "cpu"}
    model = library.SentenceTransformer(str(tmp_path / "out"), **given)
    assert model.get_embedding_dimension() == 16
    own = tower.encode(tower.items())
    np.testing.assert_allclose(model.encode(TITLES), own, atol=1e-6)
    model.save(str(tmp_path / "again"))
    for name in ("hashed_text.py", "encode.py"):
        (tmp_path / "again" / name).write_bytes((tmp_path / "out" / name).read_bytes())
    again = library.SentenceTransformer(str(tmp_path / "again"), **given)
    np.testing.assert_allclose(again.encode(TITLES), own, atol=1e-6)


def test_a_tower_that_reads_more_than_one_text_is_refused(tmp_path):
    tower, items, _data = built({"brand": BRANDS}, {"title": QUERIES, "brand": ["a", "b", None]})
    message = "this tower reads brand of a query as well; leave it out with features.query.brand"
    with pytest.raises(InputError, match=message):
        export(tower, items, tmp_path / "out", "static")
    assert not (tmp_path / "out").exists()


def test_a_tower_that_reads_texts_of_both_sides_differently_is_refused(tmp_path):
    tower, _, _ = built()
    tables = Tables.of(tower)
    tables.about["sides"]["item"][0]["table"] = "another"
    with pytest.raises(InputError, match="this tower has a table for each; train with"):
        write_static(tables, tmp_path)
