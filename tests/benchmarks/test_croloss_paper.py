"""The arms of the paper's grid, what is chosen and compared, and a grid that goes on."""

import json
import tomllib
from dataclasses import replace

import pytest

from grids import croloss_paper as grid
from grids.croloss_paper import PaperRequest, cells_of, chosen_b, croloss_paper, name_of
from grids.paper_training import Setup
from grids.runs import base_of
from oracles.buyers import open_histories
from thresher.errors import InputError
from thresher.files import write_json
from thresher.jobs.table import Row

SMALL = ("recommend.ks=[6, 20]", "train.metric=recall@6", "train.batch_size=8", "tower.dim=4")


@pytest.fixture
def request_(tmp_path):
    buyers = open_histories(tmp_path / "buyers")
    return PaperRequest(data=str(buyers / "run.toml"), out=tmp_path / "out", overrides=SMALL)


def told(cell):
    return tomllib.loads(cell.files["run.toml"])


# The arms.


def test_every_arm_is_the_published_loss_at_one_temperature():
    ten = {name: of(10) for name, of in grid.ARMS.items()}
    croloss = {"kind": "croloss", "kernel": "softplus", "alpha": 1.0, "temperature": 0.1}
    assert ten == {
        "CE": {"kind": "softmax", "temperature": 0.1},
        "triplet": {"kind": "triplet", "margin": 0.05},  # max(z + 0.5, 0) with z = 10 (s_n - s_p)
        "BPR": {"kind": "bpr", "temperature": 0.1},
        "CROLoss softplus 1": croloss,
        "Lambda softplus 1": {**croloss, "rank_kernel": "sigmoid"},
        "Lambda exp 1.4": {**croloss, "kernel": "exp", "alpha": 1.4, "rank_kernel": "sigmoid"},
    }


def test_every_cell_has_the_published_set_up(request_):
    plain = replace(request_, overrides=())
    cells = cells_of(plain, base_of_(plain))
    for cell in cells:
        run = told(cell)
        assert run["tower"]["dim"] == 32
        assert run["tower"]["max_history"] == 20
        train = {key: run["train"][key] for key in grid.SECTIONS["train"]}
        assert train == {
            "learning_rate": 0.02,
            "batch_size": 256,
            "num_sampled_negatives": 10,
            "sampling_power": 0.0,
            "in_batch_negatives": False,
            "logq": False,
            "metric": "recall@100",
        }
        assert run["data"]["protocol"] == "users"
        assert run["data"]["history_share"] == 0.8
        assert "shares" not in run["data"]  # those of the library: 80 / 10 / 10
        assert run["recommend"] == {
            "ks": [50, 100, 200, 500],
            "remove_history": False,
            "count_repeats": True,
            "repeat_boost": 0.0,
        }
        assert {key: cell.task[key] for key in ("steps", "validate_every", "patience")} == {
            "steps": 4000,
            "validate_every": 200,
            "patience": 5,
        }
        assert cell.task["first_target"] == 4
        assert len({run[name]["seed"] for name in ("data", "train")} | {cell.seed}) == 1
    learned = {cell.name: cell for cell in cells if "b learned" in cell.name or "rank" in cell.name}
    assert {cell.task["temperature"] for cell in learned.values()} == {"learned", "by rank"}
    assert {told(cell)["objective"][0]["temperature"] for cell in learned.values()} == {1.0}


def base_of_(request):
    """The base with the sections of the grid, as `croloss_paper` makes it."""
    base = base_of(request.data)
    own = {name: {**base.sections.get(name, {}), **of} for name, of in grid.SECTIONS.items()}
    return base._replace(sections={**base.sections, **own})


def test_each_cell_is_there_once(request_):
    cells = cells_of(request_, base_of_(request_))
    # 6 arms at b = 10, 2 of them at 5 other b, 2 learned; 3 seeds each
    assert len(cells) == len({cell.folder for cell in cells}) == 3 * (6 + 10 + 2)
    few = cells_of(replace(request_, blocks=("published",)), base_of_(request_))
    assert [cell.folder for cell in few] == [cell.folder for cell in cells[:18]]
    assert [cell.fingerprint for cell in few] == [cell.fingerprint for cell in cells[:18]]


# What is chosen and compared.


def row(name, *runs):
    return Row(name, dict(enumerate(runs)))


