"""A report says which queries it is about."""

from pathlib import Path

from thresher.jobs.evaluate import _source


def test_only_the_own_test_split_is_called_kept_apart():
    assert _source({}, "test") is None
    assert _source({}, "validation") == "queries of the split 'validation'"
    files = {"queries": Path("a/new.csv"), "pairs": Path("a/pairs.csv")}
    assert _source(files, "test") == "queries of new.csv, pairs.csv"
