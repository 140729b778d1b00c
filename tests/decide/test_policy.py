import json
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from thresher.decide.policy import KNOWN_TEXT, NoThreshold, Policy, segment_names
from thresher.errors import InputError

ONE = Policy(0.25, 0.95, 0.9, 200, 4, 400, 200.0, 200, fitted_on="model-1")
TWO = replace(
    ONE,
    by="brand",
    segments={
        "acme": replace(ONE, accept_at=-0.5, confidence_level=0.95),
        "zeta": ONE.reviewing(400),
    },
)


def test_accepts_a_confidence_equal_to_the_threshold():
    got = ONE.decide(np.asarray([0.24, 0.25, 0.26, -np.inf, np.inf]))
    assert got.tolist() == [False, True, True, False, True]


def test_float32_confidences_meet_their_own_threshold():
    tenth = np.float32(0.1)
    assert replace(ONE, accept_at=float(tenth)).decide(np.asarray([tenth])).tolist() == [True]


def test_without_a_threshold_all_is_reviewed():
    policy = replace(ONE, accept_at=None)
    assert policy.decide(np.asarray([0.0, np.inf])).tolist() == [False, False]


def test_each_segment_has_its_threshold():
    rows = [("acme", 0.0), ("acme", -0.6), ("zeta", 9.0), ("new", 0.3), ("new", 0.2), (None, 0.3)]
    names, scores = [r[0] for r in rows], np.asarray([r[1] for r in rows])
    expected = [True, False, False, True, False, True]
    assert TWO.decide(scores, names).tolist() == expected
    assert TWO.decide(scores, np.asarray(names, dtype=object)).tolist() == expected
    assert TWO.decide(np.zeros(0), []).tolist() == []


def test_decisions_that_cannot_be_made_are_refused():
    with pytest.raises(InputError, match="1 of 2 confidences are not numbers"):
        ONE.decide(np.asarray([np.nan, 1.0]))
    with pytest.raises(InputError, match="'brand'"):
        TWO.decide(np.zeros(2))
    with pytest.raises(InputError, match="1 segments for 2 rows"):
        TWO.decide(np.zeros(2), ["acme"])


@pytest.mark.usefixtures("types_unchecked")
def test_confidences_may_be_any_numbers_of_one_each():
    policy = replace(ONE, accept_at=0.5)
    assert policy.decide([0.4, 1]).tolist() == [False, True]
    for wrong in (0.99, "a", ["a"], [[0.9]]):
        with pytest.raises(InputError, match="give one number for each answer"):
            policy.decide(wrong)


def test_evidence():
    assert ONE.coverage == 0.5
    # four errors are compatible with a Poisson mean of up to 7.99 at 90 %: 1 - 7.99 / 200 = .960
    assert ONE.lower_bound == pytest.approx(0.960, abs=0.001)
    assert ONE.reviewing(0).coverage == 0


def test_sentences_name_the_numbers():
    for part in ("0.25", "50.0%", "0.95", "0.9", "4 errors in 200"):
        assert part in ONE.sentence()
    assert "1 of 2 segments of 'brand'" in TWO.sentence()
    none = replace(TWO, segments={})
    assert "No value of 'brand' has labels enough for a threshold of its own." in none.sentence()
    assert "a person reviews" in replace(ONE, accept_at=None).sentence()
    none = NoThreshold(0.98, 0.95, 100, 3, 300, 100.0, 100, 0.96, 0.41, (137, 2_100))
    assert none.sentence() == (
        "No threshold reaches a precision of 0.98 at confidence level 0.95: 3 errors in 100 "
        "accepted labels at the most promising threshold are too few (149 independent labels "
        "without an error are the least); 0.96 is certified, for 41.0% of the queries; about 200 "
        "to 3,000 more labels would settle it."
    )
    hopeless = replace(none, more_labels=None).sentence()
    assert "at the most promising threshold are too many; 0.96" in hopeless
    open_end = replace(none, more_labels=(137, None)).sentence()
    assert "at least 200 more labels would be needed" in open_end
    narrow = replace(none, more_labels=(261, 270)).sentence()
    assert narrow.endswith("; about 300 more labels would settle it.")
    hopeless = NoThreshold(0.98, 0.95, 200, 30, 300, 200.0, 200)
    assert "30 errors in 200 accepted labels" in hopeless.sentence()
    assert "are too many; with this confidence score more labels alone" in hopeless.sentence()
    assert json.loads(json.dumps(none.to_dict()))["more_labels"] == [137, 2_100]


