"""The tokeniser that lies beside an export reads rows as the tower does; it is a file by itself."""

import ast
import json
import math
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from oracles.exported import BRANDS, built
from thresher.export import encode
from thresher.export.encode import Tokeniser, murmur
from thresher.export.tables import Tables
from thresher.towers.encoders import ENCODERS
from thresher.towers.encoders.base import Reading, Seen


@given(st.binary(max_size=40))
def test_the_hash_is_that_of_scikit_learn(key):
    assert murmur(key) == abs(murmurhash3_32(key))


def test_it_imports_nothing_but_numpy_and_onnxruntime():
    tree = ast.parse(Path(encode.__file__).read_text("utf-8"))
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def written(tmp_path, about):
    (tmp_path / "tokeniser.json").write_text(json.dumps(about), "utf-8")
    return Tokeniser(tmp_path / "tokeniser.json")


def of_text(**more):
    """A description of one column of text, whose tokens are few."""
    table = {"name": "text", "first": 10, "reads": "text", "bits": 8, "ngram_range": [0, 0]}
    table |= {"pairs": False, "parts": False, "unit": False, "buckets": 0, "tokens": []}
    features = [{"name": "text", "columns": ["title"], "table": "text"}]
    return {"sides": {"query": features}, "tables": [{**table, **more}]}


def hashed(token):
    return abs(murmurhash3_32(token)) % 256


def test_a_text_of_a_worked_example(tmp_path):
    # "red" stands twice: 1 + ln 2; "pot" once; "lid" has no vector and is left out.
    known = sorted({hashed("=red"), hashed("=pot")})
    tokeniser = written(tmp_path, of_text(tokens=known))
    (bag,) = tokeniser.bags(["Red pot, réd lid"])
    red, pot = (10 + known.index(hashed(f"={word}")) for word in ("red", "pot"))
    assert bag == {red: pytest.approx(1 + math.log(2)), pot: 1.0}
    tokens, weights = tokeniser.padded([bag, {}])
    assert tokens.tolist() == [list(bag), [0, 0]]
    np.testing.assert_allclose(weights, [list(bag.values()), [0, 0]], rtol=1e-7)


def test_tokens_without_a_vector_share_some(tmp_path):
    tokeniser = written(tmp_path, of_text(buckets=4))
    assert tokeniser.bags(["red"]) == [{10 + hashed("=red") % 4: 1.0}]


def test_nothing_is_a_bag_of_nothing(tmp_path):
    tokeniser = written(tmp_path, of_text())
    assert tokeniser.bags(["", {"title": None}, {}]) == [{}, {}, {}]
    assert [part.shape for part in tokeniser.padded([{}])] == [(1, 1), (1, 1)]


def same(encoder, tokeniser, values, column):
    """Whether both read each value as the same bag."""
    found = encoder.read(column, "x")
    bags = tokeniser.bags([{"x": value} for value in values])
    for row, bag in enumerate(bags):
        own = found[row]
        assert bag == pytest.approx(
            dict(zip(own.indices.tolist(), own.data.tolist(), strict=True)), rel=1e-6
        )


def fitted(kind, values, tmp_path, **how):
    column = pa.chunked_array([pa.array(values)])
    seen = [Seen(column, np.ones(len(values), np.int64), "x")]
    encoder = ENCODERS[kind].fit(seen, Reading(kind=kind, bits=12, **how))
    from thresher.export.tables import _described

    features = [{"name": "text", "columns": ["x"], "table": "x"}]
    tables = [{"name": "x", "first": 0, **_described(encoder)}]
    about = {"sides": {"query": features}, "tables": tables}
    return encoder, written(tmp_path, about)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("kind", ["text", "words"])
def test_texts_are_read_as_the_tower_reads_them(kind, unit, tmp_path):
    seen = ["E5 2670 v3", "Crème brûlée 64GB", "usb-c 3.0"]
    encoder, tokeniser = fitted(kind, seen, tmp_path, unit=unit)

    @given(st.lists(st.text(max_size=30) | st.sampled_from(seen), max_size=4))
    def check(texts):
        same(encoder, tokeniser, texts, pa.chunked_array([pa.array(texts, pa.string())]))

    check()


@pytest.mark.parametrize("buckets", [0, 3])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("kind", ["category", "categories", "id"])
def test_values_are_read_as_the_tower_reads_them(kind, unit, buckets, tmp_path):
    seen = [b for b in BRANDS if b] + ["a|b"]
    encoder, tokeniser = fitted(kind, seen, tmp_path, unit=unit, buckets=buckets)

    @given(st.lists(st.none() | st.text(max_size=6) | st.sampled_from(seen), max_size=4))
    def check(values):
        same(encoder, tokeniser, values, pa.chunked_array([pa.array(values, pa.string())]))

    check()


def test_numbers_truth_values_and_lists_are_written_out(tmp_path):
    encoder, tokeniser = fitted("category", ["7", "true", "a"], tmp_path)
    same(encoder, tokeniser, [7, 8, None], pa.chunked_array([pa.array([7, 8, None])]))
    same(encoder, tokeniser, [7.0, 1.5], pa.chunked_array([pa.array([7.0, 1.5])]))
    same(encoder, tokeniser, [True, None], pa.chunked_array([pa.array([True, None])]))
    lists = [["a", "7", "a"], [], None]
    same(encoder, tokeniser, lists, pa.chunked_array([pa.array(lists)]))


def test_a_bare_text_fills_the_first_column_of_text_and_leaves_the_others_empty(tmp_path):
    tower, _, _ = built({"brand": BRANDS}, {"title": ["a", "b", "c"], "brand": ["acme", "x", "y"]})
    tokeniser = written(tmp_path, Tables.of(tower).about)
    text, row, both = tokeniser.bags(
        ["creme", {"title": "creme"}, {"title": "creme", "brand": "ACME"}]
    )
    assert text == row
    assert len(both) == len(row) + 1
