"""Which cells the grids have, and what is refused before any of them runs."""

import json
import tomllib
from dataclasses import replace

import pytest

from grids.alc import BLOCKS, GRIDS, Request, plan
from grids.backbones import BACKBONES
from grids.runs import base_of, resolve, slug
from grids.variants import FULL, ablations
from oracles.shop import open_shop, write
from thresher.errors import InputError


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    return open_shop(folder)


@pytest.fixture
def request_(shop, tmp_path):
    return Request(
        data=str(shop / "run.toml"), out=tmp_path / "out", backbones=("softmax",), seeds=(0, 3)
    )


def runs_of(planned):
    return {(c.name, c.seed): tomllib.loads(c.files["run.toml"]) for c in planned.cells}


def test_the_full_grid_is_three_backbones_four_ways():
    full = GRIDS["full"]
    assert full.backbones == ("ngame", "dexa", "prime")
    assert [v.title for v in full.variants] == ["", " + TCM", " + ALC", " + ALC + TCM"]
    assert [[t["kind"] for t in v.terms] for v in FULL] == [[], ["tcm"], ["alc"], ["alc", "tcm"]]
    assert all(t["links"] == "query_item" for v in FULL for t in v.terms)


def test_the_ablations_change_one_part_at_a_time():
    assert GRIDS["ablations"].split == "validation"
    variants = list(ablations())
    # 4 + b1, b2 + K 1, 5, 20 + 2 contexts + form + head + 2 weights + 2 rates + 2 weights + 15
    assert len(variants) == 4 + 2 + 3 + 2 + 1 + 1 + 2 + 2 + 2 + 15
    assert len({slug(v.title) for v in variants}) == len(variants)
    options = [json.dumps([v.terms, dict(v.train)]) for v in variants]
    assert len(set(options)) == len(options)
    margins = {
        (t["margin_pos"], t["margin_neg"]) for v in variants for t in v.terms if "margin_pos" in t
    }
    assert margins | {(0.9, 0.5)} == {
        (h, n) for h in (0.6, 0.7, 0.8, 0.9) for n in (0.2, 0.3, 0.4, 0.5)
    }


def test_a_plan_writes_nothing_and_has_every_cell(request_, tmp_path):
    planned = plan(request_)
    rows = ["softmax", "softmax + TCM", "softmax + ALC", "softmax + ALC + TCM"]
    assert [(c.name, c.seed) for c in planned.cells] == [(r, s) for r in rows for s in (0, 3)]
    assert len({c.folder for c in planned.cells}) == 8
    assert len({c.fingerprint for c in planned.cells}) == 8
    assert not (tmp_path / "out").exists()


def test_the_base_is_in_every_cell_and_its_objective_in_none(request_, shop):
    for (name, seed), run in runs_of(plan(request_)).items():
        assert (run["tower"]["dim"], run["tower"]["bits"]) == (32, 12)
        assert run["data"]["items"] == str(shop / "items.csv")
        assert run["data"]["shares"]["calibration"] == 0.3
        assert [run[s]["seed"] for s in ("data", "tower", "train")] == [seed] * 3
        kinds = [term["kind"] for term in run["objective"]]
        assert kinds == name.lower().split(" + ")


def test_overrides_reach_every_cell_and_seeds_win(request_):
    overrides = ("train.epochs=9", "data.seed=5", "tower.dim=64")
    for (_, seed), run in runs_of(plan(replace(request_, overrides=overrides))).items():
        assert run["train"]["epochs"] == 9
        assert run["data"]["seed"] == run["train"]["seed"] == seed
        assert (run["tower"]["dim"], run["tower"]["bits"]) == (64, 12)


def test_a_tower_without_a_seed_gets_none(request_, shop):
    overrides = ("tower.kind=tfidf",)
    for run in runs_of(plan(replace(request_, data=str(shop), overrides=overrides))).values():
        assert run["tower"]["kind"] == "tfidf"
        assert "seed" not in run["tower"]


def test_cells_have_their_split(request_):
    tasks = [c.task for c in plan(replace(request_, keep=True, split="validation")).cells]
    assert all(t == {"splits": {"": "validation"}, "keep": True} for t in tasks)