def test_b_is_the_one_with_the_best_mean_on_validation():
    def at(b, *recalls):
        return row(name_of("CE", b), *({"validation/recall@50": value} for value in recalls))

    rows = [at(3, 0.2, 0.4), at(5, 0.1, 0.6), at(10, 0.3, 0.3)]
    assert chosen_b(rows, "CE", (3, 5, 10), 50) == 5
    assert chosen_b(rows[:1] + rows[2:], "CE", (3, 10), 50) == 3
    assert chosen_b(rows, "CE", (3, 5, 10), 500) == 10


def test_a_gain_is_relative_to_ce_of_the_same_seed():
    ce = row("CE, b 10", {"test/recall@50": 0.2}, {"test/recall@50": 0.4})
    other = row("BPR, b 10", {"test/recall@50": 0.3}, {"test/recall@50": 0.4})
    gains = grid._compared([ce, other])[1]
    assert [values["gain@50"] for values in gains.runs.values()] == pytest.approx([0.5, 0.0])
    assert gains.spread("gain@50").mean == pytest.approx(0.25)
    assert "gain@500" not in gains.runs[0]


# A grid that goes on.


def numbers(cell):
    """As if measured: lower temperatures are better on validation, by seed on the test."""
    term = told(cell)["objective"][0]
    t = term.get("temperature", 2 * term.get("margin", 0))
    recalls = {f"recall@{k}": 0.1 + t / 10 + k / 10000 for k in grid.KS}
    values = {f"{s}/{k}": v + cell.seed / 100 for s in ("validation", "test")
              for k, v in recalls.items()}  # fmt: skip
    return {**values, "hardest_share": 0.155, "best_step": 600, "seconds": 9.0}


def test_a_cell_that_was_measured_is_not_run_again(request_, monkeypatch):
    monkeypatch.setattr(grid, "PROGRAM", "no.such.program")
    monkeypatch.setattr(grid.runs, "check", lambda *_: None)
    cells = cells_of(request_, base_of_(request_))
    for cell in cells[:-1]:
        cell.prepare()
        found = {"fingerprint": cell.fingerprint, "values": numbers(cell)}
        write_json(cell.folder / "measured.json", found)
    ended = []
    done = croloss_paper(request_, jobs=1, report=ended.append)
    assert [outcome.cell.folder for outcome in ended] == [cells[-1].folder]
    assert done.table["chosen"] == {n: dict.fromkeys(grid.TUNED, 2) for n in (50, 500)}
    assert "| CE, for N = 50: b 2 |" in done.page
    assert "Both tuned for N = 500: Lambda against CE 0.00 ± 0.00 %" in done.page
    assert "| CE, b by rank (2 of 3 seeds) |" in done.page
    assert (request_.out / "table.md").read_text() == done.page + "\n"
    assert json.loads((request_.out / "table.json").read_text())["seeds"] == [0, 1, 2]
    assert (request_.out / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"blocks": ("tune",)}, "--block must be published or tuned or learned, got 'tune'"),
        ({"bs": (0.0,)}, "--b is [0.0]; give numbers above 0"),
        ({"setup": Setup(steps=0)}, "--steps is 0 and --first-target 4; give 1 or more"),
        ({"setup": Setup(steps=10)}, "--steps is 10, and the first look at validation is after"),
        ({"seeds": ()}, "--seeds must be 0 or more"),
        ({"data": "pricerunner"}, "--data is pricerunner, which has no events"),
        ({"overrides": ()}, "--at recall@100 is not measured in a catalogue of 35 items"),
    ],
)
def test_bad_requests_are_one_sentence_and_run_nothing(request_, monkeypatch, changed, words):
    monkeypatch.setattr(grid, "run_cells", lambda *_, **__: pytest.fail("a cell was run"))
    with pytest.raises(InputError) as refused:
        croloss_paper(replace(request_, **changed), jobs=1)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_cells_train_and_measure_and_are_not_run_again(request_):
    setup = Setup(steps=20, validate_every=10, first_target=2)
    small = replace(request_, blocks=("published", "learned"), seeds=(0,), setup=setup)
    said = []
    first = croloss_paper(small, jobs=1, report=said.append)
    assert [outcome.error for outcome in said] == [""] * 8
    found = {row["name"]: row["runs"]["0"] for row in first.table["rows"]}
    assert all(0 <= values["test/recall@6"] <= 1 for values in found.values())
    assert all(0 < values["hardest_share"] <= 1 for values in found.values())
    assert found["CE, b by rank"]["by_rank"] != 0
    again = croloss_paper(small, jobs=1, report=lambda outcome: pytest.fail("run again"))
    assert again.page == first.page
