"""What the arms are, which trials they get, what is chosen from them, and two cells for real."""

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from grids import runs
from grids.runs import base_of
from grids.ssl import Request, columns, ssl
from grids.ssl_arms import NAMES, joined
from grids.ssl_map import Terrain, generated
from grids.ssl_trials import USUAL, draws
from grids.synthetic import Synthetic, write
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.files import write_json
from thresher.jobs.cells import Outcome, run_cells

SMALL = ("train.epochs=1", "tower.layers=[8]", "features.width=8", "train.batch_size=128")
MADE = Synthetic(items=300, queries=60, pairs=200, topics=4, subtopics=2, features=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("made")
    write(MADE, made)
    return made


@pytest.fixture
def request_(folder, tmp_path):
    return Request(
        data=str(folder), out=tmp_path / "out", shares=(1.0,), logq="on", overrides=SMALL
    )


def told(cell):
    return tomllib.loads(cell.files["run.toml"])


def arm_of(cell):
    return cell.name.partition(": ")[2].partition(", rate ")[0]


@pytest.fixture
def measured(monkeypatch):
    """Gives cells the numbers of a function of them, as if they had been measured before."""
    asked = []

    def by(values):
        def known(cells, *, jobs, report):
            asked.append(list({cell.folder: cell for cell in cells}.values()))
            for cell in cells:
                if (numbers := values(cell)) is not None:
                    cell.prepare()
                    found = {"fingerprint": cell.fingerprint, "values": numbers}
                    write_json(cell.folder / "measured.json", found)
            distinct = list({cell.folder: cell for cell in cells}.values())
            there = [cell for cell in distinct if cell.measured() is not None]
            gone = [cell for cell in distinct if cell not in there]
            lost = [Outcome(cell, None, "it broke", 1.0, 1, 1, 0.0) for cell in gone]
            for outcome in lost:
                report(outcome)
            outcomes = run_cells(there, "no.such.program", jobs=jobs, report=report) + lost
            return outcomes, {outcome.cell.folder: outcome.values for outcome in outcomes}

        monkeypatch.setattr(runs, "measured", known)
        return asked

    return by


def numbers(cell):
    """Validation likes a temperature of .13; CFM finds a tenth more than plain on the test."""
    run_, arm = told(cell), arm_of(cell)
    found = 0.2 + cell.seed / 10
    return {
        "validation/recall@10": 0.5 - abs(run_["objective"][0]["temperature"] - 0.13),
        "test/recall@10": found * {"CFM": 1.1, "FD": 1 + cell.seed / 10}.get(arm, 1.0),
        "test/tail/recall@10": found / 2,
        "test/popularity/recall@10": 0.05,
        "pairs_per_second": 1000.0,
    }


# The arms.


def test_each_arm_is_what_the_paper_says(request_, measured):
    (first, _) = measured(numbers), ssl(replace(request_, trials=1, seeds=(0,)), jobs=1)
    cells = {arm_of(cell): told(cell) for cell in first[0]}
    assert list(cells) == list(NAMES)
    plain = cells["plain"]
    assert [t["name"] for t in plain["objective"]] == ["softmax"]

    def changed(name):
        """What is otherwise than in the plain run, as sections and keys."""
        run_ = cells[name]
        own = {
            f"{section}.{key}": value
            for section, table in run_.items()
            if section != "objective"
            for key, value in table.items()
            if plain[section].get(key) != value
        }
        (*_, extra) = run_["objective"]
        return own, (extra["links"], extra["weight"], extra["temperature"])

    nothing = ("query_item", 1.0, USUAL.temperature)
    views = ("views", USUAL.alpha, USUAL.temperature)
    assert changed("FD") == ({"tower.feature_dropout": USUAL.feature_dropout}, nothing)
    assert changed("SO") == ({}, ("spread_out", USUAL.alpha, USUAL.temperature))
    # correlated, .3 and masking the id are usual, so they do not differ from the plain run's
    assert changed("CFM") == ({}, views)
    assert changed("RFM") == ({"views.masking": "random"}, views)
    assert changed("RFM_no_compl") == ({"views.masking": "independent"}, views)
    assert changed("CFM_no_dropout") == ({"views.value_dropout": 0.0}, views)
    assert changed("NoMasking") == ({"views.masking": "none"}, views)
    assert changed("CFM_no_id") == ({"views.mask_id": False}, views)
    # the paper has a vector for every id, these runs for those of ten pairs
    assert "id_min_count" not in plain["features"]
    assert changed("every id") == ({"features.id_min_count": 0}, nothing)
    assert changed("CFM, every id") == ({"features.id_min_count": 0}, views)
    no_id = {"item": {"id": "ignored"}, "query": {"id": "ignored"}}
    assert changed("no id") == ({f"features.{k}": v for k, v in no_id.items()}, nothing)
    left, _ = changed("categories only")
    assert left["features.item"] == dict.fromkeys(["id", "price"], "ignored")  # words are a list
    assert left["features.query"] == {"id": "ignored"}


def test_a_small_catalogue_draws_all_its_items_and_a_large_one_a_batch(request_):
    base = base_of(request_.data)
    # 200 pairs in batches of 128, and 300 items
    assert request_.look(base).sections == {}
    few = replace(request_, overrides=("train.batch_size=512",)).look(base)
    assert few.sections == {"views": {"items": 300}}
    own = replace(request_, overrides=("train.batch_size=512", "views.items=7")).look(base)
    assert own.sections == {}


def test_an_arm_without_sense_is_left_out_with_a_reason(request_, measured):
    measured(numbers)
    ids = [f"features.item.{name}=ignored" for name in ("words", "feature_1", "feature_2")]
    done = ssl(replace(request_, trials=1, seeds=(0,), overrides=(*SMALL, *ids)), jobs=1)
    rows = [row["name"] for row in done.table["settings"][0]["rows"]]
    # items have an id and a price: without the id one feature is left, and none has several values
    gone = ["CFM_no_dropout", "NoMasking", "CFM_no_id", "categories only"]
    assert rows == ["popularity", *(name for name in NAMES if name not in gone)]
    assert [line.partition(" is left out: ")[0] for line in done.table["left_out"]] == gone
    assert "- categories only is left out: items have no such features." in done.page
    assert "of 2 it can mask 1" in done.table["left_out"][2]


def test_without_ids_no_arm_is_of_ids(request_, measured):
    measured(numbers)
    overrides = (*SMALL, "features.item.id=ignored")
    done = ssl(replace(request_, trials=1, seeds=(0,), overrides=overrides), jobs=1)
    gone = ["CFM_no_id", "every id", "CFM, every id", "no id"]
    assert [line.partition(" is left out: ")[0] for line in done.table["left_out"]] == gone
    assert "- CFM, every id is left out: items have no id." in done.page


def test_an_arm_that_leaves_features_out_says_nothing_of_them_in_a_history(tmp_path, measured):
    lines = [f"u{u},i{(u + t) % 12},{t}" for u in range(40) for t in range(4)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]))
    items = [f"i{n},c{n % 3}" for n in range(12)]
    (tmp_path / "items.csv").write_text("\n".join(["id,kind", *items]))
    overrides = ("train.metric=recall@5", "recommend.ks=[5]")
    (tmp_path / "run.toml").write_text(
        '[data]\nevents = "events.csv"\nitems = "items.csv"\n[tower]\ncombine = "concat"\n'
        '[features]\nquery = { "history.id" = "id" }\n'
    )
    cells = measured(numbers)
    for data in (tmp_path / "run.toml", tmp_path):
        request = Request(
            data=str(data), out=tmp_path / "out", arms=("no id",), shares=(1.0,), logq="on",
            trials=1, seeds=(0,), at="recall@5", overrides=overrides,
        )  # fmt: skip
        ssl(request, jobs=1)
        features = {arm_of(cell): told(cell)["features"] for cell in cells[-2]}
        assert features["no id"]["item"] == {"id": "ignored"}
        assert features["no id"]["query"] == {}
    assert features["plain"]["item"] == {}


