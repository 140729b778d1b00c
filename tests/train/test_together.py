"""Options that contradict each other are refused with one sentence; what fits is not."""

import pytest

from thresher.errors import InputError
from thresher.train.together import check_together

FITS = {
    "tower": {"kind": "features", "interests": 1},
    "labels": {"kind": "text"},
    "classifiers": {"epochs": 0},
    "train": {"hard_negatives": 0, "cluster_from_epoch": -1, "negatives": "batch"},
}


def check(terms=("query_item",), events=False, **changed):
    sections = {name: {**table, **changed.get(name, {})} for name, table in FITS.items()}
    check_together(sections, [{"name": n, "links": n} for n in terms], events=events)


UNTRAINED = r"no trainable parameters; remove \[labels\] and \[classifiers\]"
REFUSED = {
    "labels of tfidf": ({"tower": {"kind": "tfidf"}, "labels": {"kind": "shared"}}, UNTRAINED),
    "classifiers of vectors": (
        {"tower": {"kind": "vectors"}, "classifiers": {"epochs": 2}},
        UNTRAINED,
    ),
    "events of sentences": ({"tower": {"kind": "sentence"}, "events": True}, "queries are events"),
    "interests without events": ({"tower": {"interests": 2}}, "queries have no events"),
    "mining with interests": (
        {"tower": {"interests": 2}, "train": {"hard_negatives": 1}, "events": True},
        r"train\.hard_negatives needs one vector a query, and tower\.interests is 2",
    ),
    "labels with interests": (
        {"tower": {"interests": 2}, "labels": {"kind": "shared"}, "events": True},
        r"\[labels\] needs one vector",
    ),
    "prototypes of a catalogue": (
        {"labels": {"kind": "prototype"}, "train": {"negatives": "catalogue"}},
        r"leave out train\.negatives = 'catalogue'",
    ),
    "views of sentences": (
        {"tower": {"kind": "sentence"}, "terms": ["views"]},
        r"reads links 'views', .* the tower is 'sentence'",
    ),
    "links of prototypes": (
        {"terms": ["query_text"]},
        r"'query_text', which label prototypes have; set labels\.kind = 'prototype'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_is_refused(name):
    changed, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as caught:
        check(**changed)
    assert "\n" not in str(caught.value)


def test_what_fits_is_not():
    check()
    check(events=True, tower={"interests": 4})
    check(["views", "spread_out"], labels={"kind": "shared"}, classifiers={"epochs": 1})
    check(["query_item", "text_query"], labels={"kind": "prototype"}, train={"hard_negatives": 2})
