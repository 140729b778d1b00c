"""Splits by text: what the equation says, and that twins are never torn apart."""

import hashlib
import unicodedata
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data.split import SPLITS, UNASSIGNED, normalised, split_number
from thresher.data.split import assign as assign_by
from thresher.data.split import fill as fill_by
from thresher.errors import InputError

SHARES = {"train": 0.65, "validation": 0.05, "calibration": 0.15, "test": 0.15}
assign, fill = partial(assign_by, shares=SHARES), partial(fill_by, shares=SHARES)


def straddling(texts, split):
    """The texts that stand in several splits."""
    splits = {}
    for text, number in zip(texts, split.tolist(), strict=True):
        splits.setdefault(normalised(text), set()).add(number)
    return [text for text, numbers in splits.items() if len(numbers) > 1]


def oracle(text: str, seed: int) -> str:
    """The rule, word for word, with the shares .65 .05 .15 .15."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = " ".join(unicodedata.normalize("NFKC", folded).split())
    digest = hashlib.sha256(f"{seed}\0{words}".encode()).hexdigest()
    u = int(digest[:16], 16) / 2**64  # 8 bytes are 16 hexadecimal digits
    return (
        "train" if u < 0.65 else "validation" if u < 0.7 else "calibration" if u < 0.85 else "test"
    )


@given(st.lists(st.text(max_size=6), max_size=20), st.integers(0, 5))
def test_assign_follows_the_equation(texts, seed):
    assert [SPLITS[n] for n in assign(texts, seed=seed)] == [oracle(t, seed) for t in texts]


def test_the_draw_is_the_same_for_ever():
    # The first digits of `printf '0\0doro 5030' | sha256sum` and so on: u is 0x... / 2^32.
    # iphone 8: 45885522 -> .272; green mug: a9337002 -> .661; teapot: b4fb1089 -> .707;
    # doro 5030: e7f4d825 -> .906
    texts = [" iPhone   8 ", "green mug", "Teapot", "doro\t5030"]
    drawn = [SPLITS[n] for n in assign(texts)]
    assert drawn == ["train", "validation", "calibration", "test"]


@given(st.lists(st.sampled_from(["a", "A ", " a", "b", "B\tc", "b c", ""]), max_size=20), st.data())
def test_groups_never_straddle_drawn_or_filled(texts, data):
    drawn = assign(texts, seed=data.draw(st.integers(0, 9)))
    assert straddling(texts, drawn) == []
    # A given split that tears nothing apart is completed without tearing anything apart.
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))))
    given_split = np.where(mask.astype(bool), drawn, UNASSIGNED).astype(np.uint8)
    filled = fill(given_split, texts, seed=17)
    assert straddling(texts, filled) == []
    assert (filled[mask.astype(bool)] == drawn[mask.astype(bool)]).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9", "cafe\u0301"),  # an accent composed or not
        ("\u212bngstr\u00f6m", "a\u030angstro\u0308m"),  # the sign for angstrom
        ("\uac00", "\u1100\u1161"),  # a Korean syllable and its letters
        ("STRASSE", "stra\u00dfe"),
        ("5\u00a0m\u00b2", "5 M2"),  # no-break space, superscript
        ("\uff21\uff22", "ab"),  # full width
    ],
)
def test_equal_texts_however_they_are_written(one, other):
    assert normalised(one) == normalised(other)
    assert assign([one]).tolist() == assign([other]).tolist()


@given(st.text(max_size=6))
def test_canonical_equivalents_are_one_text(text):
    forms = {normalised(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert forms == {normalised(text)}


def test_a_query_without_a_split_follows_its_strictest_twin():
    given_split = np.array([0, 3, UNASSIGNED], dtype=np.uint8)
    assert fill(given_split, ["a", "A", " a"]).tolist() == [0, 3, 3]


def test_shares_are_kept_and_a_share_of_zero_gets_nothing():
    texts = [f"text {n}" for n in range(4000)]
    split = assign(texts, shares={"train": 0.5, "calibration": 0.5})
    counts = np.bincount(split, minlength=4)
    assert counts[[1, 3]].tolist() == [0, 0]
    # 4000 draws of one half: 2000 within 4 standard deviations of sqrt(4000)/2 = 31.6
    assert abs(counts[0] - 2000) < 127
    assert assign(texts, shares={"train": 0.0, "test": 1.0}).tolist() == [3] * 4000
    assert assign(texts, seed=1).tolist() != assign(texts, seed=0).tolist()


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"train": 0.9, "test": 0.2}, r"train 0\.9.*test 0\.2, which sum to 1\.1.*sum to 1"),
        ({"train": 1.2, "test": -0.2}, "must be 0 or more"),
        ({"train": float("nan"), "test": 0.5}, "train nan.*must be 0 or more and sum to 1"),
        ({"train": 0.5, "test": float("nan")}, "test nan.*must be 0 or more and sum to 1"),
        ({"train": float("inf")}, "train inf.*must be 0 or more and sum to 1"),
        ({"train": 0.9, "tets": 0.1}, "unknown split 'tets'.*did you mean 'test'"),
    ],
)
def test_wrong_shares(shares, words):
    with pytest.raises(InputError, match=words):
        assign(["a"], shares=shares)


@pytest.mark.parametrize("name", ["valid", "dev"])
def test_names_from_elsewhere_are_pointed_to_ours(name):
    with pytest.raises(InputError, match=rf"unknown split '{name}'.*did you mean 'validation'"):
        split_number(name)
