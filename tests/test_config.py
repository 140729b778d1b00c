"""A run's TOML is checked to the last key before anything loads."""

import math
import re
from inspect import signature

import pytest

from thresher.config import ORDER, PLAIN, RENAMED, Config, read
from thresher.data.masking import ViewOptions
from thresher.data.options import DataOptions
from thresher.decide.options import DecideOptions
from thresher.errors import InputError
from thresher.evaluate.options import RecommendOptions
from thresher.losses import LOSSES
from thresher.retrieve.options import IndexOptions
from thresher.towers import TOWERS, FeatureOptions
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.tfidf import TfIdf
from thresher.training.classifiers import ClassifierOptions
from thresher.training.options import TrainOptions


@pytest.fixture
def config(tmp_path):
    def write(content, *overrides):
        path = tmp_path / "run.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path, overrides)

    return write


def test_every_default_builds():
    run = read(None)
    built = {
        "data": DataOptions(),
        "features": FeatureOptions(),
        "views": ViewOptions(),
        "train": TrainOptions(),
        "classifiers": ClassifierOptions(),
        "index": IndexOptions(),
        "decide": DecideOptions(),
        "recommend": RecommendOptions(),
    }
    assert {name: run.build(name) for name in built} == built
    assert isinstance(run.build("tower"), FeatureTower)
    assert run.sections["labels"] == {"kind": "text"}
    assert [term["name"] for term in run.objective] == ["softmax", "alc", "tcm"]
    assert [*run.sections] == [name for name in ORDER if name != "objective"]


FULL = """
[data]
items = "items \\"new\\".csv"
queries = "q.csv"
pairs = "p.csv"
item_text = ["title", "Größe"]
shares = { train = 0.5, calibration = 0.5 }
open_catalogue = true
columns = { title = "name" }

[features]
item = { price = "number", brand = { kind = "category", min_count = 3 } }

[tower]
kind = "tfidf"
bits = 12

[[objective]]
kind = "softmax"
temperature = 0.1

[[objective]]
name = "hard"
kind = "alc"
weight = 2

[train]
epochs = 3
learning_rate = 1

[decide]
scorer = "margin"
by = "shop"
"""


def test_what_is_read_is_written_and_read_again(config):
    run = config(FULL)
    again = config(run.to_toml())
    assert again.sections == run.sections
    assert again.objective == run.objective
    assert again.to_toml() == run.to_toml()
    data = run.build("data")
    assert data.items == 'items "new".csv'
    assert data.item_text == ("title", "Größe")
    assert data.shares == {"train": 0.5, "calibration": 0.5}
    assert data.columns == {"title": "name"}
    assert run.build("features").item == {
        "price": "number",
        "brand": {"kind": "category", "min_count": 3},
    }
    assert run.build("train").learning_rate == 1.0
    assert isinstance(run.build("train").learning_rate, float)
    assert run.build("decide").by == "shop"
    assert isinstance(run.build("tower"), TfIdf)
    assert [(t["name"], t["weight"], t["links"]) for t in run.objective] == [
        ("softmax", 1.0, "query_item"),
        ("hard", 2.0, "query_item"),
    ]
    assert run.objective[0]["temperature"] == 0.1


def test_every_default_is_written_out_and_read_again(config):
    run = read(None)
    again = config(run.to_toml())
    assert again.sections == run.sections
    assert again.objective == run.objective
    assert "warmup_ratio = 0.05" in run.to_toml()
    assert "by =" not in run.to_toml()  # TOML has no null


def test_every_loss_can_be_a_term(config):
    for kind in LOSSES:
        run = config(f'[[objective]]\nkind = "{kind}"\n')
        assert [term["kind"] for term in run.objective] == [kind]
        assert "dim" not in run.objective[0]


def test_relative_paths_begin_at_the_file(config, tmp_path):
    assert config("").folder == tmp_path.resolve()
    assert read(None).folder.is_absolute()


def test_a_mapping_and_a_run_are_read_as_a_file_is(config):
    run = config(FULL)
    assert read(run).folder == run.folder
    assert read(run).sections == run.sections
    mapping = {"train": {"epochs": 3, "learning_rate": 1}, "objective": [{"kind": "alc"}]}
    given = read(mapping, ["train.epochs=4"])
    assert (given.build("train").epochs, given.build("train").learning_rate) == (4, 1.0)
    assert [term["kind"] for term in given.objective] == ["alc"]
    assert mapping["train"]["epochs"] == 3


