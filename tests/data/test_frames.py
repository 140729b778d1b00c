"""Frames of any kind in, the same kind out; what cannot be a table is one sentence."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from thresher.data.frames import like, texts_of, to_table
from thresher.errors import InputError

COLUMNS = {
    "id": [7, 8],
    "title": ["red mug", None],
    "price": [1.5, None],
    "tags": [["a", None], []],
}
WANT = [
    {"id": "7", "title": "red mug", "price": 1.5, "tags": ["a", None]},
    {"id": "8", "title": None, "price": None, "tags": []},
]
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


class Stream:
    """Anything of another library that speaks Arrow's C interface."""

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.table(COLUMNS).__arrow_c_stream__(requested_schema)


FRAMES = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas index": lambda: pd.DataFrame(COLUMNS).set_index("id"),
    "pandas filtered": lambda: pd.DataFrame(COLUMNS).sort_values("id", ascending=False)[::-1],
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars lazy": lambda: pl.LazyFrame(COLUMNS),
    "arrow": lambda: pa.table(COLUMNS),
    "batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "reader": lambda: pa.table(COLUMNS).to_reader(),
    "stream": Stream,
    "rows": lambda: ROWS,
    "columns": lambda: COLUMNS,
    "columns of numpy": lambda: {**COLUMNS, "id": np.array([7, 8])},
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_any_kind(name):
    table = to_table(FRAMES[name](), what="items")
    assert table.to_pylist() == WANT
    assert table.schema.field("title").type == pa.string()


def test_a_path(tmp_path):
    (tmp_path / "t.csv").write_text("id,title\n007,a\n")
    for path in (tmp_path / "t.csv", str(tmp_path / "t.csv")):
        assert to_table(path, what="items").to_pylist() == [{"id": "007", "title": "a"}]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (pd.DataFrame(COLUMNS), pd.DataFrame),
        (pl.DataFrame(COLUMNS), pl.DataFrame),
        (pl.LazyFrame(COLUMNS), pl.LazyFrame),
        (pa.table(COLUMNS), pa.Table),
        (pa.RecordBatch.from_pydict(COLUMNS), pa.RecordBatch),
        (Stream(), pa.Table),
        ("items.csv", pa.Table),
        (["a text"], pa.Table),
        ([], pa.Table),
        (ROWS, list),
        (COLUMNS, dict),
        (None, pa.Table),
    ],
)
def test_the_kind_that_came_in_goes_out(frame, kind):
    given = to_table(ROWS, what="items")
    for table in (given, given.slice(0, 0)):
        out = like(table, frame)
        assert isinstance(out, kind)
        if table is given or kind is not list:
            assert to_table(out, what="answers").num_columns == 4
    assert to_table(like(given, frame), what="answers").to_pylist() == WANT


def test_types_of_frames_become_plain():
    day = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(["x", None]),
            "seen_id": [1.0, np.nan],
            "day": [day, pd.NaT],
            "nested": [[["a"], []], None],
            "vector": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
            "exact": [decimal.Decimal("1.10"), None],
        }
    )
    assert to_table(frame, what="items").to_pylist() == [
        {
            "kind": "x",
            "seen_id": "1",
            "day": day,
            "nested": [["a"], []],
            "vector": [1.0, 2.0],
            "exact": decimal.Decimal("1.10"),
        },
        {
            "kind": None,
            "seen_id": None,
            "day": None,
            "nested": None,
            "vector": [3.0, 4.0],
            "exact": None,
        },
    ]
    views = pl.DataFrame({"kind": ["x", "y"]}, schema={"kind": pl.Categorical})
    assert to_table(views, what="items").schema.field(0).type == pa.string()
    odd = pa.table(
        {
            "views": pa.array(["a"], pa.string_view()),
            "lists": pa.array([["a", None]], pa.large_list(pa.dictionary(pa.int8(), pa.string()))),
            "in": pa.array([{"x": "a"}], pa.struct([("x", pa.large_string())])),
        }
    )
    table = to_table(odd, what="items")
    assert table.to_pylist() == [{"views": "a", "lists": ["a", None], "in": {"x": "a"}}]
    assert table.schema.field("lists").type == pa.list_(pa.string())


def test_an_index_of_several_levels():
    index = pd.MultiIndex.from_tuples([("a", 1)], names=["shop", None])
    table = to_table(pd.DataFrame({"id": ["x"]}, index=index), what="items")
    assert table.to_pylist() == [{"shop": "a", "id": "x"}]


TWICE = pd.DataFrame([["a", "b"]], columns=["id", "id"])
LEVELS = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))
BAD = {
    "two of a name": (TWICE, r"items has several columns named 'id'"),
    "levels": (LEVELS, r"items has columns of several levels; join them"),
    "index": (pd.DataFrame({"id": [1]}, index=pd.Index([1], name="id")), r"'id' as a column and "),
    "mixed": (pd.DataFrame({"id": [1, "a"]}), r"items, row 2: id is text \('a'\), but a number in"),
    "nan id": (pd.DataFrame({"id": [1.0, np.nan]}), r"items, row 2: the id is missing; give each"),
    "no id": ([{"id": "a"}, {"title": "b"}], r"items, row 2: the id is missing"),
    "decimal id": (pl.DataFrame({"id": [1.0, 1.5]}), r"items, row 2: id 1\.5 is no id; ids are"),
    "huge id": (pd.DataFrame({"id": [2.0**60]}), r"items, row 1: id 1\.15\S+ is no id"),
    "list id": (pl.DataFrame({"id": [["a"]]}), r"items: column 'id' holds list<.*ids are text or"),
    "bool id": (pd.DataFrame({"id": [True]}), r"column 'id' holds bool; ids are text or whole"),
    "mixed rows": ([{"a": 1}, {"a": "b"}], r"items, row 2: a is text \('b'\), but a number in row"),
    "half": ([{"id": "a"}, {"id": "a\ud800"}], r"items, row 2: id 'a\\ud800' holds half of a surr"),
    "half in a list": ([{"id": "a", "in": {"x": ["\udfff"]}}], r"row 1: in\.x\[\] '\\udfff' holds"),
    "half in a frame": (
        pd.DataFrame({"id": [1, 2], "t": np.array(["a", "\ud800b"], object)}, dtype=object),
        r"items, row 2: t '\\ud800b' holds half of a surrogate pair",
    ),
    "half in an array": ({"t": np.array(["a\ud800"])}, r"items, row 1: t .* holds half"),
    "texts and more": (["a", None, 7], r"items, row 3: it is no text but int; give a pandas or"),
    "rows of text": (["a"], r"items, row 1: it is no dict but str; give a pandas or polars frame"),
    "scalars": ({"id": "a"}, r"items: column 'id' is no list of values"),
    "lengths": ({"id": [1, 2], "b": [1]}, r"different lengths \(id 2, b 1\); give one value a ro"),
    "number": (7, r"items cannot be read from int; give a pandas or polars frame"),
    "none": (None, r"items cannot be read from NoneType"),
    "series": (pd.Series([1]), r"items is one column; give"),
    "array": (np.zeros((2, 2)), r"items (is one column|cannot be read from ndarray)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table(name):
    frame, words = BAD[name]
    with pytest.raises(InputError, match=words) as caught:
        to_table(frame, what="items")
    assert "\n" not in str(caught.value)


def test_half_of_a_surrogate_pair_in_a_list_of_texts():
    with pytest.raises(InputError, match=r"the texts, row 2: text 'a\\ud800' holds half of a surr"):
        texts_of(("b", "a\ud800"))
    assert texts_of([None]).type == pa.string()
