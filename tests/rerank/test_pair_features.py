"""Pair features: what speaks for a candidate."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from oracles.pair_features import NAMES, SlowPairFeatures, few
from thresher.data.histories import Histories
from thresher.data.sequences import Sequences
from thresher.errors import InputError
from thresher.rerank import Compared, PairFeatures, QueryAliases, pair_features
from thresher.rerank.pair_features import hide
from thresher.towers.quantised import quantised, restored

TEXTS = ["Bosch KIN85AF30 64GB", "Bosch KIN85AF20 128GB", "Neff W544BX0GB White", ""]
IDS = ["a", "b", "c", "d"]
ITEMS = pa.table({"id": IDS, "title": TEXTS})
COUNTS = np.array([2, 0, 1, 0])
ALIASES = QueryAliases(
    ("kin 85 af 30 fridge", "bosch fridge 64gb", "white washer", "gone"), ("a", "a", "c", "zz")
)


def encode(texts):
    """Counts of letters, at unit length: a dense stand-in for a tower."""
    counts = [[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz0123456789"] for t in texts]
    rows = np.array(counts, np.float32).reshape(len(texts), 36)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def encode_sparse(texts):
    return sparse.csr_matrix(encode(texts))


def build(items=ITEMS, aliases=ALIASES, encode=encode, counts=COUNTS, **options):
    return PairFeatures.build(
        items,
        text=("title",),
        query_text=("title",),
        aliases=aliases,
        train_counts=counts,
        encode=encode,
        **options,
    )


def candidates(texts, rows, encode=encode, items=TEXTS):
    rows = np.array(rows, np.int64)
    vectors, own = encode(texts), encode(items)
    scores = (vectors @ own.T).toarray() if sparse.issparse(vectors) else vectors @ own.T
    taken = np.take_along_axis(scores, np.maximum(rows, 0), axis=1).astype(np.float32)
    return pa.table({"title": texts}), vectors, rows, np.where(rows < 0, -np.inf, taken)


def read(texts, rows, **options):
    found = build(**options)
    shown = candidates(texts, rows, options.get("encode", encode))
    return Named(found.names, found.read(*shown))


class Named:
    """Features by name."""

    def __init__(self, names, values):
        self.names, self.values = names, values

    def __getitem__(self, name):
        return self.values[..., self.names.index(name)]


def test_the_true_item_leads():
    found = read(["bosch kin85af30"], [[1, 0, 2]])
    for name in ("tf-idf", "query words found", "item code in the query, characters"):
        assert np.argmax(found[name][0]) == 1, name
        assert found[f"{name}, lead"][0, 1] > 0 > found[f"{name}, lead"][0, 0], name


def test_what_speaks_against_leads_when_it_is_least():
    found = read(["bosch kin85af30 64gb"], [[0, 1]])
    for name in ("item words missing", "numbers only in the item", "units that differ"):
        low, high = found[name][0]
        assert low < high
        np.testing.assert_allclose(found[f"{name}, lead"][0], [high - low, low - high], 1e-5)


@pytest.mark.parametrize(
    ("query", "item", "expected"),
    [
        # kin85af is found, 7 of 9 characters; the query's code is not in the item
        ("bosch kin85af20", "Bosch KIN85AF30", (7 / 9, 0, 0, 9, 1, 1, 1, 0, 0)),
        ("bosch kin 85 af30 fridge", "Bosch KIN85AF30", (1, 9, 5, 0, 0, 0, 2, 0, 0)),
        ("phone 8 64gb red", "phone 8 256gb", (-1, 0, 0, 0, 1, 1, 1, 0, 1)),
        ("phone 64 gb", "phone 64gb 8 kg", (-1, 0, 0, 0, 1, 0, 1, 1, 0)),
        ("Фя-42я7", "фя 42я7", (1, 4, 4, 0, 0, 0, 2, 0, 0)),
        ("", "", (-1, 0, 0, 0, 0, 0, 0, 0, 0)),
    ],
)
def test_codes_numbers_and_units_by_hand(query, item, expected):
    items = pa.table({"id": ["a"], "title": [item]})
    made = build(items, counts=np.array([0]))
    found = made.read(*candidates([query], [[0]], items=[item]))
    names = pair_features.OF_CODES
    at = made.names.index(names[0])
    np.testing.assert_allclose(found[0, 0, at : at + len(names)], expected, rtol=1e-6)


def test_aliases_are_compared_and_pairs_counted():
    found = read(["kin 85 af 30 fridge"], [[0, 1, 2]])
    np.testing.assert_allclose(found["training pairs, log"][0], np.log1p([2, 0, 1]), 1e-6)
    close = found["best alias, score"][0]
    assert close[0] == pytest.approx(1, abs=1e-2)  # the same text, kept in eight bits
    assert close[1] == 0 < close[2] < 1
    assert found["best alias, tf-idf"][0, 0] == pytest.approx(1, abs=1e-5)


def test_missing_candidates_have_zeros_but_for_what_is_of_the_query():
    found = read(["neff white"], [[2, -1, -1]])
    own = [i for i, n in enumerate(found.names) if n == "tf-idf" or n.endswith("lead")]
    assert np.isfinite(found.values).all()
    assert (found.values[0, 1:, own] == 0).all()
    assert found["words"][0].tolist() == [2, 2, 2]


WORDS = ["bosch", "kin85af30", "kin 85", "64gb", "64 gb", "128gb", "white", "é東", "3111", "rf", ""]
titles = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)


@settings(max_examples=30)
@given(
    st.lists(titles, min_size=1, max_size=4),
    st.lists(titles, max_size=3),
    st.lists(st.tuples(titles, st.integers(0, 3)), max_size=40),
    st.randoms(use_true_random=False),
    st.sampled_from([encode, encode_sparse]),
)
def test_the_same_as_the_slow_form(items, queries, aliases, random, encode):
    aliases = [(text, row % len(items)) for text, row in aliases]
    rows = np.array([[random.randint(-1, len(items) - 1) for _ in range(3)] for _ in queries])
    rows = rows.reshape(-1, 3).astype(np.int64)
    table = pa.table({"id": [str(i) for i in range(len(items))], "title": items})
    counts = np.bincount([row for _, row in aliases], minlength=len(items))
    given = QueryAliases([t for t, _ in aliases], [str(row) for _, row in aliases])
    found = build(table, given, encode, counts)
    kept = few(aliases, pair_features.MAX_ALIASES)
    vectors = encode([text for text, _ in kept])
    vectors = vectors if sparse.issparse(vectors) else restored(*quantised(vectors))
    slow = SlowPairFeatures(items, kept, vectors, counts)
    shown = candidates(queries, rows, encode, items) if len(queries) else None
    if shown is None:
        nothing = np.zeros((0, 3), np.float32)
        empty = pa.table({"title": pa.array([], pa.string())})
        assert found.read(empty, encode([]), rows, nothing).shape == (0, 3, len(found.names))
        return
    fast = found.read(*shown)
    assert set(found.names) == set(NAMES)
    other = slow.read(queries, *shown[1:])[..., [NAMES.index(n) for n in found.names]]
    within = [i for i, name in enumerate(found.names) if name.startswith("candidates within")]
    rest = np.setdiff1d(np.arange(len(found.names)), within)
    np.testing.assert_allclose(fast[..., rest], other[..., rest], rtol=1e-4, atol=2e-4)
    assert fast.dtype == np.float32


def test_candidates_within_by_hand():
    # 0.6 score + 0.4 tf-idf, of texts without a token: 0.6, 0.582, 0.546, 0.3
    items = pa.table({"id": list("abcd"), "title": [""] * 4})
    made = build(items, QueryAliases(), counts=np.zeros(4, int))
    rows, scores = np.array([[0, 1, 2, 3]]), np.array([[1.0, 0.97, 0.91, 0.5]], np.float32)
    shown = pa.table({"title": [""]}), encode([""]), rows, scores
    found = Named(made.names, made.read(*shown))
    for gap, expected in (("0.02", 2), ("0.05", 2), ("0.10", 3)):
        assert found[f"candidates within {gap}"][0].tolist() == [expected] * 4
    spread = (0.018 + 0.054 + 0.3) / 4
    np.testing.assert_allclose(found["spread of the candidates"][0], spread, rtol=1e-5)


def test_order_of_candidates_does_not_matter():
    texts = ["bosch kin85af30 64gb", "white"]
    one, other = read(texts, [[0, 1, 2]] * 2), read(texts, [[2, 0, 1]] * 2)
    np.testing.assert_allclose(one.values[:, [2, 0, 1]], other.values, atol=1e-6)


def test_blocks_give_the_same(monkeypatch):
    texts, rows = ["bosch kin85af30", "white", "64gb"], [[0, 1], [2, -1], [1, 3]]
    at_once = read(texts, rows).values
    monkeypatch.setattr(pair_features, "BLOCK", 2)
    np.testing.assert_array_equal(at_once, read(texts, rows).values)


def test_a_hidden_candidate_is_as_one_that_was_not_found():
    made = build()
    texts = ["bosch kin85af30 64gb", "white"]
    seen = made.read(*candidates(texts, [[0, 1, 2]] * 2))
    gone = made.read(*candidates(texts, [[-1, 1, 2]] * 2))
    hidden = hide(seen, np.zeros((2, 3), bool), np.array([[True, False, False]] * 2), made.names)
    np.testing.assert_allclose(hidden[:, 1:], gone[:, 1:], atol=1e-6)


@pytest.mark.parametrize("encode", [encode, encode_sparse])
def test_saved_and_loaded(tmp_path, encode):
    items = ITEMS.append_column("price", pa.array([1.0, 2.0, None, 4.0]))
    compare = [Compared("price", "number"), Compared("title", "text"), Compared("title", "code")]
    made = build(items, encode=encode, compare=compare)
    made.save(tmp_path)
    again = PairFeatures.load(tmp_path, items)
    assert again.names == made.names
    assert again.compare == tuple(compare)
    assert list(again.aliases.item_ids) == ["a", "a", "c"]  # "zz" is not in the catalogue
    table, *rest = candidates(["bosch kin85af30"], [[0, 1]], encode)
    table = table.append_column("price", pa.array(["1.05"]))
    np.testing.assert_array_equal(again.read(table, *rest), made.read(table, *rest))


@pytest.mark.parametrize(
    "damage", ["token.npy", "aliases.parquet", "pair_features.json", "compare"]
)
def test_damaged_files_are_refused(tmp_path, damage):
    build().save(tmp_path)
    if damage == "compare":
        path = tmp_path / "pair_features.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "compare": [["x", "y"]]}))
    else:
        (tmp_path / damage).write_bytes(b"{")
    with pytest.raises(InputError):
        PairFeatures.load(tmp_path, ITEMS)


def test_another_catalogue_is_refused(tmp_path):
    build().save(tmp_path)
    with pytest.raises(InputError, match="of 4 items, the catalogue has 2"):
        PairFeatures.load(tmp_path, ITEMS.slice(0, 2))


def test_of_many_aliases_some_are_kept_evenly():
    names = (*(f"name {i}" for i in range(10)), "one", "two", "gone")
    aliases = QueryAliases(names, ("a",) * 10 + ("b",) * 2 + ("zz",))
    kept = aliases.of_rows({"b": 0, "a": 1}, 4)
    # Shares of 10/4: the first place of each is 0, 3, 5, 8 (place * 4 // 10 = 0, 1, 2, 3).
    assert kept.texts == ("one", "two", "name 0", "name 3", "name 5", "name 8")
    assert kept.item_ids == ("b", "b", "a", "a", "a", "a")


def test_without_text_scores_counts_and_histories_are_read():
    items = pa.table({"id": IDS})
    made = PairFeatures.build(
        items, text=(), query_text=(), train_counts=COUNTS, encode=lambda texts: 1 / 0
    )
    # The first user had a, b, a; the second nothing.
    histories = Histories.of(Sequences(np.array([0, 3, 3]), np.array([0, 1, 0])))
    rows, scores = np.array([[0, 1, 2], [2, 3, -1]]), np.array([[3, 2, 1], [2, 1, 0]], np.float32)
    table = pa.table({"id": ["u", "v"]})
    found = Named(made.names, made.read(table, None, rows, scores, histories=histories))
    np.testing.assert_allclose(found["score"], [[3, 2, 1], [2, 1, 0]])
    np.testing.assert_allclose(found["score, lead"], [[1, -1, -2], [1, -1, 0]])
    np.testing.assert_allclose(
        found["training pairs, log"], np.log1p([[2, 0, 1], [1, 0, 0]]), rtol=1e-6
    )
    times = found["times in the history, log"]
    np.testing.assert_allclose(times, np.log1p([[2, 1, 0], [0, 0, 0]]), rtol=1e-6)
    # a was the last of all events, b one before it
    np.testing.assert_allclose(found["recency in the history"], [[1, 0.5, 0], [0, 0, 0]])
    without = Named(made.names, made.read(table, None, rows, scores))
    assert (without["times in the history, log"] == 0).all()


def test_a_missing_column_of_the_queries_is_named():
    made = build()
    _, *rest = candidates(["bosch"], [[0]])
    with pytest.raises(InputError, match="title"):
        made.read(pa.table({"name": ["bosch"]}), *rest)
