"""What every tower must do, whatever it reads."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import sparse

from oracles.tables import dataset, queries_of
from thresher.errors import InputError
from thresher.towers import TOWERS, FeatureOptions, Tower, build_tower, load_tower, save_tower

# Recent sentence-transformers renamed what releases from 3 on all have.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*renamed:FutureWarning", "ignore::DeprecationWarning"
)

TEXTS = [
    "Nordal KX-1234 red kettle",
    "Чайник Нордал KX-1234 красный",
    "諾達爾 KX-1234 紅色水壺",
    "غلاية نوردال حمراء",
    "kettle",
    "blue toaster 2 slices " * 400,
    "Café-Crème 64gb",
]
EMPTY = ["", "   ", "?!"]
WIDTH = 6


def columns(texts):
    """A text and a vector of each, the same for the same text."""
    rows = [
        np.random.default_rng(len(text)).normal(size=WIDTH).tolist() if text else None
        for text in texts
    ]
    return {"title": texts, "vector": pa.array(rows, pa.list_(pa.float32()))}


@pytest.fixture(params=list(TOWERS))
def tower(request):
    settings = {
        "features": lambda: {"dim": 16, "bits": 12},
        "tfidf": lambda: {"bits": 12},
        "sentence": lambda: {"checkpoint": request.getfixturevalue("checkpoint")},
        "vectors": lambda: {"item_vectors": "vector", "query_vectors": "vector"},
    }[request.param]()
    made = build_tower(request.param, **settings)
    made.fit(dataset(columns(TEXTS), columns(TEXTS), [(0, 0)], text=True), FeatureOptions())
    return made


def prepared(tower, texts):
    return tower.queries(queries_of(columns(texts)))


def dense(found):
    return found.toarray() if sparse.issparse(found) else found


def rows(tower, texts):
    return dense(tower.encode(prepared(tower, texts)))


def test_is_a_tower(tower):
    assert isinstance(tower, Tower)
    assert tower.dim == rows(tower, TEXTS).shape[1]
    assert tower.trained == isinstance(tower, torch.nn.Module)
    assert tower.trained == bool(tower.parameter_groups())
    assert tower.schema.items
    assert tower.schema.queries


def test_float32_rows_of_length_one_one_a_text(tower):
    found = rows(tower, TEXTS)
    assert found.dtype == np.float32
    assert len(found) == len(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_items_are_those_of_the_catalogue(tower):
    items = dense(tower.encode(tower.items()))
    assert (items @ rows(tower, TEXTS).T).argmax(1).tolist() == list(range(len(TEXTS)))
    turned = dataset(columns(TEXTS[::-1]), columns(TEXTS), [], text=True)
    tower.describe(turned.items)
    np.testing.assert_allclose(dense(tower.encode(tower.items())), items[::-1], atol=1e-6)


def test_alone_is_as_in_a_batch(tower):
    together = rows(tower, TEXTS + EMPTY)
    alone = np.concatenate([rows(tower, [text]) for text in TEXTS + EMPTY])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_the_order_of_texts_is_theirs(tower):
    np.testing.assert_allclose(rows(tower, TEXTS[::-1]), rows(tower, TEXTS)[::-1], atol=1e-6)


def test_texts_that_differ_have_vectors_that_differ(tower):
    texts = ["red kettle", "blue kettle x", TEXTS[1], TEXTS[2] + " x"]
    found = rows(tower, texts)
    assert ((found @ found.T)[~np.eye(4, dtype=bool)] < 0.9999).all()


def test_texts_without_a_word_are_finite_and_at_most_of_length_one(tower):
    found = rows(tower, EMPTY)
    assert np.isfinite(found).all()
    assert (np.linalg.norm(found, axis=1) < 1 + 1e-5).all()


def test_no_queries(tower):
    assert rows(tower, []).shape == (0, tower.dim)


def test_saved_and_loaded_it_encodes_the_same(tower, tmp_path):
    save_tower(tower, tmp_path / "tower")
    loaded = load_tower(tmp_path / "tower")
    assert type(loaded) is type(tower)
    assert loaded.settings() == tower.settings()
    np.testing.assert_array_equal(rows(loaded, TEXTS + EMPTY), rows(tower, TEXTS + EMPTY))


def test_a_damaged_tower_is_refused(tower, tmp_path):
    save_tower(tower, tmp_path)
    files = [path for path in tmp_path.rglob("*.*") if path.is_file()]
    big = max(files, key=lambda path: path.stat().st_size)
    big.write_bytes(big.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"cannot be read .*train again"):
        load_tower(tmp_path)
    (tmp_path / "tower.json").write_text(json.dumps({"kind": "lookup"}))
    with pytest.raises(InputError, match="cannot be read"):
        load_tower(tmp_path)
    (tmp_path / "tower.json").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load_tower(tmp_path)


def learner(tower):
    if not tower.trained:
        pytest.skip("this tower does not learn")
    return tower


def test_what_is_prepared_can_be_cut_and_taken(tower):
    tower = learner(tower).eval()
    inputs = prepared(tower, TEXTS)
    assert len(inputs) == len(TEXTS)
    with torch.no_grad():
        whole = tower(inputs[:]).numpy()
        np.testing.assert_allclose(whole, rows(tower, TEXTS), atol=1e-6)
        np.testing.assert_allclose(tower(inputs[2:5]).numpy(), whole[2:5], atol=1e-6)
        taken = inputs.take(torch.tensor([4, 0, 4]))
        np.testing.assert_allclose(tower(taken).numpy(), whole[[4, 0, 4]], atol=1e-6)


def test_encoding_keeps_the_mode_and_drops_nothing(tower):
    tower = learner(tower).train()
    first, second = rows(tower, TEXTS), rows(tower, TEXTS)
    np.testing.assert_array_equal(first, second)
    assert tower.training


def test_it_learns(tower):
    tower = learner(tower).train()
    tower(prepared(tower, TEXTS)[:])[:, 0].sum().backward()
    own = [p for group in tower.parameter_groups().values() for p in group]
    assert {id(p) for p in own} == {id(p) for p in tower.parameters()}
    gradients = [p.grad.to_dense() for p in own if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


def test_a_tower_of_texts_needs_texts(tower):
    fresh = type(tower)(**tower.settings())
    if set(tower.settings()) & {"item_vectors", "dim"}:
        pytest.skip("this tower reads other columns too")
    with pytest.raises(InputError, match=r"the items have none; name their text columns in data\."):
        fresh.fit(dataset(columns(TEXTS), columns(TEXTS), [(0, 0)]), FeatureOptions())
