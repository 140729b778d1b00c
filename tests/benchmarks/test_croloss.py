"""Which trials the losses get, what is chosen from them, and one cell for real."""

import json
import tomllib
from dataclasses import replace

import pytest

from grids import runs
from grids.croloss import Bench, Request, best_alpha, blocks, croloss
from grids.croloss_trials import ALPHAS, LOSSES, draws
from grids.runs import base_of
from oracles.buyers import open_histories
from thresher.errors import InputError
from thresher.files import write_json
from thresher.jobs.cells import Outcome, run_cells
from thresher.jobs.table import Row
from thresher.losses.croloss import KERNELS


@pytest.fixture
def buyers(tmp_path):
    return open_histories(tmp_path / "buyers")


@pytest.fixture
def request_(buyers, tmp_path):
    return Request(data=str(buyers / "run.toml"), out=tmp_path / "out", at=(1, 6), trials=4)


def term(cell):
    return tomllib.loads(cell.files["run.toml"])["objective"][0]


def rate(cell):
    return tomllib.loads(cell.files["run.toml"])["train"]["learning_rate"]


@pytest.fixture
def measured(monkeypatch):
    """Gives cells the numbers of a function of them, as if they had been measured before."""
    asked = []

    def by(values):
        def known(cells, *, jobs, report):
            asked.append(list(dict.fromkeys(cell.folder.name for cell in cells)))
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


# The trials.


def test_the_nth_trial_of_every_loss_has_the_same_temperature_and_rate(request_):
    made = Bench(request_, base_of(request_.data), 1, print)
    for number, draw in enumerate(draws(6)):
        cells = {name: made.cell(f"{name} {number}", 0, draw, name) for name in LOSSES}
        assert {rate(cell) for cell in cells.values()} == {draw.learning_rate}
        terms = {name: term(cell) for name, cell in cells.items()}
        # scores are divided by the temperature of all but the triplet, whose margin is half of it
        assert terms["triplet"]["margin"] == pytest.approx(draw.temperature / 2)
        assert {t["temperature"] for t in terms.values() if "margin" not in t} == {draw.temperature}
        plain, ranked = terms["CROLoss"], terms["CROLoss lambda"]
        assert (plain["kernel"], plain["alpha"]) == (draw.kernel, draw.alpha)
        assert "rank_kernel" not in plain
        assert ranked["rank_kernel"] == "sigmoid"
        assert {**ranked, "rank_kernel": None} == {**plain, "rank_kernel": None}


def test_trials_are_the_same_in_every_run_and_more_of_them_go_on():
    assert draws(8) == draws(8)
    assert draws(8)[:3] == draws(3)
    assert len({draw[:2] for draw in draws(12)}) > 6
    assert {draw.kernel for draw in draws(12)} <= set(KERNELS)
    assert all(d.temperature > 0 and d.learning_rate > 0 and d.alpha >= 0 for d in draws(12))


# What is chosen.


def recalls(cell):
    """Validation likes low temperatures for N = 1, and high ones for N = 6; the test knows."""
    kind = term(cell)["kind"]
    t = term(cell).get("temperature", 2 * term(cell).get("margin", 0))
    bonus = {"softmax": 0.1, "croloss": 0.2}.get(kind, 0.0)
    return {
        "validation/recall@1": bonus + 0.3 - t / 10,
        "validation/recall@6": bonus + 0.5 + t / 10,
        "test/recall@6": cell.seed / 100 + t,
        "seconds": 3.0,
    }


def test_the_best_trial_of_each_loss_for_each_depth_is_measured_on_every_seed(request_, measured):
    asked = measured(recalls)
    done = croloss(replace(request_, losses=("softmax", "triplet")), jobs=1)
    low, high = (pick(draws(4), key=lambda d: d.temperature) for pick in (min, max))
    assert set(done.table["chosen"]) == {
        f"{loss}, for N = {n}" for loss in ("softmax", "triplet") for n in (1, 6)
    }
    for n, draw in ((1, low), (6, high)):
        said = done.table["chosen"][f"softmax, for N = {n}"]
        assert f"temperature {draw.temperature}, rate {draw.learning_rate}" in said
        assert said in done.page
        assert f"margin {draw.temperature / 2}" in done.table["chosen"][f"triplet, for N = {n}"]
    rows = {row["name"]: row["runs"] for row in done.table["rows"]}
    assert set(rows["softmax, for N = 1"]) == {"0", "1", "2"}
    of = rows["softmax, for N = 6"]
    assert [of[s]["test/recall@6"] for s in "012"] == pytest.approx(
        [high.temperature + s / 100 for s in range(3)]
    )
    # first 4 trials of 2 losses on one seed, then the chosen ones on all; none of them twice
    first, second = asked
    assert len(first) == len(set(first)) == 8
    assert len(second) == len(set(second)) == 12
    assert all(name.endswith("-0") for name in first)


def test_the_table_is_written_and_known_again(request_, measured):
    asked = measured(recalls)
    done = croloss(replace(request_, losses=("bpr",), seeds=(3,), trials=1), jobs=1)
    assert done.page.startswith("run, split test, seed 3. Percent.")
    assert (request_.out / "table.md").read_text() == done.page + "\n"
    assert json.loads((request_.out / "table.json").read_text()) == done.table
    assert not (request_.out / "figure.png").exists()
    assert len(asked[0]) == len(asked[1]) == 1
    assert "| bpr, for N = 6 |" in done.page


