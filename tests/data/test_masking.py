"""Which features two views hide: by hand, as often as said, and never all of them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thresher.data.masking import ViewOptions, draw_masks
from thresher.data.mutual_information import mutual_information
from thresher.errors import InputError

INFORMATION = np.array(
    [
        [9.0, 5.0, 4.0, 1.0, 1.0],
        [5.0, 9.0, 1.0, 3.0, 1.0],
        [4.0, 1.0, 9.0, 2.0, 2.0],
        [1.0, 3.0, 2.0, 9.0, 6.0],
        [1.0, 1.0, 2.0, 6.0, 9.0],
    ]
)
# The seed and the two that tell most about it; of 3 and 4, which tell 2 the same, the earlier.
FIRST = {(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 3, 4), (2, 3, 4)}


def numbers(mask):
    return tuple(np.flatnonzero(mask).tolist())


def draws(count, masking, k, *, ids=(), information=None, **options):
    """The features that each view hides, in so many draws."""
    made, generator = ViewOptions(masking=masking, **options), np.random.default_rng(0)
    drawn = (draw_masks(made, k, ids, generator, information) for _ in range(count))
    return [(numbers(first), numbers(second)) for first, second in drawn]


def shares(found):
    return {one: count / found.total() for one, count in found.items()}


def symmetric(k, seed):
    half = np.random.default_rng(seed).integers(0, 3, (k, k)) / 2
    return half + half.T


@settings(max_examples=60)
@given(
    k=st.integers(2, 7),
    ids=st.sets(st.integers(0, 1)),
    mask_id=st.booleans(),
    masking=st.sampled_from(["correlated", "random", "independent"]),
    seed=st.integers(0, 1000),
)
def test_each_view_hides_something_and_keeps_something(k, ids, mask_id, masking, seed):
    k += len(ids)
    options = ViewOptions(masking=masking, mask_id=mask_id)
    first, second = draw_masks(options, k, ids, np.random.default_rng(seed), symmetric(k, seed))
    free = np.array([mask_id or i not in ids for i in range(k)])
    assert first[~free].all()
    assert second[~free].all()
    for view in (first[free], second[free]):
        assert view.any()
        assert not view.all()
    if masking == "independent":
        assert first[free].sum() == second[free].sum() == free.sum() // 2
    else:
        assert (first ^ second)[free].all()
    if masking == "random":
        assert first[free].sum() == free.sum() // 2


def test_correlated_by_hand_each_seed_equally_likely():
    found = draws(2500, "correlated", 5, information=INFORMATION)
    assert {second for _, second in found} == {(3, 4), (2, 4), (1, 4), (0, 2), (0, 1)}
    # a share of 1/5 in 2,500 draws has a standard error of 0.008
    seeds = shares(Counter(first for first, _ in found))
    assert seeds == pytest.approx(dict.fromkeys(FIRST, 0.2), abs=0.04)


def test_a_tie_stays_one_after_rounding():
    noise = np.zeros((5, 5))
    noise[2, 4] = noise[4, 2] = 1e-14
    found = draws(100, "correlated", 5, information=INFORMATION + noise)
    assert {first for first, _ in found} == FIRST


def test_correlated_without_the_id_by_hand():
    found = draws(2000, "correlated", 5, ids={0}, information=INFORMATION, mask_id=False)
    # seeds 1 (with 3, then 2), 2 (3, 4), 3 (4, 1), 4 (3, 2); the id 0 is hidden in both views
    assert shares(Counter(found)) == pytest.approx(
        {
            ((0, 1, 2, 3), (0, 4)): 0.25,
            ((0, 2, 3, 4), (0, 1)): 0.5,
            ((0, 1, 3, 4), (0, 2)): 0.25,
        },
        abs=0.05,
    )


def test_of_two_features_the_seed_alone_is_hidden():
    found = draws(1000, "correlated", 2, information=np.ones((2, 2)))
    assert shares(Counter(found)) == pytest.approx({((0,), (1,)): 0.5, ((1,), (0,)): 0.5}, abs=0.08)


def test_random_halves_are_equally_likely():
    found = shares(Counter(draws(3000, "random", 3)))
    assert found == pytest.approx(
        {((0,), (1, 2)): 1 / 3, ((1,), (0, 2)): 1 / 3, ((2,), (0, 1)): 1 / 3}, abs=0.04
    )


def test_independent_halves_may_meet():
    found = shares(Counter(draws(4500, "independent", 3)))
    nine = {((i,), (j,)): 1 / 9 for i in range(3) for j in range(3)}
    assert found == pytest.approx(nine, abs=0.025)


def test_none_hides_at_most_the_id():
    assert draws(3, "none", 3, ids={1}) == [((), ())] * 3
    assert draws(3, "none", 3, ids={1}, mask_id=False) == [((1,), (1,))] * 3


@pytest.mark.parametrize("place", [0, 2, 3])
def test_the_trap_an_id_is_never_seen_by_the_first_view(place):
    values = np.random.default_rng(1).integers(0, 5, (3, 200))
    features = [sparse.csr_matrix(np.eye(5, dtype=np.float32)[column]) for column in values]
    features.insert(place, sparse.identity(200, np.float32, "csr"))
    information = mutual_information([features], unique={place})
    found = draws(40, "correlated", 4, ids={place}, information=information)
    assert all(place in first and place not in second for first, second in found)
    assert len(set(found)) > 1


def test_the_generator_alone_decides():
    assert draws(20, "random", 6) == draws(20, "random", 6)
    assert len(set(draws(20, "random", 6))) > 1


@pytest.mark.parametrize("masking", ["correlated", "random", "independent"])
def test_masking_with_one_feature(masking):
    with pytest.raises(InputError, match=r"of 1 feature\(s\) 1 can be masked, and each"):
        draws(1, masking, 1, information=np.ones((1, 1)))
    with pytest.raises(InputError, match=r"of 2 feature\(s\) 1 can be masked beside the id"):
        draws(1, masking, 2, ids={1}, information=np.ones((2, 2)), mask_id=False)


def test_nothing_but_a_hidden_id():
    with pytest.raises(InputError, match=r"'none', but of 1 feature\(s\) 0 can be masked"):
        draws(1, "none", 1, ids={0}, mask_id=False)
    assert draws(1, "none", 1, ids={0}) == [((), ())]


@pytest.mark.parametrize(
    ("information", "given"), [(None, "got none"), (np.ones((3, 3)), "got that of 3")]
)
def test_correlated_needs_the_information_of_its_features(information, given):
    with pytest.raises(InputError, match=rf"mutual information of the 4 features, {given}"):
        draws(1, "correlated", 4, information=information)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value_dropout": 1.0}, r"views.value_dropout must be 0 or more and below 1, got 1.0"),
        ({"value_dropout": -0.1}, r"got -0.1"),
        ({"value_dropout": float("nan")}, r"got nan"),
        ({"items": 0}, r"views.items must be at least 1, got 0"),
    ],
)
def test_options_that_are_none(options, message):
    with pytest.raises(InputError, match=message):
        ViewOptions(**options)
