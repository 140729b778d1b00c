"""The report: right numbers, inert texts, and a page for every kind of run and of emptiness."""

import base64
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy import stats

from thresher.errors import InputError
from thresher.report import (
    Candidate,
    Decision,
    Mistake,
    Report,
    Reviewed,
    Slice,
    System,
    save_figure,
    write_report,
)
from thresher.report.content import precision_interval
from thresher.report.words import MEANINGS, compared, counted, csv_link, meaning

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'></style> & {{ title }} $x_1$"


class Page(HTMLParser):
    """What a browser would find in a page: tags, attributes, ids, and text."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.attributes, self.ids, self.text = [], [], [], ""
        self.feed(markup)
        self.close()
        self.text = self.text.replace("\N{NO-BREAK SPACE}", " ")
        self.words = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text += data


def system(label="model", *, queries=400, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.normal(size=queries)  # on both sides of zero
    return System(label, confidence, rng.normal(size=queries) < confidence + 1)


def metrics_of(prefix="", **more):
    """Numbers as `evaluate` names them."""
    found = {"queries": 400.0, "P@1": 0.875, "recall@1": 0.875, "recall@10": 0.9, "hit_rate@1": 0.5}
    found |= {"certified_coverage@precision=0.95": 0.75, "certified_precision@precision=0.95": 0.96}
    return {f"{prefix}{name}": value for name, value in (found | more).items()}


def full(words="words"):
    """A report with every section, each text of it the given words."""
    item = Candidate(words, words)
    return Report(
        title=words,
        metrics=metrics_of()
        | metrics_of("base/")
        | metrics_of("tail/")
        | metrics_of(f"{words}={words}/")
        | {"aurc": float("nan"), "opis": None},
        systems={"base": system(words), "": system(words + "2", seed=1)},
        intervals={"P@1": (0.85, 0.9), "recall@10": (0.88, 0.92)},
        warnings=[words],
        decision=Decision(
            0.95, 0.9, accept_at=0.25, test=Slice(words, 400, 300, 12), calibration_coverage=0.7
        ),
        by=words,
        mistakes=(
            Mistake(item, item, item, 0.99, suspect=True),
            Mistake(Candidate("q", "query"), item, None, 0.8),
        ),
        reviewed=(Reviewed(item, [item, Candidate("i", "item " + words)], 0.4, right=1),),
        open_catalogue={0.1: Slice(words, 100, 80, 4)},
        information=((words, "b"), np.eye(2)),
        item_map=(np.arange(6.0).reshape(3, 2), [words, words, ""]),
        neighbours=[(item, {words: [item, item]})],
        facts={words: words},
        findings=[words],
        provenance={words: words},
    )


def page_of(report, folder):
    return write_report(report, folder).read_text("utf-8")


def numbers_in(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "report.json").read_text("utf-8"), parse_constant=refuse)


def decided(test, **more):
    return Report(title="t", decision=Decision(0.95, 0.9, accept_at=1.0, test=test), **more)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a report with every section, drawn once; not to be changed."""
    return write_report(full(), tmp_path_factory.mktemp("whole")).parent


@pytest.fixture(scope="module")
def whole(written):
    """Its page."""
    return (written / "report.html").read_text("utf-8")


# The page


def test_page_says_the_headline_with_its_numbers(whole):
    text = Page(whole).words
    # 300 of 400 = 75 %; 288 right of 300 = 96 %; 100 of 400 = 25 % for a person
    assert "At 95 % precision you can automate 75 % of your matching" in text
    assert "Of 400 test queries" in text
    assert "300 were accepted automatically, 12 of them wrong: a precision of 96.0 %" in text
    assert "25 % of all queries" in text
    assert (
        "of which it accepts 70 %: at a confidence level of 90 %, at least 95 % of what it accepts "
        "is right" in text
    )


