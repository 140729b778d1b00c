"""Runs on seeds in one table: what each cell is, what fails, and one comparison for real."""

import json
import tomllib

import pytest

from oracles.shop import open_shop
from thresher.config import read
from thresher.errors import InputError
from thresher.jobs import compare as module
from thresher.jobs.cells import Outcome
from thresher.jobs.compare import cell_of, compare, seeded

RUN = '[data]\nitems = "items.csv"\nqueries = "queries.csv"\npairs = "pairs.csv"\n'


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    open_shop(folder, items=40, queries=300)
    (folder / "small.toml").write_text(RUN + "[tower]\ndim = 8\nbits = 10\n")
    (folder / "large.toml").write_text(RUN + "[tower]\ndim = 16\nbits = 10\n")
    return folder


@pytest.fixture
def measured(monkeypatch):
    """Gives cells the numbers of a function of them; None is a failure."""

    def by(values):
        def known(cells, program, *, jobs, report):
            assert program == "thresher.jobs.compare"
            outcomes = []
            for done, cell in enumerate(cells, 1):
                error = "" if values(cell) else "it broke"
                outcomes.append(
                    Outcome(cell, values(cell), error, 1.0, done, len(cells), len(cells) - done)
                )
                report(outcomes[-1])
            return outcomes

        monkeypatch.setattr(module, "run_cells", known)

    return by


def numbers(cell):
    if (cell.name, cell.seed) == ("large", 4):
        return None
    dim = tomllib.loads(cell.files["run.toml"])["tower"]["dim"]
    return {"P@1": dim / 100 + cell.seed / 10, "raw/P@1": 0.5, "seconds": 3.0, "opis": 1.0}


