"""The same thresholds pass as in MAPIE, an independent implementation of learn-then-test."""

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController, control_fwer, precision

from oracles.traffic import curve, overconfident
from thresher.decide.binomial import p_value
from thresher.decide.sequence import Labels, passed

pytestmark = [
    pytest.mark.filterwarnings("ignore:No predict parameters were found:UserWarning"),
    pytest.mark.filterwarnings("ignore:Fixed sequence testing requires a monotonic:UserWarning"),
]


def calibrated(scores, correct, thresholds, target, confidence):
    controller = BinaryClassificationController(
        predict_function=lambda x: np.stack([1 - x, x], axis=1),
        risk=precision,
        target_level=target,
        confidence_level=confidence,
        list_predict_params=thresholds,
        fwer_method="fixed_sequence",
    )
    return controller.calibrate(scores, correct.astype(int))


def cases():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        traffic = [curve(0.995, 0.4), overconfident(0.9)][seed % 2]
        target, confidence = [(0.9, 0.9), (0.95, 0.95)][seed // 2 % 2]
        scores, correct = traffic.draw(1_000, rng)
        thresholds = np.linspace(rng.uniform(0.5, 0.9), 0.02, 60)
        yield scores + 0.5, correct, thresholds, target, confidence  # MAPIE wants probabilities


def test_the_same_thresholds_pass():
    equal = partly = 0
    for scores, correct, thresholds, target, confidence in cases():
        controller = calibrated(scores, correct, thresholds, target, confidence)
        theirs = controller.p_values[:, 0]
        labels = Labels.of(scores, correct)
        accepted, errors = labels.counts(thresholds)
        ours = p_value(errors, accepted, target=target)
        # MAPIE rounds n * rate up, and where n * rate is a hair above the number of errors it
        # counts one error more; the Hoeffding bound may then be the smaller of its two.
        one_more = p_value(np.minimum(errors + 1, accepted), accepted, target=target)
        same = np.isclose(theirs, ours, rtol=1e-6)
        assert same.mean() > 0.2
        assert np.all(same | (theirs >= ours) & (theirs <= one_more * (1 + 1e-6)))

        count = passed(labels, thresholds, target=target, level=1 - confidence)
        kept = len(controller.valid_predict_params)
        np.testing.assert_array_equal(controller.valid_predict_params, thresholds[:kept])
        # only that rounding makes MAPIE stop earlier
        assert kept == count or (kept < count and not same[kept])
        equal += kept == count
        partly += 0 < kept == count < len(thresholds)
    assert equal >= 20
    assert partly >= 5


def test_the_fixed_sequence_is_the_same_on_equal_p_values():
    for scores, correct, thresholds, target, confidence in cases():
        labels = Labels.of(scores, correct)
        accepted, errors = labels.counts(thresholds)
        p_values = p_value(errors, accepted, target=target)
        theirs = control_fwer(p_values, 1 - confidence, "fixed_sequence")
        count = passed(labels, thresholds, target=target, level=1 - confidence)
        assert list(theirs) == list(range(count))
