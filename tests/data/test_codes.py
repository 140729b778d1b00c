"""Codes, numbers and units of product texts."""

import pytest

from thresher.data.codes import AGREEMENT, agreement, marks


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Bosch KIN85AF30", ("kin85af30",)),
        ("canon rf 3111", ("3111", "rf3111")),
        ("made in 2018", ("in2018",)),
        ("phone 64gb", ()),
        ("", ()),
    ],
)
def test_codes(text, codes):
    assert marks(text).codes == codes


def test_units_with_and_without_a_blank():
    assert marks("64gb 8 kg 128 GB").units == {"gb": {"64", "128"}, "kg": {"8"}}


def agreed(query: str, item: str) -> dict[str, float]:
    return dict(zip(AGREEMENT, agreement(marks(query), marks(item)), strict=True))


def test_a_code_is_found_however_it_is_split():
    found = agreed("bosch kin 85 af30 fridge", "Bosch KIN85AF30")
    assert found["item code, share found in the query"] == 1
    assert found["item code in the query, characters"] == len("kin85af30")


def test_a_code_of_a_sibling_is_found_in_part():
    found = agreed("bosch kin85af20", "Bosch KIN85AF30")
    # kin85af is found, 7 of 9 characters; the query's code is not in the item
    assert found["item code, share found in the query"] == pytest.approx(7 / 9)
    assert found["item code in the query, characters"] == 0
    assert found["query code not in the item, characters"] == 9


def test_numbers_and_units():
    found = agreed("phone 8 64gb red", "phone 8 256gb")
    assert found["numbers in both"] == 1
    assert found["numbers only in the item"] == found["numbers only in the query"] == 1
    assert (found["units that agree"], found["units that differ"]) == (0, 1)


def test_texts_without_marks_agree_on_nothing():
    assert agreement(marks(""), marks("")) == (-1.0, 0, 0, 0, 0, 0, 0, 0, 0)
