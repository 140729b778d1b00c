"""Tables of any content: what is written is what is read, and no bytes raise but InputError."""

import datetime
import decimal
import gzip
import math
import random

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from thresher.data.blocks import read_blocks
from thresher.data.frames import to_table
from thresher.data.tables import read_table, text_of, write_table
from thresher.errors import InputError

text = st.text(st.characters(codec="utf-8"), max_size=8)
sheet_text = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=8
)
moment = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))
LEAVES = {
    pa.string(): text,
    pa.large_string(): text,
    pa.string_view(): text,
    pa.dictionary(pa.int32(), pa.string()): text,
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint8(): st.integers(0, 255),
    pa.float64(): st.floats(allow_infinity=False, allow_nan=False),
    pa.float32(): st.floats(width=32, allow_infinity=False, allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1)),
    pa.timestamp("us"): moment,
    pa.timestamp("ns", "Europe/Berlin"): moment,
    pa.time64("us"): st.times(),
    pa.decimal128(20, 4): st.decimals(-(10**9), 10**9, places=4),
    pa.null(): st.none(),
}


@st.composite
def tables(draw, *, nested):
    """Up to five columns of any type, the first the ids."""
    size = draw(st.integers(1, 5))
    columns = {"id": pa.array([f"i{n}" for n in range(size)])}
    for at in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(list(LEAVES)))
        values = st.none() | LEAVES[kind]
        shape = draw(st.sampled_from(["one", "list", "object"])) if nested else "one"
        if shape == "list":
            values, kind = st.none() | st.lists(values, max_size=3), pa.list_(kind)
        elif shape == "object":
            values = st.none() | st.fixed_dictionaries({"in": values})
            kind = pa.struct([("in", kind)])
        drawn = draw(st.lists(values, min_size=size, max_size=size))
        columns[f"c{at}"] = pa.array(drawn, kind)
    return pa.table(columns)


def plain(value, *, empty):
    """A value as a text file gives it back: ISO dates, exact decimals, perhaps all of it text."""
    if isinstance(value, dict):
        return {key: plain(inner, empty=empty) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, empty=empty) for inner in value]
    if isinstance(value, decimal.Decimal):
        return decimal.Decimal(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC) if value.tzinfo else value
    return empty if value is None else value


def same(want, got):
    """Whether a value that was read is the one that was written, whatever its type has become."""
    if isinstance(want, dict):
        return set(want) == set(got) and all(same(want[key], got[key]) for key in want)
    if isinstance(want, list):
        return len(want) == len(got) and all(map(same, want, got))
    if isinstance(want, bool):
        return str(got).lower() == str(want).lower()
    if isinstance(want, float):
        return math.isclose(float(got), want, rel_tol=1e-6, abs_tol=0)
    if isinstance(want, decimal.Decimal):
        return decimal.Decimal(got) == want
    if isinstance(want, datetime.datetime):
        read = got if isinstance(got, datetime.datetime) else datetime.datetime.fromisoformat(got)
        return (read.astimezone(datetime.UTC) if want.tzinfo else read) == want
    if isinstance(want, datetime.date | datetime.time):
        return got == want or got == want.isoformat() or type(want).fromisoformat(got) == want
    return got == want or str(got) == str(want)


