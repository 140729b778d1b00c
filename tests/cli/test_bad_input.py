"""What a user gets wrong is one sentence and exit code 2, and nothing is half written."""

import json
import shutil

import pytest

from oracles.shop import write
from thresher.artifact import Artifact

HEADER = ["id", "title"]


def tree(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def unchanged(refused, model):
    """Refuses a command on the model, and sees that no file of it changed."""

    def call(command, *arguments):
        before = tree(model)
        said = refused(command, model, *arguments)
        assert tree(model) == before
        return said

    return call


TABLES = {
    "latin-1": (b"id,title\na,\xe9\n", "is not UTF-8"),
    "no column": (b"id,name\na,b\n", "has no column 'title'"),
    "no rows": (b"id,title\n", "one"),
    "empty": (b"", "is empty (0 bytes)"),
    "ragged": (b"id,title\na,b,c\n", "expected 2 values"),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("command", ["match", "index"])
def test_tables_that_cannot_be_used(unchanged, tmp_path, command, name):
    content, words = TABLES[name]
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    option = {"match": "--queries", "index": "--items"}[command]
    out = ["--out", tmp_path / "new" / "d.csv"] if command == "match" else []
    assert words in unchanged(command, option, path, *out)
    assert not (tmp_path / "new").exists()


def test_a_table_that_breaks_in_the_middle_leaves_the_old_decisions(
    unchanged, tmp_path, monkeypatch
):
    path, out = tmp_path / "q.csv", tmp_path / "d.csv"
    out.write_text("old")
    path.write_bytes(b"id,title\n" + b"a,red kettle\n" * 30 + b"b,\xe9\n")
    assert "line 32" in unchanged("match", "--queries", path, "--out", out)
    assert out.read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"q.csv", "d.csv", "model"}


def test_ids_of_a_catalogue(unchanged, tmp_path):
    twice = write(tmp_path / "i.csv", HEADER, [("a", "x"), ("a", "y")])
    assert "stands on several rows (such as 'a')" in unchanged("index", "--items", twice)
    none = write(tmp_path / "i.csv", HEADER, [("a", "x"), ("", "y")])
    assert "1 row has no id" in unchanged("index", "--items", none)


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_queries_and_pairs(unchanged, shop, tmp_path, command):
    queries, pairs = shop / "queries.csv", tmp_path / "p.csv"
    said = unchanged(command, "--queries", queries)
    assert said == "queries and pairs go together; give both, or neither"
    said = unchanged(command, "--pairs", shop / "pairs.csv")
    assert said == "queries and pairs go together; give both, or neither"
    write(pairs, ["query_id", "item_id"], [("q1", "i1"), ("nowhere", "i1")])
    said = unchanged(command, "--queries", queries, "--pairs", pairs)
    assert "(such as 'nowhere')" in said
    write(pairs, ["query_id", "item_id"], [("q1", "i1")])
    said = unchanged(command, "--queries", queries, "--pairs", pairs)
    assert "1,499 of 1,500 queries have no pair in" in said
    assert 'without_pairs = "unlabelled"' in said
    said = unchanged(command, "--queries", queries, "--pairs", pairs, "--without-pairs", "none")
    assert "data.without_pairs must be one of unlabelled, no_item, got 'none'" in said
    write(pairs, ["query_id", "item"], [("q1", "i1")])
    said = unchanged(command, "--queries", queries, "--pairs", pairs)
    assert "has no column 'item_id'" in said


def test_too_few_labels(unchanged, shop, tmp_path):
    queries = write(tmp_path / "q.csv", HEADER, [("a", "red kettle")])
    pairs = write(tmp_path / "p.csv", ["query_id", "item_id"], [("a", "i1")])
    said = unchanged("calibrate", "--queries", queries, "--pairs", pairs)
    assert "at least 100 labelled queries" in said


OPTIONS = {
    "split": (("evaluate", "--split", "tests"), "unknown split 'tests'; the splits are train"),
    "share": (("evaluate", "--open-catalogue", "1"), "must lie in [0, 1), got 1"),
    "by": (("evaluate", "--by", "shops"), "no column 'shops'"),
    "target": (
        ("calibrate", "--target", "95"),
        "decide.target is 95; it must lie strictly between 0 and 1; write 0.95 for 95 %",
    ),
    "percent": (("evaluate", "--open-catalogue", "10"), "got 10; write 0.1 for 10 %"),
    "top": (("match", "--text", "kettle", "--top", "0"), "--top is 0; give 1 to 300"),
    "lists": (("recommend", "--queries", "none.csv", "--top", "0"), "--top is 0; give 1 to 300"),
    "neighbours": (("nearest", "--item", "i3", "--top", "0"), "--top is 0; give 1 to 299"),
    "target nan": (
        ("calibrate", "--target", "nan"),
        "decide.target must be a finite number, got nan",
    ),
    "confidence": (
        ("calibrate", "--confidence-level", "0"),
        "it must lie strictly between 0 and 1",
    ),
    "absent": (("calibrate", "--absent", "10"), "decide.absent is 10; it is the share of queries"),
    "calibrate by": (("calibrate", "--by", "shops"), "no column 'shops'"),
    "no queries": (("match", "--queries", "none.csv"), "there is no file none.csv"),
    "no items": (("index", "--items", "none.csv"), "there is no file none.csv"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_out_of_range(unchanged, name):
    arguments, words = OPTIONS[name]
    assert words in unchanged(*arguments)


def test_no_command_writes_over_what_it_reads(unchanged, refused, tmp_path):
    queries = write(tmp_path / "q.csv", HEADER, [("a", "red kettle")])
    found = write(tmp_path / "c.csv", ["query_id", "item_id", "score"], [("a", "i1", 1)])
    (tmp_path / "link.csv").symlink_to(queries)
    before = queries.read_text(), found.read_text()
    match = ("match", "--queries", queries, "--candidates", found)
    same = tmp_path / "model" / ".." / "q.csv"
    for option in ("--out", "--review"):
        for path in (queries, same, tmp_path / "link.csv"):
            said = unchanged(*match, option, path)
            assert said == (
                f"{option} and --queries are one file, {path}; give {option} another name"
            )
        assert f"{option} and --candidates are one file" in unchanged(*match, option, found)
    both = tmp_path / "d.csv"
    said = unchanged(*match, "--out", both, "--review", both)
    assert said == f"--review and --out are one file, {both}; give --review another name"
    assert "--out and --queries are one file" in unchanged(
        "recommend", "--queries", queries, "--out", queries
    )
    events = write(tmp_path / "e.csv", ["user_id", "item_id", "timestamp"], [("a", "i1", 1)])
    assert "--out and --events are one file" in unchanged(
        "recommend", "--events", events, "--out", events
    )
    said = refused("data", "convert", queries, queries)
    assert said.startswith("the table to write and the table to read are one file, ")
    assert (queries.read_text(), found.read_text()) == before
    assert not both.exists()


@pytest.mark.parametrize("block", [100, 2])
def test_every_query_has_an_id_of_its_own(unchanged, tmp_path, monkeypatch, block):
    monkeypatch.setattr("thresher.jobs.match.BLOCK", block)
    rows = [("a", "red kettle"), ("b", "blue kettle"), ("c", "toaster")]
    for name in ("", " "):
        queries = write(tmp_path / "q.csv", HEADER, [*rows, (name, "pan")])
        said = unchanged("match", "--queries", queries)
        assert said == "queries, row 4: the id is missing; give each row one, or drop it"
    queries = write(tmp_path / "q.csv", HEADER, [*rows, ("b", "pan")])
    said = unchanged("match", "--queries", queries)
    assert said == "queries, row 4: an earlier row has the id 'b' too; give each its own"


def test_where_decisions_cannot_be_written(unchanged, shop, tmp_path):
    match = ("match", "--queries", shop / "queries.csv", "--out")
    (tmp_path / "d.csv").mkdir()
    assert "is a folder; name a file" in unchanged(*match, tmp_path / "d.csv")
    assert "has a suffix that is not read or written" in unchanged(*match, tmp_path / "d.xls")
    assert f"{tmp_path} is a folder; name a file in it" in unchanged(*match, tmp_path)
    (tmp_path / "file").write_text("x")
    assert "a file lies where a folder is needed" in unchanged(*match, tmp_path / "file" / "d.csv")


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "index", "match", "report"])
def test_no_artifact(refused, shop, tmp_path, command):
    more = ["--queries", shop / "queries.csv"] if command == "match" else []
    assert "is no artifact" in refused(command, tmp_path / "none", *more)
    assert "is no artifact" in refused(command, shop / "run.toml", *more)
    assert not (tmp_path / "none").exists()


def test_an_artifact_of_another_version(unchanged, model, shop):
    manifest = json.loads((model / "manifest.json").read_text()) | {"format": 99}
    (model / "manifest.json").write_text(json.dumps(manifest))
    said = unchanged("match", "--queries", shop / "queries.csv")
    assert "format 99" in said


def test_every_file_of_an_artifact_is_missed(refused, model, shop, tmp_path):
    parts = [Artifact.open(model).part(p) for p in ("model", "index", "decision")]
    files = [p for part in parts for p in part.rglob("*") if p.is_file()]
    assert len(files) > 10
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert path.name in refused("match", model, "--queries", shop / "queries.csv")
        path.write_bytes(whole)


def test_a_file_that_changed_within_its_size_is_no_traceback(refused, model, shop):
    parts = [Artifact.open(model).part(p) for p in ("model", "index", "decision")]
    for path in (p for part in parts for p in part.rglob("*") if p.is_file()):
        if path.name in ("config.toml", "outcomes.parquet"):  # match does not read them
            continue
        whole = path.read_bytes()
        path.write_bytes(b"\x01" * len(whole))
        assert refused("match", model, "--queries", shop / "queries.csv")
        path.write_bytes(whole)


def test_a_policy_of_another_model_or_index_is_refused(run, refused, model, shop, tmp_path):
    """As if somebody had put the decision back that another index left behind."""
    manifest = json.loads((model / "manifest.json").read_text())
    decision = Artifact.open(model).part("decision")
    policy = json.loads((decision / "policy.json").read_text())
    kept = shutil.copytree(decision, tmp_path / "kept")
    items = write(tmp_path / "i.csv", HEADER, [("a", "red kettle"), ("b", "blue kettle")])
    assert run("index", model, "--items", items).code == 0
    shutil.copytree(kept, decision)
    now = json.loads((model / "manifest.json").read_text())
    now["parts"]["decision"] = manifest["parts"]["decision"]
    (model / "manifest.json").write_text(json.dumps(now))
    queries, out = shop / "queries.csv", tmp_path / "d.csv"
    said = refused("match", model, "--queries", queries, "--out", out)
    assert f"was fitted on {policy['fitted_on']!r}" in said
    assert not out.exists()


def test_a_policy_edited_by_hand_is_refused(refused, model, shop):
    path = Artifact.open(model).part("decision") / "policy.json"
    text = path.read_text()
    bar = json.loads(text)["accept_at"]
    easier = f"{bar - 0.1:.17f}"[: len(str(bar))]
    path.write_text(text.replace(str(bar), easier))
    said = refused("match", model, "--queries", shop / "queries.csv")
    assert "policy.json is missing or not what was written" in said


def test_a_policy_by_segment_needs_the_column(run, refused, model, tmp_path):
    run("calibrate", model, "--by", "shop", "--target", 0.9)
    queries = write(tmp_path / "q.csv", HEADER, [("a", "red kettle")])
    assert "no column 'shop'" in refused("match", model, "--queries", queries)


@pytest.fixture
def broken(shop, tmp_path):
    """The shop's files and run, some of them replaced."""

    def put(**replaced):
        for name in ("items.csv", "queries.csv", "pairs.csv", "run.toml"):
            content = replaced.get(name.split(".")[0])
            if content is None:
                shutil.copy(shop / name, tmp_path / name)
            else:
                (tmp_path / name).write_text(content)
        return tmp_path / "run.toml"

    return put


RUNS = {
    "no TOML": ({"run": "data 3"}, "run.toml cannot be read as TOML"),
    "key": ({"run": "[data]\nitem = 3\n"}, "data.item is not a known key (did you mean 'items'?)"),
    "no data": ({"run": ""}, "the data has no table; give items, queries and pairs"),
    "items": ({"items": "id,title\na,x\na,y\n"}, "several rows (such as 'a')"),
    "no items": ({"items": "id,title\n"}, "has columns but no rows"),
    "pairs": ({"pairs": "query_id,item_id\nq1,nowhere\n"}, "(such as 'nowhere')"),
    "column": ({"items": "ident,title\na,x\n"}, "has no column 'id'"),
    "text": ({"queries": "id,words\nq1,x\n"}, "query_text"),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_cannot_be_trained(refused, broken, tmp_path, name):
    replaced, words = RUNS[name]
    run = broken(**replaced)
    if name in ("no items", "column", "text"):  # pairs name what is gone
        (tmp_path / "pairs.csv").write_text("query_id,item_id\nq1,i1\n")
    assert words in refused("train", run, "--out", tmp_path / "m")
    assert not (tmp_path / "m").exists()


SETS = {
    "batch": ("train.batch_size=5000", "training pairs, fewer than one batch of 5000"),
    "metric": ("train.metric=P@7", "train.metric is 'P@7'; give one that validation measures"),
    "by": ("decide.by=shops", "has no column 'shops'"),
    "shares": ("data.shares={train=0.99, calibration=0.01}", "at least 100 labelled queries"),
    "split": ("data.shares={train=0.9, tests=0.1}", "'tests'"),
    "tower": ("tower.token_dropout=1", "token_dropout must lie in [0, 1)"),
    "bits": ("tower.bits=99", "bits must lie between 8 and 24"),
}


@pytest.mark.parametrize("name", SETS)
def test_settings_that_cannot_be_trained_with(refused, shop, tmp_path, name):
    override, words = SETS[name]
    said = refused("train", shop / "run.toml", "--out", tmp_path / "m", "--set", override)
    assert words in said
    assert not (tmp_path / "m" / "manifest.json").exists()


def test_train_into_a_file_and_from_no_file(refused, shop, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "a file lies where a folder is needed" in refused(
        "train", shop / "run.toml", "--out", tmp_path / "file"
    )
    assert "does not exist" in refused("train", tmp_path / "none.toml")
    said = refused("train", "--set", "train.epochs=3")
    assert said == (
        "no data was named; give the TOML file of a run, as in `thresher train run.toml`"
    )


def test_data_commands(refused, shop, tmp_path):
    assert "suffix that is not read" in refused("data", "inspect", shop / "run.toml")
    assert "there is no file" in refused("data", "inspect", tmp_path / "none.csv")
    assert "suffix" in refused("data", "convert", shop / "items.csv", tmp_path / "items.xls")
    assert "no importer 'bier'; there are beir, pairs" in refused(
        "data", "import", "bier", tmp_path, tmp_path / "out"
    )
    assert "corpus.jsonl" in refused("data", "import", "beir", tmp_path, tmp_path / "out")
    assert refused("data", "import", "pairs", tmp_path / "no", tmp_path / "out") == (
        f"{tmp_path / 'no'} does not exist; give the folder to import from"
    )
    said = refused("data", "import", "beir", shop / "items.csv", tmp_path / "out")
    assert said == f"{shop / 'items.csv'} is a file; give the folder to import from"
    said = refused("data", "import", "pairs", tmp_path, tmp_path / "out", "--calibration", 30)
    assert "tableA" in said
    assert "named; give the TOML file of a run, as in `thresher data audit run.toml`" in refused(
        "data", "audit"
    )
    assert not (tmp_path / "out").exists()
