"""Commands about reviews: what they print, and their exit codes."""

import shutil

import pytest

from oracles.reviewed import judge, logged, offers
from thresher.cli.reviews import seconds
from thresher.data.tables import read_table
from thresher.review import Store


@pytest.fixture(scope="module")
def database(shop, tmp_path_factory):
    """A review database of 1,500 offers, of which the last 20 cases are open."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.db"
    store, truth = logged(f"sqlite:///{path}", shop, offers(shop, 1500))
    with store:
        judge(store, truth, cases=store.cases(limit=10_000)[:-20])
    return path


def test_calibrate_and_promote(run, answer, model, tmp_path, database):
    found = answer("calibrate", model, "--target", "0.9", "--from-reviews", database, "--quiet")
    assert found["reviews"]["sampled"] > 200
    live = shutil.copytree(model, tmp_path / "live")
    ran = run("promote", model, "--over", live, "--from-reviews", database)
    assert (ran.code, ran.out.startswith("promoted: on ")) == (0, True)
    answer("calibrate", model, "--target", "0.8", "--quiet")
    found = answer("promote", model, "--over", live, "--from-reviews", database, code=1)
    assert found["sentence"].startswith("refused, it promises 0.8 and the live model 0.9")


def test_since_is_a_time(run, model, database):
    since = ("calibrate", model, "--from-reviews", database, "--since")
    ran = run(*since, "yesterday")
    assert (ran.code, "--since takes a date" in ran.err) == (2, True)
    ran = run(*since, "2100-01-01")
    assert (ran.code, "too few are judged" in ran.err) == (2, True)
    assert seconds("1970-01-02") == 86_400
    assert seconds("1970-01-01T02:00+02:00") == 0


def test_train_with_reviews(answer, shop, tmp_path, database):
    found = answer(
        "train", shop / "run.toml", "--out", tmp_path / "m", "--from-reviews", database, "--quiet",
        "--set", "train.epochs=1",
    )  # fmt: skip
    assert any("verdicts train" in finding for finding in found["findings"])
    assert found["training_pairs"] > 800


def test_costs_of_an_artifact_and_of_traffic(run, answer, shop, database):
    prices = ("--minutes-per-review", 2, "--wage", 30, "--cost-per-error", 5)
    for source in (shop / "model", database):
        found = answer("costs", source, *prices)
        assert 0.8 <= found["recommended"] <= 0.99
        ran = run("costs", source, *prices)
        assert f"a target of {found['recommended']:g} costs least" in ran.out
    ran = run("costs", shop / "model", "--minutes-per-review", -2, *prices[2:])
    assert (ran.code, "minutes_per_review is -2.0" in ran.err) == (2, True)


def test_export_and_import(run, database, tmp_path):
    with Store.open(f"sqlite:///{database}") as store:
        waiting = len(store.cases(limit=1000))
    ran = run("reviews", "export", database, "--out", tmp_path / "cases.csv")
    assert (ran.code, ran.out) == (0, f"{waiting} cases written to {tmp_path / 'cases.csv'}\n")
    assert len(read_table(tmp_path / "cases.csv")) == waiting >= 20
    ran = run("reviews", "import", database, tmp_path / "cases.csv")
    assert ran.out.startswith("0 verdicts kept; 0 on cases")
    ran = run("reviews", "export", tmp_path / "none.db", "--out", tmp_path / "x.csv")
    assert (ran.code, "there is no review database" in ran.err) == (2, True)