def test_a_value_is_compared_by_what_it_says():
    assert same(decimal.Decimal("1.10"), "1.1000")
    assert not same("007", "7")
    assert not same(None, "None ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def written(folder, name, table):
    path = folder / name
    write_table(table, path)
    return path


def moments(table):
    """Rows without nanoseconds, which Python's own types lack."""
    kinds = {pa.timestamp("ns", "Europe/Berlin"): pa.timestamp("us", "Europe/Berlin")}
    names = [f.name for f in table.schema if f.type in kinds]
    for name in names:
        at = table.column_names.index(name)
        table = table.set_column(at, name, table[name].cast(kinds[table[name].type]))
    return table.to_pylist()


@pytest.mark.parametrize(
    "name", ["t.csv", "t.csv.gz", "t.parquet", "t.jsonl", "t.ndjson.gz", "t.tsv"]
)
@given(data=st.data())
@settings(max_examples=25)
def test_what_is_written_is_what_is_read(folder, name, data):
    nested = not name.startswith(("t.csv", "t.tsv"))
    table = data.draw(tables(nested=nested))
    path, said = outcome(lambda: written(folder, name, table))
    if said:
        assert name == "t.tsv"
        assert "a tab or a line break" in said
        return
    read = read_table(path)
    blocks = list(read_blocks(path, data.draw(st.integers(1, 6))))
    assert pa.concat_tables(blocks) == read
    try:
        rows = moments(table)
    except ValueError:  # nanoseconds inside a list
        return
    assert len(read) == len(table)
    empty = None if nested else ""
    for want, got in zip(rows, read.to_pylist(), strict=True):
        assert list(want) == list(got)
        assert same(plain(want, empty=empty), got), (want, got)


@given(rows=st.lists(st.tuples(sheet_text, st.none() | st.integers(-(2**40), 2**40)), max_size=5))
@settings(max_examples=20)
def test_a_workbook_keeps_texts_and_numbers(folder, rows):
    table = pa.table(
        {
            "id": [f"i{n}" for n in range(len(rows))],
            "text": pa.array([row[0] or None for row in rows], pa.string()),
            "number": pa.array([row[1] for row in rows], pa.int64()),
        }
    )
    got = read_table(written(folder, "t.xlsx", table)).to_pylist()
    assert got == table.to_pylist()


@given(table=tables(nested=True))
@settings(max_examples=25)
def test_any_table_is_a_frame_and_its_text_is_a_text_a_row(table):
    read = to_table(table, what="items")
    assert len(read) == len(table)
    texts, said = outcome(lambda: text_of(read, read.column_names))
    if said:
        assert "struct" in said
        return
    assert len(texts) == len(table)


SEEDS = {
    "t.csv": b'id,title,price\n1,"red, ""big"" mug",2.5\n2,pan 12",\n\n3,"two\nlines",1e3\n',
    "t.tsv": b'id\ttitle\n1\t"55 inch" tv\n2\tNA\n',
    "t.jsonl": b'{"id": 1, "tags": ["a", null], "in": {"x": 1.5}}\n{"id": 2, "title": "\\u00e9"}\n',
}
SPLICES = [
    b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b",", b";", b"\t", b"{",
    b"}", b"[", b"]", b"null", b"NaN", b"1e999", b"-", b"\\", b"\\ud800", b'{"id": 1}', b"9" * 30,
    b"[" * 5000, b'{"a":' * 2000, b"id", b"sep=;\n", b"\x1f\x8b\x08", b"\xf0\x9f\x91\xa9",
]  # fmt: skip


def mutated(data, draw):
    """A few bytes changed, cut out, doubled, or put in."""
    for _ in range(draw.randint(1, 4)):
        at, to = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
        data = draw.choice(
            [
                lambda a=at, d=data: d[:a] + bytes([draw.randrange(256)]) + d[a + 1 :],
                lambda a=at, d=data: d[:a] + draw.choice(SPLICES) + d[a:],
                lambda a=at, b=to, d=data: d[:a] + d[b:],
                lambda a=at, b=to, d=data: d[:b] + d[a:b] + d[b:],
            ]
        )()
    return data


def outcome(action):
    """What an action gives, or the sentence that it is refused with, on one line."""
    try:
        return action(), ""
    except InputError as error:
        said = str(error)
    assert "\n" not in said
    return None, said


def texts_of(table):
    names = [n for n in table.column_names if "struct" not in str(table[n].type)]
    return table.column_names, text_of(table, names)


def in_blocks(path):
    return pa.concat_tables([*read_blocks(path, 2), read_table(path).slice(0, 0)])


def attempt(path):
    """Reads a file whole and in blocks: the same table, or the same sentence."""
    whole, said = outcome(lambda: texts_of(read_table(path)))
    blocks, of_blocks = outcome(lambda: texts_of(in_blocks(path)))
    assert whole == blocks
    assert said == of_blocks or path.suffix == ".parquet"


def files():
    """The seeds, also packed and as parquet."""
    yield from SEEDS.items()
    yield from ((f"{name}.gz", gzip.compress(data, mtime=0)) for name, data in SEEDS.items())
    sink = pa.BufferOutputStream()
    import pyarrow.parquet as pq

    table = pa.table({"id": ["1", "2"], "tags": [["a", None], []], "price": [1.5, None]})
    pq.write_table(table, sink, write_page_checksum=True)
    yield "t.parquet", sink.getvalue().to_pybytes()


def fuzz(folder, rounds, seed):
    for name, data in files():
        draw = random.Random(f"{name} {seed}")
        for _ in range(rounds):
            path = folder / name
            path.write_bytes(mutated(data, draw))
            attempt(path)


def test_damaged_files_are_one_sentence(tmp_path):
    fuzz(tmp_path, 50, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_damaged_files_are_one_sentence_many_times(tmp_path, seed):
    fuzz(tmp_path, 1500, seed)