def test_sections_lie_over_each_other():
    found = joined({"a": {"x": 1, "y": 2}, "objective": [1]}, {"a": {"y": 3}, "objective": [2]})
    assert found == {"a": {"x": 1, "y": 3}, "objective": [2]}


# The trials.


def test_trials_are_the_same_in_every_run_and_more_of_them_go_on():
    assert draws(8) == draws(8)
    assert draws(8)[:3] == draws(3)
    assert draws(1) == [USUAL]
    # the rate is at most .2 * (1 + .0316 / .005)
    main = [(0.05, 1.47), (0.07, 0.2), (0.1, 0.6), (1e-6, 1e-3)]
    bounds = [*main, (0.03, 3), (0.1, 0.6), (0.05, 0.5)]
    for values, (low, high) in zip(zip(*draws(16)[1:], strict=True), bounds, strict=True):
        assert low <= min(values) < max(values) <= high
        # seven trials beside the usual one reach into both halves of each range
        middle = (low * high) ** 0.5 if high / low > 8 else (low + high) / 2
        assert min(values[:7]) < middle < max(values[:7])


def test_the_rate_is_higher_where_the_accumulator_starts_higher():
    # what is left of a rate is drawn between .05 and .2, whose middle is .1; two digits of the
    # rate are off by 5 % at most
    found = [d.learning_rate / (1 + d.accumulator**0.5 / 0.005) for d in draws(64)[1:]]
    assert 0.05 * 0.95 <= min(found) < 0.055
    assert 0.18 < max(found) <= 0.2 * 1.05
    assert min(found[:7]) < 0.1 < max(found[:7])
    # so the two that are drawn have nothing to do with each other
    started = np.log([d.accumulator for d in draws(64)[1:]])
    assert abs(np.corrcoef(np.log(found), started)[0, 1]) < 0.2


