"""The commands about data, and tables as people have them: their names, their separators."""

import json
import shutil
import tomllib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracles.shop import open_shop
from thresher.data.tables import read_table

TABLES = ("items", "queries", "pairs")


@pytest.fixture
def folder(tmp_path):
    """A small shop, to be changed at will; its run is of an untrained tower."""
    made = open_shop(tmp_path, items=60, queries=500)
    text = (made / "run.toml").read_text().partition("[tower]")[0]
    (made / "run.toml").write_text(text + '[tower]\nkind = "tfidf"\n[decide]\nscorer = "score"\n')
    return made


def rewrite(path, change):
    path.write_text("\n".join(map(change, path.read_text().splitlines())) + "\n")


def test_data_commands(run, answer, shop, tmp_path):
    audit = run("data", "audit", shop / "run.toml")
    assert (audit.code, audit.err) == (0, "")
    assert audit.out.splitlines()[-1].startswith("0 errors, ")
    assert "findings" in answer("data", "audit", shop / "run.toml")
    shown = run("data", "inspect", shop / "items.csv", "--rows", 2).out.splitlines()
    assert shown[:3] == ["300 rows", "  id: string", "  title: string"]
    assert len(shown) == 5


@pytest.mark.parametrize("name", ["items.parquet", "items.tsv", "items.jsonl.gz", "items.xlsx"])
def test_convert_there_and_back(run, shop, tmp_path, name):
    out = tmp_path / name
    assert run("data", "convert", shop / "items.csv", out).out == f"300 rows written to {out}\n"
    run("data", "convert", out, tmp_path / "again.csv")
    assert (
        read_table(tmp_path / "again.csv").to_pylist()
        == read_table(out).to_pylist()
        == read_table(shop / "items.csv").to_pylist()
    )


@pytest.mark.parametrize("kind", ["semicolons", "tabs", "xlsx"])
def test_tables_of_other_forms_are_trained_on_and_matched(run, answer, folder, kind):
    for name in TABLES:
        path = folder / f"{name}.csv"
        if kind == "xlsx":
            run("data", "convert", path, path.with_suffix(".xlsx"))
            path.unlink()
        else:
            rewrite(path, lambda line: line.replace(",", ";" if kind == "semicolons" else "\t"))
    if kind == "xlsx":
        rewrite(folder / "run.toml", lambda line: line.replace('.csv"', '.xlsx"'))
    out = folder / "m"
    found = answer("train", folder / "run.toml", "--out", out, "--quiet")
    names = ("train", "validation", "calibration", "test")
    assert found["items"] == 60
    assert sum(found[f"{name}_queries"] for name in names) == 500
    assert found["findings"] == []
    queries = folder / ("queries.xlsx" if kind == "xlsx" else "queries.csv")
    run("match", out, "--queries", queries, "--out", folder / "d.xlsx")
    rows = read_table(folder / "d.xlsx").to_pylist()
    assert [r["query_id"] for r in rows] == [f"q{n}" for n in range(500)]


def test_columns_under_names_of_ones_own(run, answer, refused, folder):
    rewrite(folder / "items.csv", lambda line: line.replace("id,title", "offer_id,name_of_it"))
    rewrite(folder / "queries.csv", lambda line: line.replace("id,title", "offer_id,name_of_it"))
    run_toml, out = folder / "run.toml", folder / "m"
    said = refused("train", run_toml, "--out", out)
    assert "has no column 'id'; it has offer_id, name_of_it" in said
    names = ("--columns", "id=offer_id", "--columns", "title=name_of_it")
    dry = tomllib.loads(run("train", run_toml, *names, "--dry-run").out)
    assert dry["data"]["columns"] == {"id": "offer_id", "title": "name_of_it"}
    found = answer("train", run_toml, "--out", out, *names)
    assert found["features"] == {"item": {"text": "text"}, "query": {"text": "text"}}
    # Whoever is matched or indexed later has tables of the same names.
    rows = answer("match", out, "--queries", folder / "queries.csv")["matches"]
    assert [r["query_id"] for r in rows] == [f"q{n}" for n in range(500)]
    assert answer("index", out, "--items", folder / "items.csv")["removed"] == 0
    said = refused("train", run_toml, "--out", out, "--columns", "id=offer_ids")
    assert "renames 'offer_ids' to 'id'" in said
    assert "did you mean 'offer_id'?" in said
    for wrong in ("id", "id=", "=offer_id"):
        said = refused("train", run_toml, "--columns", wrong)
        assert said == f"--columns takes name=your_name, as in id=offer_id, got {wrong!r}"


def test_queries_without_a_pair_are_unlabelled_or_have_no_item(run, answer, refused, folder):
    with (folder / "queries.csv").open("a") as file:
        file.writelines(f"more{n},strange thing {n},north\n" for n in range(20))
    run_toml = folder / "run.toml"
    said = refused("train", run_toml, "--out", folder / "m")
    assert "20 of 520 queries have no pair in" in said
    assert 'set without_pairs = "unlabelled" in [data]' in said
    audit = run("data", "audit", run_toml)
    assert audit.code == 1
    assert "20 of 520 queries have no pair in" in audit.out
    assert audit.out.splitlines()[-1].startswith("1 error, ")
    for value, splits in (("unlabelled", {"unlabelled": 20}), ("no_item", {})):
        option = ("--set", f"data.without_pairs={value}")
        found = answer("data", "audit", run_toml, *option)
        assert found["ok"] is True
        assert sum(found["splits"].values()) == 520
        assert found["splits"].get("unlabelled") == splits.get("unlabelled")
        sizes = answer("train", run_toml, "--out", folder / value, *option)
        names = ("train", "validation", "calibration", "test")
        total = sum(sizes[f"{name}_queries"] for name in names)
        assert total == 520 - splits.get("unlabelled", 0)