def test_page_needs_nothing_but_itself(whole):
    page = Page(whole)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    for _, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "data")
        if name in ("href", "xlink:href"):
            assert value.startswith(("#", "data:text/csv;"))
    outside = re.findall(r"(?:url\(|@import)\s*['\"]?([^#)'\"][^)]*)", whole)
    assert outside == []


def test_page_references_only_ids_it_has_and_none_twice(whole):
    ids = Page(whole).ids
    assert len(ids) == len(set(ids)) > 0
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', whole))
    assert used
    assert used <= set(ids)


def test_every_figure_is_there_for_wide_and_for_narrow_screens(whole):
    page = Page(whole)
    classes = [value for _, name, value in page.attributes if name == "class"]
    assert page.tags.count("figure") == 5
    assert page.tags.count("svg") == 10
    assert classes.count("wide") == classes.count("narrow") == 5
    assert "@media (max-width: 640px)" in whole


def test_figures_follow_the_colours_of_the_page(whole):
    assert "@media (prefers-color-scheme: dark)" in whole
    drawn = "".join(re.findall("<svg.*?</svg>", whole, re.DOTALL))
    # the ink, the model and the ground are variables, which the dark page sets to others
    for name, colour in (("ink", "#1f2933"), ("blue", "#0072b2"), ("page", "#ffffff")):
        assert f"var(--{name})" in drawn
        assert colour not in drawn


def test_hostile_texts_are_inert_everywhere(whole, tmp_path):
    harmless, hostile = Page(whole), Page(page_of(full(HOSTILE), tmp_path))
    assert "script" not in hostile.tags
    assert "img" not in hostile.tags
    assert [name for _, name, _ in hostile.attributes if name.startswith("on")] == []
    # The same tags but for the marks of differing words: no text opened or closed one.
    ours = {"main", "section", "figure", "table", "tr", "th", "td", "small", "p", "span", "title"}
    assert [t for t in hostile.tags if t in ours] == [t for t in harmless.tags if t in ours]
    # title twice, warning, systems, column and value, cases, neighbours, facts and provenance
    assert hostile.text.count(HOSTILE) >= 15


@pytest.mark.parametrize(
    "words", ["日本語のタイトル منتج جديد naïve 🙂", "a\x00b\x1b\ud800", "", "x" * 5000]
)
def test_any_text_makes_a_page(tmp_path, words):
    page = page_of(full(words), tmp_path)
    assert "\x00" not in page
    assert "\x1b" not in page
    assert "x" * 301 not in page
    numbers = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert numbers["title"] == words  # the numbers keep it whole


def test_report_without_anything_is_a_title(tmp_path):
    page = Page(page_of(Report(title="Offers to products"), tmp_path))
    assert "Offers to products" in page.text
    assert "h2" not in page.tags


@pytest.mark.parametrize(
    ("names", "sections"),
    [
        (["mistakes"], 1),
        (["reviewed"], 1),
        (["open_catalogue"], 1),
        (["information"], 1),
        (["item_map"], 1),
        (["neighbours"], 1),
        (["facts", "findings"], 1),
        (["provenance"], 1),
        (["systems"], 2),  # the curves, and the confidences
        (["metrics"], 3),  # recall by k, slices, numbers
        (["metrics", "by"], 4),
    ],
)
def test_each_part_shows_alone(tmp_path, names, sections):
    parts = full()
    alone = Report(title="t", **{name: getattr(parts, name) for name in names})
    assert Page(page_of(alone, tmp_path)).tags.count("h2") == sections


