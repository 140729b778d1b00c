import pytest

from thresher.decide.options import DecideOptions
from thresher.errors import InputError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scorer": "learned"}, "decide.scorer is 'learned'; it must be one of reranker, margin"),
        ({"target": 95.0}, "decide.target is 95"),
        ({"confidence_level": 1.0}, "decide.confidence_level is 1"),
        ({"selection_share": 0.0}, "decide.selection_share is 0"),
        ({"absent": 1.0}, "decide.absent is 1"),
        ({"absent": -0.1}, "decide.absent is -0.1"),
        ({"absent": 10.0}, "write 0.1 for 10 %"),
        ({"candidates": 1}, "decide.candidates is 1"),
        ({"seed": -1}, "decide.seed is -1; it must be 0 or more"),
    ],
)
def test_values_outside_their_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        DecideOptions(**change)


def test_the_defaults_are_allowed():
    assert DecideOptions() == DecideOptions(scorer="reranker", absent=0.0, target=0.95)