def test_the_nth_trial_of_every_arm_has_the_same_rate_temperature_and_dropout(request_, measured):
    asked = measured(numbers)
    ssl(replace(request_, trials=3, arms=("FD", "CFM"), seeds=(0, 1)), jobs=1)
    cells = [(arm_of(cell), told(cell)) for cell in asked[0]]
    assert [arm for arm, _ in cells] == ["plain", "FD", "CFM"] * 3
    for number, draw in enumerate(draws(3)):
        for _, run_ in cells[3 * number : 3 * number + 3]:
            assert run_["train"]["learning_rate"] == draw.learning_rate
            assert run_["train"]["initial_accumulator"] == draw.accumulator
            assert {term["temperature"] for term in run_["objective"]} == {draw.temperature}
            assert run_["tower"]["dropout"] == draw.dropout
            assert run_["train"]["logq"] is True
    assert cells[5][1]["objective"][1]["weight"] == draws(3)[1].alpha
    assert cells[5][1]["views"]["value_dropout"] == draws(3)[1].value_dropout
    assert cells[4][1]["tower"]["feature_dropout"] == draws(3)[1].feature_dropout


# What is chosen.


def test_the_best_trial_of_each_arm_is_measured_on_every_seed(request_, measured):
    asked = measured(numbers)
    done = ssl(replace(request_, arms=("FD", "CFM")), jobs=1)
    best = min(draws(4), key=lambda draw: abs(draw.temperature - 0.13))
    first, second = asked
    assert len(first) == 4 * 3
    assert len(second) == 3 * 3
    known = {cell.folder for cell in first}
    assert sum(cell.folder in known for cell in second) == 3  # of the first seed, not run again
    assert {told(cell)["objective"][0]["temperature"] for cell in second} == {best.temperature}
    for cell in second:
        run_ = told(cell)
        assert {run_[name]["seed"] for name in ("data", "train", "tower")} == {cell.seed}
    (setting,) = done.table["settings"]
    rows = {row["name"]: row for row in setting["rows"]}
    assert list(rows) == ["popularity", "plain", "FD", "CFM"]
    assert rows["plain"]["gain"] is None
    # CFM finds a tenth more on each seed; FD 0, 10 and 20 % more: 10 +- 4.303 * 10 / sqrt 3
    assert rows["CFM"]["gain"] == {"mean": 10.0, "low": 10.0, "high": 10.0}
    assert rows["FD"]["gain"]["mean"] == pytest.approx(10)
    assert rows["FD"]["gain"]["low"] == pytest.approx(10 - 24.84, abs=0.01)
    assert rows["popularity"]["mean"]["test/recall@10"] == pytest.approx(0.05)
    assert f"CFM, rate {best.learning_rate}, temperature {best.temperature}" in done.page
    assert rows["CFM"]["settings"].endswith(f"value dropout {best.value_dropout}")
    assert (request_.out / "table.md").read_text() == done.page + "\n"
    assert json.loads((request_.out / "table.json").read_text()) == done.table
    for name in ("figure.png", "information.png"):
        assert (request_.out / name).read_bytes().startswith(b"\x89PNG")
    assert done.table["information"]["features"][:2] == ["id", "feature_1"]


