import numpy as np
import pyarrow as pa
import pytest

from thresher.errors import InputError
from thresher.towers.item_tokens import ItemTokens

ITEMS = pa.table(
    {
        "id": ["a", "b", "cold"],
        "title": ["Red car", "red red BOAT", "green boat"],
        "kind": ["toy", "toy", "book"],
        "tags": [["x", "y"], ["y", "y", ""], None],
    }
)
COUNTS = np.array([3, 1, 0])


def tokens(**columns):
    return ItemTokens.seen_in(ITEMS, COUNTS, **columns)


def dense(found):
    return found.toarray().tolist()


def test_ids_alone():
    t = tokens()
    assert list(t.ids) == ["a", "b"]
    assert dense(t.of(ITEMS)) == [[1, 0], [0, 1], [0, 0]]


def test_categories_share_one_length():
    t = tokens(category_columns=["kind", "tags"])
    assert t.categories == {"kind": ["toy"], "tags": ["x", "y"]}
    # a: toy, x and y, each 1 / sqrt(3). b: toy and y, which it names twice, each 1 / sqrt(2).
    # cold: its category is one that no trained item has.
    third, half = 3**-0.5, 2**-0.5
    expected = [[1, 0, third, third, third], [0, 1, half, 0, half], [0] * 5]
    np.testing.assert_allclose(t.of(ITEMS).toarray(), expected, atol=1e-6)


def test_words_are_tf_idf_of_length_one():
    t = tokens(text_columns=["title"])
    assert len(t) == 2 + 3  # red, car, boat; not green, which stands in a cold item only
    # Of two items, red stands in both, ln(3/3) + 1 = 1, car and boat in one, ln(3/2) + 1.
    rare = np.log(1.5) + 1
    red_twice = 1 + np.log(2)
    expected = [
        sorted([0, 1 / np.hypot(1, rare), rare / np.hypot(1, rare)]),
        sorted([0, red_twice / np.hypot(red_twice, rare), rare / np.hypot(red_twice, rare)]),
        [0, 0, 1],
    ]
    found = np.sort(t.of(ITEMS).toarray()[:, 2:], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_first_token_of_a_known_item_is_its_id():
    t = tokens(text_columns=["title"], category_columns=["kind"])
    found = t.of(ITEMS)
    assert found.indices[found.indptr[:2]].tolist() == [0, 1]
    assert found.has_sorted_indices


def test_an_item_is_the_same_in_another_catalogue():
    t = tokens(text_columns=["title"], category_columns=["kind", "tags"])
    order = [2, 0, 1, 0]
    np.testing.assert_array_equal(t.of(ITEMS.take(order)).toarray(), t.of(ITEMS).toarray()[order])


def test_numbers_may_be_categories():
    items = pa.table({"id": ["a", "b"], "shelf": [3, None]})
    t = ItemTokens.seen_in(items, np.array([1, 1]), category_columns=["shelf"])
    assert t.categories == {"shelf": ["3"]}
    assert dense(t.of(items)) == [[1, 0, 1], [0, 1, 0]]


def test_what_is_saved_is_loaded(tmp_path):
    t = tokens(text_columns=["title"], category_columns=["kind", "tags"])
    t.save(tmp_path / "tokens.parquet")
    again = ItemTokens.load(tmp_path / "tokens.parquet")
    assert len(again) == len(t)
    np.testing.assert_array_equal(again.of(ITEMS).toarray(), t.of(ITEMS).toarray())


def test_nothing():
    none = ItemTokens.none(bits=18)
    assert len(none) == 0
    assert none.of(ITEMS).shape == (3, 0)
    empty = ItemTokens.seen_in(ITEMS.slice(0, 0), COUNTS[:0], text_columns=["title"])
    assert empty.of(ITEMS).shape == (3, 0)


def test_what_cannot_be_read():
    with pytest.raises(InputError, match="2 counts for 3 items"):
        ItemTokens.seen_in(ITEMS, COUNTS[:2])
    with pytest.raises(InputError, match="did you mean 'title'"):
        tokens(text_columns=["titles"])
    with pytest.raises(InputError, match="'kind'"):
        tokens(category_columns=["kind"]).of(ITEMS.drop_columns(["kind"]))
    nested = pa.table({"id": ["a"], "kind": [{"of": 1}]})
    with pytest.raises(InputError, match="which is no category"):
        ItemTokens.seen_in(nested, np.array([1]), category_columns=["kind"])
