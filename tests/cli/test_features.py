"""The commands on features runs, as a person or a program calls them."""

import re
import shutil
import tomllib

import pytest

from oracles.readers import BOOKS, VIEWS, open_readers
from thresher.artifact import Artifact
from thresher.config import read


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """The folder of the data; not to be changed."""
    return open_readers(tmp_path_factory.mktemp("readers"), more=VIEWS)


@pytest.fixture
def folder(tmp_path):
    """The same, to be changed at will."""
    return open_readers(tmp_path / "data", more=VIEWS)


QUICK = ("--set", "train.epochs=1")


def test_train_says_what_is_read_of_either_side(run, answer, folder, tmp_path):
    readers = folder
    out = tmp_path / "m"
    said = run("train", readers / "run.toml", "--out", out, "--quiet", *QUICK)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert re.fullmatch(
        rf"trained on 360 pairs over {BOOKS} items in \d+ s; the artifact is {out}", lines[0]
    )
    assert lines[1:3] == [
        "item columns: id (id), title (words), genre (category), shelves (categories)",
        "query columns: id (id), taste (category)",
    ]
    assert re.fullmatch(r"validation: P@1 [01]\.\d{3}, recall@10 [01]\.\d{3}", lines[3])
    found = answer("evaluate", out, "--no-report")
    assert found["recall@10"] > found["popularity/recall@10"]
    # the run that is kept is one that can be trained again
    kept = Artifact.open(out).part("model") / "config.toml"
    assert read(kept).sections["train"]["epochs"] == 1
    assert run("train", kept, "--dry-run").out == kept.read_text() + "\n"
    # what is asked of the data is told by name when it moved away
    shutil.move(readers / "pairs.csv", tmp_path / "pairs.csv")
    assert "there is no file" in run("evaluate", out).err


TOLD = """
[features.item]
shelves = { kind = "categories", width = 8, table = "shelf" }
"the title" = "ignored"

[features.query]
taste = "category"
"history.title" = { kind = "words", min_count = 2 }
"history.genre" = "ignored"
"""