def test_a_run_is_changed_in_part_and_checked_again(config):
    run = config(FULL)
    changed = run.replace(train={"epochs": 9}, decide={"target": 0.9})
    assert (changed.build("train").epochs, changed.build("train").learning_rate) == (9, 1.0)
    assert (changed.build("decide").target, changed.build("decide").by) == (0.9, "shop")
    assert run.build("train").epochs == 3
    assert changed.objective == run.objective
    assert (changed.folder, type(changed)) == (run.folder, Config)
    with pytest.raises(InputError, match=r"train\.epoch is not .*'epochs'"):
        run.replace(train={"epoch": 9})


def test_set_wins_over_the_file_and_the_default(config):
    run = config(
        "[train]\nepochs = 3\n",
        "train.epochs=5",
        "tower.dim = 64",
        "decide.scorer=margin",
        'data.item_text=["a", "b"]',
        "data.open_catalogue=true",
        "train.learning_rate=1e-3",
        "data.shares={train=0.9,test=0.1}",
    )
    assert run.sections["train"]["epochs"] == 5
    assert run.sections["train"]["learning_rate"] == 0.001
    assert run.sections["tower"]["dim"] == 64
    assert run.build("decide").scorer == "margin"
    assert run.build("data").item_text == ("a", "b")
    assert run.build("data").open_catalogue is True
    assert run.build("data").shares == {"train": 0.9, "test": 0.1}


def test_set_reaches_a_table_in_a_table(config):
    run = config(
        "[features]\nitem = { price = 'number' }\n",
        "features.item.brand=category",
        'features.query."history.price"=ignored',
        "data.shares.train=0.9",
        "data.shares.test=0.1",
    )
    options = run.build("features")
    assert options.item == {"price": "number", "brand": "category"}
    assert options.query == {"history.price": "ignored"}
    assert run.build("data").shares == {"train": 0.9, "test": 0.1}


