"""Each backbone from its TOML to decisions, and what becomes of an item that is added later."""

import copy
import json

import pyarrow as pa
import pytest

from oracles.shop import open_shop
from thresher.artifact import Artifact
from thresher.config import read
from thresher.data import read_table, write_table
from thresher.errors import InputError
from thresher.jobs.evaluate import evaluate
from thresher.jobs.index import index
from thresher.jobs.train import train
from thresher.retriever import Retriever
from thresher.towers.item_embeddings import ItemEmbeddings

HINGE = '[[objective]]\nkind = "hinge"\n'
BACKBONES = {
    "ngame": HINGE + '[labels]\nkind = "text"\n',
    "dexa": HINGE + '[labels]\nkind = "shared"\nprivate = 20\n',
    "prime": '[labels]\nkind = "prototype"\n'
    + "".join(
        f'[[objective]]\nname = "{name}"\nkind = "hinge"\nlinks = "{name}"\n'
        for name in ("query_item", "query_text", "text_query")
    )
    + '[[objective]]\nkind = "prototype"\nlinks = "text_minus_prototype"\nweight = 0.1\n',
    "dexml": '[[objective]]\nkind = "softmax"\n',
    "classifiers": HINGE + "[classifiers]\nepochs = 2\n",
    "tfidf": "",
}
MORE = {
    "ngame": ["train.positives=one", "train.hard_negatives=2"],
    "dexa": ["train.cluster_growth=2.0"],
    "prime": ["train.positives=rare"],
    "dexml": ["train.negatives=catalogue"],
    "classifiers": [],
    "tfidf": ["tower.kind=tfidf", "decide.scorer=margin"],
}
OWN = ("dexa", "prime", "classifiers")  # items have vectors of their own beside the tower


def config_of(folder, name, *more):
    run = (folder / "run.toml").read_text()
    if name == "tfidf":
        run = run.replace("dim = 32\n", "")
    path = folder / f"{name}.toml"
    path.write_text(run + BACKBONES[name])
    return read(path, [*MORE[name], "tower.bits=10", *more])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The folder of the data; not to be changed."""
    return open_shop(tmp_path_factory.mktemp("backbones"), items=60, queries=600)


@pytest.fixture(scope="module")
def trained(shop):
    """The folder of the artifact of each backbone, not to be changed, and what training said."""
    made = {}

    def of(name):
        if name not in made:
            folder = shop / f"model-of-{name}"
            made[name] = folder, train(config_of(shop, name), folder, quiet=True)[1]
        return made[name]

    return of


@pytest.mark.parametrize("name", BACKBONES)
def test_it_learns_and_decides(trained, name):
    folder, result = trained(name)
    found = evaluate(folder, report=False, quiet=True)
    assert found["P@1"] > 0.7
    assert result["decision"] is not None
    # What was measured while training is what was saved.
    again = evaluate(folder, split="validation", report=False, quiet=True)
    if name == "tfidf":
        assert result["validation"] == {}
    else:
        assert again["raw/P@1"] == pytest.approx(result["validation"]["P@1"])
    loaded = ItemEmbeddings.load(Artifact.open(folder).part("model") / "items")
    assert (loaded is not None) == (name in OWN)


@pytest.mark.parametrize("name", [*OWN, "tfidf"])
def test_an_added_item_is_found_by_its_text_and_the_others_stay_as_they_were(
    shop, trained, tmp_path, name
):
    before = Retriever.open(trained(name)[0])
    made = copy.copy(before)
    made.save(tmp_path / "m")
    texts = ["Nordal AK-123 kettle red", "hovercraft ZZ-999 left-handed"]
    items = read_table(shop / "items.csv")
    added = pa.concat_tables([pa.table({"id": ["new"], "title": [texts[1]]}), items])
    write_table(added, tmp_path / "more.csv")
    found = index(tmp_path / "m", tmp_path / "more.csv")
    assert (found["items"], found["added"], found["removed"]) == (61, 1, 0)
    after = Retriever.open(tmp_path / "m")
    best = after.search(texts[1], 1).to_pylist()[0]
    assert best["item_id"] == "new"
    if name != "tfidf":  # whose words nobody has seen
        assert best["score"] == pytest.approx(1.0, abs=1e-4)
    old, new = (m.search(texts[0], 5).to_pylist() for m in (before, after))
    assert [row["item_id"] for row in new] == [row["item_id"] for row in old]
    assert [row["score"] for row in new] == pytest.approx([row["score"] for row in old], abs=1e-5)


def test_a_classifier_changes_the_score_by_its_weight(shop):
    scores = []
    for weight in ("0.0", "1.0", "0.25"):
        config = config_of(shop, "classifiers", f"classifiers.weight={weight}")
        model, _ = train(config, quiet=True)
        rows = model.search("Nordal AK-123 kettle red", 60).to_pylist()
        scores.append([row["score"] for row in sorted(rows, key=lambda row: row["item_id"])])
    text, own, both = map(list, scores)
    mixed = [0.75 * a + 0.25 * b for a, b in zip(text, own, strict=True)]
    assert both == pytest.approx(mixed, abs=1e-5)
    assert text != pytest.approx(own, abs=1e-2)


def test_damaged_own_vectors_are_refused(trained, tmp_path):
    made = copy.copy(Retriever.open(trained("dexa")[0]))
    made.save(tmp_path / "m")
    items = Artifact.open(tmp_path / "m").part("model") / "items"
    about = json.loads((items / "items.json").read_text())
    about["labels"]["kind"] = "other"
    (items / "items.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"items in .* cannot be read|cannot be read"):
        ItemEmbeddings.load(items)
    with pytest.raises(InputError, match=r"items\.json is missing or not what was written"):
        Retriever.open(tmp_path / "m")