def test_a_dry_run_prints_all_and_reads_back_the_same(run, folder, tmp_path):
    text = (folder / "run.toml").read_text()
    text = text.replace('item = { shelves = "categories" }\n', "") + TOLD
    (folder / "run.toml").write_text(text)
    dry = run("train", folder / "run.toml", "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    printed = tomllib.loads(dry.out)
    assert printed["features"]["query"] == {
        "taste": "category",
        "history.title": {"kind": "words", "min_count": 2},
        "history.genre": "ignored",
    }
    assert printed["features"]["item"]["the title"] == "ignored"
    assert (printed["views"]["masking"], printed["views"]["items"]) == ("correlated", 40)
    assert (printed["train"]["logq"], printed["train"]["metric"]) == (True, "recall@10")
    assert "decide" not in printed
    (tmp_path / "full.toml").write_text(dry.out)
    assert run("train", tmp_path / "full.toml", "--dry-run").out == dry.out
    first, again = read(folder / "run.toml"), read(tmp_path / "full.toml")
    assert (first.sections, first.objective) == (again.sections, again.objective)


@pytest.mark.parametrize("name", ["history.title", '"history.title"'])
def test_a_column_may_be_told_of_on_the_command_line(run, readers, name):
    told = (
        *("--set", "features.item.genre=ignored"),
        *("--set", 'features.item.title={kind="words", width=4}'),
        *("--set", f"features.query.{name}=ignored"),
    )
    printed = tomllib.loads(run("train", readers / "run.toml", "--dry-run", *told).out)["features"]
    assert printed["item"] == {
        "shelves": "categories",
        "genre": "ignored",
        "title": {"kind": "words", "width": 4},
    }
    assert printed["query"] == {"history.title": "ignored"}


@pytest.mark.parametrize("name", ["history.title", '"history.title"'])
def test_the_command_line_counts_over_what_the_file_tells_of_a_column(run, folder, name):
    text = (folder / "run.toml").read_text()
    text = text.replace('item = { shelves = "categories" }\n', "") + TOLD
    (folder / "run.toml").write_text(text)
    told = ("--set", f'features.query.{name}={{kind="words", width=4}}')
    printed = tomllib.loads(run("train", folder / "run.toml", "--dry-run", *told).out)["features"]
    assert printed["query"] == {
        "taste": "category",
        "history.title": {"kind": "words", "width": 4},
        "history.genre": "ignored",
    }


# What is refused: one sentence, exit code 2, and nothing half-written.

RUNS = {
    "section": ("ranking.ks=[1]", "[ranking] is called [recommend] since 0.2"),
    "tower": ("tower.kind=bag", "tower.kind = 'bag' is called tower.kind = 'features'"),
    "key": ("features.widths=3", "features.widths is not a known key (did you mean 'width'?)"),
    "kind": ("features.item.genre=category_", "did you mean 'category'?"),
    "no table": ("features.item=3", "features.item must be a table of keys and values, got 3"),
    "links": ("views.masking=all", "views.masking must be one of correlated, random"),
    "dropout": ("views.value_dropout=1", "views.value_dropout must be 0 or more and below 1"),
    "layers": ("tower.layers=[0]", "layers"),
    "share": ("data.train_share=2", "data.train_share is 2.0; give a fraction in (0, 1]"),
    "both": ("data.events=e.csv", "names both pairs and events"),
    "column": ("features.item.titles=words", "names 'titles'"),
    "text": ("features.item.genre=number", "row 1 holds 'genre0'"),
    "file": ("data.items=book.csv", "did you mean books.csv?"),
    "items of queries": ("data.queries=books.csv", "name a query_id that is not an id in"),
    "history": ("features.query.history.title=words", "queries have no history"),
    "history in quotes": ('features.query."history.title"=words', "queries have no history"),
    "pairs of an id": ("features.id_min_count=-1", "features.min_count is 1 and id_min_count -1"),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_cannot_be_trained(refused, readers, tmp_path, name):
    override, words = RUNS[name]
    out = tmp_path / "m"
    assert words in refused("train", readers / "run.toml", "--out", out, "--set", override)
    assert not out.exists()


LATER = {
    "views": ("views.items=91", "a step draws 91 items (views.items) and the catalogue has 90"),
    "batch": ("train.batch_size=361", "360 training pairs, fewer than one batch of 361"),
    "metric": ("train.metric=recall@91", "with k of 1 to 90"),
}


@pytest.mark.parametrize("name", LATER)
def test_what_is_found_out_later_leaves_no_artifact(refused, readers, tmp_path, name):
    override, words = LATER[name]
    out = tmp_path / "m"
    assert words in refused("train", readers / "run.toml", "--out", out, "--set", override)
    assert [path for path in out.rglob("*") if path.is_file()] == []


FILES = {
    "books.csv": ("id,title\nb0,tale\nb0,tale\n", "1 id stands on several rows"),
    "readers.csv": ("name\nr0\n", "has no column 'id'"),
    "pairs.csv": ("query_id,item_id\nr0,b0\nr0,zz\n", "item_id that is not an id in"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_used(refused, folder, tmp_path, name):
    content, words = FILES[name]
    (folder / name).write_text(content)
    out = tmp_path / "m"
    told = ("--set", "features.item={}")
    assert words in refused("train", folder / "run.toml", "--out", out, *told)
    assert not out.exists()


def test_a_term_on_views_is_for_this_kind_of_tower(refused, tmp_path):
    (tmp_path / "run.toml").write_text('[tower]\nkind = "tfidf"\n' + VIEWS.partition("[views")[0])
    said = refused("train", tmp_path / "run.toml", "--dry-run")
    assert "the term 'ssl' reads links 'views'" in said
    assert "set tower.kind = 'features'" in said