BAD = {
    "section": ("[tran]\n", r"tran is not a known section \(did you mean 'train'\?\)$"),
    "key": ("[train]\nlearning_rat = 1\n", r"\.learning_rat .*mean 'learning_rate'\?\)$"),
    "a near key": ("[train]\nseeds_ = 1\n", r"train\.seeds_ .*did you mean 'seed'\?\)"),
    "a key not so near": ("[train]\nepoks = 1\n", r"'epochs'\?\); valid are batch_size, "),
    "far key": ("[train]\nxyz = 1\n", r"train\.xyz is not a known key; valid are batch_size"),
    "tower key": ("[tower]\ndims = 1\n", r"tower\.dims is not .*did you mean 'dim'"),
    "key of another kind": ('[tower]\nkind = "tfidf"\ndim = 4\n', r"tower\.dim is not a known"),
    "kind": ('[tower]\nkind = "tfdif"\n', r"tower\.kind is 'tfdif' \(did you mean 'tfidf'"),
    "a kind that is gone": ('[tower]\nkind = "history"\n', r"is called tower\.kind = 'features'"),
    "labels": ('[labels]\nkind = "txt"\n', r"labels\.kind is 'txt' \(did you mean 'text'"),
    "loss": ('[[objective]]\nkind = "sofmax"\n', r"objective\.0\.kind is 'sofmax' .*'softmax'"),
    "no kind": ("[[objective]]\nweight = 1\n", r"objective\.0 needs a kind; the losses are"),
    "loss key": ('[[objective]]\nkind = "softmax"\ntemp = 1\n', r"objective\.0\.temp is not"),
    "weight": ('[[objective]]\nkind = "softmax"\nweight = "a"\n', r"objective\.0\.weight must"),
    "supplied": ('[[objective]]\nkind = "alc"\ndim = 3\n', r"objective\.0\.dim is not a known key"),
    "twice": ('[[objective]]\nkind = "alc"\n[[objective]]\nkind = "alc"\n', r"its own name, got"),
    "needed": ('[tower]\nkind = "vectors"\n', r"tower needs item_vectors; add item_vectors = "),
    "text for number": ('[train]\nepochs = "3"\n', r"train\.epochs must be a whole number"),
    "fraction": ("[train]\nepochs = 1.5\n", r"train\.epochs must be a whole number, got 1\.5"),
    "bool for int": ("[train]\nepochs = true\n", r"train\.epochs must be a whole number, got True"),
    "int for bool": ("[train]\nlogq = 1\n", r"train\.logq must be true or false, got 1"),
    "bool for float": ("[train]\nlearning_rate = true\n", r"learning_rate must be a number, got"),
    "number for text": ("[train]\nmetric = 1\n", r"train\.metric must be text in quotes, got 1"),
    "no list": ('[data]\nitem_text = "title"\n', r"data\.item_text must be a list, got 'title'"),
    "list of": ("[data]\nitem_text = [1]\n", r"data\.item_text must be text in quotes, got 1"),
    "short": ("[tower]\nngram_range = [2]\n", r"ngram_range is \[2\]; it needs more values"),
    "no table": ("[data]\nshares = 1\n", r"data\.shares must be a table of keys and values, got 1"),
    "table of": ('[data]\nshares = { train = "x" }\n', r"data\.shares\.train must be a number"),
    "choice": ('[decide]\nscorer = "best"\n', r"decide\.scorer must be one of reranker, margin"),
    "section is no table": ("train = 3\n", r"train must be a table of keys and values, got 3"),
    "data is no table": ("data = 3\n", r"data must be a table of keys and values, got 3"),
    "tower is no table": ("tower = 3\n", r"tower must be a table of keys and values, got 3"),
    "tower kind is no text": ("[tower]\nkind = 3\n", r"tower\.kind is 3"),
    "loss kind is a list": ("[[objective]]\nkind = []\n", r"objective\.0\.kind is \[\]"),
    "objective is no list": ("objective = 3\n", r"objective must be a list of tables.*got 3"),
    "objective is one table": ('[objective]\nkind = "alc"\n', r"objective must be a list"),
    "term is no table": ("objective = [3]\n", r"objective\.0 needs a kind; the losses are"),
    "no term": ("objective = []\n", r"the objective needs at least one term"),
    "name": ('[[objective]]\nkind = "alc"\nname = 3\n', r"objective\.0\.name must be text"),
    "links": ('[[objective]]\nkind = "alc"\nlinks = "x"\n', r"objective\.0\.links .*query_.*'x'"),
    "range": ("[decide]\ntarget = 95\n", r"decide\.target is 95; it must lie strictly between"),
    "epochs": ("[train]\nepochs = 0\n", r"train\.epochs must be at least 1, got 0"),
    "not a number": (
        "[decide]\ntarget = nan\n",
        r"decide\.target must be a finite number, got nan",
    ),
    "loss refuses": ('[[objective]]\nkind = "softmax"\ntemperature = 0\n', r"temperature of"),
    "no TOML": ("epochs 3\n", r"run\.toml cannot be read as TOML: Expected '='"),
    "not UTF-8": (b"[train]\n# \xff\n", r"run\.toml cannot be read as TOML"),
    "feature kind": ("[features]\nitem = { price = 'money' }\n", r"features\.item\.price.*'money'"),
    "second stage": ("[classifiers]\nweight = 2.0\n", "from 0 to 1"),
    "no margin": ("[classifiers]\nmargin = 0.0\n", r"classifiers\.margin must .* above 0, got 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named(config, name):
    content, words = BAD[name]
    with pytest.raises(InputError, match=words) as caught:
        config(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["epochs=3", "train.epochs", "", "=3", "train"])
def test_set_takes_a_section_a_key_and_a_value(override):
    with pytest.raises(InputError, match=r"--set takes section\.key=value"):
        read(None, [override])


def test_set_of_an_unknown_key_or_a_wrong_type():
    with pytest.raises(InputError, match=r"train\.epoch is not .*'epochs'"):
        read(None, ["train.epoch=3"])
    with pytest.raises(InputError, match=r"train\.epochs must be a whole number, got 'three'"):
        read(None, ["train.epochs=three"])
    with pytest.raises(InputError, match="nowhere is not a known section"):
        read(None, ["nowhere.key=3"])


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml does not exist; give the TOML file of a run"):
        read(tmp_path / "none.toml")
    with pytest.raises(InputError, match="is a folder; give the TOML file of a run"):
        read(tmp_path)


OLD = {
    "train.mined": "train.hard_negatives",
    "train.chunk": "train.mini_batch_size",
    "train.columns": "train.negatives",
    "tower.shortest": "tower.ngram_range",
    "tower.longest": "tower.ngram_range (of n-grams) or tower.max_history (of events)",
    "features.fewest": "features.min_count",
    "decide.confidence": "decide.scorer",
    "decide.fit_share": "decide.selection_share",
    "data.fewest_events": "data.min_events",
    "data.item_categories": 'features.item, as in item.category = "categories"',
    "recommend.again": "recommend.repeat_boost",
}


@pytest.mark.parametrize("old", OLD)
def test_a_key_of_the_first_version_is_told_its_new_name(old):
    section, _, key = old.partition(".")
    with pytest.raises(InputError) as refused:
        read({section: {key: 2}})
    assert str(refused.value) == f"{old} is called {OLD[old]} since 0.2; rename it"


VALUES = {
    "[ranking]": ({"ranking": {"again": 1}}, "[recommend]"),
    "tower.kind = 'bag'": ({"tower": {"kind": "bag"}}, "tower.kind = 'features' with combine"),
    "tower.kind = 'history'": ({"tower": {"kind": "history"}}, "tower.kind = 'features' with"),
    "decide.scorer = 'learned'": ({"decide": {"scorer": "learned"}}, "decide.scorer = 'reranker'"),
    **{
        f"links = '{old}'": ({"objective": [{"kind": "hinge", "links": old}]}, f"links = '{new}'")
        for old, new in (
            *(("offered", "query_item"), ("described", "query_text"), ("asked", "text_query")),
            *(("gap", "text_minus_prototype"), ("spread", "spread_out")),
        )
    },
}


@pytest.mark.parametrize("old", VALUES)
def test_sections_and_values_of_the_first_version_too(old):
    run, new = VALUES[old]
    with pytest.raises(InputError) as refused:
        read(run)
    assert str(refused.value).startswith(f"{old} is called {new}")


def test_every_new_name_is_one():
    """What the table tells to write is a key, and none of what it names is one any more."""
    known = {f"{name}.{key}" for name in PLAIN for key in signature(PLAIN[name]).parameters}
    known |= {f"tower.{key}" for tower in TOWERS.values() for key in signature(tower).parameters}
    for old, new in RENAMED.items():
        if " = " not in old and "[" not in old:
            assert old not in known
            assert re.match(r"[\w.]+", new)[0] in known


# What a run does follows from its data.

PAIRS = '[data]\nitems = "i.csv"\nqueries = "q.csv"\npairs = "p.csv"\n'
PAGES = '[data]\nitems = "i.csv"\npairs = "p.csv"\n'
EVENTS = '[data]\nevents = "e.csv"\n'
NO_LABELS = "shares = { train = 0.9, test = 0.1 }\n"


@pytest.mark.parametrize(
    ("content", "decides", "terms", "metric"),
    [
        (PAIRS, True, ["softmax", "alc", "tcm"], "P@1"),
        (PAIRS + NO_LABELS, False, ["softmax"], "P@1"),
        (PAIRS + NO_LABELS + "[decide]\n", True, ["softmax", "alc", "tcm"], "P@1"),
        ('[data]\nbundled = "pricerunner"\n', True, ["softmax", "alc", "tcm"], "P@1"),
        (PAGES, False, ["softmax"], "P@1"),
        (EVENTS, False, ["croloss"], "recall@50"),
        (EVENTS + "shares = { train = 0.6, calibration = 0.4 }\n", True, ["croloss"], "P@1"),
        (PAIRS + "[tower]\ncombine = 'concat'\n", True, ["softmax", "alc", "tcm"], "P@1"),
        (PAGES + "[tower]\ncombine = 'concat'\n", False, ["softmax"], "recall@10"),
    ],
)  # fmt: skip
def test_a_run_decides_where_labels_are_kept_apart(config, content, decides, terms, metric):
    run = config(content)
    assert run.decides is decides
    assert ("decide" in run.sections) is decides
    assert [term["kind"] for term in run.objective] == terms
    assert run.build("train").metric == metric
    again = config(run.to_toml())
    assert (again.decides, again.sections, again.objective) == (
        run.decides,
        run.sections,
        run.objective,
    )


def test_the_size_of_the_tower_and_its_rates_follow_too(config):
    def of(content):
        run = config(content)
        train = run.build("train")
        return run.build("tower").dim, train.learning_rate, train.logq, train.cluster_from_epoch

    assert of(PAIRS) == (256, 0.1, False, 2)
    assert of(EVENTS) == (64, 0.3, True, -1)
    assert of(PAIRS + "[tower]\ncombine = 'concat'\n") == (128, 0.1, True, -1)
    assert of(EVENTS + "[tower]\ndim = 8\n[train]\nlearning_rate = 1.0\nlogq = false\n") == (
        *(8, 1.0, False),
        -1,
    )
    sentence = config(PAIRS + "[tower]\nkind = 'sentence'\ncheckpoint = 'some'\n").build("train")
    assert (sentence.learning_rate, sentence.head_learning_rate) == (2e-5, 5e-4)


def test_a_run_on_events_written_out_is_read_as_the_same(config):
    run = config(
        "[data]\nevents = 'e.csv'\nitems = 'i.csv'\nprotocol = 'time'\n"
        "shares = { train = 0.5, test = 0.5 }\n"
        "[tower]\ninterests = 3\nheads = 4\nencoder = 'gru'\n"
        "[[objective]]\nkind = 'croloss'\nkernel = 'exp'\nrank_kernel = 'sigmoid'\n"
        "[[objective]]\nkind = 'triplet'\nweight = 0.5\n"
        "[train]\nnum_sampled_negatives = 4\nin_batch_negatives = false\n"
        "[recommend]\nremove_history = true\nks = [5, 20]\n"
    )
    again = config(run.to_toml())
    assert (again.sections, again.objective) == (run.sections, run.objective)
    assert again.to_toml() == run.to_toml()
    assert run.build("recommend") == RecommendOptions(remove_history=True, ks=(5, 20))
    assert run.build("tower").settings()["encoder"] == "gru"


PROTOTYPE = "[labels]\nkind = 'prototype'\n"
TOGETHER = {
    "pairs and events": ("[data]\npairs='p'\nevents='e'\nitems='i'\n", r"both pairs and events"),
    "bundled": ("[data]\nbundled='pricerunner'\nitems='i'\n", r"both bundled = 'pricerunner' and"),
    "pairs alone": ("[data]\npairs = 'p.csv'\n", r"has pairs and no items; name the file"),
    "protocol": (PAIRS + "protocol = 'time'\n", r"data\.protocol = 'time' splits events, and the"),
    "sum": (PAIRS + "shares = { train = 0.9 }\n", r"shares"),
    "encoder": (EVENTS + "[tower]\nencoder = 'grru'\n", r"tower\.encoder must be one of mean, gru"),
    "dim": (EVENTS + "[tower]\ndim = 0\n", r"dim must be 1 to 65,536, got 0"),
    "wide": (EVENTS + "[tower]\ndim = 9223372036854775807\n", r"dim must be 1 to 65,536, got 9"),
    "heads": (EVENTS + "[tower]\nencoder = 'attention'\nheads = 5\n", r"be shared by 5 heads"),
    "kernel": (
        EVENTS + "[[objective]]\nkind = 'croloss'\nkernel = 'tanh'\n",
        r"kernel of croloss is 'tanh'; give one of exp, softplus, hinge, sigmoid",
    ),
    "no ks": (EVENTS + "[recommend]\nks = []\n", r"recommend\.ks must be .* ascending, got \[\]"),
    "k of 0": (EVENTS + "[recommend]\nks = [0, 5]\n", r"1 or more, ascending, got \[0, 5\]"),
    "order": (EVENTS + "[recommend]\nks = [5, 2]\n", r"1 or more, ascending, got \[5, 2\]"),
    "same k twice": (EVENTS + "[recommend]\nks = [5, 5]\n", r"1 or more, ascending, got \[5, 5\]"),
    "one k": (EVENTS + "[recommend]\nks = 5\n", r"recommend\.ks must be a list, got 5"),
    "part of a k": (EVENTS + "[recommend]\nks = [1.5]\n", r"recommend\.ks must be a whole number"),
    "boost": (
        EVENTS + "[recommend]\nrepeat_boost = 0.5\nremove_history = true\n",
        r"recommend\.repeat_boost is 0\.5, but recommend\.remove_history leaves out",
    ),
    "negative seed": (EVENTS + "[train]\nseed = -1\n", r"train\.seed must be 0 or more, got -1"),
    "negative boost": (
        EVENTS + "[recommend]\nrepeat_boost = -0.1\n",
        r"recommend\.repeat_boost must be 0 or more, got -0\.1",
    ),
    "hard": (
        EVENTS + "[tower]\ninterests = 2\n[train]\nhard_negatives = 2\nlogq = false\n",
        r"train\.hard_negatives needs one vector a query, and tower\.interests is 2; remove one",
    ),
    "whole catalogue": (
        EVENTS + "[tower]\ninterests = 2\n[train]\nnegatives = 'catalogue'\nlogq = false\n",
        r"train\.negatives = 'catalogue' needs one vector a query",
    ),
    "interests": (PAIRS + "[tower]\ninterests = 2\n[train]\ncluster_from_epoch = -1\n",
                  r"tower\.interests is 2, and queries have no events; leave it out"),
    "sentence": (
        EVENTS + "[tower]\nkind = 'sentence'\ncheckpoint = 'some'\n",
        r"the tower 'sentence' reads texts, and queries are events; set tower\.kind = 'features'",
    ),
    "untrained labels": (
        "[tower]\nkind = 'tfidf'\n[labels]\nkind = 'shared'\n",
        r"'tfidf' has no trainable parameters; remove \[labels\] and \[classifiers\]",
    ),
    "untrained classifiers": (
        "[tower]\nkind = 'tfidf'\n[classifiers]\nepochs = 1\n",
        r"'tfidf' has no trainable parameters",
    ),
    "views of a text": (
        "[tower]\nkind = 'tfidf'\n[[objective]]\nkind = 'softmax'\nname = 'ssl'\nlinks = 'views'\n",
        r"the term 'ssl' reads links 'views'.* the tower is 'tfidf'",
    ),
    "no prototypes": (
        "[[objective]]\nkind = 'hinge'\nlinks = 'text_query'\n",
        r"links must be 'query_item' or 'views' or 'spread_out', got 'text_query' \(with labels",
    ),
    "prototypes and the catalogue": (
        PROTOTYPE + "[train]\nnegatives = 'catalogue'\n",
        r"labels\.kind = 'prototype' learns from the items of a batch; leave out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
def test_what_does_not_go_together_is_named(config, name):
    content, words = TOGETHER[name]
    with pytest.raises(InputError, match=words) as caught:
        config(content)
    assert "\n" not in str(caught.value)


def test_links_of_prototypes_are_known_where_there_are_prototypes(config):
    terms = [
        f"[[objective]]\nkind = 'hinge'\nname = '{links}'\nlinks = '{links}'\n"
        for links in ("query_item", "query_text", "text_query", "text_minus_prototype")
    ]
    run = config(PROTOTYPE + "".join(terms))
    assert [term["links"] for term in run.objective] == [term["name"] for term in run.objective]


@pytest.mark.parametrize("boost", [math.nan, math.inf])
def test_a_boost_is_a_number(boost):
    with pytest.raises(InputError, match=r"recommend\.repeat_boost must be a finite number"):
        read({"recommend": {"repeat_boost": boost}})


@pytest.mark.parametrize(
    "override",
    ["train.learning_rate=inf", "train.warmup_ratio=nan", "decide.target=nan", "tower.dropout=inf"],
)
def test_numbers_of_a_run_are_finite(override):
    with pytest.raises(InputError, match=r"must be a finite number, got (inf|nan)"):
        read({"tower": {"kind": "features"}}, [override])


@pytest.mark.parametrize("override", [".=1", "=1", ".x=1", "train.=1"])
def test_an_override_names_a_section_and_a_key(override):
    with pytest.raises(InputError, match=r"--set takes section\.key=value"):
        read({}, [override])
