"""Pair tables: labels 0 are no truth, and nothing of the test is trained on."""

import gzip
import tomllib

import pytest

from oracles.truth import trues
from thresher.data import DataOptions, load_dataset, read_table
from thresher.data.readers import pair_table
from thresher.errors import InputError

HEAD = "ltable_id,rtable_id,label\n"
FILES = {
    "tableA.csv": "id,name\n" + "".join(f"{n},offer {n}\n" for n in range(7)),
    "tableB.csv": "id,name,price\n" + "".join(f"{n},product {n},{n}.5\n" for n in range(5)),
    # 0 has true pairs in train and test; 1 in train and, labelled 0, in test; 3 is never true and
    # stands in valid and train; 4 is never true in train alone; 5 is true in valid; 6 is in none.
    "train.csv": HEAD + "0,0,1\n0,1,0\n1,1,1\n2,2,1\n3,0,0\n4,4,0\n",
    "valid.csv": HEAD + "3,1,0\n5,3,1\n2,2,1\n",
    "test.csv": HEAD + "0,2,1\n1,2,0\n",
}


@pytest.fixture
def source(tmp_path):
    def write(**replaced: str):
        at = tmp_path / "source"
        at.mkdir()
        for name, content in FILES.items():
            (at / name).write_text(replaced.get(name.split(".")[0], content))
        return at

    return write


def rows(path):
    return [tuple(row.values()) for row in read_table(path).to_pylist()]


def test_pair_tables(source, tmp_path):
    out = tmp_path / "out"
    summary = pair_table.convert(source(), out, calibration=0.0)
    assert rows(out / "items.parquet")[1] == ("1", "product 1", 1.5)
    assert set(rows(out / "pairs.parquet")) == {
        ("0", "0"), ("0", "2"), ("1", "1"), ("2", "2"), ("5", "3"),
    }  # fmt: skip
    assert [(row[0], row[2]) for row in rows(out / "queries.parquet")] == [
        ("0", "test"), ("1", "train"), ("2", "validation"), ("3", "validation"), ("4", "train"),
        ("5", "validation"), ("6", None),
    ]  # fmt: skip
    assert summary.splits == {"train": 2, "validation": 3, "calibration": 0, "test": 1}
    assert summary.notes == (
        "5 pairs labelled 0 left out: they are not truth",
        "3 records have no true pair: queries without an item",
        "2 records have true pairs in several files: the first of test, valid and train was taken",
        "1 record is in no pair: split by text on loading",
    )
    assert (summary.item_text, summary.query_text) == (("name",), ("name",))
    written = DataOptions(
        items="items.parquet",
        queries="queries.parquet",
        pairs="pairs.parquet",
        without_pairs="no_item",
    )
    assert trues(load_dataset(written, out)) == {
        "0": ["0", "2"], "1": ["1"], "2": ["2"], "3": [], "4": [], "5": ["3"], "6": [],
    }  # fmt: skip


def test_numbers_are_numbers_and_what_is_none_stays(source, tmp_path):
    head = "id,name,price,weight,year\n"
    lines = ('"$1,299.50",2 kg', "$5,", ",3", "0.5 \u20ac,4", "7,5")
    made = [f"{n},product {n},{line},{1990 + n}\n" for n, line in enumerate(lines)]
    out = tmp_path / "out"
    summary = pair_table.convert(source(tableB=head + "".join(made)), out)
    items = read_table(out / "items.parquet")
    assert items["price"].to_pylist() == [1299.5, 5.0, None, 0.5, 7.0]
    assert items["year"].to_pylist() == [1990.0, 1991.0, 1992.0, 1993.0, 1994.0]
    kinds = summary.columns["items"]
    assert (kinds["price"], kinds["year"]) == ("number", "number")
    made[0] = "0,product 0,call,2,1990\n"
    made += [f"{n},product {n},$1,1,1990\n" for n in range(5, 30)]
    source_b = tmp_path / "source" / "tableB.csv"
    source_b.write_text(head + "".join(made))
    summary = pair_table.convert(tmp_path / "source", out)
    assert read_table(out / "items.parquet")["price"].to_pylist()[:2] == ["call", "$5"]
    assert summary.columns["items"]["price"] == "text"
    assert summary.notes[-1].startswith("price stays text: 'call' is no number; correct or empty")


