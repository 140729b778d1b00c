"""What every tower must do, whatever it reads texts with."""

import json

import numpy as np
import pytest
import torch
from scipy import sparse

from thresher.errors import InputError
from thresher.towers import Tower, load_tower, save_tower
from thresher.towers.text import BagTower
from thresher.towers.tfidf import TfIdf

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


@pytest.fixture(params=["bag", "tfidf", "sentence"])
def tower(request):
    if request.param == "bag":
        made = BagTower(dim=16, bits=12)
    elif request.param == "tfidf":
        made = TfIdf(bits=12)
    else:
        from thresher.towers.sentence import SentenceTower

        made = SentenceTower(checkpoint=request.getfixturevalue("checkpoint"))
    made.start_from(TEXTS)
    return made


def rows(tower, texts):
    found = tower.encode(texts)
    return found.toarray() if sparse.issparse(found) else found


def test_is_a_tower(tower):
    assert isinstance(tower, Tower)


def test_float32_rows_of_length_one_one_a_text(tower):
    found = rows(tower, TEXTS)
    assert found.dtype == np.float32
    assert len(found) == len(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_alone_is_as_in_a_batch(tower):
    together = rows(tower, TEXTS + EMPTY)
    alone = np.concatenate([rows(tower, [text]) for text in TEXTS + EMPTY])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_the_order_of_texts_is_theirs(tower):
    np.testing.assert_allclose(rows(tower, TEXTS[::-1]), rows(tower, TEXTS)[::-1], atol=1e-6)


def test_texts_that_differ_have_vectors_that_differ(tower):
    texts = ["red kettle", "blue kettle", TEXTS[1], TEXTS[2] + " x"]
    found = rows(tower, texts)
    assert ((found @ found.T)[~np.eye(4, dtype=bool)] < 0.9999).all()


def test_texts_without_a_word_are_finite_and_at_most_of_length_one(tower):
    found = rows(tower, EMPTY)
    assert np.isfinite(found).all()
    assert (np.linalg.norm(found, axis=1) < 1 + 1e-5).all()


def test_no_texts(tower):
    assert rows(tower, []).shape == (0, rows(tower, ["a"]).shape[1])


def test_saved_and_loaded_it_encodes_the_same(tower, tmp_path):
    save_tower(tower, tmp_path / "tower")
    loaded = load_tower(tmp_path / "tower")
    assert type(loaded) is type(tower)
    assert loaded.settings() == tower.settings()
    np.testing.assert_array_equal(rows(loaded, TEXTS + EMPTY), rows(tower, TEXTS + EMPTY))


def test_a_damaged_tower_is_refused(tower, tmp_path):
    save_tower(tower, tmp_path)
    big = max((p for p in tmp_path.rglob("*.safetensors")), key=lambda p: p.stat().st_size)
    big.write_bytes(big.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"cannot be read .*train it anew"):
        load_tower(tmp_path)
    (tmp_path / "tower.json").write_text(json.dumps({"kind": "lookup"}))
    with pytest.raises(InputError, match="cannot be read"):
        load_tower(tmp_path)
    (tmp_path / "tower.json").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load_tower(tmp_path)


def test_the_weights_of_another_size_are_refused(tmp_path):
    for made, other in ((BagTower(dim=4, bits=8), "bits"), (TfIdf(bits=8), "bits")):
        folder = tmp_path / type(made).__name__
        save_tower(made, folder)
        described = json.loads((folder / "tower.json").read_text())
        (folder / "tower.json").write_text(json.dumps(described | {other: 9}))
        with pytest.raises(InputError, match="cannot be read"):
            load_tower(folder)


def learner(tower):
    if not isinstance(tower, torch.nn.Module):
        pytest.skip("this tower does not learn")
    return tower


def test_what_is_prepared_can_be_cut_and_taken(tower):
    tower = learner(tower).eval()
    inputs = tower.prepare(TEXTS)
    assert len(inputs) == len(TEXTS)
    with torch.no_grad():
        whole = tower(inputs).numpy()
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
    tower(tower.prepare(TEXTS))[:, 0].sum().backward()
    gradients = [p.grad.to_dense() for p in tower.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)
