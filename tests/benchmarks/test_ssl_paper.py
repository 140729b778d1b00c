"""The paper's set-up: each row's run is as published, and no cell is run twice."""

import json
import tomllib
from dataclasses import replace

import pytest
import torch

from grids import runs
from grids.apps import Apps, write
from grids.ssl import Request, ssl
from grids.ssl_paper import ROWS, USUAL, by_seed, rows_at
from grids.ssl_paper_cell import Adagrad
from grids.ssl_paper_figure import paper_bars
from thresher.errors import InputError
from thresher.files import write_json
from thresher.jobs.cells import Outcome
from thresher.jobs.table import Row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("made")
    write(Apps(items=400, pairs=5), made)
    return made


@pytest.fixture
def request_(folder, tmp_path):
    return Request(data=str(folder), out=tmp_path / "out", grid="paper", seeds=(0, 1), trials=0)


@pytest.fixture
def asked(monkeypatch):
    """Cells that are run, each given made-up numbers: CFM a tenth more than plain."""
    seen = []

    def known(cells, *, jobs, report, program):
        assert program == "grids.ssl_paper_cell"
        for cell in cells:
            if cell.measured() is None:
                seen.append(cell)
                more = 1.1 if ": CFM" in cell.name else 1.0
                values = {
                    f"{w}/test/recall@10": f * more for w, f in (("best", 0.2), ("last", 0.1))
                }
                values["test/popularity/recall@10"] = 0.05
                cell.prepare()
                found = {"fingerprint": cell.fingerprint, "values": values}
                write_json(cell.folder / "measured.json", found)
        outcomes = [Outcome(c, c.measured(), "", 0.0, 1, 1, 0.0) for c in cells]
        return outcomes, {o.cell.folder: o.values for o in outcomes}

    monkeypatch.setattr(runs, "measured", known)
    return seen


def told(cell):
    return tomllib.loads(cell.files["run.toml"])


def test_every_row_is_as_published(request_, asked):
    ssl(request_, jobs=1)
    by_row = {c.name.partition(": ")[2]: told(c) for c in asked if c.seed == 0}
    assert list(by_row) == list(USUAL)
    for run_ in by_row.values():
        train, tower = run_["train"], run_["tower"]
        assert (train["learning_rate"], train["layer_learning_rate"]) == (0.01, 0.01)
        assert train["initial_accumulator"] == 0.1
        assert (train["epochs"], train["batch_size"], train["logq"]) == (20, 256, False)
        assert (tower["combine"], tower["layers"], tower["dim"]) == ("concat", [1024], 128)
        assert run_["data"]["train_share"] == 0.1
        assert run_["features"]["id_min_count"] == 0
        assert all(term["temperature"] == 0.07 for term in run_["objective"])
    second = {name: run_["objective"][1:] for name, run_ in by_row.items()}
    alone = ("plain", "FD", "plain, no id", "plain, dropout 0.3")
    assert all(not second[name] for name in alone)
    links = {
        name: (terms[0]["links"], terms[0]["weight"]) for name, terms in second.items() if terms
    }
    assert links == {
        "SO": ("spread_out", 1.0),
        "RFM": ("views", 1.0),
        "CFM, alpha 1": ("views", 1.0),
        "CFM, alpha 3": ("views", 3.0),
        "CFM, alpha 1, dropout 0.3": ("views", 1.0),
    }
    views = {name: (by_row[name]["views"]["masking"], by_row[name]["views"]["value_dropout"])
             for name in links if name != "SO"}  # fmt: skip
    assert views.pop("RFM") == ("random", 0.3)
    assert set(views.values()) == {("correlated", 0.3)}
    towers = {name: (run_["tower"]["feature_dropout"], run_["tower"]["dropout"])
              for name, run_ in by_row.items()}  # fmt: skip
    assert towers.pop("FD") == (0.3, 0.0)
    assert {name for name, of in towers.items() if of == (0.0, 0.3)} == {
        "plain, dropout 0.3", "CFM, alpha 1, dropout 0.3"
    }  # fmt: skip
    assert by_row["plain, no id"]["features"]["item"] == {"id": "ignored"}
    assert "CFM, alpha 0.3" in ROWS  # the rest of the paper's grid, by name