def test_every_column_is_kept_and_proposed_by_its_kind(source, tmp_path):
    """The model number decides; short names of a column of any name describe a row."""
    head = "id,name,product,modelno,price,colour\n"
    rows = [
        f"{n},a lamp of steel and glass {n},lamp {w},KX-{n}{n},{n}.5,{'red' if n % 2 else 'blue'}\n"
        for n, w in enumerate(["left", "right", "upper", "lower", "inner"])
    ]
    summary = pair_table.convert(source(tableB=head + "".join(rows)), tmp_path / "out")
    kept = read_table(tmp_path / "out" / "items.parquet").column_names
    assert kept == ["id", "name", "product", "modelno", "price", "colour"]
    assert summary.lines()[-4:] == [
        'item_text = ["name", "product", "modelno"]',
        'query_text = ["name"]',
        "# columns of items: name (text), product (category), modelno (code), price (number), "
        "colour (category)",
        "# columns of queries: name (code)",
    ]
    section = "\n".join(summary.lines())
    tomllib.loads(section[section.index("[data]") :])


def test_the_left_table_may_be_the_catalogue(source, tmp_path):
    out = tmp_path / "out"
    summary = pair_table.convert(source(), out, catalogue="left", calibration=0.0)
    assert (summary.items, summary.queries) == (7, 5)
    assert set(rows(out / "pairs.parquet")) == {
        ("0", "0"), ("2", "0"), ("1", "1"), ("2", "2"), ("3", "5"),
    }  # fmt: skip
    splits = {row[0]: row[3] for row in rows(out / "queries.parquet")}
    assert splits["2"] == "test"  # true for 0 in test, for 2 in train and valid


def test_names_with_a_prefix_and_packed_files(source, tmp_path):
    at = source()
    for path in list(at.iterdir()):
        (at / f"shop_{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert pair_table.convert(at, tmp_path / "out").pairs == 5
    (at / "other_tableA.csv").write_text(FILES["tableA.csv"])
    with pytest.raises(InputError, match=r"several files for tableA: other_tableA\.csv, shop_"):
        pair_table.convert(at, tmp_path / "out")


def test_a_share_of_train_becomes_calibration(source, tmp_path):
    ids = range(200)
    at = source(
        tableA="id,name\n" + "".join(f"{n},offer {n}\n" for n in ids),
        tableB="id,name\n" + "".join(f"{n},product {n}\n" for n in ids),
        train=HEAD + "".join(f"{n},{n},1\n" for n in range(160)),
        valid=HEAD + "".join(f"{n},{n},1\n" for n in range(160, 180)),
        test=HEAD + "".join(f"{n},{n},1\n" for n in range(180, 200)),
    )
    summary = pair_table.convert(at, tmp_path / "out", calibration=0.25)
    assert (summary.splits["validation"], summary.splits["test"]) == (20, 20)
    # 160 draws of a quarter: 40, standard deviation 5.5; four of them: 22
    assert abs(summary.splits["calibration"] - 40) < 22
    assert sum(summary.splits.values()) == 200


BAD = {
    "label": ({"train": HEAD + "0,0,2\n"}, r"train\.csv: the label '2' is neither 0 nor 1"),
    "stranger": ({"test": HEAD + "0,99,1\n"}, r"test\.csv: rtable_id '99' is not an id"),
    "columns": ({"train": "left,rtable_id,label\n0,0,1\n"}, r"has no column 'ltable_id'"),
    "no id": ({"tableA": "ident,name\n0,a\n"}, r"tableA\.csv has no column 'id'"),
    "split": ({"tableA": "id,split\n0,a\n"}, r"tableA\.csv has a column 'split'.*rename it"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_imported(source, tmp_path, name):
    replaced, words = BAD[name]
    with pytest.raises(InputError, match=words):
        pair_table.convert(source(**replaced), tmp_path / "out")


def test_missing_files(source, tmp_path):
    at = source()
    for name in ("train.csv", "valid.csv", "test.csv"):
        (at / name).unlink()
    with pytest.raises(InputError, match=r"has no train, valid or test file of pairs"):
        pair_table.convert(at, tmp_path / "out")
    (at / "tableB.csv").unlink()
    with pytest.raises(InputError, match=r"has no tableB\.csv; pair tables are"):
        pair_table.convert(at, tmp_path / "out")
    with pytest.raises(InputError, match=r"is not a folder"):
        pair_table.convert(at / "nowhere", tmp_path / "out")
