"""What made-up data promises: how much features tell, who is popular, what is noise."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grids.lots import Lots
from grids.synthetic import CLEAR, DEAREST, MOST_WORDS, WORDS, Synthetic, structure, write
from oracles import planted
from thresher.data.tables import read_table
from thresher.errors import InputError

pytestmark = pytest.mark.slow

KINDS = ("topic", "home")


def made(folder, **options):
    """The three tables, as columns of lists."""
    spec = Synthetic(**options)
    sizes = write(spec, folder)
    tables = {name: read_table(folder / f"{name}.parquet") for name in sizes}
    assert {name: len(table) for name, table in tables.items()} == sizes
    return spec, {name: table.to_pydict() for name, table in tables.items()}


def numbers(ids):
    return np.array([int(one[1:]) for one in ids])


def drawn(folder, **options):
    """The truth, and the queries and items of the pairs of each split."""
    spec, tables = made(folder, **options)
    pairs = tables["pairs"]
    split = np.array(pairs["split"])
    both = np.stack([numbers(pairs["query_id"]), numbers(pairs["item_id"])], axis=1)
    return structure(spec), {name: both[split == name].T for name in spec.splits}


# What features tell of each other.


@settings(max_examples=30, deadline=None)
@given(
    topics=st.integers(1, 4),
    subtopics=st.integers(1, 3),
    correlation=st.floats(0, 1),
    missing=st.floats(0, 1),
)
def test_information_is_that_of_every_case_counted(topics, subtopics, correlation, missing):
    options = {"topics": topics, "subtopics": subtopics, "correlation": correlation}
    options["missing"] = missing
    found = Synthetic(features=3, **options).information()
    for i, j in ((0, 1), (0, 2), (1, 0)):
        joint = planted.joint_of(KINDS[i % 2], KINDS[j % 2], **options)
        assert found[i, j] == pytest.approx(planted.information(joint), abs=1e-9)
        assert found[i, i] == pytest.approx(planted.entropy(joint), abs=1e-9)
    homes = Synthetic(features=4, **options).information()[1, 3]
    joint = planted.joint_of("home", "home", **options)
    assert homes == pytest.approx(planted.information(joint), abs=1e-9)


def test_names_of_a_value_add_to_what_there_is_to_tell_and_not_to_what_is_told():
    one, three = (Synthetic(features=2, missing=0.1, synonyms=n).information() for n in (1, 3))
    assert three[0, 1] == one[0, 1]
    # where a value is given, in 9 of 10 items, its name is one of three alike: .9 log 3 = .98875
    assert np.diag(three - one) == pytest.approx([0.98875, 0.98875], abs=1e-5)


def test_synonyms_are_names_of_one_value_in_the_tables(tmp_path):
    _, tables = made(tmp_path, items=2_000, topics=4, subtopics=1, synonyms=5, correlation=1.0)
    # both features tell the topic: names 0 to 4 are the first one's, 5 to 9 the second's
    told = [
        [int(v.split("-")[1]) // 5 for v in tables["items"][f"feature_{j}"] if v] for j in (1, 3)
    ]
    assert set(told[0]) == set(told[1]) == {0, 1, 2, 3}
    values = set(tables["items"]["feature_1"]) - {None}
    assert values == {f"f1-{n}" for n in range(20)}
    both = zip(tables["items"]["feature_1"], tables["items"]["feature_3"], strict=True)
    pairs = [(int(a.split("-")[1]), int(b.split("-")[1])) for a, b in both if a and b]
    assert all(a // 5 == b // 5 for a, b in pairs)
    assert len({(a % 5, b % 5) for a, b in pairs}) == 25  # names are drawn by themselves


def test_information_goes_from_nothing_to_all():
    def between(correlation):
        spec = Synthetic(topics=4, subtopics=2, correlation=correlation, missing=0.0)
        return spec.information()[[0, 0, 1], [1, 2, 3]]

    assert between(0.0) == pytest.approx([0, 0, 0], abs=1e-12)
    # 4 topics, seen alike by feature 1 and all others; 8 subtopics by features 2 and 4
    assert between(1.0) == pytest.approx([math.log(4), math.log(4), math.log(8)])
    # c = .6: they agree in .36 + .64 / 4 = .52 of the items, in any of 4 values, and else are one
    # of the 3 others: log 4 + .52 log .52 + .48 log(.48 / 3) = 1.38629 - .34004 - .87964
    assert between(0.6)[0] == pytest.approx(0.16661, abs=1e-5)
    grown = np.array([between(c) for c in np.linspace(0, 1, 11).tolist()])
    assert (np.diff(grown, axis=0) > 0).all()


@pytest.mark.parametrize("correlation", [0.0, 0.7, 1.0])
def test_tables_have_the_information_that_is_promised(tmp_path, correlation):
    spec, tables = made(
        tmp_path, items=30_000, queries=10, pairs=10, topics=3, subtopics=2, missing=0.1,
        correlation=correlation,
    )  # fmt: skip
    columns = [tables["items"][f"feature_{j}"] for j in range(1, 5)]
    promised = spec.information()
    # what is estimated is too high by about (4 - 1)(7 - 1) / 60,000 < .001, and spread by some .006
    for i in range(4):
        for j in range(i):
            found = planted.information(planted.counted(columns[i], columns[j]))
            assert found == pytest.approx(promised[i, j], abs=0.02)
        alone = planted.entropy(planted.counted(columns[i], columns[i]))
        assert alone == pytest.approx(promised[i, i], abs=0.02)


def test_every_kind_of_feature_tells_the_topic_as_often_as_said(tmp_path):
    options = {"items": 20_000, "queries": 20_000, "pairs": 20_000, "topics": 4, "subtopics": 2}
    spec, tables = made(tmp_path, **options, correlation=0.6, missing=0.1)
    items, truth = tables["items"], structure(spec)

    def share(values, true):
        return np.mean([v == t for v, t in zip(values, true, strict=True) if v is not None])

    # .6, and one of 4 (or 8) when drawn: .6 + .4 / 4 = .7, .6 + .4 / 8 = .65
    topics = truth.home // 2
    assert share(items["feature_3"], [f"f3-{t}" for t in topics]) == pytest.approx(0.7, abs=0.02)
    assert share(items["feature_4"], [f"f4-{h}" for h in truth.home]) == pytest.approx(
        0.65, abs=0.02
    )
    priced = [p and int(math.log(p) / math.log(DEAREST) * 4 + 1e-9) for p in items["price"]]
    assert share(priced, topics) == pytest.approx(0.7, abs=0.02)
    rows = [(w, h) for some, h in zip(items["words"], truth.home, strict=True) for w in some or ()]
    told = [int(word.removeprefix("word")) // WORDS for word, _ in rows]
    assert share(told, [h for _, h in rows]) == pytest.approx(0.65, abs=0.02)
    assert {len(some) for some in items["words"] if some} == set(range(1, MOST_WORDS + 1))
    queries = tables["queries"]
    for name, true, size in (("topic", truth.wants // 2, 4), ("subtopic", truth.wants, 8)):
        said = share(queries[name], [f"{name}{t}" for t in true])
        assert said == pytest.approx(CLEAR + (1 - CLEAR) / size, abs=0.01)
    for column in [*list(items.values())[1:], *list(queries.values())[1:]]:
        assert sum(v is None for v in column) / len(column) == pytest.approx(0.1, abs=0.01)


# Who stands in pairs.


@pytest.mark.parametrize(
    ("exponent", "shares"),
    [
        (0.0, [1 / 6, 1 / 6, 1 / 6]),
        # places 1, 2, 3 of two homes: 1 + 1/2 + 1/3 = 11/6; halved, 6/22, 3/22 and 2/22
        (1.0, [6 / 22, 3 / 22, 2 / 22]),
        # 1 + 1/4 + 1/9 = 49/36; halved, 36/98, 9/98 and 4/98
        (2.0, [36 / 98, 9 / 98, 4 / 98]),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_popularity_is_a_power_law_of_the_place(tmp_path, exponent, shares, noise):
    truth, pairs = drawn(
        tmp_path, items=6, topics=2, subtopics=1, unlabelled=0.0, queries=1_000, pairs=40_000,
        noise=noise, popularity=exponent,
    )  # fmt: skip
    counts = np.bincount(pairs["train"][1], minlength=6) / 40_000
    for place, share in enumerate(shares, 1):
        (of,) = np.nonzero(np.isclose(truth.popularity, float(place) ** -exponent))
        assert len(of) == (2 if exponent else 6)
        assert counts[of].mean() == pytest.approx(share, abs=0.01)


def test_the_slope_of_popularity_is_the_exponent(tmp_path):
    truth, pairs = drawn(
        tmp_path, items=1_000, topics=5, subtopics=2, unlabelled=0.0, queries=2_000,
        pairs=100_000, popularity=0.8, noise=0.3, residual=0.3,
    )  # fmt: skip
    counts = np.bincount(pairs["train"][1], minlength=1_000)
    ranked = np.sort(np.add.reduceat(np.sort(counts)[::-1], range(0, 1_000, 10)))[::-1]
    # ranks 1 to 10 are the leading items of 10 homes, and so on; beyond, sorting stretches the tail
    slope = np.polyfit(np.log(np.arange(1, 31)), np.log(ranked[:30]), 1)[0]
    assert slope == pytest.approx(-0.8, abs=0.05)
    assert Counter(truth.popularity.tolist()).most_common(1)[0][1] == 10


@pytest.mark.parametrize(("noise", "residual"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.25, 0.35)])
def test_noise_and_residual_are_shares_of_the_pairs(tmp_path, noise, residual):
    options = {"items": 4_000, "topics": 10, "subtopics": 4, "queries": 1_000, "popularity": 0.5}
    truth, pairs = drawn(tmp_path, **options, pairs=30_000, noise=noise, residual=residual)
    for split in ("train", "test"):
        queries, items = pairs[split]
        wants = truth.wants[queries]
        plain = (truth.home[items] == wants).mean()
        hidden = (truth.hidden[items] == wants).mean()
        # one of 40 homes fits by chance
        shows, tells = (1 - noise) * (1 - residual), (1 - noise) * residual
        assert plain == pytest.approx(shows + (1 - shows) / 40, abs=0.03)
        assert hidden == pytest.approx(tells + (1 - tells) / 40, abs=0.03)
        assert plain == 1 or shows < 1
        assert hidden == 1 or tells < 1


def test_unlabelled_items_stand_in_no_training_pair_but_in_the_others(tmp_path):
    options = {"items": 2_003, "topics": 5, "subtopics": 4, "queries": 500, "unlabelled": 0.4}
    truth, pairs = drawn(tmp_path, **options, pairs=30_000, popularity=0.5)
    assert np.count_nonzero(~truth.labelled) == 801  # .4 x 2,003 = 801.2
    assert truth.labelled[pairs["train"][1]].all()
    assert len(np.unique(pairs["train"][1])) > 1_100  # nearly all 1,202 others
    weight = truth.popularity[~truth.labelled].sum() / truth.popularity.sum()
    for split in ("validation", "test"):
        assert (~truth.labelled[pairs[split][1]]).mean() == pytest.approx(weight, abs=0.03)
    for groups in (truth.home, truth.hidden):
        assert len(np.unique(groups[truth.labelled])) == 20
        assert set(np.bincount(groups)) == {100, 101}  # 2,003 items of 20 subtopics


def test_queries_have_one_split_and_equally_many_pairs(tmp_path):
    # more pairs than are drawn at once
    _, pairs = drawn(tmp_path, items=100, topics=3, queries=1_000, pairs=300_500, evaluated=100)
    assert [len(np.unique(pairs[name][0])) for name in pairs] == [1_000, 100, 100]
    assert [pairs[name].shape[1] for name in pairs] == [300_500, 30_050, 30_050]
    counts = np.bincount(np.concatenate([q for q, _ in pairs.values()]))
    assert len(counts) == 1_200
    assert set(counts) <= {300, 301}
    # the two blocks are drawn differently
    _, items = pairs["train"]
    assert (items[: 1 << 14] != items[1 << 18 :][: 1 << 14]).any()


# The files.


def test_tables_join_and_the_same_seed_writes_the_same_bytes(tmp_path):
    options = {"items": 300, "topics": 5, "queries": 50, "pairs": 200, "evaluated": 5}
    _, tables = made(tmp_path / "a", **options)
    items, queries, pairs = (tables[name] for name in ("items", "queries", "pairs"))
    assert items["id"] == [f"i{n}" for n in range(300)]
    assert queries["id"] == [f"q{n}" for n in range(60)]
    assert set(pairs["query_id"]) == set(queries["id"])
    assert set(pairs["item_id"]) <= set(items["id"])
    assert list(items) == ["id", *(f"feature_{j}" for j in range(1, 5)), "words", "price"]
    assert all(1 <= price <= DEAREST for price in items["price"] if price is not None)
    write(Synthetic(**options), tmp_path / "b")
    write(Synthetic(**options, seed=1), tmp_path / "c")
    for name in tables:
        a, b, c = ((tmp_path / f / f"{name}.parquet").read_bytes() for f in "abc")
        assert a == b
        assert a != c


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"items": 0}, "items must be 1 or more, got 0"),
        ({"features": 0}, "features must be 1 or more, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"correlation": 1.5}, "correlation must be in [0, 1], got 1.5"),
        ({"missing": math.nan}, "missing must be in [0, 1], got nan"),
        ({"popularity": -1.0}, "popularity must be an exponent of 0 or more, got -1.0"),
        ({"noise": 1.1}, "noise must be in [0, 1], got 1.1"),
        ({"pairs": 9, "queries": 10}, "9 pairs are too few for 10 queries; give one a query"),
        ({"items": 250}, "250 items, a share 0.3 of them unlabelled, leave fewer than one for"),
    ],
)
def test_numbers_out_of_range_are_one_sentence(options, words):
    with pytest.raises(InputError) as refused:
        Synthetic(**options)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_as_few_items_as_can_be(tmp_path):
    # 12 items of 8 subtopics: the 4 that lead no home are unlabelled, a third
    truth, pairs = drawn(
        tmp_path, items=12, topics=4, subtopics=2, unlabelled=1 / 3, queries=40, pairs=400
    )
    assert np.count_nonzero(truth.labelled) == 8
    assert truth.labelled[truth.popularity == 1].all()
    assert set(pairs["train"][1]) == set(np.flatnonzero(truth.labelled))


# Lots.


@given(data=st.data())
def test_lots_draw_from_the_group_and_never_what_has_no_weight(data):
    groups = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    weights = data.draw(
        st.lists(st.sampled_from([0.0, 1e-9, 1.0, 3.0]), min_size=len(groups), max_size=len(groups))
    )
    some = sorted({g for g, w in zip(groups, weights, strict=True) if w})
    if not some:
        return
    groups_of = np.repeat(some, 20)
    found = Lots.of(np.array(groups), np.array(weights)).draw(groups_of, np.random.default_rng(0))
    assert (np.array(groups)[found] == groups_of).all()
    assert (np.array(weights)[found] > 0).all()


def test_lots_draw_as_often_as_the_weights_say():
    lots = Lots.of(np.array([0, 1, 0, 0]), np.array([1.0, 5.0, 2.0, 1.0]))
    found = lots.draw(np.zeros(20_000, np.int64), np.random.default_rng(0))
    assert np.bincount(found) / 20_000 == pytest.approx([0.25, 0, 0.5, 0.25], abs=0.02)


class Always(np.random.Generator):
    """Draws the same number every time."""

    def random(self, size):
        return np.full(size, self.number)


@pytest.mark.parametrize("number", [0.0, np.nextafter(1, 0)])
def test_lots_at_either_end_of_a_group_stay_in_it(number):
    # 2^30 + 1 less a little is 2^30 + 1 when rounded, where the next group begins
    lots = Lots.of(np.array([0, 1, 1, 1, 2]), np.array([2.0**30, 0.0, 1.0, 0.0, 1.0]))
    generator = Always(np.random.PCG64(0))
    generator.number = number
    assert lots.draw(np.array([0, 1, 2]), generator).tolist() == [0, 2, 4]
