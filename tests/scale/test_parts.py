"""Every row is in one part, whatever the files and their row groups are."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thresher.errors import InputError
from thresher.scale.parts import described, files_of, parts_of


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    group=st.integers(1, 50),
    rows=st.integers(1, 25),
    block=st.integers(1, 30),
)
def test_the_parts_hold_all_rows_in_their_order(tmp_path, sizes, group, rows, block):
    every, files = [], []
    for number, size in enumerate(sizes):
        ids = [f"{number}.{row}" for row in range(size)]
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(
            pa.table({"id": pa.array(ids, pa.string())}), files[-1], row_group_size=group
        )
        every += ids
    parts = parts_of(files, rows)
    found = []
    for number, part in enumerate(parts):
        assert (part.number, part.before, part.rows <= rows) == (number, len(found), True)
        blocks = [table["id"].to_pylist() for table in part.blocks(block)]
        assert [len(b) for b in blocks[:-1]] == [block] * (len(blocks) - 1)
        assert sum(map(len, blocks)) == part.rows
        found += [name for b in blocks for name in b]
    assert found == every


def test_a_file_and_a_folder_are_found_by_name(tmp_path):
    for name in ("b", "a"):
        pq.write_table(pa.table({"id": [name]}), tmp_path / f"{name}.parquet")
    (tmp_path / "note.txt").write_text("")
    assert [path.name for path in files_of(tmp_path)] == ["a.parquet", "b.parquet"]
    assert files_of(tmp_path / "a.parquet") == [tmp_path / "a.parquet"]


def test_what_is_no_parquet_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.parquet file; give a file, or a folder"):
        files_of(tmp_path)
    (tmp_path / "q.csv").write_text("id\n1\n")
    with pytest.raises(InputError, match=r"q\.csv is no \.parquet file, which alone is read in"):
        files_of(tmp_path / "q.csv")
    with pytest.raises(InputError, match="there is no file"):
        files_of(tmp_path / "q.parquet")


def test_another_file_is_described_otherwise(tmp_path):
    path = tmp_path / "q.parquet"
    pq.write_table(pa.table({"id": ["a", "b"]}), path)
    (first,) = described([path])
    pq.write_table(pa.table({"id": ["a", "c"]}), path)
    assert described([path]) != [first]
    pq.write_table(pa.table({"id": ["a", "b"]}), path)
    assert described([path]) == [first]