def test_every_share_and_logq_is_tuned_by_itself(request_, measured):
    asked = measured(numbers)
    done = ssl(
        replace(request_, arms=("CFM",), shares=(1.0, 0.5), logq="both", trials=2, seeds=(0,)),
        jobs=1,
    )
    found = [(s["share"], s["logq"]) for s in done.table["settings"]]
    assert found == [(1.0, False), (1.0, True), (0.5, False), (0.5, True)]
    cells = [(told(c)["data"]["train_share"], told(c)["train"]["logq"]) for c in asked[0]]
    assert sorted(cells) == sorted(found * 4)
    assert len({cell.folder for cell in asked[0]}) == 16
    assert "**50 % of the training pairs, without logQ**" in done.page
    assert "(95 % interval)" not in done.page


def test_an_arm_that_cannot_be_trained_has_no_row_and_is_reported(request_, measured):
    measured(lambda cell: None if arm_of(cell) == "CFM" else numbers(cell))
    failed = []
    done = ssl(replace(request_, arms=("CFM", "FD"), trials=2), jobs=1, report=failed.append)
    assert len(failed) == 2
    rows = [row["name"] for row in done.table["settings"][0]["rows"]]
    assert rows == ["popularity", "plain", "FD"]


def test_without_a_plain_tower_nothing_is_gained(request_, measured):
    measured(lambda cell: None if arm_of(cell) == "plain" else numbers(cell))
    done = ssl(replace(request_, arms=("FD",), trials=1, seeds=(0,)), jobs=1)
    assert "| FD | 20.00 | 10.00 | 1,000 | - |" in done.page


def test_the_metric_that_is_tuned_for_stands_first():
    assert [c.title for c in columns("recall@10")][:3] == ["recall@10", "recall@50", "map@10"]
    assert [c.title for c in columns("ndcg@20")][:2] == ["ndcg@20", "recall@10"]


# The map.


