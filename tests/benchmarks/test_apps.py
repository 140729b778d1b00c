"""What made-up app-to-app data promises: a power law, and how often features tell the topic."""

import numpy as np
import pytest

from grids.apps import BROAD, COMMON_WORDS, TOPIC_WORDS, Apps, write
from thresher.data.tables import read_table
from thresher.errors import InputError

SPEC = Apps(items=3000, pairs=40, popularity=0.8, noise=0.2, hidden=0.3, seed=3)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apps")
    write(SPEC, folder)
    return [read_table(folder / f"{name}.parquet").to_pydict() for name in ("items", "pairs")]


def numbers(texts, prefix):
    return np.array([int(text.removeprefix(prefix)) for text in texts])


def test_the_items_that_pairs_name_follow_the_power_law(tables):
    found = numbers(tables[1]["item_id"], "a")
    assert len(found) == 120_000
    counts = np.sort(np.bincount(found, minlength=3000))[::-1]
    law = np.arange(1, 3001) ** -0.8
    law /= law.sum()
    for first in (1, 10, 100, 1000):
        share, expected = counts[:first].sum() / 120_000, law[:first].sum()
        assert share == pytest.approx(expected, abs=4 * (expected / 120_000) ** 0.5 + 2e-3)
    # and no query stands out: 40 pairs each, within chance
    queries = np.bincount(numbers(tables[1]["query_id"], "a"), minlength=3000)
    assert queries.min() > 0
    assert queries.std() < 2 * 40**0.5


def test_a_query_shares_topic_or_hidden_group_as_often_as_told(tables):
    queries, items = (numbers(tables[1][name], "a") for name in ("query_id", "item_id"))
    assert (queries != items).all()
    topic, hidden = SPEC.groups()
    assert np.bincount(topic).tolist() == [100] * 30 == np.bincount(hidden).tolist()
    # of 30 groups any item is of the same one once in thirty times, but for itself
    chance = 99 / 2999
    for group, share in ((topic, 0.5), (hidden, 0.3)):
        same = (group[queries] == group[items]).mean()
        assert same == pytest.approx(share + (1 - share) * chance, abs=0.01)


def test_features_tell_the_topic_as_often_as_told(tables):
    topic, _ = SPEC.groups()
    categories = np.array([numbers(two, "cat") for two in tables[0]["categories"]])
    broad = -(-SPEC.topics // BROAD)
    assert (categories[:, 0] == topic // BROAD).mean() == pytest.approx(0.9 + 0.1 / 3, abs=0.02)
    narrow = (categories[:, 1] - broad == topic).mean()
    assert narrow == pytest.approx(0.7 + 0.3 / 30, abs=0.03)
    developer = numbers(tables[0]["developer"], "dev") % SPEC.topics == topic
    assert developer.mean() == pytest.approx(0.8 + 0.2 / 30, abs=0.03)
    words = [numbers(title.split(), "w") for title in tables[0]["title"]]
    lengths = np.bincount([len(one) for one in words])
    assert lengths[:5].sum() == 0
    assert (np.abs(lengths[5:] - 500) < 100).all()  # 5 to 10 words, equally often
    own = np.concatenate(
        [(w >= COMMON_WORDS) & ((w - COMMON_WORDS) // TOPIC_WORDS == t)
         for w, t in zip(words, topic, strict=True)]
    )  # fmt: skip
    assert own.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"items": 100}, "give 200 items or more"),
        ({"noise": 1.5}, "noise must be in"),
        ({"noise": 0.6, "hidden": 0.6}, "must sum to 1 at most"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changed, words):
    with pytest.raises(InputError, match=words):
        Apps(**changed)
