"""The table of a grid, as people and machines read it."""

from thresher.bench.figure import coverage_bars, save
from thresher.bench.table import Column, Row, Spread, as_json, markdown, written

BLOCKS = {
    "Ranking": [Column("P@1", "p"), Column("OPIS", "opis", "number")],
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
| plain (1 of 2 seeds) | .800 | 0.500 |
| both | .820 ± .028 | 1.500 ± 0.354 |
| lost (0 of 2 seeds) | - | - |

**Certified**

| | certified |
|-|-|
| both | .500 |
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
    assert written(Spread(None, None)) == "-"
    assert written(Spread(1.0, 0.0)) == "1.000 ± .000"
    assert written(Spread(0.0, None)) == ".000"
    assert written(Spread(0.25, None), "number") == "0.250"


def test_every_value_of_every_seed():
    plain, both, lost = as_json(ROWS)
    assert plain["sd"] == {"p": None, "opis": None, "rate": None, "c": None}
    assert plain["mean"]["c"] is None
    assert both["runs"]["1"] == {"p": 0.84, "opis": 1.75, "rate": 12345.4, "c": None}
    assert (both["mean"]["c"], both["sd"]["c"]) == (0.5, None)
    assert lost == {"name": "lost", "runs": {}, "mean": {}, "sd": {}}


def test_the_figure_draws_what_is_there(tmp_path):
    key = "coverage@precision=0.95"
    runs = {0: {f"raw/{key}": 0.4, f"learned/{key}": 0.8}, 1: {f"raw/{key}": 0.6}}
    rows = [Row("a", runs, "one"), Row("b", runs, "two"), Row("lost", {}, "two")]
    figure = coverage_bars(rows, precision=0.95)
    bars = [patch for patch in figure.axes[0].patches]
    assert [round(bar.get_width(), 6) for bar in bars] == [0.5, 0.5]
    # Row centres 0 and 1.6: a new group stands 0.6 rows further down.
    assert [round(bar.get_y() + bar.get_height() / 2, 6) for bar in bars] == [0.0, 1.6]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "lost"]
    save(figure, tmp_path / "f.png")
    assert [path.name for path in tmp_path.iterdir()] == ["f.png"]
    coverage_bars([], precision=0.9)