def test_a_map_tunes_its_arms_at_every_place(tmp_path, measured):
    asked = measured(numbers)
    terrain = Terrain(items=300, sparsity=(1.0, 2.0), correlation=(0.0, 1.0))
    request = Request(
        grid="map", out=tmp_path / "out", arms=("CFM",), trials=2, seeds=(0, 1),
        terrain=terrain, overrides=SMALL,
    )  # fmt: skip
    done = ssl(request, jobs=1)
    # 4 places, with logQ and without, 2 arms, 2 trials
    assert len(asked[0]) == 4 * 2 * 2 * 2
    assert len({told(cell)["data"]["pairs"] for cell in asked[0]}) == 4
    assert [(s["sparsity"], s["correlation"], s["logq"]) for s in done.table["settings"]][3:5] == [
        (2, 1.0, False),
        (1, 0.0, True),
    ]
    line = (
        "| 1 pairs an item, correlation 0 | 5.00 ± 0.00 | 25.00 ± 7.07 | +10.0 (+10.0 to +10.0) |"
    )
    assert done.page.count(line) == 2
    assert "**recall@10, without logQ**" in done.page
    assert "**unseen recall@10, without logQ**" in done.page
    assert (request.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_made_data_has_the_pairs_it_says_and_is_written_once(tmp_path):
    specs = Terrain(items=400, sparsity=(0.5, 3.0), correlation=(0.5,)).specs()
    assert [(s.queries, s.pairs) for s in specs.values()] == [(200, 200), (400, 1200)]
    spec = specs[3, 0.5]
    folder = generated(spec, tmp_path / "d")
    pairs = read_table(folder / "pairs.parquet")
    assert pairs["split"].to_pylist().count("train") == 1200
    before = (folder / "pairs.parquet").stat().st_mtime_ns
    assert generated(spec, folder) == folder
    assert (folder / "pairs.parquet").stat().st_mtime_ns == before
    generated(replace(spec, seed=1), folder)
    assert (folder / "pairs.parquet").stat().st_mtime_ns > before


# What is refused.


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"grid": "maps"}, "--grid must be arms or map or paper, got 'maps'; did you mean 'map'?"),
        ({"grid": "map"}, "--grid map makes its own data; leave out --data"),
        ({"data": None}, "--grid arms needs --data"),
        ({"arms": ("CMF",)}, "did you mean 'CFM'?"),
        ({"logq": "yes"}, "--logq must be both or on or off, got 'yes'"),
        ({"trials": 0}, "--trials must be at least 1, got 0"),
        ({"seeds": (1, 1)}, "--seeds must be 0 or more, each once"),
        ({"shares": (1.5,)}, "--share must be above 0 and up to 1"),
        ({"data": "nowhere"}, "--data is 'nowhere', which is no folder"),
        ({"overrides": ("tower.kind=tfidf",)}, "tower.combine is not a known key"),
        ({"at": "recall@30"}, "--at recall@30 is not measured"),
        ({"at": "recall@7"}, "recommend.ks are 1, 5, 10, 20, 50, 100"),
        ({"overrides": ("train.logq=true",)}, "give --logq instead"),
        ({"overrides": ("data.train_share=0.5",)}, "give --share instead"),
        ({"overrides": ("train.epoch=1",)}, "did you mean 'epochs'?"),
        ({"overrides": ("tower.kind=history",)}, ""),
    ],
)
def test_bad_requests_are_one_sentence_and_run_nothing(request_, monkeypatch, changed, words):
    monkeypatch.setattr(runs, "run_cells", lambda *_, **__: pytest.fail("a cell was run"))
    with pytest.raises(InputError) as refused:
        ssl(replace(request_, **changed), jobs=1)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not request_.out.exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sparsity": ()}, "--sparsity must be given once each"),
        ({"sparsity": (0.0,)}, "--sparsity must be above 0, got 0"),
        ({"correlation": (2.0,)}, "correlation must be in [0, 1], got 2.0"),
        ({"items": 20}, "leave fewer than one for each of 200 subtopics"),
    ],
)
def test_bad_maps_are_refused(changed, words):
    with pytest.raises(InputError) as refused:
        Terrain(**changed)
    assert words in str(refused.value)


def test_a_folder_without_pairs_or_events_is_no_base(tmp_path):
    for name in ("items", "pairs"):
        (tmp_path / f"{name}.csv").write_text("id\n")
    assert set(base_of(str(tmp_path)).sections["data"]) == {"items", "pairs"}
    (tmp_path / "pairs.csv").unlink()
    with pytest.raises(InputError, match="has no pairs table and no events"):
        base_of(str(tmp_path))


# For real.


@pytest.mark.slow
def test_cells_train_measure_both_splits_and_are_not_run_again(request_):
    twice = ("train.epochs=2", *SMALL[1:-1], "train.batch_size=64")  # 120 pairs are learnt
    small = replace(request_, arms=("CFM",), trials=1, seeds=(0,), overrides=twice)
    seen = []
    first = ssl(small, jobs=2, report=seen.append)
    assert {(arm_of(outcome.cell), outcome.error) for outcome in seen} == {
        ("plain", ""), ("CFM", "")
    }  # fmt: skip
    (setting,) = first.table["settings"]
    popular, plain, masked = (row["runs"]["0"] for row in setting["rows"])
    for row in (plain, masked):
        assert 0 <= row["test/recall@10"] <= 1
        assert row["test/popularity/recall@10"] == popular["test/recall@10"] > 0
        assert row["validation/queries"] > 0 < row["pairs_per_second"]
    assert masked["validation/ndcg@100"] != plain["validation/ndcg@100"]
    again = ssl(small, jobs=1, report=lambda outcome: pytest.fail("run again"))
    assert again.page == first.page