def test_sentences_name_every_segment_and_the_others_only_where_there_are_any():
    north = Policy(0.75, 0.95, 0.9, 120, 3, 160, 120.0, 120)
    south, none = ONE.reviewing(90), ONE.reviewing(0)
    policy = replace(none, by="shop", segments={"north": north, "south": south})
    assert policy.sentence() == (
        "1 of 2 segments of 'shop' tested alone have their own threshold. north: accepting at 0.75 "
        "or above decides 75.0% of them automatically, with a precision of at least 0.95 at "
        f"confidence level {ONE.confidence_level:g} (3 errors in 120 accepted labels, 160 labels "
        "in all); south: review."
    )
    others = replace(policy, labelled=10)
    assert "No threshold is certified for the others: a person" in others.sentence()


def test_sentences_name_clusters_traffic_and_uses():
    policy = replace(ONE, effective_labels=61.2, distinct_clusters=80, absent=0.1, label_uses=3)
    text = policy.sentence()
    assert "4 errors in 200 accepted labels of 80 distinct clusters, which count as 61" in text
    assert "10.0% has no item" in text
    assert "used 3 times" in text


def test_known_texts_are_apart():
    policy = replace(ONE, segments={KNOWN_TEXT: ONE.reviewing(100)})
    text = "Queries whose text stands in the training data (20.0% of the labels): review."
    assert text in policy.sentence()
    assert policy.sentence().startswith("Accepting queries of new texts at 0.25")
    none = replace(ONE, segments={KNOWN_TEXT: ONE.reviewing(0)})
    assert "(no label): review." in none.sentence()
    assert policy.share(KNOWN_TEXT) == 0.2
    assert policy.share("acme") == 0
    known = np.asarray([True, False])
    assert policy.decide(np.ones(2), known=known).tolist() == [False, True]
    both = replace(TWO, segments={**TWO.segments, KNOWN_TEXT: replace(ONE, accept_at=0.9)})
    assert "of the labels): accepting at 0.9 or above decides 50.0%" in both.sentence()
    got = both.decide(
        np.full(3, 0.3), ["acme", "acme", "new"], known=np.asarray([False, True, False])
    )
    assert got.tolist() == [True, False, True]
    with pytest.raises(InputError, match="give `known`"):
        policy.decide(np.ones(2))
    with pytest.raises(InputError, match="1 values of `known` for 2 rows"):
        policy.decide(np.ones(2), known=known[:1])


@pytest.mark.parametrize("policy", [ONE, TWO, replace(ONE, accept_at=None)])
def test_save_and_load(tmp_path, policy):
    path = tmp_path / "policy.json"
    policy.save(path)
    again = Policy.load(path, fitted_on="model-1")
    assert again == policy
    assert again.id == policy.id
    assert [p.name for p in tmp_path.iterdir()] == ["policy.json"]


def test_ids_follow_the_content():
    assert ONE.id == replace(ONE).id
    changed = [
        replace(ONE, accept_at=0.5),
        replace(ONE, errors=3),
        replace(ONE, fitted_on="x"),
        replace(ONE, effective_labels=199.0),
        replace(ONE, distinct_clusters=200, effective_labels=150.0),
        replace(ONE, label_uses=2),
        replace(ONE, absent=0.1),
        TWO,
        replace(TWO, segments={}),
    ]
    assert len({ONE.id, *(p.id for p in changed)}) == 10