def test_a_loss_that_cannot_be_trained_has_no_row_and_is_reported(request_, measured):
    measured(lambda cell: None if term(cell)["kind"] == "bpr" else recalls(cell))
    failed = []
    done = croloss(
        replace(request_, losses=("softmax", "bpr"), trials=2), jobs=1, report=failed.append
    )
    assert len(failed) == 2
    assert {row["name"].partition(",")[0] for row in done.table["rows"]} == {"softmax"}


def of_curve(cell):
    t = term(cell)
    short, long = -abs(t.get("alpha", 0) - 1.4), -abs(t.get("alpha", 9) - 0.6)
    lead = 0.01 * ("rank_kernel" in t) - (t["kind"] != "croloss")
    values = {"validation/recall@1": 0.5 + short / 10 + lead, "validation/recall@6": 0.7 + lead}
    values["validation/recall@6"] += long / 10
    return values | {"test/recall@6": 0.0}


def test_a_curve_has_every_alpha_and_names_the_best_for_each_depth(request_, measured):
    measured(of_curve)
    done = croloss(replace(request_, grid="curve", kernels=("exp",), seeds=(0, 1)), jobs=1)
    names = {row["name"] for row in done.table["rows"]}
    lines = {f"CROLoss{how} exp, alpha {a:g}" for how in ("", " lambda") for a in ALPHAS}
    assert names == lines | {"softmax", "triplet", "bpr"}
    assert done.table["best"] == {
        1: "CROLoss lambda exp, alpha 1.4 (recall 0.5100)",
        6: "CROLoss lambda exp, alpha 0.6 (recall 0.7100)",
    }
    assert "- I retrieve N = 6: CROLoss lambda exp, alpha 0.6" in done.page
    assert done.page.startswith("run, split validation, seeds 0, 1; mean")
    assert (request_.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_alpha_is_that_of_the_highest_mean():
    def row(name, *values):
        runs = {seed: {"validation/recall@5": value} for seed, value in enumerate(values)}
        return Row(name, runs)

    rows = [row("CROLoss exp, alpha 1", 0.2, 0.4), row("CROLoss exp, alpha 2", 0.1, 0.6)]
    # (.2 + .4) / 2 = .3 and (.1 + .6) / 2 = .35; softmax is no CROLoss
    assert (
        best_alpha([*rows, row("softmax", 0.9, 0.9)], 5) == "CROLoss exp, alpha 2 (recall 0.3500)"
    )
    assert best_alpha(rows, 6) == ""
    assert best_alpha([row("CROLoss exp, alpha 1")], 5) == ""


def test_every_recall_that_is_measured_has_a_column():
    titles = [c.title for block in blocks("test", (3, 50)).values() for c in block]
    assert titles[:2] == ["recall@3", "recall@50"]
    assert len(set(titles)) == len(titles)


# What is refused.


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"grid": "tune"}, "--grid must be tuned or curve, got 'tune'; did you mean 'tuned'?"),
        ({"losses": ("softmx",)}, "did you mean 'softmax'?"),
        ({"kernels": ("tanh",)}, "--kernel must be exp or softplus or hinge or sigmoid, got"),
        ({"trials": 0}, "--trials is 0 and --at 1, 6; give 1 or more"),
        ({"at": (0,)}, "--trials is 4 and --at 0; give 1 or more"),
        ({"seeds": (1, 1)}, "--seeds must be 0 or more, each once, got"),
        ({"seeds": (-1,)}, "--seeds must be 0 or more"),
        ({"data": "nowhere"}, "--data is 'nowhere', which is no folder"),
        ({"data": "pricerunner"}, "--data is pricerunner, which has no events; give"),
        (
            {"at": (2,)},
            "--at recall@2 is not measured in a catalogue of 35 items; recommend.ks are 1, 6",
        ),
        ({"at": (100,)}, "--at recall@100 is not measured in a catalogue of 35 items"),
        ({"overrides": ("train.epoch=1",)}, "did you mean 'epochs'?"),
        (
            {"overrides": ("data.shares={train=0.9, test=0.1}",)},
            "in the split 'validation'",
        ),
        ({"overrides": ("data.events=gone.csv",)}, "gone.csv"),
        ({"grid": "curve", "temperature": 0.0}, "temperature"),
    ],
)
def test_bad_requests_are_one_sentence_and_run_nothing(request_, monkeypatch, changed, words):
    monkeypatch.setattr(runs, "run_cells", lambda *_, **__: pytest.fail("a cell was run"))
    with pytest.raises(InputError) as refused:
        croloss(replace(request_, **changed), jobs=1)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not request_.out.exists()


# For real.


@pytest.mark.slow
def test_a_cell_trains_measures_both_splits_and_is_not_run_again(request_, tmp_path):
    small = replace(
        request_,
        losses=("CROLoss lambda",),
        trials=1,
        at=(6,),
        seeds=(0,),
        overrides=("train.epochs=2", "tower.dim=8", "train.metric=recall@10"),
    )
    said = []
    first = croloss(small, jobs=1, report=said.append)
    assert [outcome.error for outcome in said] == [""]
    (row,) = first.table["rows"]
    found = row["runs"]["0"]
    assert found["test/recall@6"] > found["test/popularity/recall@6"]
    assert found["validation/queries"] == found["test/queries"] == 16
    assert found["seconds"] > 0 < found["pairs_per_second"]
    (folder,) = (p for p in small.out.iterdir() if p.is_dir())
    assert {p.name for p in folder.iterdir()} == {
        *("cell.json", "run.toml", "measured.json", "output.txt")
    }
    again = croloss(small, jobs=1, report=lambda outcome: pytest.fail("run again"))
    assert again.page == first.page
