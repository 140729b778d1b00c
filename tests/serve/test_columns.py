"""Price, brand and other columns of both sides, by hand."""

import pytest

from thresher.serve.columns import compare


@pytest.mark.parametrize(
    ("query", "item", "agreement", "change"),
    [
        ("$1,299.00", 1299.0, "equal", None),
        ("100", "104", "near", 0.04),
        ("100 EUR", "150 EUR", "differs", 0.5),
        (80.0, 60.0, "differs", -0.25),
        ("Sony", "SONY", "equal", None),
        ("Bang & Olufsen", "Bang", "near", None),
        ("Sony", "LG", "differs", None),
        ("PS-LX300", "pslx300", "equal", None),
        ("KG800", "KG810", "differs", None),
        ("", "LG", "missing", None),
        (None, 3, "missing", None),
        (float("nan"), 3, "missing", None),
    ],
)
def test_columns_of_both_sides(query, item, agreement, change):
    (field,) = compare({"x": query, "own": 1}, {"x": item, "other": 2})
    assert field.agreement == agreement
    assert field.change == (None if change is None else pytest.approx(change))
