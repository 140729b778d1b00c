"""A run's TOML is checked to the last key before anything loads."""

import pytest

from thresher.config import read
from thresher.data.dataset import DataSpec
from thresher.data.history import HistorySpec
from thresher.decide.options import DecideOptions
from thresher.errors import InputError
from thresher.evaluate.options import RankingOptions
from thresher.family import HISTORY, MATCHING
from thresher.losses import LOSSES
from thresher.retrieve.options import IndexOptions
from thresher.towers.history import HistoryTower
from thresher.towers.text import BagTower
from thresher.towers.tfidf import TfIdf
from thresher.train.options import TrainOptions


@pytest.fixture
def config(tmp_path):
    def write(content, *overrides):
        path = tmp_path / "run.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path, overrides)

    return write


def test_every_default_builds():
    run = read(None)
    assert run.build("data") == DataSpec()
    assert run.build("train") == TrainOptions()
    assert run.build("index") == IndexOptions()
    assert run.build("decide") == DecideOptions()
    assert isinstance(run.build("tower"), BagTower)
    assert [term["name"] for term in run.objective] == ["softmax", "alc", "tcm"]
    assert set(run.sections) | {"objective"} == set(MATCHING.order)


FULL = """
[data]
items = "items \\"new\\".csv"
queries = "q.csv"
pairs = "p.csv"
item_text = ["title", "Größe"]
shares = { train = 0.5, calibration = 0.5 }
open_catalogue = true

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
    spec = run.build("data")
    assert spec.items == 'items "new".csv'
    assert spec.item_text == ("title", "Größe")
    assert spec.shares == {"train": 0.5, "calibration": 0.5}
    assert run.build("train").learning_rate == 1.0
    assert isinstance(run.build("train").learning_rate, float)
    assert run.build("decide").by == "shop"
    assert isinstance(run.build("tower"), TfIdf)
    assert [(t["name"], t["weight"], t["links"]) for t in run.objective] == [
        ("softmax", 1.0, "offered"),
        ("hard", 2.0, "offered"),
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


BAD = {
    "section": ("[tran]\n", r"tran is not a known section \(did you mean 'train'\?\); valid are"),
    "key": ("[train]\nlearning_rat = 1\n", r"train\.learning_rat .*did you mean 'learning_rate'"),
    "far key": ("[train]\nxyz = 1\n", r"train\.xyz is not a known key; valid are batch_size"),
    "tower key": ("[tower]\ndims = 1\n", r"tower\.dims is not .*did you mean 'dim'"),
    "key of another kind": ('[tower]\nkind = "tfidf"\ndim = 4\n', r"tower\.dim is not a known"),
    "kind": ('[tower]\nkind = "tfdif"\n', r"tower\.kind is 'tfdif' \(did you mean 'tfidf'"),
    "loss": ('[[objective]]\nkind = "sofmax"\n', r"objective\.0\.kind is 'sofmax' .*'softmax'"),
    "no kind": ("[[objective]]\nweight = 1\n", r"objective\.0 needs a kind; the losses are"),
    "loss key": ('[[objective]]\nkind = "softmax"\ntemp = 1\n', r"objective\.0\.temp is not"),
    "weight": ('[[objective]]\nkind = "softmax"\nweight = "a"\n', r"objective\.0\.weight must"),
    "supplied": ('[[objective]]\nkind = "alc"\ndim = 3\n', r"objective\.0\.dim is not a known key"),
    "twice": ('[[objective]]\nkind = "alc"\n[[objective]]\nkind = "alc"\n', r"its own name, got"),
    "text for number": ('[train]\nepochs = "3"\n', r"train\.epochs must be a whole number"),
    "fraction": ("[train]\nepochs = 1.5\n", r"train\.epochs must be a whole number, got 1\.5"),
    "bool for int": ("[train]\nepochs = true\n", r"train\.epochs must be a whole number, got True"),
    "int for bool": ("[train]\nlogq = 1\n", r"train\.logq must be true or false, got 1"),
    "bool for float": ("[train]\nlearning_rate = true\n", r"learning_rate must be a number, got"),
    "number for text": ("[train]\nmetric = 1\n", r"train\.metric must be a text in quotes, got 1"),
    "no list": ('[data]\nitem_text = "title"\n', r"data\.item_text must be a list, got 'title'"),
    "list of": ("[data]\nitem_text = [1]\n", r"data\.item_text must be a text in quotes, got 1"),
    "no table": ("[data]\nshares = 1\n", r"data\.shares must be a table of keys and values, got 1"),
    "table of": ('[data]\nshares = { train = "x" }\n', r"data\.shares\.train must be a number"),
    "choice": ('[decide]\nscorer = "best"\n', r"decide\.scorer must be one of"),
    "section is no table": ("train = 3\n", r"train must be a table of keys and values, got 3"),
    "tower is no table": ("tower = 3\n", r"tower must be a table of keys and values, got 3"),
    "tower kind is no text": ("[tower]\nkind = 3\n", r"tower\.kind is 3"),
    "loss kind is a list": ("[[objective]]\nkind = []\n", r"objective\.0\.kind is \[\]"),
    "objective is no list": ("objective = 3\n", r"objective must be a list of tables.*got 3"),
    "objective is one table": ('[objective]\nkind = "alc"\n', r"objective must be a list"),
    "no term": ("objective = []\n", r"the objective needs at least one term"),
    "name": ('[[objective]]\nkind = "alc"\nname = 3\n', r"objective\.0\.name must be a text"),
    "links": ('[[objective]]\nkind = "alc"\nlinks = "x"\n', r"objective\.0\.links .*offered.*'x'"),
    "range": ("[decide]\ntarget = 95\n", r"decide\.target is 95; it must lie strictly"),
    "epochs": ("[train]\nepochs = 0\n", r"train\.epochs must be at least 1, got 0"),
    "not a number": ("[decide]\ntarget = nan\n", r"decide\.target is nan; it must lie"),
    "loss refuses": ('[[objective]]\nkind = "softmax"\ntemperature = 0\n', r"temperature of"),
    "no TOML": ("epochs 3\n", r"run\.toml is no TOML file: Expected '='"),
    "not UTF-8": (b"[train]\n# \xff\n", r"run\.toml is no TOML file"),
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
    with pytest.raises(InputError, match="is no TOML file"):
        read(tmp_path)


HISTORY_RUN = '[tower]\nkind = "history"\n'


def test_a_history_run_binds_sections_of_its_own(config):
    run = config(HISTORY_RUN + "encoder = 'gru'\n[ranking]\ndepths = [5, 20]\n")
    assert run.family is HISTORY
    assert set(run.sections) | {"objective"} == set(HISTORY.order)
    assert list(run.sections) == [name for name in HISTORY.order if name != "objective"]
    assert run.build("data") == HistorySpec()
    assert run.build("ranking") == RankingOptions(depths=(5, 20))
    tower = run.build("tower")
    assert isinstance(tower, HistoryTower)
    assert tower.settings()["encoder"] == "gru"
    assert [term["kind"] for term in run.objective] == ["croloss"]
    # usual here, and another value in other runs
    assert run.sections["train"]["metric"] == "recall@50"
    assert run.sections["train"]["clustered_from"] == -1
    own = config(HISTORY_RUN + '[train]\nmetric = "ndcg@5"\nclustered_from = 1\n')
    assert (own.build("train").metric, own.build("train").clustered_from) == ("ndcg@5", 1)
    assert config("").build("train").metric == "P@1"


def test_a_history_run_written_out_is_read_as_the_same(config):
    run = config(
        HISTORY_RUN + "interests = 3\nheads = 4\n"
        "[data]\nevents = 'e.csv'\nitem_categories = ['a', 'b']\nprotocol = 'time'\n"
        "shares = { train = 0.5, test = 0.5 }\n"
        "[[objective]]\nkind = 'croloss'\nkernel = 'exp'\nrank_kernel = 'sigmoid'\n"
        "[[objective]]\nkind = 'triplet'\nweight = 0.5\n"
        "[train]\nsampled = 4\nin_batch = false\n[ranking]\nremove_history = true\n"
    )
    again = config(run.to_toml())
    assert (again.family, again.sections, again.objective) == (
        run.family,
        run.sections,
        run.objective,
    )
    assert again.to_toml() == run.to_toml()


BAD_HISTORY = {
    "section": ("[rankings]\n", r"rankings is not a known section \(did you mean 'ranking'\?\)"),
    "key": ("[ranking]\ndepth = [5]\n", r"ranking\.depth is not .*did you mean 'depths'"),
    "no depths": ("[ranking]\ndepths = []\n", r"1 or more, ascending, got \[\]"),
    "depth 0": ("[ranking]\ndepths = [0, 5]\n", r"1 or more, ascending, got \[0, 5\]"),
    "order": ("[ranking]\ndepths = [5, 2]\n", r"1 or more, ascending, got \[5, 2\]"),
    "twice": ("[ranking]\ndepths = [5, 5]\n", r"1 or more, ascending, got \[5, 5\]"),
    "one depth": ("[ranking]\ndepths = 5\n", r"ranking\.depths must be a list, got 5"),
    "fraction": ("[ranking]\ndepths = [1.5]\n", r"ranking\.depths must be a whole number"),
    "decide": (
        "[decide]\ntarget = 0.9\n",
        r"decide is for matching runs, and the tower makes this a history run; leave it out, or",
    ),
    "labels": ("[labels]\n", r"labels is for matching runs"),
    "queries": ("[data]\nqueries = 'q.csv'\n", r"data\.queries is for matching runs"),
    "unknown data": ("[data]\nevent = 'q.csv'\n", r"data\.event is not .*did you mean 'events'"),
    "data is no table": ("data = 3\n", r"data must be a table of keys and values, got 3"),
    "tower key": ("bits = 3\n", r"tower\.bits is not a known key"),
    "encoder": ("encoder = 'grru'\n", r"tower\.encoder must be one of mean, gru, attention"),
    "dim": ("dim = 0\n", r"dim must be at least 1, got 0"),
    "heads": ("encoder = 'attention'\nheads = 5\n", r"cannot be shared by 5 heads"),
    "kernel": ("[[objective]]\nkind = 'croloss'\nkernel = 'tanh'\n", r"tanh"),
    "mined": ("interests = 2\n[train]\nmined = 2\nlogq = false\n", r"need one vector a customer"),
    "columns": (
        "interests = 2\n[train]\ncolumns = 'all'\nlogq = false\n",
        r"need one vector a customer; leave them out, or tower\.interests",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_HISTORY)
def test_what_does_not_fit_a_history_run_is_named(config, name):
    content, words = BAD_HISTORY[name]
    text = content + HISTORY_RUN if content.startswith("data =") else HISTORY_RUN + content
    with pytest.raises(InputError, match=words) as caught:
        config(text)
    assert "\n" not in str(caught.value)


def test_a_misspelt_kind_of_tower_is_named_before_what_it_would_decide(config):
    with pytest.raises(
        InputError, match=r"tower\.kind is 'hist' \(did you mean 'history'\?\); known are bag"
    ):
        config('[tower]\nkind = "hist"\n[data]\nevents = "e.csv"\n[ranking]\n')
    for content, name in (("[ranking]\n", "ranking"), ("[data]\nevents = 'e'\n", "data.events")):
        with pytest.raises(
            InputError, match=f"{name} is for history runs.* tower.kind = 'history'"
        ):
            config(content)
