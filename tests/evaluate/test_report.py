"""The report: right numbers, inert texts, and a page for every kind of emptiness."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy import stats

from thresher.errors import InputError
from thresher.evaluate.placing import roomiest
from thresher.evaluate.report import (
    Certified,
    Mistake,
    NotCertified,
    OpenCatalogue,
    Report,
    Reviewed,
    Slice,
    System,
    count_slices,
    save_figure,
    write_report,
)
from thresher.evaluate.summary import precision_interval

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'></style> & ${title} $x_1$"


class Page(HTMLParser):
    """What a browser would find in a page: tags, attributes, ids, and text."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.attributes, self.ids, self.text = [], [], [], ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text += data


def system(name="model", *, queries=400, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.normal(size=queries)  # on both sides of zero
    return System(name, confidence, rng.normal(size=queries) < confidence + 1)


def full(words="words"):
    """A report with every section, each text of it the given words."""
    part = Slice(words, 100, 80, 4, 0.9)
    return Report(
        words,
        headline=Certified(0.95, 0.9, 0.25, Slice(words, 400, 300, 12), 0.7),
        metrics={"P@1": 0.875, words: 0.5, "recall@10": float("nan"), "mrr@10": None},
        intervals={"P@1": (0.85, 0.9)},
        systems=(system(words), system(words + "2", seed=1)),
        categories=(part,),
        slices=(part,),
        mistakes=(Mistake(words, words, words, 0.99), Mistake("query", words, None, 0.8)),
        reviewed=(Reviewed(words, [words, "item " + words], 0.4, right=1),),
        open_catalogue=(OpenCatalogue(0.1, part),),
        provenance={words: words},
    )


def page_of(report, folder):
    return write_report(report, folder).read_text("utf-8")


def numbers_of(report, folder):
    write_report(report, folder)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "report.json").read_text("utf-8"), parse_constant=refuse)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of a report with every section, drawn once."""
    return page_of(full(), tmp_path_factory.mktemp("whole"))


# The page


def test_page_says_the_headline_with_its_numbers(whole):
    text = Page(whole).text.replace("\N{NO-BREAK SPACE}", " ")
    # 300 of 400 = 75 %; 288 right of 300 = 96 %; 100 of 400 = 25 % for a person
    assert "At 95 % precision you can automate 75 % of your matching" in text
    assert "Of 400 test queries" in text
    assert "300 were accepted automatically, 12 of them wrong: a precision of 96.0 %" in text
    assert "100" + "25 % of all queries" in text
    assert "with 90 % confidence, at least 95 % of what it accepts is right" in text


def test_page_needs_nothing_but_itself(whole):
    page = Page(whole)
    assert not {"script", "link", "img", "iframe", "object", "embed", "a"} & set(page.tags)
    for _, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "data")
        if name in ("href", "xlink:href"):
            assert value.startswith("#")
    outside = re.findall(r"(?:url\(|@import)\s*['\"]?([^#)'\"][^)]*)", whole)
    assert outside == []


def test_page_references_only_ids_it_has_and_none_twice(whole):
    ids = Page(whole).ids
    assert len(ids) == len(set(ids)) > 0
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', whole))
    assert used
    assert used <= set(ids)


def test_hostile_texts_are_inert_everywhere(tmp_path):
    harmless, hostile = (
        Page(page_of(full(), tmp_path / "a")),
        Page(page_of(full(HOSTILE), tmp_path)),
    )
    assert "script" not in hostile.tags
    assert "img" not in hostile.tags
    assert [name for _, name, _ in hostile.attributes if name.startswith("on")] == []
    # The same tags but for the marks of differing words: no text opened or closed one.
    ours = {"main", "section", "figure", "table", "tr", "th", "td", "small", "p", "span", "title"}
    assert [t for t in hostile.tags if t in ours] == [t for t in harmless.tags if t in ours]
    # title twice, systems in the table, category, slice, metric, both cases and provenance
    assert hostile.text.count(HOSTILE) >= 10


@pytest.mark.parametrize(
    "words", ["日本語のタイトル", "منتج جديد", "naïve 🙂", "a\x00b\x1b", "\ud800", "", "x" * 5000]
)
def test_any_text_makes_a_page(tmp_path, words):
    page = page_of(full(words), tmp_path)
    assert "\x00" not in page
    assert "x" * 301 not in page
    numbers = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert numbers["title"] == words  # the numbers keep it whole


def test_report_without_anything_is_a_title(tmp_path):
    page = Page(page_of(Report("Offers to products"), tmp_path))
    assert "Offers to products" in page.text
    assert "h2" not in page.tags


def test_each_part_shows_alone(tmp_path):
    parts = full()
    for name in ("systems", "categories", "slices", "mistakes", "reviewed", "open_catalogue"):
        alone = Report("t", **{name: getattr(parts, name)})
        assert Page(page_of(alone, tmp_path)).tags.count("h2") == (2 if name == "systems" else 1)
    assert "recall@10" in page_of(Report("t", metrics=parts.metrics), tmp_path)


def test_no_threshold_is_said_in_its_own_words(tmp_path):
    sentence = "No threshold reaches 0.98; about 140 more labels would settle it."
    report = Report("t", NotCertified(0.98, 0.9, sentence), systems=(system(),))
    text = Page(page_of(report, tmp_path)).text
    assert sentence in text
    assert "you can automate" not in text
    assert numbers_of(report, tmp_path)["headline"]["sentence"] == sentence


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (5, None),  # 95 % of 100: the target is met
        (8, "no further than chance explains"),  # 92 % of 100; the interval ends at 96.5 %
        (30, "clearly below the target"),  # 70 % of 100; the interval ends at 78.8 %
    ],
)
def test_a_missed_target_is_admitted(tmp_path, wrong, says):
    text = Page(
        page_of(Report("t", Certified(0.95, 0.9, 1.0, Slice("", 200, 100, wrong))), tmp_path)
    ).text
    for words in ("no further than chance explains", "clearly below the target"):
        assert (words in text) == (words == says)


def test_slices_below_the_target_are_marked(tmp_path):
    parts = (Slice("poor", 100, 100, 40), Slice("good", 100, 100, 1), Slice("few", 3, 3, 1))
    report = Report("t", Certified(0.95, 0.9, 1.0, Slice("", 203, 203, 5)), slices=parts)
    rows = re.findall(
        r"<tr>(?:(?!</tr>).)*\N{BLACK DOWN-POINTING TRIANGLE}", page_of(report, tmp_path)
    )
    assert len(rows) == 1
    assert "poor" in rows[0]


def test_missing_numbers_are_dashes(tmp_path):
    text = Page(
        page_of(Report("t", metrics={"a": float("nan"), "b": None, "c": 0.5}), tmp_path)
    ).text
    assert text.count("\N{EN DASH}") == 2
    text = Page(page_of(Report("t", slices=(Slice("none", 0, 0, 0),)), tmp_path)).text
    assert text.count("\N{EN DASH}") == 3  # P@1, coverage, precision


def test_mistakes_come_surest_first_with_their_truth(tmp_path):
    cases = [Mistake("q", f"item {n}", None if n else "true", n / 100) for n in range(30)]
    text = Page(page_of(Report("t", mistakes=cases), tmp_path)).text
    assert text.index("item 29") < text.index("item 28") < text.index("item 10")
    assert "item 9" not in text.replace("item 29", "")  # 20 of the 30 are shown
    assert "The surest 20 of 30." in text
    assert text.count("not in the catalogue") == 20


def test_words_that_the_query_lacks_are_marked(tmp_path):
    case = Mistake("iphone 8 256 gb red", "Apple iPhone 8 256GB", "iPhone-8 (Red) 64 GB", 0.9)
    page = page_of(Report("t", mistakes=[case]), tmp_path)
    assert re.findall("<mark>(.*?)</mark>", page) == ["underlined", "Apple", "64"]


def test_tick_is_on_the_true_candidate(tmp_path):
    page = page_of(Report("t", reviewed=[Reviewed("q", ["one", "two", "three"], 0.2, 1)]), tmp_path)
    row = re.findall("<tr>.*?</tr>", page)[-1]
    first, second = re.findall("<td.*?</td>", row)[1:3]
    assert "\N{CHECK MARK}" not in first
    assert "\N{CHECK MARK}" in second
    assert "three" not in row


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        ([], []),
        ([0.5], [True]),
        ([0.5, 0.5], [False, False]),
        ([-np.inf, -np.inf, -np.inf], [False, False, False]),
        ([-np.inf, 2.0, -1e9], [False, True, True]),
        (list(range(-200, 200)), [True] * 400),
        (list(range(-200, 200)), [False] * 400),
    ],
)
def test_degenerate_curves_are_drawn(tmp_path, confidence, correct):
    one = System("s", np.array(confidence, np.float64), np.array(correct, bool))
    queries = len(correct)
    headline = Certified(0.995, 0.9, 0.1, Slice("", queries, queries, 0))
    page = page_of(Report("t", headline, systems=[one]), tmp_path)
    assert page.count("<svg") == (2 if queries else 0)


def test_dollar_signs_in_names_are_not_formulas(tmp_path):
    page = page_of(Report("t", systems=(system("from $1 to $2"),)), tmp_path)
    drawn = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert "from $1 to $2" in Page(drawn[0]).text


# The numbers and the files


def test_json_holds_every_number(tmp_path):
    found = numbers_of(full(), tmp_path)
    assert found["metrics"] == {"P@1": 0.875, "words": 0.5, "recall@10": None, "mrr@10": None}
    assert found["intervals"] == {"P@1": [0.85, 0.9]}
    assert found["headline"]["test"]["coverage"] == 0.75  # 300 of 400
    assert found["headline"]["test"]["precision"] == 0.96  # 288 of 300
    assert found["categories"][0]["precision"] == 0.95  # 76 of 80
    assert found["mistakes"][1]["truth"] is None
    assert [s["queries"] for s in found["systems"]] == [400, 400]


def test_json_compares_systems(tmp_path):
    # 100 surest right, then 100 wrong: all precisions >= .9 stop at 111 of 200 (100/111 = .9009)
    one = System("s", np.arange(200.0)[::-1].copy(), np.arange(200) < 100)
    found = numbers_of(Report("t", systems=[one]), tmp_path)["systems"][0]
    assert found["p_at_1"] == 0.5
    assert found["coverage_at"]["0.90"] == 111 / 200
    assert found["coverage_at"]["0.99"] == 101 / 200  # 100/101 = .9901


def test_same_report_is_the_same_file_and_replaces_the_old(tmp_path):
    first = write_report(full(), tmp_path / "new" / "folder")
    before = first.read_bytes()
    write_report(Report("other"), first.parent)
    assert b"other" in first.read_bytes()
    write_report(full(), first.parent)
    assert first.read_bytes() == before
    assert sorted(p.name for p in first.parent.iterdir()) == ["report.html", "report.json"]


def test_figure_is_a_small_png(tmp_path):
    systems = [system(f"system {seed}", queries=3000, seed=seed) for seed in range(6)]
    path = tmp_path / "figures" / "curve.png"
    save_figure(Report("t", full().headline, systems=systems), path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size < 100_000
    assert [p.name for p in path.parent.iterdir()] == ["curve.png"]


def test_figure_without_a_curve_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least one query"):
        save_figure(Report("t"), tmp_path / "curve.png")


def test_drawing_is_loaded_only_to_draw():
    code = "import sys, thresher.evaluate.report; print({'matplotlib', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# The values


def test_interval_by_hand():
    # none wrong of 100: L^100 = .025, L = .025^.01 = .96378; none right: the mirror image
    low, high = precision_interval(100, 0)
    assert (low, high) == (pytest.approx(0.96378, abs=1e-5), 1.0)
    assert precision_interval(100, 100) == (0.0, pytest.approx(0.03622, abs=1e-5))
    assert precision_interval(0, 0) is None


@given(st.integers(1, 300), st.data())
def test_interval_ends_where_the_tails_are_a_fortieth(accepted, data):
    wrong = data.draw(st.integers(0, accepted))
    low, high = precision_interval(accepted, wrong)
    right = accepted - wrong
    assert low <= right / accepted <= high
    if right:
        assert stats.binom.sf(right - 1, accepted, low) == pytest.approx(0.025, rel=1e-6)
    if wrong:
        assert stats.binom.cdf(right, accepted, high) == pytest.approx(0.025, rel=1e-6)


def test_slices_are_counted():
    accepted = np.array([True, True, False, True])
    correct = np.array([True, False, True, True])
    masks = {"a": np.array([True, True, True, False]), "none": np.zeros(4, bool)}
    # a: queries 0, 1, 2; accepted 0 and 1; of those 1 is wrong; right at first 0 and 2
    assert count_slices(masks, accepted, correct) == (
        Slice("a", 3, 2, 1, 2 / 3),
        Slice("none", 0, 0, 0, None),
    )
    with pytest.raises((InputError, TypeCheckError)):
        count_slices({"short": np.ones(3, bool)}, accepted, correct)


@pytest.mark.parametrize("counts", [(10, 11, 0), (10, 5, 6), (10, 5, -1)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(InputError, match="part of the accepted"):
        Slice("s", *counts)


def test_confidences_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="NaN"):
        System("s", np.array([0.1, np.nan]), np.array([True, False]))
    with pytest.raises((InputError, TypeCheckError)):
        System("s", np.array([0.1]), np.array([True, False]))


# Where labels stand


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_a_label_stays_in_the_frame(seed):
    rng = np.random.default_rng(seed)
    frame = np.array([[0.0, 0.0], [400.0, 300.0]])
    own, other = (rng.uniform(-50, 450, (40, 2)) for _ in range(2))
    size = rng.uniform(10, 100, 2)
    corner, _ = roomiest(size, own, [other], frame=frame, taken=[])
    assert (corner >= frame[0]).all()
    assert (corner + size <= frame[1] + 1e-9).all()


def test_a_label_avoids_the_other_curve_and_the_other_label():
    x = np.linspace(0, 400, 401)
    own, other = (np.column_stack([x, np.full(401, y)]) for y in (150.0, 175.0))
    frame = np.array([[0.0, 0.0], [400.0, 300.0]])
    left = np.array([[0.0, 0.0], [250.0, 150.0]])  # taken: below the curve, from the left
    (column, line), _ = roomiest(np.array([60.0, 20.0]), own, [other], frame=frame, taken=[left])
    assert line + 20 < 150  # the other curve runs above its own, so it goes below
    assert column >= 250  # right of the label that stands there


def test_other_queries_are_not_said_to_be_kept_apart(tmp_path):
    other = Certified(0.95, 0.95, 0.5, Slice("all", 10, 8, 1), queries="queries of <new>.csv")
    text = write_report(Report("t", other), tmp_path).read_text("utf-8")
    assert "Of 10 queries of &lt;new&gt;.csv, 8 were accepted" in text
    assert "kept apart" not in text
