"""Options of every loss that are no numbers."""

import inspect

import pytest

from thresher.errors import InputError
from thresher.losses import LOSSES

# None leaves these out.
OPTIONAL = {"dim", "hidden", "smallest_margin"}
NUMBERS = [
    (kind, name)
    for kind, made in LOSSES.items()
    for name, option in inspect.signature(made).parameters.items()
    if any(word in str(option.annotation) for word in ("float", "int"))
]


def test_there_are_options_to_try():
    assert {kind for kind, _ in NUMBERS} == set(LOSSES)
    assert ("croloss", "alpha") in NUMBERS


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize("value", ["1", [1], None, True])
@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_an_option_that_is_no_number_is_refused(kind, name, value):
    if value is None and name in OPTIONAL:
        LOSSES[kind](**{name: None})
        return
    with pytest.raises(InputError, match=name) as caught:
        LOSSES[kind](**{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("kind", "name"), [("hinge", "hardest"), *(("alc", n) for n in ("dim", "hidden", "hardest"))]
)
def test_a_count_is_a_whole_number(kind, name):
    with pytest.raises(InputError, match=rf"{name} of .* is 2\.5"):
        LOSSES[kind](**{name: 2.5})
