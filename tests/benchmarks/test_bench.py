"""The table of `make bench` and the page of its history, from numbers made up by hand."""

import pytest

from bench import page, row, slope, table


def test_a_row_has_the_ratio_to_its_peer():
    one = row("search", 3.0, "s", "1.1 times", peer="faiss 1.8 flat", value=2.0)
    assert one["ratio"] == 1.5
    assert row("artifact", 12.0, "MB", "10 MB")["ratio"] is None


def test_the_table_says_what_is_not_installed():
    rows = [
        row("search", 3.0, "s", "1.1 times", peer="faiss 1.8 flat", value=2.0),
        row("training", 1234.5, "pairs/s", "3 times", peer="not installed: datasets"),
        {"what": "serve", "ours": None, "unit": "", "target": "", "peer": "none", "ratio": None},
    ]
    assert table(rows).splitlines()[2:] == [
        "| search | 3 s | faiss 1.8 flat: 2 | 1.50 | 1.1 times |",
        "| training | 1,234 pairs/s | not installed: datasets |  | 3 times |",
        "| serve |  | none |  |  |",
    ]


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_of_the_size(power):
    sizes = [1000, 10_000, 100_000]
    assert slope(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_the_page_has_a_column_for_each_commit():
    search = {"peer": "faiss", "value": 2.0}
    growth = {"exponents": {"index, processor": 1.1}}
    about = {"day": "2026-12-01", "note": "", "growth": growth}
    before = about | {"commit": "aaaaaaa", "rows": [row("search", 4.0, "s", "", **search)]}
    rows = [row("search", 3.0, "s", "", **search), row("artifact", 12.0, "MB", "10 MB")]
    lines = page([before, about | {"commit": "bbbbbbb", "rows": rows}]).splitlines()
    assert "| what | aaaaaaa, 2026-12-01 | bbbbbbb, 2026-12-01 |" in lines
    assert "| search | 4 s (2.00) | 3 s (1.50) |" in lines
    assert "| artifact |  | 12 MB |" in lines
    assert any("index, processor 1.1" in line for line in lines)