def test_every_run_on_every_seed_is_a_cell_and_a_failed_one_is_told(shop, tmp_path, measured):
    measured(numbers)
    seen = []
    runs = [shop / "small.toml", shop / "large.toml"]
    found = compare(runs, tmp_path / "out", seeds=(0, 4), report=seen.append)
    assert [(o.cell.name, o.cell.seed) for o in seen] == [
        ("small", 0), ("small", 4), ("large", 0), ("large", 4)
    ]  # fmt: skip
    assert [(o.done, o.total) for o in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    small, large = found["rows"]
    # .08 and .48: mean .28, sd sqrt(2) * .2
    assert small["mean"]["P@1"] == pytest.approx(0.28)
    assert small["sd"]["P@1"] == pytest.approx(0.2828, abs=1e-4)
    assert list(large["runs"]) == ["0"]
    (lost,) = found["failed"]
    assert (lost["name"], lost["seed"], lost["error"]) == ("large", 4, "it broke")
    assert (found["cells"], found["split"], found["seeds"]) == (4, "test", [0, 4])
    assert "| small | 0.280 ± 0.283 | 0.500 ± 0.000 |" in found["table"]
    assert "| large (1 of 2 seeds) | 0.160 | 0.500 |" in found["table"]
    assert "opis" not in found["table"]
    assert (tmp_path / "out" / "table.md").read_text() == found["table"] + "\n"
    assert json.loads((tmp_path / "out" / "table.json").read_text()) == found


def test_notes_say_what_is_below_a_baseline_and_that_one_seed_has_no_spread(
    shop, tmp_path, measured
):
    base = {"popularity/P@1": 0.1, "tfidf/P@1": 0.5, "P@1": 0.5, "recall@10": 0.4}
    measured(lambda cell: {**base, "popularity/recall@10": 0.6 if cell.name == "large" else 0.4})
    runs = [shop / "small.toml", shop / "large.toml"]
    below = "large finds less than popularity: recall@10 0.400, not 0.600"
    assert compare(runs, tmp_path / "a", seeds=(0, 1))["notes"] == [below]
    one = compare(runs, tmp_path / "b", seeds=(0,))["notes"]
    assert one[0].startswith("one seed shows no spread; give several")
    assert one[1:] == [below]


def test_losses_that_share_one_temperature_are_to_be_tuned_first(shop, tmp_path, measured):
    measured(lambda cell: {"P@1": 0.5})

    def notes(*objectives):
        runs = []
        for number, terms in enumerate(objectives):
            tables = "".join(f'[[objective]]\nkind = "{k}"\ntemperature = {t}\n' for k, t in terms)
            runs.append(shop / f"run{number}.toml")
            runs[-1].write_text(RUN + "[tower]\ndim = 8\n" + tables)
        return compare(runs, tmp_path / "out", seeds=(0, 1))["notes"]

    (note,) = notes([("softmax", 0.1)], [("croloss", 0.1)])
    assert note.startswith("the losses differ and share one temperature, 0.1; tune it for each")
    assert notes([("softmax", 0.1)], [("croloss", 0.2)]) == []
    assert notes([("softmax", 0.1)], [("softmax", 0.1)]) == []
    assert notes([("hinge", 0.1)], [("croloss", 0.1)]) == []


def test_a_seed_is_that_of_split_tower_and_training_and_paths_are_whole(shop, tmp_path):
    config = read(shop / "small.toml")
    cell = cell_of("small", 5, seeded(config, 5), tmp_path / "c", {})
    run = tomllib.loads(cell.files["run.toml"])
    assert [run[section]["seed"] for section in ("data", "tower", "train")] == [5, 5, 5]
    assert run["data"]["items"] == str(shop / "items.csv")
    cell.prepare()
    assert read(cell.folder / "run.toml").sections["tower"]["dim"] == 8


def test_a_cell_is_known_by_what_decides_its_numbers_and_nothing_else(shop, tmp_path):
    def mark(run, seed=0, task=None, *overrides):
        config = seeded(read(run, overrides), seed)
        return cell_of("a", seed, config, tmp_path / "c", task or {}).fingerprint

    before = mark(shop / "small.toml")
    assert mark(shop / "small.toml", 1) != before
    assert mark(shop / "small.toml", 0, {"split": "validation"}) != before
    assert mark(shop / "small.toml", 0, None, "train.epochs=9") != before
    assert mark(shop / "large.toml") != before
    moved = shop.rename(shop.with_name("moved"))
    assert mark(moved / "small.toml") == before
    with (moved / "items.csv").open("a") as file:
        file.write("more,one product more\n")
    assert mark(moved / "small.toml") != before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"runs": []}, "no run was given; give one or more"),
        (
            {"runs": ["a/run.toml", "b/run.toml"]},
            "run run is given 2 times; give each run once, in a file of its",
        ),
        ({"seeds": (1, 1)}, "seed 1 is given 2 times; give each seed once"),
        ({"runs": ["nowhere.toml"]}, "nowhere.toml does not exist"),
        ({"jobs": 0}, "jobs is 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, changed, words):
    given = {"runs": ["run.toml"], **changed}
    with pytest.raises(InputError) as refused:
        compare(given.pop("runs"), tmp_path / "out", **given)
    assert words in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_comparison_trains_measures_and_is_not_run_again(shop, tmp_path):
    run = [shop / "small.toml"]
    options = {"seeds": (0,), "jobs": 1, "keep": True}
    options["overrides"] = ["train.epochs=1", "data.shares={train=0.7, validation=0.1, test=0.2}"]
    seen = []
    found = compare(run, tmp_path / "out", report=seen.append, **options)
    assert [outcome.error for outcome in seen] == [""]
    (row,) = found["rows"]
    values = row["runs"]["0"]
    assert 0 < values["P@1"] <= 1
    assert values["queries"] > 40
    assert values["seconds"] > 0
    assert "| small | " in found["table"]
    assert compare(run, tmp_path / "out", report=pytest.fail, **options) == found
    # one that was stopped while it was measured is not trained again
    cell = tmp_path / "out" / "small-0"
    (cell / "measured.json").unlink()
    again = module._measure(cell, json.loads((cell / "cell.json").read_text()))
    assert (again["seconds"], again["P@1"]) == (None, values["P@1"])


def test_a_model_is_not_kept_unless_it_is_to_be(tmp_path, monkeypatch):
    class Model:
        def evaluate(self, split):
            return {"split": split}

    monkeypatch.setattr(module, "train_cell", lambda folder: (Model(), {"seconds": 1.0}))
    for keep in (True, False):
        (tmp_path / "model").mkdir(exist_ok=True)
        found = module._measure(tmp_path, {"split": "validation", "keep": keep})
        assert found == {"seconds": 1.0, "split": "validation"}
        assert (tmp_path / "model").exists() == keep
