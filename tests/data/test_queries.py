"""Queries and parts: rows of a table, in any order, over any catalogue."""

import numpy as np
import pyarrow as pa
import pytest

from thresher.data import Part, Queries, Relation
from thresher.data.histories import Histories
from thresher.data.queries import check_ids
from thresher.data.sequences import Sequences
from thresher.errors import InputError

TABLE = pa.table({"id": ["x", "y", "z"], "title": ["red", None, "blue"], "price": [1, 2, None]})


def test_every_row_of_a_table_is_a_query():
    queries = Queries.of_table(TABLE)
    assert (len(queries), queries.ids.to_pylist()) == (3, ["x", "y", "z"])
    assert queries.column("price") == ["1", "2", None]
    assert queries.text(["title", "price"]) == ["red 1", "2", "blue"]
    assert queries.text([]) == ["", "", ""]
    with pytest.raises(InputError, match=r"the table of queries has no column 'prize'.*'price'"):
        queries.column("prize")


def test_without_ids_rows_are_numbered():
    assert Queries.of_table(TABLE.drop_columns("id")).ids.to_pylist() == ["0", "1", "2"]
    numbers = pa.table({"id": pa.array([7, 8])})
    assert Queries.of_table(numbers).ids.to_pylist() == ["7", "8"]
    assert Queries.of_table(TABLE.slice(0, 0)).text(["title"]) == []


def test_ids_are_there_and_differ():
    seen = set()
    check_ids(pa.array(["a", "b"]), seen)
    check_ids(pa.array(["c"]), seen, before=2)
    with pytest.raises(InputError, match=r"row 5: an earlier row has the id 'b' too; give each"):
        check_ids(pa.array(["d", "b"]), seen, before=3)
    for name in (None, "", " "):
        with pytest.raises(InputError, match=r"queries, row 2: the id is missing; give each row"):
            check_ids(pa.array(["a", name]))


def test_queries_are_taken_in_any_order():
    taken = Queries.of_table(TABLE).take(np.array([2, 0, 2]))
    assert taken.ids.to_pylist() == ["z", "x", "z"]
    assert taken.text(["title"]) == ["blue", "red", "blue"]
    assert taken.take(np.array([1])).column("id") == ["x"]


def test_a_query_that_its_table_lacks_has_nothing():
    queries = Queries(pa.array(["y", "q"]), TABLE, np.array([1, -1]), None)
    assert queries.column("price") == ["2", None]
    assert queries.text(["price"]) == ["2", ""]
    alone = Queries(pa.array(["y"]), None, None, None)
    assert alone.column("id") == ["y"]


def test_a_part_over_another_catalogue():
    own, other = pa.table({"id": ["a", "b", "c"]}), pa.table({"id": ["c", "new", "a"]})
    had = Sequences(np.array([0, 3, 4]), np.array([0, 1, 2, 1]))
    part = Part(
        Queries(pa.array(["u", "v"]), None, None, Histories.of(had)),
        truth=Relation.from_pairs(np.array([0, 0, 1]), np.array([0, 2, 1]), shape=(2, 3)),
        ignored=Relation.from_pairs(np.array([1]), np.array([2]), shape=(2, 3)),
        targets=Sequences(np.array([0, 3, 4]), np.array([2, 2, 0, 1])),
    )
    moved = part.over(own, other)
    assert moved.truth.pairs().tolist() == [[0, 0], [0, 2]]
    assert moved.ignored.pairs().tolist() == [[1, 0]]
    assert moved.truth.shape == moved.ignored.shape == (2, 3)
    assert (moved.targets.starts.tolist(), moved.targets.items.tolist()) == ([0, 3, 3], [0, 0, 2])
    histories = moved.queries.histories.sequences()
    assert (histories.starts.tolist(), histories.items.tolist()) == ([0, 2, 2], [2, 0])
    assert len(part.first(9)) == 2