def test_fingerprints_change_with_what_decides_the_numbers_and_nothing_else(request_, shop):
    def marks(request):
        return {c.name: c.fingerprint for c in plan(request).cells if c.seed == 0}

    before = marks(request_)
    assert marks(replace(request_, seeds=(0,))) == before
    for changed in ({"overrides": ("train.epochs=9",)}, {"split": "validation"}):
        assert not set(marks(replace(request_, **changed)).values()) & set(before.values())
    folder = shop.rename(shop.with_name("moved"))
    assert marks(replace(request_, data=str(folder / "run.toml"))) == before
    with (folder / "items.csv").open("a") as file:
        file.write("more,one product more\n")
    assert not set(marks(replace(request_, data=str(folder / "run.toml"))).values()) & set(
        before.values()
    )


def test_a_folder_of_tables_is_a_base(shop):
    base = base_of(str(shop))
    tables = {name: str(shop / f"{name}.csv") for name in ("items", "queries", "pairs")}
    assert base.sections["data"] == tables
    config = resolve(base, {"objective": [{"kind": "softmax"}]}, [], 4)
    assert config.sections["data"]["queries"] == str(shop / "queries.csv")
    assert config.sections["tower"]["seed"] == 4
    write(shop / "ignored.csv", ["query_id", "item_id"], [("q1", "i1")])
    assert base_of(str(shop)).sections["data"]["ignored"] == str(shop / "ignored.csv")
    (shop / "items.tsv").write_text("id\n")
    with pytest.raises(InputError, match=r"has items\.csv and items\.tsv; remove all but one"):
        base_of(str(shop))
    (shop / "items.tsv").unlink()
    (shop / "pairs.csv").unlink()
    with pytest.raises(InputError, match="has no pairs table"):
        base_of(str(shop))


def test_what_ships_is_a_base():
    base = base_of("pricerunner")
    assert resolve(base, {}, [], 0).sections["data"]["bundled"] == "pricerunner"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"grid": "ablation"},
            "--grid must be full or ablations or deployer, got 'ablation'; did you mean",
        ),
        ({"backbones": ("ngam",)}, "did you mean 'ngame'?"),
        ({"backbones": ("dexa", "dexa")}, "--backbone is .*; give each once"),
        ({"seeds": (1, 0, 1)}, "--seeds must be 0 or more, each once"),
        ({"seeds": (-1,)}, "--seeds must be 0 or more, each once"),
        ({"weights": {"alc": -1.0, "tcm": 0.1}}, "--alc must be a weight of 0 or more, got -1"),
        ({"split": "train"}, "--split must be validation or test, got 'train'"),
        ({"data": "nowhere"}, "--data is 'nowhere', which is no folder"),
        ({"overrides": ("train.epoch=1",)}, "did you mean 'epochs'?"),
        ({"overrides": ("data.items=gone.csv",)}, r"gone\.csv cannot be read: No such file"),
        ({"overrides": ("data.shares={train = 0.9, test = 0.1}",)}, "calibration"),
    ],
)
def test_bad_requests_are_one_sentence(request_, changed, words):
    with pytest.raises(InputError, match=words.replace("?", r"\?")) as refused:
        plan(replace(request_, **changed))
    assert "\n" not in str(refused.value)


def test_every_column_is_a_value_that_cells_measure():
    titles = [column.title for block in BLOCKS.values() for column in block]
    assert len(set(titles)) == len(titles)
    for target in ("0.9", "0.95", "0.98"):
        for kind in ("raw", "re-ranked", "certified", "realised"):
            assert f"{kind} {target}" in titles


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_cell_of_a_backbone_is_a_valid_run(request_, name):
    assert set(BACKBONES[name].sections) <= {"labels", "objective", "train"}
    for grid, cells in (("full", 4), ("ablations", 34)):
        planned = plan(replace(request_, backbones=(name,), grid=grid, seeds=(0,)))
        assert len({c.fingerprint for c in planned.cells}) == len(planned.cells) == cells
    for run in runs_of(planned).values():
        assert run["labels"]["kind"] == BACKBONES[name].sections.get("labels", {}).get(
            "kind", "text"
        )
        assert run["train"]["positives"] == {"ngame": "one", "dexa": "one", "prime": "rare"}.get(
            name, "every"
        )


def test_weights_are_those_of_the_terms_that_say_none(request_):
    weights = {"alc": 0.5, "tcm": 0.25}
    planned = plan(replace(request_, backbones=("ngame",), seeds=(0,), weights=weights))
    run = runs_of(planned)["NGAME + ALC + TCM", 0]
    weights = {term["kind"]: term["weight"] for term in run["objective"]}
    assert weights == {"hinge": 1.0, "alc": 0.5, "tcm": 0.25}