def test_another_model_is_refused(tmp_path):
    ONE.save(tmp_path / "p.json")
    with pytest.raises(InputError, match=r"'model-1'.*'model-2'"):
        Policy.load(tmp_path / "p.json", fitted_on="model-2")


def test_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="missing; calibrate again"):
        Policy.load(tmp_path / "p.json", fitted_on="model-1")


def test_every_cut_is_refused(tmp_path):
    path = tmp_path / "p.json"
    TWO.save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read"):
            Policy.load(path, fitted_on="model-1")


@pytest.mark.parametrize("text", [b"", b"accept_at = 1", b"\xff\xfe\x00", b"[1]", b"3", b"null"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "p.json").write_bytes(text)
    with pytest.raises(InputError):
        Policy.load(tmp_path / "p.json", fitted_on="model-1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 1}, "version 1"),
        ({"version": None}, "version None"),
        ({"surprise": 1}, "it was edited"),
        ({"accept_at": 0.2}, "it was edited"),
        ({"id": "0" * 12}, "it was edited"),
        ({"accepted": True}, "it was edited"),
        ({"segments": {"a": 3}}, "it was edited"),
    ],
)
def test_changed_content_is_refused(tmp_path, change, message):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(TWO.to_dict() | change))
    with pytest.raises(InputError, match=message):
        Policy.load(path, fitted_on="model-1")


def test_missing_keys_are_refused(tmp_path):
    for name in TWO.to_dict():
        data = TWO.to_dict()
        del data[name]
        (tmp_path / "p.json").write_text(json.dumps(data))
        with pytest.raises(InputError):
            Policy.load(tmp_path / "p.json", fitted_on="model-1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accept_at": float("nan")}, "finite"),
        ({"accept_at": float("inf")}, "finite"),
        ({"errors": 201}, "201 errors in 200"),
        ({"errors": -1}, "-1 errors"),
        ({"effective_labels": 201.0}, "201 effective labels"),
        ({"distinct_clusters": 300}, "300 clusters"),
        ({"label_uses": 0}, "label_uses"),
        ({"absent": 1.0}, "below 1"),
        ({"absent": 10.0}, "write 0.1 for 10 %"),
        ({"target_precision": 95.0}, "write 0.95 for 95 %"),
        ({"segments": {"a": ONE}}, "needs `by`"),
    ],
)
def test_impossible_policies_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        replace(ONE, **change)


@pytest.mark.parametrize(
    "column",
    [
        ["a", None, "1"],
        ["a", np.nan, 1.0],
        np.array(["a", None, 1], object),
        np.array(["a", np.nan, 1.0], object),
        pd.Series(["a", pd.NA, 1], dtype=object),
        pd.Series(["a", pd.NaT, "1"]),
        pd.Series(["a", None, "1"], dtype="string"),
        pl.Series(["a", None, "1"]),
        pa.array(["a", None, "1"]),
        pa.chunked_array([["a", None], ["1"]]),
    ],
)
def test_a_value_has_one_name_in_every_kind_of_column(column):
    assert segment_names(column, 3).tolist() == ["a", "", "1"]


def test_whole_numbers_have_one_name_whether_others_are_missing_or_not():
    for column in (
        [3, 3],
        np.array([3, 3]),
        pd.Series([3.0, 3.0]),
        pa.array([3, 3]),
        pl.Series([3, 3]),
        pd.array([3, 3], "Int64"),
    ):
        assert segment_names(column, 2).tolist() == ["3", "3"]
    assert segment_names(pd.Series([3, None]), 2).tolist() == ["3", ""]
    assert segment_names([0.5], 1).tolist() == ["0.5"]


def test_a_target_is_shown_with_all_its_digits():
    assert "a precision of at least 0.99999 at" in replace(ONE, target_precision=0.99999).sentence()
