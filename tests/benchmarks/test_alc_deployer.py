"""Equal training time: how many epochs each objective gets, and that nothing is done twice."""

import tomllib
from itertools import count

import pytest

from grids import alc_deployer, runs
from grids.alc import Request, for_deployer
from grids.alc_deployer import SCORES, TARGETS, equal_epochs
from grids.alc_figure import score_panels
from oracles.shop import open_shop
from thresher.errors import InputError
from thresher.files import write_json
from thresher.jobs.cells import Outcome
from thresher.jobs.table import Row


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "shop").mkdir()
    shop = open_shop(tmp_path / "shop")
    return Request(data=str(shop / "run.toml"), out=tmp_path / "out", grid="deployer", seeds=(0, 3),
                   overrides=("train.epochs=6",))  # fmt: skip


def test_epochs_are_those_that_fit_the_time_of_the_first():
    # 6 x 0.02 / 0.03 = 4; 6 x 0.02 / 0.05 = 2.4; 6 x 0.02 / 0.4 = 0.3, and one at least
    times = {"plain": 0.02, "a": 0.03, "b": 0.05, "c": 0.4}
    assert equal_epochs(times, 6) == {"plain": 6, "a": 4, "b": 2, "c": 1}


def test_steps_are_timed_once_and_cells_run_once(request_, monkeypatch):
    # a clock of processor time: each look costs what the objective has of terms
    timed, ran, clock = [], [], count()

    def steps(config, folder):
        timed.append(len(config.objective))
        return lambda: [next(clock) for _ in range(9 * len(config.objective))]

    def known(cells, *, jobs, report):
        for cell in cells:
            if cell.measured() is None:
                ran.append(cell)
                cell.prepare()
                values = {f"{kind}coverage@precision=0.9": 0.5 for kind in SCORES.values()}
                found = {"fingerprint": cell.fingerprint, "values": values}
                write_json(cell.folder / "measured.json", found)
        return [Outcome(c, c.measured(), "", 0.0, 1, 1, 0.0) for c in cells], {}

    monkeypatch.setattr(alc_deployer, "_steps", steps)
    monkeypatch.setattr(alc_deployer.time, "process_time", lambda: float(next(clock)))
    monkeypatch.setattr(runs, "measured", known)
    page = for_deployer(request_, jobs=1).page
    assert timed == [1, 2, 2, 3]
    told = [(c.name, c.seed, tomllib.loads(c.files["run.toml"])["train"]["epochs"]) for c in ran]
    # 9 looks and one of the clock a term: 10, 19, 19 and 28; 6 x 10 / 19 = 3.2, 6 x 10 / 28 = 2.1
    rows = [("softmax", 6), ("softmax + TCM", 3), ("softmax + ALC", 3), ("softmax + ALC + TCM", 2)]
    assert told == [(name, seed, epochs) for seed in (0, 3) for name, epochs in rows]
    assert "| softmax + ALC | 0.500 ± 0.000 | 0.500 ± 0.000 | 0.500 ± 0.000 |" in page
    assert for_deployer(request_, jobs=1).page == page
    assert (len(timed), len(ran)) == (4, 8)
    assert (request_.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_has_a_panel_for_each_precision():
    key = "coverage@precision=0.95"
    row = Row("softmax", {0: {f"raw/{key}": 0.1, f"margin/{key}": 0.5, key: 0.8}})
    figure = score_panels([row, Row("lost", {})], SCORES, TARGETS)
    assert [len(ax.lines) for ax in figure.axes] == [0, 4, 0]  # a span and three marks
    assert [ax.get_title() for ax in figure.axes] == [f"precision {t}%" for t in (90, 95, 98)]


def test_a_split_that_is_empty_is_refused_before_anything_is_timed(request_, monkeypatch):
    monkeypatch.setattr(alc_deployer, "_steps", lambda *_: pytest.fail("a step was timed"))
    without = ("data.shares={train = 0.9, test = 0.1}",)
    with pytest.raises(InputError, match="calibration"):
        for_deployer(Request(data=request_.data, out=request_.out, overrides=without), jobs=1)
