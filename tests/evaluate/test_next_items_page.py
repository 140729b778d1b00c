"""The report of a history run: right numbers, inert texts, honest words."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.errors import InputError
from thresher.evaluate.next_items_figures import apart
from thresher.evaluate.next_items_page import NextItemsReport, write_next_items

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'></style> & ${title} $x_1$"
POPULARITY = {"recall@50": 0.0512, "recall@200": 0.125, "popularity@50": 3.456}
MODEL = {
    "items": 43_210.0,
    "recall@50": 0.3456,
    "recall@200": 0.5,
    "hit_rate@50": 0.4,
    "ndcg@50": 0.23456,
    "catalogue_coverage@50": 0.61,
    "popularity@50": 1.25,
    "unseen/targets": 0.0,
    "unseen/recall@50": float("nan"),
    "rare/targets": 1234.0,
    "rare/recall@50": 0.1111,
    "head/targets": 12.0,
    "head/recall@50": 0.75,
    "map@200": 0.0625,
}
INFORMATION = np.array([[6.5, 1.25, 0.125], [1.25, 3.75, 0.0], [0.125, 0.0, 2.5]])


class Page(HTMLParser):
    """What a browser would find in a page: tags, attributes, and text with plain blanks."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(markup)
        self.text = self.text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{WORD JOINER}", "")

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.text += data


def full(words="words", **changes):
    """A report with every section, each text of it the given words."""
    parts = {
        "title": words,
        "systems": {f"popularity {words}": POPULARITY, f"model {words}": MODEL},
        "intervals": {"recall@50": (0.33, 0.3612)},
        "facts": {words: words},
        "findings": [words],
        "settings": {words: words},
        "information": ((words, "title", "price"), INFORMATION),
        "item_map": (np.array([[0.5, -1.0], [0.0, 2.0], [-3.0, 0.25]]), [words, "", words]),
        "neighbours": [(words, {words: [words, "b"], "after": []}), ("c", {"after": ["d"]})],
    }
    return NextItemsReport(**(parts | changes))


def page_of(report, folder):
    return write_next_items(report, folder).read_text("utf-8")


def section_of(markup, heading):
    """The markup of the section under a heading."""
    part = markup[markup.index(f"<h2>{heading}") :]
    return part[: part.index("</section>")]


def table_after(markup, heading):
    """The cells of the first table below a heading, a list a row."""
    section = markup[markup.index(heading) :]
    rows = re.findall(r"<tr.*?</tr>", section[: section.index("</table>")], re.DOTALL)
    found = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line) for line in rows]
    return [[cell.replace("\N{NO-BREAK SPACE}", " ") for cell in line] for line in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page_of(full(), tmp_path_factory.mktemp("whole"))


def test_page_says_the_headline_with_its_numbers(whole):
    text = Page(whole).text
    assert "35 % of what users take next stands among the first 50 of 43,210 items" in text
    assert "The best of the others, popularity words, finds 5.1 %." in text
    assert "recall@5034.6 %33.0\N{EN DASH}36.1" in text  # a tile, with its interval
    assert "recall@20050.0 %" in text


def test_systems_stand_beside_each_other(whole):
    assert table_after(whole, "<h2>How much is found, and by what")[1:] == [
        ["popularity words", "5.1 %", "12.5 %"],
        ["model words", "34.6 %", "50.0 %"],
    ]
    dash = "\N{EN DASH}"
    assert table_after(whole, "<h2>Lists of 50, by other measures")[1:] == [
        ["popularity words", dash, dash, dash, "3.46"],
        ["model words", "40.0 %", "0.2346", "61.0 %", "1.25"],
    ]


def test_kinds_of_targets_are_listed_where_there_are_some(whole):
    assert table_after(whole, "<h2>Where it is easy")[1:] == [
        ["1 to 4 times in training", "1,234", "11.1 %", "\N{EN DASH}"],
        [
            *("in training, among the most popular tenth of the items", "12", "75.0 %"),
            "\N{EN DASH}",
        ],
    ]


def test_all_numbers_of_the_model_are_listed(whole):
    rows = table_after(whole, "<h2>The model in numbers")
    assert rows[0][1:] == ["50", "200"]
    assert [line[1:] for line in rows[1:3]] == [["0.3456", "0.5000"], ["0.4000", "\N{EN DASH}"]]
    assert rows[4][0].startswith("MAP<br>")
    assert rows[4][1:] == ["\N{EN DASH}", "0.0625"]


def test_what_features_tell_is_drawn_with_its_numbers(whole):
    part = section_of(whole, "What the item features tell about each other")
    written = Page(part[: part.index("<figcaption>")]).text.split()
    assert {"words", "title", "price"} <= set(written)
    cells = [word for word in written if re.fullmatch(r"\d\.\d\d", word)]
    assert sorted(cells) == sorted(f"{value:.2f}" for value in INFORMATION.flat)
    assert "masked together" in part


def test_map_says_how_many_of_what_it_shows(whole):
    text = Page(section_of(whole, "A map of the items")).text
    assert "words (2)" in text
    assert "other (1)" in text
    assert "3 items, near each other where" in text


def test_nearest_items_stand_in_a_column_each(whole):
    rows = table_after(whole, "<h2>Nearest items")
    assert rows[0] == ["item", "words", "after"]
    dash = "\N{EN DASH}"
    assert [[Page(cell).text for cell in line] for line in rows[1:]] == [
        ["words", "1 words2 b", dash],
        ["c", dash, "1 d"],
    ]


def test_parts_about_items_are_left_out_where_nothing_is_known(tmp_path):
    report = NextItemsReport(title="t", systems={"m": MODEL}, item_map=(np.empty((0, 2)), []))
    page = page_of(report, tmp_path)
    assert "item features" not in page
    assert "map of the items" not in page
    assert "Nearest" not in page
    assert (
        not {"information", "neighbours"}
        & json.loads((tmp_path / "report.json").read_text()).keys()
    )


def test_page_needs_nothing_but_itself(whole):
    page = Page(whole)
    assert not {"script", "link", "img", "iframe", "object", "embed", "a"} & set(page.tags)
    for _, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "data")
        if name in ("href", "xlink:href"):
            assert value.startswith("#")


