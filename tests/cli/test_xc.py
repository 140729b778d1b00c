"""A set of the XC repository from its folder to its numbers, with the filter before the ranking."""

import json

import numpy as np
import pyarrow as pa
import pytest

from oracles.coverage import coverage_at
from oracles.ranking import best_of, precision, psp, weight
from oracles.xc import write_alike
from thresher.data.queries import Queries
from thresher.data.tables import read_table, write_table
from thresher.evaluate.coverage import FLOOR
from thresher.retriever import Retriever

RUN = """
propensity = "amazon"
[tower]
kind = "tfidf"
[recommend]
ks = [1, 3, 5]
[decide]
scorer = "{}"
folds = 0
"""
KS = (1, 3, 5)
NAMES = {"P@3": "precision@3", "P@5": "precision@5"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_alike(tmp_path_factory.mktemp("alike") / "set", train=1000)


@pytest.fixture
def trained(run, folder, tmp_path):
    """Imports and trains with the [data] section that the import prints."""

    def make(confidence):
        ran = run("data", "import", "xc", folder, tmp_path, "--calibration", 0.3)
        assert (ran.code, ran.err) == (0, "")
        section = ran.out[ran.out.index("[data]") :]
        (tmp_path / "run.toml").write_text(section + RUN.format(confidence))
        assert run("train", tmp_path / "run.toml", "--out", tmp_path / "m").code == 0
        return tmp_path

    return make


def expected(at, artifact, *, keep=None, filtered=True):
    """The ranking numbers of the test points, from their definitions, over the items to keep."""
    items = read_table(at / "items.parquet").to_pylist()
    items = items if keep is None else [items[i] for i in keep]
    queries = read_table(at / "queries.parquet").to_pylist()
    row = {item["id"]: n for n, item in enumerate(items)}
    test = [q for q in queries if q["split"] == "test"]
    train = {q["id"] for q in queries if q["split"] == "train"}
    true, ignored = ({q["id"]: set() for q in queries} for _ in range(2))
    for name, found in (("pairs", true), ("ignored", ignored)):
        for pair in read_table(at / f"{name}.parquet").to_pylist():
            if pair["item_id"] in row and (filtered or name == "pairs"):
                found[pair["query_id"]].add(row[pair["item_id"]])
    model = Retriever.open(artifact)
    tower = model.tower
    texts = [[r["title"] for r in rows] for rows in (test, items)]
    vectors = [tower.encode(tower.queries(Queries.of_table(pa.table({"title": t})))) for t in texts]
    scores = (vectors[0] @ vectors[1].T).toarray().tolist()
    test = [(q["id"], s) for q, s in zip(test, scores, strict=True)]
    ranked = [(best_of(s, ignored[q], 100), true[q], s) for q, s in test]
    counts = [sum(i in true[q] for q in train) for i in range(len(items))]
    weights = [weight(c, len(train), 0.6, 2.6) for c in counts]
    asked = [(rows, truth) for rows, truth, _ in ranked if truth]
    return {
        **{f"P@{k}": np.mean([precision(r, t, k) for r, t in asked]) for k in KS},
        **{f"PSP@{k}": psp(*zip(*asked, strict=True), weights, k) for k in KS},
        "coverage@precision=0.9": coverage_at(
            [s[r[0]] for r, _, s in ranked], [r[0] in t for r, t, _ in ranked], 0.9, FLOOR
        ),
    }


def measured(run, *arguments):
    ran = run("evaluate", *arguments, "--json", "--no-report")
    assert (ran.code, ran.err) == (0, "")
    return json.loads(ran.out)


def test_the_filter_comes_before_the_ranking(run, trained):
    at = trained("score")
    found = measured(run, at / "m")
    wanted = expected(at, at / "m")
    assert found["queries"] == 150
    assert {name: found[NAMES.get(name, name)] for name in wanted} == pytest.approx(
        wanted, rel=1e-6
    )
    # Every point lists itself, and itself is what is closest to it.
    assert 0.3 < wanted["P@1"] < 1
    assert 0.3 < wanted["PSP@3"] < 1
    assert expected(at, at / "m", filtered=False)["P@1"] == 0

    # Another catalogue: fewer items, in another order.
    keep = np.random.default_rng(0).permutation(270)[:200].tolist()
    items = read_table(at / "items.parquet").take(keep)
    write_table(items, at / "fewer.parquet")
    found = measured(run, at / "m", "--items", at / "fewer.parquet")
    wanted = expected(at, at / "m", keep=keep)
    assert found["items"] == 200
    for name in ("P@1", "P@3", "P@5"):
        assert found[NAMES.get(name, name)] == pytest.approx(wanted[name], rel=1e-6)

    # Queries of one's own have no filter.
    files = [x for n in ("queries", "pairs") for x in (f"--{n}", at / f"{n}.parquet")]
    assert measured(run, at / "m", *files)["P@1"] == 0


def test_the_reranker_is_fitted_and_certified_behind_the_filter(run, trained):
    at = trained("reranker")
    found = measured(run, at / "m")
    assert found["P@1"] > 0.8
    again = json.loads(run("calibrate", at / "m", "--target", 0.8, "--json").out)
    # A point and its own label would be wrong everywhere. Too few distinct texts certify nothing.
    assert again["errors"] < 0.2 * again["accepted"]
    audit = run("data", "audit", at / "run.toml").out
    assert "270 items, 1,150 queries, 2,300 true pairs" in audit


def test_shares_and_bad_folders(run, refused, folder, tmp_path):
    out = tmp_path / "out"
    options = ["--calibration", 0.2, "--validation", 0.1, "--json"]
    found = json.loads(run("data", "import", "xc", folder, out, *options).out)
    assert found["splits"]["test"] == 150
    assert found["splits"]["calibration"] > found["splits"]["validation"] > 30
    assert found["ignored"] == 1150
    said = refused("data", "import", "xc", folder, out, "--calibration", 2)
    assert said == "the calibration share is 2.0; it must be in [0, 1); write 0.02 for 2 %"
    assert "holds no set of the XC repository" in refused(
        "data", "import", "xc", tmp_path, tmp_path / "none"
    )
    assert not (tmp_path / "none").exists()


def test_constants_that_nobody_estimated(refused, shop, tmp_path):
    said = refused(
        "train", shop / "run.toml", "--out", tmp_path / "m", "--set", "data.propensity=x"
    )
    assert said == "data.propensity must be one of amazon, wikipedia, other, got 'x'"
