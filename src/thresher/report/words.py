"""Numbers and texts as readers see them, and what the terms of the field mean."""

import base64
import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence

DASH, ELLIPSIS, SPACE = "\N{EN DASH}", "\N{HORIZONTAL ELLIPSIS}", "\N{NO-BREAK SPACE}"
LETTERS = 300
"""Most that is shown of a text; report.json has the whole."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so

MEANINGS = {
    r"P@1": "share of the queries with a true item whose first proposal is right",
    r"precision@(\d+)": "share of the first {k} places that holds a true item",
    r"recall@(\d+)": "share of the true items that is among the first {k}",
    r"hit_rate@(\d+)": "share of the lists with a true item among the first {k}",
    r"ndcg@(\d+)": "how far up the true items stand among the first {k}; 1 is best",
    r"mrr@(\d+)": "one over the place of the first true item, 0 beyond {k}; 1 is best",
    r"map@(\d+)": "precision at the place of each true item among the first {k}, averaged over all",
    r"PSP@(\d+)": "right items among the first {k}, rare ones counting for more",
    r"catalogue_coverage@(\d+)": "share of the catalogue that stands in some list of {k}",
    r"popularity@(\d+)": "how often the listed items stand in training, against the true ones; "
    "above 1 the lists lean to the popular",
    r"coverage@precision=([\d.]+)": "most that could be accepted at this precision by someone who "
    "knows the answers: a limit, not a promise",
    r"certified_coverage@precision=([\d.]+)": "share accepted by the decision certified beforehand",
    r"certified_precision@precision=([\d.]+)": "share of those accepted that is right",
    r"aurc": "error rate averaged over all thresholds; lower is better",
    r"opis": "how much the right threshold differs between items; lower is better",
    r"queries": "queries that were evaluated",
    r"queries_without_item": "those without a true item in the catalogue",
    r"targets": "true pairs of a query and an item",
    r"items": "items in the catalogue",
    r"precision": "share of the accepted answers that is right",
    r"coverage": "share of all queries that is accepted automatically",
    r"confidence": "the number that is compared with the threshold: how sure the first proposal is",
    r"confidence level": "how probable it is, over the draw of the labels, that the promise holds",
    r"95 % interval": "where the value would come out in 19 of 20 repetitions with other queries",
    r"true item": "the item that the labels say is right",
    r"unseen": "items that are never in training",
    r"rare": "items that are 1 to 4 times in training",
    r"frequent": "items that are 5 times or more in training",
    r"head": "items in training that are among the most popular tenth of the catalogue",
    r"tail": "items in training outside that tenth",
    r"no item": "queries without a true item in the catalogue",
    r"popularity": "lists the items that are most frequent in training, the same for everybody",
    r"TF-IDF": "compares words and parts of words, rare ones counting for more; learns nothing",
    r"item-kNN": "lists items that appear beside those of the history in training",
    r"margin": "how far the score of the first proposal is above that of the second",
    r"raw score": "the score of the first proposal as the model gives it",
    r"mutual information": "how much knowing one feature tells about another, in nats; 0 is none",
    r"entropy": "how much there is to tell about a feature, in nats",
}


def meaning(term: str) -> str:
    """What a metric or a word of the field means; nothing of any other."""
    for pattern, words in MEANINGS.items():
        if found := re.fullmatch(pattern, term):
            return words.format(k=found[found.re.groups])
    return ""


def plain(value: str, letters: int = LETTERS) -> str:
    """A text without what cannot be encoded or shown, cut after so many letters."""
    if len(value) > letters:
        value = value[: letters - 1].rstrip() + ELLIPSIS
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)


def percent(share: float) -> str:
    """A share for a sentence: whole percents, or tenths near the ends, where they matter."""
    value = 100 * share
    places = 1 if 0 < value < 9.95 or 99 < value < 100 else 0
    return f"{value:.{places}f}{SPACE}%"


def exact_percent(share: float) -> str:
    """A share that someone chose, with the digits they gave it."""
    return f"{100 * share:.6g}{SPACE}%"


def tenths(share: float | None) -> str:
    """A share for a table, to a tenth of a percent; a dash for none."""
    return DASH if share is None or not math.isfinite(share) else f"{100 * share:.1f}{SPACE}%"


def number(value: float | None, places: int = 4) -> str:
    """A metric to some places; a dash for none."""
    return DASH if value is None or not math.isfinite(value) else f"{value:.{places}f}"


def whole(value: float | None) -> str:
    """A count; a dash for none."""
    return DASH if value is None or not math.isfinite(value) else f"{value:,.0f}"


def counted(count: float, thing: str) -> str:
    """A count and its noun: "1 error", "2 errors", "3 queries"."""
    many = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,.0f} {thing if count == 1 else many}"


def interval(ends: Sequence[float]) -> str:
    """Two shares in percent, without the sign; both ends stay on one line."""
    low, high = ends
    return f"{100 * low:.1f}\N{WORD JOINER}{DASH}\N{WORD JOINER}{100 * high:.1f}"


def compared(item: str, query: str) -> list[tuple[str, bool]]:
    """The words of an item, each with whether the query lacks it.

    Up to three words that follow each other are compared joined: "64 GB" and "64GB" are the same.

    Example:
        >>> compared("Apple iPhone 64GB", "iphone 64 gb")
        [('Apple', True), ('iPhone', False), ('64GB', False)]
    """
    known = {run for _, _, run in _runs(query.split())}
    words = item[:LETTERS].split()
    same: set[int] = set()
    for start, end, run in _runs(words):
        if run in known or not run:
            same.update(range(start, end))
    marked = [(word, place not in same) for place, word in enumerate(words)]
    return [*marked, (ELLIPSIS, False)] if len(item) > LETTERS else marked


def csv_link(rows: Iterable[Sequence[object]]) -> str:
    """A table as the address of a file that holds it, safe to open in a spreadsheet.

    Texts that a spreadsheet would take for a formula get a quote before them.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    # The mark at the start tells spreadsheets that the text is UTF-8.
    data = ("\ufeff" + out.getvalue()).encode("utf-8", errors="replace")
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(data).decode()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value


def _runs(words: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    bare = [re.sub(r"[\W_]", "", word.casefold()) for word in words]
    for start in range(len(bare)):
        for end in range(start + 1, min(start + 3, len(bare)) + 1):
            yield start, end, "".join(bare[start:end])