def test_a_resumed_grid_runs_no_cell_twice(request_, asked):
    few = replace(request_, arms=("CFM, alpha 1",))
    page = ssl(few, jobs=1).page
    assert len(asked) == 4  # plain and CFM, two seeds
    assert "| CFM, alpha 1 | 22.00 ± 0.00 |" in page
    assert "+10.0 (+10.0 to +10.0)" in page
    assert ssl(few, jobs=1).page == page
    assert len(asked) == 4
    ssl(replace(few, seeds=(0, 1, 2)), jobs=1)
    assert [(c.name.partition(": ")[2], c.seed) for c in asked[4:]] == [
        ("plain", 2), ("CFM, alpha 1", 2)
    ]  # fmt: skip
    assert json.loads((few.out / "table.json").read_text())["best"][0]["name"] == "plain"
    assert (few.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_generated_data_is_written_once(request_, asked):
    made = replace(request_, data="generated", items=300, arms=("FD",), seeds=(0,))
    assert "app-to-app data of 300 items" in ssl(made, jobs=1).page
    pairs = made.out / "data" / "apps-300" / "pairs.parquet"
    before = pairs.stat().st_mtime_ns
    ssl(made, jobs=1)
    assert pairs.stat().st_mtime_ns == before


def test_gains_are_paired_by_seed():
    rows = {
        "plain": Row("plain", {0: {"test/recall@10": 0.2}, 1: {"test/recall@10": 0.4}}),
        "FD": Row("FD", {0: {"test/recall@10": 0.25}, 1: {"test/recall@10": 0.3}}),
    }
    # 0.25 / 0.2 is a quarter more, 0.3 / 0.4 a quarter less
    assert by_seed(rows, [0, 1]).splitlines()[2].startswith("| FD | +25 -25 | - - |")
    paper_bars({"best": rows, "last": rows}, "recall@10")
    assert rows_at("best", {}, {}) == {}


def test_adagrad_is_that_of_its_equation():
    table = torch.nn.Embedding(3, 2, sparse=True)
    dense = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    start = table.weight.detach().clone()
    own = Adagrad([table.weight, dense], lr=0.5, initial_accumulator=0.25)
    for _ in range(2):
        # row 1 stands twice: its gradient is 2 x [3, -4] / 2 = [3, -4]; dense has [0, 3]
        loss = (table(torch.tensor([1, 1])) * torch.tensor([1.5, -2.0])).sum() + 3 * dense[1]
        loss.backward()
        own.step()
    # 3 / sqrt(0.25 + 9) + 3 / sqrt(0.25 + 18) = 0.98639 + 0.70225; times the rate 0.5
    # 4 / sqrt(0.25 + 16) + 4 / sqrt(0.25 + 32) = 0.99228 + 0.70436
    moved = (table.weight - start).detach()
    assert moved[1].tolist() == pytest.approx([-0.84432, 0.84832], abs=1e-4)
    assert moved[[0, 2]].abs().sum() == 0
    assert dense.tolist() == pytest.approx([1.0, 2.0 - 0.84432], abs=1e-4)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"arms": ("CFM",)}, "did you mean"),
        ({"hidden": ()}, "--hidden must be widths of 1 or more"),
        ({"data": None}, "--grid paper needs --data"),
        ({"trials": -1}, "--trials must be at least 0"),
    ],
)
def test_bad_requests_are_one_sentence(request_, changed, words):
    with pytest.raises(InputError, match=words):
        replace(request_, **changed)


@pytest.mark.slow
def test_a_cell_trains_and_measures_best_and_last(request_):
    small = ("train.epochs=2", "train.batch_size=64", "features.width=8", "tower.dim=8")
    few = replace(request_, arms=("CFM, alpha 1",), seeds=(0,), hidden=(8, 8), overrides=small)
    found = ssl(few, jobs=1).table
    for when in ("best", "last"):
        plain, masked = (row["runs"]["0"] for row in found[when])
        assert 0 <= plain["test/recall@10"] <= 1
        assert plain["epoch"] in (1, 2)
        assert masked["test/map@10"] != plain["test/map@10"]
        assert plain["test/popularity/recall@10"] > 0
    again = ssl(few, jobs=1, report=lambda outcome: pytest.fail("run again"))
    assert again.table["best"] == found["best"]