def splits(folder, name):
    """Gives every query this split."""
    lines = (folder / "queries.csv").read_text().splitlines()
    lines = [lines[0] + ",split", *(f"{line},{name}" for line in lines[1:])]
    (folder / "queries.csv").write_text("\n".join(lines) + "\n")


def appended(name, line):
    def change(folder):
        with (folder / name).open("a") as file:
            file.write(line + "\n")

    return change


BROKEN = {
    "an item twice": (appended("items.csv", "i0,again"), (), "1 id stands on several rows"),
    "no id": (appended("items.csv", ",nameless"), (), "1 row has no id"),
    "an unknown item": (appended("pairs.csv", "q1,nowhere"), (), "1 pair names an item_id"),
    "an unknown query": (appended("pairs.csv", "nobody,i1"), (), "1 pair names a query_id"),
    "no pairs": (lambda f: (f / "pairs.csv").write_text("query_id,item_id\n"), (), "no rows"),
    "an unknown split": (lambda f: splits(f, "tets"), (), "a split that does not exist"),
    "few labels": (lambda f: None, ("data.shares={train=0.9, calibration=0.1}",), "calibration"),
    "segments": (lambda f: None, ("decide.by=colour",), "no column 'colour'"),
    "features": (
        lambda f: None,
        ("tower.kind=features", "features.item.colour=category"),
        "'colour'",
    ),
    "numbers": (
        lambda f: None,
        ("tower.kind=features", "features.query.shop=number"),
        "'shop'",
    ),
    "batches": (
        lambda f: None,
        ("tower.kind=features", "train.batch_size=5000"),
        "fewer than one batch of 5",
    ),
    "nothing to train on": (
        lambda f: splits(f, "test"),
        ("tower.kind=features", "train.batch_size=10", "data.shares={train=1}"),
        "train",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_training_refuses_the_audit_reports(run, refused, folder, name):
    change, overrides, words = BROKEN[name]
    change(folder)
    sets = [x for override in overrides for x in ("--set", override)]
    said = refused("train", folder / "run.toml", "--out", folder / "m", *sets)
    assert words in said
    audit = run("data", "audit", folder / "run.toml", *sets)
    assert (audit.code, audit.err) == (1, "")
    assert "\nerror " in audit.out
    assert words in audit.out
    assert not (folder / "m").exists()


def test_an_audit_counts_in_grammar(run, shop, tmp_path):
    for name in ("items.csv", "queries.csv", "pairs.csv", "run.toml"):
        shutil.copy(shop / name, tmp_path / name)
    with (tmp_path / "pairs.csv").open("a") as file:
        file.write("q1,nowhere\n")
    audit = run("data", "audit", tmp_path / "run.toml")
    assert audit.code == 1
    assert audit.out.splitlines()[-1].startswith("1 error, ")
    assert "1 pair names an item_id that is not an id in" in audit.out
    assert "a item_id" not in audit.out


def test_data_import_makes_tables_that_train_reads(run, tmp_path):
    source = tmp_path / "beir"
    (source / "qrels").mkdir(parents=True)
    (source / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "body"}\n')
    (source / "queries.jsonl").write_text('{"_id": "q1", "text": "ask"}\n')
    (source / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    ran = run("data", "import", "beir", source, tmp_path / "out")
    assert (ran.code, ran.err) == (0, "")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["items.parquet", "pairs.parquet", "queries.parquet"]
    assert "without_pairs" not in ran.out


def test_the_audit_of_a_model_lists_labels_that_look_wrong(run, answer, refused, shop, tmp_path):
    out = tmp_path / "suspects.csv"
    ran = run("data", "audit", "--model", shop / "model", "--out", out, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert "labels outside training look wrong" in ran.out
    assert ran.out.splitlines()[-1] == f"written to {out}"
    table = read_table(out)
    assert table.column_names[:5] == ["query_id", "query", "split", "item_id", "item"]
    found = answer("data", "audit", "--model", shop / "model", "--quiet")["label_errors"]
    assert len(found["suspects"]) == found["suspected"] == len(table)
    said = refused("data", "audit", shop / "run.toml", "--model", shop / "model")
    assert said.startswith("a run was given and --model too; give one")
    assert refused("data", "audit", shop / "run.toml", "--out", out).endswith(
        "give --model as well"
    )


def test_inspect_shows_what_python_cannot_hold(run, tmp_path):
    late, day = pa.array([2**62], pa.timestamp("ms")), pa.array([2**31 - 1], pa.date32())
    zone = pa.array([0], pa.timestamp("ms", "Nowhere/Nothing"))
    columns = {"id": ["1"], "late": late, "day": day, "zone": zone, "in": pa.array([[late[0]]])}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    code, out, err = run("data", "inspect", tmp_path / "t.parquet")
    assert (code, err) == (0, "")
    assert json.loads(out.splitlines()[-1]) == {
        "id": "1",
        "late": "<value out of range: 4611686018427387904>",
        "day": "<value out of range: 2147483647>",
        "zone": "1970-01-01 00:00:00",
        "in": ["<value out of range: 4611686018427387904>"],
    }


def test_inspect_cuts_long_cells(run, tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps({"id": "1", "a": "x" * 10**6, "b": [0] * 500}))
    last = run("data", "inspect", tmp_path / "t.jsonl").out.splitlines()[-1]
    assert json.loads(last) == {"id": "1", "a": "x" * 199 + "…", "b": [0] * 200 + ["…"]}
