"""What speaks for a candidate."""

import numpy as np
import pytest
from scipy import sparse

from thresher.decide.evidence import NAMES, Evidence, Known, Reader

TEXTS = ["Bosch KIN85AF30 64GB", "Bosch KIN85AF20 128GB", "Neff W544BX0GB White", ""]
IDS = ["a", "b", "c", "d"]
KNOWN = Known(
    ("kin 85 af 30 fridge", "bosch fridge 64gb", "white washer", "gone"), ("a", "a", "c", "zz")
)


def encode(texts):
    """Counts of letters, at unit length: a dense stand-in for a tower."""
    counts = [[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz0123456789"] for t in texts]
    rows = np.array(counts, np.float32).reshape(len(texts), 36)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def encode_sparse(texts):
    return sparse.csr_matrix(encode(texts))


def read(texts, rows, *, known=KNOWN, encode=encode):
    evidence = Evidence.build(TEXTS, IDS, known, encode)
    rows = np.array(rows, np.int64)
    vectors, items = encode(texts), encode(TEXTS)
    scores = (vectors @ items.T).toarray() if sparse.issparse(vectors) else vectors @ items.T
    taken = np.take_along_axis(scores, np.maximum(rows, 0), axis=1).astype(np.float32)
    return Reader(evidence).read(texts, vectors, rows, np.where(rows < 0, -np.inf, taken))


def of(signs, name):
    return signs[..., NAMES.index(name)]


def test_the_true_item_leads():
    signs = read(["bosch kin85af30"], [[1, 0, 2]])
    for name in ("tf-idf", "rare words of the query found", "item code in the query, characters"):
        assert np.argmax(of(signs, name)[0]) == 1, name
        assert of(signs, f"{name}, lead")[0, 1] > 0 > of(signs, f"{name}, lead")[0, 0], name


def test_what_speaks_against_leads_when_it_is_least():
    signs = read(["bosch kin85af30 64gb"], [[0, 1]])
    for name in ("rare words of the item missing", "numbers only in the item", "units that differ"):
        low, high = of(signs, name)[0]
        assert low < high
        np.testing.assert_allclose(of(signs, f"{name}, lead")[0], [high - low, low - high], 1e-5)


def test_known_queries_are_compared_and_counted():
    signs = read(["kin 85 af 30 fridge"], [[0, 1, 2]])
    np.testing.assert_allclose(of(signs, "known queries, log")[0], np.log1p([2, 0, 1]))
    close = of(signs, "best known query, score")[0]
    assert close[0] == pytest.approx(1, abs=1e-2)  # the same text, kept in half precision
    assert close[1] == 0 < close[2] < 1
    assert of(signs, "best known query, tf-idf")[0, 0] == pytest.approx(1, abs=1e-5)


def test_missing_candidates_have_zeros_but_for_what_is_of_the_query():
    signs = read(["neff white"], [[2, -1, -1]])
    own = [i for i, name in enumerate(NAMES) if name == "tf-idf" or name.endswith("lead")]
    assert np.isfinite(signs).all()
    assert (signs[0, 1:, own] == 0).all()
    assert of(signs, "words")[0].tolist() == [2, 2, 2]


@pytest.mark.parametrize("known", [None, KNOWN])
@pytest.mark.parametrize("encode", [encode, encode_sparse])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_few_candidates_no_known_queries_and_texts_without_tokens(known, encode, k):
    texts = ["bosch kin85af30", "", "?!", "unheard of"]
    signs = read(texts, np.tile(np.arange(4)[::-1][:k], (4, 1)), known=known, encode=encode)
    assert signs.shape == (4, k, len(NAMES))
    assert signs.dtype == np.float32
    assert np.isfinite(signs).all()


def test_no_candidate_at_all_and_no_query():
    assert np.isfinite(read(["bosch"], [[-1, -1]])).all()
    assert read([], np.zeros((0, 3))).shape == (0, 3, len(NAMES))


def test_order_of_candidates_does_not_matter():
    texts = ["bosch kin85af30 64gb", "white"]
    one, other = read(texts, [[0, 1, 2]] * 2), read(texts, [[2, 0, 1]] * 2)
    np.testing.assert_allclose(one[:, [2, 0, 1]], other, atol=1e-6)


@pytest.mark.parametrize("encode", [encode, encode_sparse])
def test_saved_and_loaded(tmp_path, encode):
    Evidence.build(TEXTS, IDS, KNOWN, encode).save(tmp_path)
    again = Evidence.load(tmp_path, TEXTS)
    assert again.known.item_ids == ("a", "a", "c")  # the item of "gone" is not in the catalogue
    texts, rows = ["bosch kin85af30"], np.array([[0, 1]])
    scores = np.zeros((1, 2), np.float32)
    found = Reader(again).read(texts, encode(texts), rows, scores)
    before = Reader(Evidence.build(TEXTS, IDS, KNOWN, encode))
    np.testing.assert_array_equal(found, before.read(texts, encode(texts), rows, scores))


def test_of_many_names_some_are_kept_evenly_and_all_are_counted():
    names = (*(f"name {i}" for i in range(10)), "one", "two")
    known = Known(names, ("a",) * 10 + ("b",) * 2)
    few = known.few(4)
    # Shares of 10/4: the first place of each is 0, 3, 5, 8 (place * 4 // 10 = 0, 1, 2, 3).
    assert few.texts == ("name 0", "name 3", "name 5", "name 8", "one", "two")
    assert few.asked == {"a": 10}
    assert few.few(4) == few
    assert known.few(10) == known


def test_an_item_with_many_names_counts_them_all(tmp_path):
    many = Known(tuple(f"lamp {i}" for i in range(40)), ("a",) * 40)
    made = Evidence.build(["red lamp", "blue lamp"], ["a", "b"], many, encode)
    assert made.asked.tolist() == [40, 0]
    assert len(made.known.texts) == 16
    made.save(tmp_path)
    again = Evidence.load(tmp_path, ["red lamp", "blue lamp"])
    assert again.asked.tolist() == [40, 0]
    assert again.known == made.known
    # Another catalogue is made from what was kept, and remembers.
    moved = Evidence.build(["blue lamp", "red lamp"], ["b", "a"], again.known, encode)
    assert moved.asked.tolist() == [0, 40]
