"""The table of a comparison, as people and machines read it."""

from thresher.jobs.table import Column, Row, Spread, as_json, markdown

BLOCKS = {
    "Ranking": [Column("P@1", "p"), Column("OPIS", "opis")],
    "Certified": [Column("certified", "c")],
    "Cost": [Column("pairs/s", "rate", "count"), Column("nobody has it", "none")],
    "Empty": [Column("nobody has it", "none")],
}
ROWS = [
    Row("plain", {0: {"p": 0.8, "opis": 0.5, "rate": 1000.0, "c": None}}),
    Row(
        "both",
        {
            0: {"p": 0.80, "opis": 1.25, "rate": 12345.4, "c": 0.5},
            1: {"p": 0.84, "opis": 1.75, "rate": 12345.4, "c": None},
        },
    ),
    Row("lost", {}),
]
# both: mean .82, sample deviation sqrt(2 * .02^2 / 1) = .02828; OPIS 1.5, sqrt(2 * .25^2) = .35355.
PAGE = """\
**Ranking**

| | P@1 | OPIS |
|-|-|-|
| plain (1 of 2 seeds) | 0.800 | 0.500 |
| both | 0.820 ± 0.028 | 1.500 ± 0.354 |
| lost (0 of 2 seeds) | - | - |

**Certified**

| | certified |
|-|-|
| both | 0.500 |
| lost (0 of 2 seeds) | - |

**Cost**

| | pairs/s |
|-|-|
| plain (1 of 2 seeds) | 1,000 |
| both | 12,345 ± 0 |
| lost (0 of 2 seeds) | - |"""


def test_the_page():
    assert markdown(ROWS, BLOCKS, seeds=2) == PAGE
    assert markdown([], BLOCKS, seeds=2) == ""


def test_one_number():
    assert Spread(None, None).text() == "-"
    assert Spread(1.0, 0.0).text() == "1.000 ± 0.000"
    assert Spread(0.25, None).text("percent") == "25.00"
    assert Spread(1234.5, 2.0).text("count") == "1,234 ± 2"


def test_every_value_of_every_seed():
    plain, both, lost = as_json(ROWS)
    assert plain["sd"] == {"p": None, "opis": None, "rate": None, "c": None}
    assert plain["mean"]["c"] is None
    assert both["runs"]["1"] == {"p": 0.84, "opis": 1.75, "rate": 12345.4, "c": None}
    assert (both["mean"]["c"], both["sd"]["c"]) == (0.5, None)
    assert lost == {"name": "lost", "runs": {}, "mean": {}, "sd": {}}