def test_hostile_texts_are_inert_everywhere(whole, tmp_path):
    hostile = Page(page_of(full(HOSTILE), tmp_path))
    assert hostile.tags == Page(whole).tags  # no text opened or closed one
    assert [name for _, name, _ in hostile.attributes if name.startswith("on")] == []
    # title twice, headline, two systems in two tables, facts, finding and settings, neighbours
    assert hostile.text.count(HOSTILE) >= 15


@pytest.mark.parametrize("words", ["日本語", "naïve 🙂", "a\x00b\x1b", "\ud800", "", "x" * 5000])
def test_any_text_makes_a_page(tmp_path, words):
    page = page_of(full(words), tmp_path)
    assert "\x00" not in page
    assert "x" * 301 not in page
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["title"] == words


def test_a_better_rival_is_admitted(tmp_path):
    rivals = {"GRU": {"recall@50": 0.2}, "kNN": {"recall@50": 0.4}, "none": {"recall@50": None}}
    text = Page(page_of(full(systems=rivals | {"model": MODEL}), tmp_path)).text
    assert "The best of the others, kNN, finds 40 %: more than this model." in text


def test_the_headline_speaks_of_the_depth_asked_for(tmp_path):
    text = Page(page_of(full(depth=200), tmp_path)).text
    assert "50 % of what users take next stands among the first 200 of" in text
    assert "Lists of 200, by other measures" in text


def test_where_queries_ask_nobody_takes(tmp_path):
    page = page_of(full(asking="queries"), tmp_path)
    assert "35 % of what queries ask for stands among the first 50 of" in Page(page).text
    assert "users" not in page


def test_one_system_is_compared_with_none(tmp_path):
    text = Page(
        page_of(NextItemsReport(title="t", systems={"m": {"recall@5": 0.0}}), tmp_path)
    ).text
    assert "0 % of what users take next stands among the first 5 items" in text
    assert "others" not in text
    assert "by what" not in text
    assert "interval" not in text


@pytest.mark.parametrize(
    ("systems", "depth"),
    [({}, None), ({"m": {}}, None), ({"m": {"recall@5": None}}, None), ({"m": MODEL}, 20)],
)
def test_a_report_without_its_number_is_refused(systems, depth):
    with pytest.raises(InputError, match="give one system or more"):
        NextItemsReport(title="t", systems=systems, depth=depth)


def test_json_holds_every_number(tmp_path):
    page_of(full(), tmp_path)
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["systems"]["popularity words"] == POPULARITY
    assert found["systems"]["model words"] == MODEL | {"unseen/recall@50": None}
    assert (found["model"], found["depth"]) == ("model words", 50)
    assert found["intervals"] == {"recall@50": [0.33, 0.3612]}
    assert found["facts"] == found["settings"] == {"words": "words"}
    assert found["findings"] == ["words"]
    assert found["information"]["features"] == ["words", "title", "price"]
    assert found["information"]["nats"] == INFORMATION.tolist()
    assert found["item_map"]["coordinates"] == [[0.5, -1.0], [0.0, 2.0], [-3.0, 0.25]]
    assert found["item_map"]["labels"] == ["words", "", "words"]
    assert found["neighbours"] == [
        {"item": "words", "nearest": {"words": ["words", "b"], "after": []}},
        {"item": "c", "nearest": {"after": ["d"]}},
    ]


def test_same_report_is_the_same_file_and_replaces_the_old(tmp_path):
    first = write_next_items(full(), tmp_path / "new" / "folder")
    before = first.read_bytes()
    write_next_items(full("other"), first.parent)
    assert b"other" in first.read_bytes()
    write_next_items(full(), first.parent)
    assert first.read_bytes() == before
    assert sorted(p.name for p in first.parent.iterdir()) == ["report.html", "report.json"]


def test_drawing_is_loaded_only_to_draw():
    code = "import sys, thresher.evaluate.next_items_page as p; "
    code += "print({'matplotlib', 'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Where the names of curves stand


def test_names_are_moved_apart_by_hand():
    # .5 and .52 are .08 too near: each gives way by half; .1 stays; those at .98 are kept below 1
    assert apart(np.array([0.52, 0.1, 0.5]), gap=0.1) == pytest.approx([0.56, 0.1, 0.46])
    assert apart(np.array([0.98, 0.98]), gap=0.1) == pytest.approx([0.9, 1.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_names_are_apart_in_order_and_inside(heights):
    placed = apart(np.array(heights), gap=0.1)
    order = np.argsort(heights, kind="stable")
    assert (np.diff(placed[order]) >= 0.1 - 1e-9).all()
    assert placed.min() >= 0
    assert placed.max() <= 1 + 1e-9
    far = len(heights) == 1 or np.diff(np.sort(heights)).min() >= 0.1
    if far:
        assert placed == pytest.approx(heights)