def test_no_threshold_is_said_in_its_own_words(tmp_path):
    sentence = "No threshold reaches 0.98; about 140 more labels would settle it."
    decision = Decision(0.98, 0.9, refused=sentence)
    report = Report(
        title="t", decision=decision, systems={"": system()}, metrics=metrics_of("tail/")
    )
    text = Page(page_of(report, tmp_path)).text
    assert sentence in text
    assert "No threshold is certified at 98 % precision" in text
    assert "you can automate" not in text
    assert "automated" not in text[text.index("Where it is easy") :]
    assert numbers_in(tmp_path)["decision"]["refused"] == sentence


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (5, None),  # 95 % of 100: the target is met
        (8, "no further than chance explains"),  # 92 % of 100; the interval ends at 96.5 %
        (30, "clearly below the target"),  # 70 % of 100; the interval ends at 78.8 %
    ],
)
def test_a_missed_target_is_admitted(tmp_path, wrong, says):
    text = Page(page_of(decided(Slice("", 200, 100, wrong)), tmp_path)).text
    for words in ("no further than chance explains", "clearly below the target"):
        assert (words in text) == (words == says)


def test_slices_below_the_target_are_marked(tmp_path):
    metrics = {}
    for name, right in (("tail", 0.6), ("head", 0.99), ("rare", 2 / 3)):
        queries = 3.0 if name == "rare" else 100.0
        found = {"queries": queries, "certified_coverage@precision=0.95": 1.0}
        found["certified_precision@precision=0.95"] = right
        metrics |= {f"{name}/{metric}": value for metric, value in found.items()}
    page = page_of(decided(Slice("", 203, 203, 5), metrics=metrics), tmp_path)
    rows = re.findall(r"<tr>(?:(?!</tr>).)*&#9660;", page, re.DOTALL)
    assert len(rows) == 1
    assert ">tail<" in rows[0]


def test_missing_numbers_are_dashes(tmp_path):
    metrics = {"aurc": float("nan"), "opis": None, "P@1": 0.5}
    assert page_of(Report(title="t", metrics=metrics), tmp_path).count("\N{EN DASH}") == 2


def test_mistakes_come_in_order_with_their_ids_and_truth(tmp_path):
    cases = [
        Mistake(
            Candidate(f"q{n}", "q"),
            Candidate(f"id-{n}", f"item {n}"),
            None if n else Candidate("t", "true"),
            1 - n / 100,
        )
        for n in range(30)
    ]
    page = page_of(Report(title="t", mistakes=cases), tmp_path)
    text = Page(page).words
    assert text.index("item 0") < text.index("item 1 ") < text.index("item 19")
    assert "item 20" not in text  # 20 of the 30 are shown
    assert "The surest 20 of 30." in text
    assert text.count("not in the catalogue") == 19
    assert "id-19" in text
    assert "q19" in text
    # the file has all of them
    assert [row[0] for row in downloaded(page, "mistakes")[1:]] == [f"q{n}" for n in range(30)]


def test_a_mistake_that_may_be_the_labels_is_marked(tmp_path):
    item = Candidate("i", "item")
    cases = [Mistake(item, item, item, 0.9, suspect=suspect) for suspect in (True, False)]
    page = page_of(Report(title="t", mistakes=cases), tmp_path)
    assert "1 mistake of 2 may be" in Page(page).words
    rows = [row for row in re.findall("<tr>.*?</tr>", page, re.DOTALL) if "label?" in row]
    assert len(rows) == 1
    assert [row[-1] for row in downloaded(page, "mistakes")[1:]] == ["True", "False"]
    none = page_of(Report(title="t", mistakes=cases[1:]), tmp_path)
    assert "label?" not in none


def test_an_item_without_text_shows_its_id(tmp_path):
    case = Mistake(Candidate("user-1"), Candidate("item-1"), None, 0.9)
    assert "item-1" in Page(page_of(Report(title="t", mistakes=[case]), tmp_path)).text


def test_words_that_the_query_lacks_are_marked(tmp_path):
    case = Mistake(
        Candidate("q", "iphone 8 256 gb red"),
        Candidate("a", "Apple iPhone 8 256GB"),
        Candidate("b", "iPhone-8 (Red) 64 GB"),
        0.9,
    )
    page = page_of(Report(title="t", mistakes=[case]), tmp_path)
    assert re.findall("<mark>(.*?)</mark>", page) == ["underlined", "Apple", "64"]
    assert compared("x" * 400, "x")[-1] == ("\N{HORIZONTAL ELLIPSIS}", False)


