"""Each backbone from its TOML to decisions, and what becomes of an item that is added later."""

import json

import pyarrow as pa
import pytest

from oracles.shop import open_shop
from thresher import jobs
from thresher.artifact import Artifact
from thresher.config import read
from thresher.data import read_table, write_table
from thresher.errors import InputError
from thresher.matcher import Matcher
from thresher.retrieve import Exact
from thresher.towers.known import KnownItems

HINGE = '[[objective]]\nkind = "hinge"\n'
BACKBONES = {
    "ngame": HINGE + '[labels]\nkind = "text"\n',
    "dexa": HINGE + '[labels]\nkind = "shared"\nprivate = 20\n',
    "prime": '[labels]\nkind = "prototype"\n'
    + "".join(
        f'[[objective]]\nname = "{name}"\nkind = "{kind}"\nlinks = "{name}"\n'
        for name, kind in [("offered", "hinge"), ("described", "hinge"), ("asked", "hinge")]
    )
    + '[[objective]]\nkind = "prototype"\nlinks = "gap"\nweight = 0.1\n',
    "dexml": '[[objective]]\nkind = "softmax"\n',
    "classifiers": HINGE + "[classifiers]\nepochs = 2\n",
}
MORE = {
    "ngame": ["train.positives=one", "train.mined=2"],
    "dexa": ["train.cluster_growth=2.0"],
    "prime": ["train.positives=rare"],
    "dexml": ["train.columns=all"],
    "classifiers": [],
}


@pytest.fixture
def shop(tmp_path):
    open_shop(tmp_path, items=60, queries=600)
    run = (tmp_path / "run.toml").read_text()

    def config(name, *more):
        path = tmp_path / f"{name}.toml"
        path.write_text(run + BACKBONES[name])
        return read(path, [*MORE[name], "tower.bits=10", *more])

    return tmp_path, config


def stored(folder):
    """The searched vectors and the item ids of an artifact."""
    index = Exact.load(Artifact.open(folder).part("index") / "vectors")
    return index, read_table(Artifact.open(folder).part("index") / "items.parquet")


@pytest.mark.parametrize("name", BACKBONES)
def test_it_learns_and_decides(shop, name):
    folder, config = shop
    made = jobs.train(config(name), folder / "m", quiet=True)
    assert made["validation"]["P@1"] > 0.7
    found = jobs.evaluate(folder / "m", report=False)
    assert found["P@1"] > 0.7
    # What was measured while training is what was saved.
    again = jobs.evaluate(folder / "m", split="validation", report=False)
    assert again["raw/P@1"] == pytest.approx(made["validation"]["P@1"])
    assert KnownItems.load(Artifact.open(folder / "m").part("model") / "items") is None or (
        name in ("dexa", "prime", "classifiers")
    )


@pytest.mark.parametrize("name", ["dexa", "prime", "classifiers"])
def test_an_added_item_is_found_by_its_text_and_the_others_stay_as_they_were(shop, name):
    folder, config = shop
    jobs.train(config(name), folder / "m", quiet=True)
    before = Matcher.open(folder / "m")
    texts = ["Nordal AK-123 kettle red", "hovercraft ZZ-999 left-handed"]
    items = read_table(folder / "items.csv")
    added = pa.concat_tables([pa.table({"id": ["new"], "title": [texts[1]]}), items])
    write_table(added, folder / "more.csv")
    jobs.index(folder / "m", folder / "more.csv")
    after = Matcher.open(folder / "m")
    _, hits = after.search(texts, 1)
    assert hits.rows[1, 0] == 0
    assert hits.scores[1, 0] == pytest.approx(1.0, abs=1e-4)
    _, old = before.search(texts[:1], 5)
    _, new = after.search(texts[:1], 5)
    assert after.catalogue.ids(new.rows[0]) == before.catalogue.ids(old.rows[0])
    assert new.scores[0] == pytest.approx(old.scores[0], abs=1e-5)


def test_a_classifier_changes_the_score_by_its_weight(shop):
    folder, config = shop
    jobs.train(config("classifiers", "classifiers.weight=0.0"), folder / "a", quiet=True)
    jobs.train(config("classifiers", "classifiers.weight=1.0"), folder / "b", quiet=True)
    jobs.train(config("classifiers", "classifiers.weight=0.25"), folder / "c", quiet=True)
    text = ["Nordal AK-123 kettle red"]
    scores = []
    for name in "abc":
        matcher = Matcher.open(folder / name)
        _, hits = matcher.search(text, 60)
        scores.append(hits.scores[0][hits.rows[0].argsort()])
    assert scores[2] == pytest.approx(0.75 * scores[0] + 0.25 * scores[1], abs=1e-5)
    assert scores[0] != pytest.approx(scores[1], abs=1e-2)


def test_links_of_prototypes_need_prototypes(shop, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('[[objective]]\nkind = "hinge"\nlinks = "asked"\n')
    with pytest.raises(
        InputError,
        match=r"links must be 'offered' or 'views' or 'spread', unless labels\.kind is 'proto",
    ):
        read(path)


def test_prototypes_need_batches(shop, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('[labels]\nkind = "prototype"\n[train]\ncolumns = "all"\n')
    with pytest.raises(InputError, match="learns from the items of a batch"):
        read(path)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("classifiers.margin=0.0", r"classifiers\.margin must be a number above 0, got 0\.0"),
        ("classifiers.weight=2.0", "from 0 to 1"),
    ],
)
def test_what_the_second_stage_would_refuse_is_refused_before_the_first(shop, override, says):
    _, config = shop
    with pytest.raises(InputError, match=says):
        config("classifiers", override)


@pytest.mark.parametrize("own", ['labels]\nkind = "shared"', "classifiers]\nepochs = 1"])
def test_a_tower_that_learns_nothing_has_no_labels_and_no_classifiers(tmp_path, own):
    path = tmp_path / "wrong.toml"
    path.write_text(f'[tower]\nkind = "tfidf"\n[{own}\n')
    with pytest.raises(InputError, match=r"learns nothing.*leave out \[labels\] and \[class"):
        read(path)


def test_damaged_own_vectors_are_refused(shop):
    folder, config = shop
    jobs.train(config("dexa"), folder / "m", quiet=True)
    items = Artifact.open(folder / "m").part("model") / "items"
    about = json.loads((items / "items.json").read_text())
    about["labels"]["kind"] = "other"
    (items / "items.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"own vectors in .* cannot be read"):
        KnownItems.load(items)
