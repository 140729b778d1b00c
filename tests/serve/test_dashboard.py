"""The numbers of the dashboard, by hand."""

import math
import time

import numpy as np
import pytest

from thresher.serve.dashboard import drift, overview, stability


def test_the_stability_index_by_hand():
    before = np.arange(1000) / 1000  # a hundred in each tenth
    now = np.repeat([0.05, 0.95], [100, 100])  # half in the first tenth, half in the last
    p, full, none = 100.5 / 1005, 100.5 / 205, 0.5 / 205
    expected = 2 * (full - p) * math.log(full / p) + 8 * (none - p) * math.log(none / p)
    assert stability(before, now) == pytest.approx(expected)
    assert stability(before, before) == pytest.approx(0)


def test_few_values_say_nothing_and_constant_ones_do_not_fail():
    many = np.arange(1000) / 1000
    assert stability(many, many[:99]) is None
    assert stability(np.full(200, 0.5), np.full(200, 0.5)) == pytest.approx(0)
    assert drift(np.zeros(0), np.array([0.5])).words == "too few decisions to tell"


def test_histograms_are_shares_on_one_axis():
    found = drift(np.array([0.0, 0.5, 1.0, 1.0]), np.array([-1.0, 2.0, -np.inf]))
    assert (found.low, found.high) == (-1.0, 2.0)
    assert sum(found.before) == pytest.approx(1)
    assert (found.now[0], found.now[-1]) == (0.5, 0.5)
    assert found.before[-1] == 0


def test_everybody_who_judged_is_shown_with_a_key_or_without(service, client, offers):
    assert client.post("/v1/match", json={"queries": offers[:40]}).status_code == 200
    cases = service.store.cases()
    for case, (name, source) in zip(
        cases, (("zoe", "person"), ("ann", "person"), ("rule 8", "rule")), strict=False
    ):
        service.store.verdict(case.id, reviewer=name, kind="none", source=source)
    found = overview(service, time.time()).reviewers
    assert [(one.name, one.judged) for one in found] == [("ann", 1), ("zoe", 1)]