def test_tick_is_on_the_true_candidate(tmp_path):
    candidates = [Candidate(word, word) for word in ("one", "two", "three")]
    report = Report(title="t", reviewed=[Reviewed(Candidate("q", "q"), candidates, 0.2, 1)])
    row = re.findall("<tr>.*?</tr>", page_of(report, tmp_path), re.DOTALL)[-1]
    first, second = re.findall("<td.*?</td>", row, re.DOTALL)[1:3]
    assert "&#10003;" not in first
    assert "&#10003;" in second
    assert "three" not in row


def test_a_run_of_lists_says_how_much_is_found(tmp_path):
    metrics = {"queries": 100.0, "queries_without_item": 0.0, "targets": 300.0, "items": 4321.0}
    metrics |= {f"recall@{k}": k / 200 for k in (1, 10, 50)}
    metrics |= {f"popularity/recall@{k}": k / 400 for k in (1, 10, 50)}
    systems = {"popularity": System("popularity"), "": System("model")}
    report = Report(title="t", metrics=metrics, systems=systems, who="users")
    page = Page(page_of(report, tmp_path))
    assert "5.0 % of what users take next stands among the first 10 of 4,321 items" in page.words
    assert page.tags.count("svg") == 2
    assert "25.0 %" in page.text  # recall@50
    assert "12.5 %" in page.text  # that of the baseline


def test_a_run_with_one_item_each_says_how_often_the_first_is_right(tmp_path):
    metrics = {"queries": 100.0, "queries_without_item": 20.0, "targets": 80.0, "P@1": 0.75}
    page = Page(page_of(Report(title="t", metrics=metrics), tmp_path))
    assert "The first proposal is right for 75 % of the queries" in page.words


def test_terms_are_explained_where_they_stand(whole):
    explained = {value for _, name, value in Page(whole).attributes if name == "title"}
    assert meaning("recall@10") in explained
    assert meaning("tail") in explained
    assert meaning("certified_coverage@precision=0.95") in explained
    assert "among the first 10" in meaning("recall@10")
    assert meaning("unheard of") == ""
    assert all(MEANINGS.values())


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
    report = decided(Slice("", queries, queries, 0), systems={"": one})
    assert page_of(report, tmp_path).count("<svg") == (4 if queries else 0)


@pytest.mark.parametrize("label", ["from $1 to $2", "_private"])
def test_any_name_stands_in_the_legend(tmp_path, label):
    page = page_of(Report(title="t", systems={"": system(label)}), tmp_path)
    drawn = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert label in Page(drawn[0]).text


# The files


def downloaded(page, name):
    """The rows of a file that the page offers."""
    address = re.search(rf'download="{name}.csv" href="data:text/csv[^,]*,([^"]+)"', page)[1]
    return list(csv.reader(io.StringIO(base64.b64decode(address).decode("utf-8-sig"))))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " ="])
def test_no_cell_of_a_download_is_a_formula(tmp_path, start):
    words = f'{start}HYPERLINK("http://example.com")'
    case = Mistake(Candidate(words, words), Candidate("i", "-5"), None, -0.5)
    row = downloaded(page_of(Report(title="t", mistakes=[case]), tmp_path), "mistakes")[1]
    assert row[:4] == [f"'{words}", f"'{words}", "i", "'-5"]
    assert row[6] == "-0.5"  # a number stays one


def test_downloads_hold_any_text():
    address = csv_link([["a,b", 'c"d', "e\nf", "ü", "\ud800"]])
    data = base64.b64decode(address.partition(",")[2])
    assert data.startswith(b"\xef\xbb\xbf")
    (row,) = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert row == ["a,b", 'c"d', "e\nf", "ü", "?"]


def test_json_holds_every_number(written):
    found = numbers_in(written)
    assert found["metrics"]["tail/P@1"] == 0.875
    assert found["metrics"]["aurc"] is None
    assert found["intervals"]["P@1"] == [0.85, 0.9]
    assert found["decision"]["test"]["coverage"] == 0.75  # 300 of 400
    assert found["decision"]["test"]["precision"] == 0.96  # 288 of 300
    assert found["mistakes"][1]["truth"] is None
    assert found["item_map"] == [[[0, 1], [2, 3], [4, 5]], ["words", "words", ""]]
    assert found["systems"][""]["queries"] == 400
    assert 0 < found["systems"][""]["coverage_at"]["0.9"] < 1


def test_a_report_is_replaced_whole_and_other_files_stay(written, tmp_path):
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    (tmp_path / "notes.txt").write_text("mine")
    write_report(Report(title="new"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes.txt",
        "report.html",
        "report.json",
    ]
    assert "new" in (tmp_path / "report.html").read_text("utf-8")


def test_a_report_that_cannot_be_drawn_leaves_the_old_one(tmp_path):
    write_report(Report(title="old"), tmp_path)
    with pytest.raises(IndexError):
        write_report(Report(title="new", item_map=(np.zeros((3, 2)), ["a"] * 4)), tmp_path)
    assert "old" in (tmp_path / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["title"] == "old"


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        write_report(Report(title="t"), tmp_path / "file" / "report")


def test_the_same_report_is_the_same_file(whole, tmp_path):
    assert page_of(full(), tmp_path) == whole


def test_the_figure_is_a_small_png(tmp_path):
    save_figure(full(), tmp_path / "made" / "figure.png")
    data = (tmp_path / "made" / "figure.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 100_000
    with pytest.raises(InputError, match="no curve"):
        save_figure(Report(title="t"), tmp_path / "none.png")


def test_importing_the_report_does_not_import_matplotlib_or_torch():
    code = "import sys, thresher.report; print({'matplotlib', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# Numbers


def test_interval_by_hand():
    # None wrong of 100: L^100 = .025, L = .025^.01 = .96378; none right: the mirror image
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


@given(st.integers(0, 100_000), st.data())
def test_counts_come_back_from_shares(queries, data):
    accepted = data.draw(st.integers(0, queries))
    wrong = data.draw(st.integers(0, accepted))
    metrics = {
        "tv/queries": float(queries),
        "tv/certified_coverage@precision=0.9": accepted / queries if queries else float("nan"),
        "tv/certified_precision@precision=0.9": 1 - wrong / accepted if accepted else float("nan"),
    }
    known = {name: None if np.isnan(value) else value for name, value in metrics.items()}
    for given_ in (metrics, known) if queries else (known,):
        assert Slice.of("tv", given_, 0.9, prefix="tv/") == Slice("tv", queries, accepted, wrong)


@pytest.mark.parametrize("counts", [(10, 11, 0), (10, 5, 6), (10, 5, -1)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(InputError, match="part of the accepted"):
        Slice("s", *counts)


def test_confidences_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="NaN"):
        System("s", np.array([0.1, np.nan]), np.array([True, False]))
    with pytest.raises((InputError, TypeCheckError)):
        System("s", np.array([0.1]), np.array([True, False]))


def test_counts_and_their_nouns_agree():
    assert [counted(n, "error") for n in (0, 1, 1200)] == ["0 errors", "1 error", "1,200 errors"]
    assert counted(2, "query") == "2 queries"


def test_other_queries_are_not_said_to_be_kept_apart(tmp_path):
    decision = Decision(
        0.95, 0.95, accept_at=0.5, test=Slice("all", 10, 8, 1), queries="queries of <new>.csv"
    )
    text = page_of(Report(title="t", decision=decision), tmp_path)
    assert "Of 10 queries of &lt;new&gt;.csv, 8 were accepted" in text
    assert "kept apart" not in text


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="a file lies where a folder is needed"):
        write_report(Report(title="t"), tmp_path / "file")
