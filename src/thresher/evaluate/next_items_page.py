"""What a history run found, as one page that anyone can open and as numbers for a machine.

`report.html` stands alone: no network, no script, the figure inside. `report.json` holds every
number of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal, final

from thresher.errors import InputError
from thresher.evaluate import figures, item_sections
from thresher.evaluate.markup import (
    DASH,
    Cell,
    figure,
    interval,
    note,
    number,
    numbers,
    percent,
    row,
    section,
    table,
    tenths,
    text,
)
from thresher.evaluate.next_items_figures import recall_curves
from thresher.evaluate.slices import HEAD_FROM
from thresher.evaluate.written import write_pages

Metrics = Mapping[str, float | None]

_TILES = "grid-template-columns:repeat(auto-fit,minmax(8em,1fr));margin-top:28px"
_SLICES = {
    "unseen": "never in training",
    "rare": f"1 to {HEAD_FROM - 1} times in training",
    "frequent": f"{HEAD_FROM} times or more",
    "head": "in training, among the most popular tenth of the items",
    "tail": "in training, outside that tenth",
}
_MEANINGS = {
    "recall": ("recall", "share of what is right that is listed"),
    "hit_rate": ("hit rate", "share of the lists in which something is right"),
    "ndcg": ("nDCG", "how far up the right items stand; 1 is best"),
    "map": ("MAP", "how few wrong items stand before the right ones; 1 is best"),
    "catalogue_coverage": ("catalogue coverage", "share of the catalogue listed for anyone"),
    "popularity": (
        "popularity",
        "how often the listed items stand in training, against what is right",
    ),
}
_SOUGHT = {"users": "what users take next", "queries": "what queries ask for"}


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class NextItemsReport:
    """Everything that the report of a history run shows.

    Args:
        title: what was learnt from what.
        systems: name to the numbers of `next_items`; the last is the model, the others are what
            it is compared with. None or NaN is shown as a dash.
        intervals: lower and upper end of some of the model's numbers, by their names.
        asking: who has a list, "users" or "queries".
        depth: the N that the headline speaks of; the smallest measured when left out.
        facts: what the data holds, such as users, events and items.
        findings: sentences that say what of the data was changed or left out.
        settings: where the numbers come from, such as protocol, loss, model, fingerprint, command.
        information: names of the item features, and what `mutual_information` says of them.
        item_map: where `item_map` places items, up to 2,000, and the category of each, "" for none.
        neighbours: title of an item, and the titles of the nearest by a name, such as a model's.

    Raises:
        InputError: there is no system, or the model has no recall at the depth.
    """

    title: str
    systems: Mapping[str, Metrics]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    asking: Literal["users", "queries"] = "users"
    depth: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    findings: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    information: item_sections.Information | None = None
    item_map: item_sections.ItemMap | None = None
    neighbours: item_sections.Neighbours = ()

    def __post_init__(self) -> None:
        places = self.ks() if self.systems else []
        if not places or self.at() not in places:
            raise InputError(
                f"The report speaks of N = {self.depth}, and its model was measured at "
                f"{places or 'none'}; give one system or more, and the last recall at that N."
            )

    def model(self) -> str:
        """Name of the system that the report is about."""
        return list(self.systems)[-1]

    def ks(self) -> list[int]:
        """Where the model's recall is known."""
        return sorted(_recalls(self.systems[self.model()]))

    def at(self) -> int:
        """The N that the headline speaks of."""
        return self.ks()[0] if self.depth is None else self.depth


def write_next_items(report: NextItemsReport, folder: Path) -> Path:
    """Write `report.html` and `report.json` into a folder, each whole or not at all.

    Args:
        report: what to show.
        folder: made when it is missing; a report in it is replaced.

    Returns:
        The path of `report.html`.
    """
    return write_pages(folder, page=render(report), numbers=_plain(report))


def render(report: NextItemsReport) -> str:
    """The page, every text in it escaped."""
    template = Template(files("thresher.evaluate").joinpath("report.html").read_text("utf-8"))
    sections = (
        _curves(report),
        _beyond_recall(report),
        _slices(report),
        _numbers(report),
        item_sections.information(report.information),
        item_sections.item_map(report.item_map),
        item_sections.neighbours(report.neighbours),
        _facts("What the data holds", report.facts, report.findings),
        _facts("Where these numbers come from", report.settings),
    )
    return template.substitute(
        title=text(report.title),
        headline=_headline(report),
        sections="\n".join(filter(None, sections)),
    )


def _headline(report: NextItemsReport) -> str:
    at, model = report.at(), report.systems[report.model()]
    share = _recalls(model)[at]
    items = model.get("items")
    among = f" of {items:,.0f} items" if items else " items"
    tiles = "".join(_tile(report, k) for k in report.ks())
    return (
        f"<h1>{percent(share)} of {_SOUGHT[report.asking]} stands among the first {at:,}{among}"
        "</h1>"
        f"{_against(report, at, share)}"
        f'<dl style="{_TILES}">{tiles}</dl>'
    )


def _against(report: NextItemsReport, at: int, share: float) -> str:
    rivals = {name: _recalls(values).get(at) for name, values in report.systems.items()}
    others = {n: r for n, r in rivals.items() if r is not None and n != report.model()}
    if not others:
        return ""
    best = max(others, key=lambda name: others[name])
    said = f"The best of the others, {text(best)}, finds {percent(others[best])}"
    if others[best] > share:
        return f'<p class="alert">{said}: more than this model.</p>'
    return f"<p>{said}.</p>"


def _tile(report: NextItemsReport, k: int) -> str:
    ends = report.intervals.get(f"recall@{k}")
    small = f"<small>{interval(*ends)}</small>" if ends else ""
    share = tenths(_recalls(report.systems[report.model()])[k])
    return f"<div><dt>recall@{k}</dt><dd>{share}{small}</dd></div>"


def _curves(report: NextItemsReport) -> str:
    systems = {n: found for n, values in report.systems.items() if (found := _recalls(values))}
    ends = {k: e for k in report.ks() if (e := report.intervals.get(f"recall@{k}"))}
    curves = recall_curves(systems, ends, _SOUGHT[report.asking])
    svg = figures.to_svg(curves, name="recall", label="Recall against N")
    caption = "The longer the list, the more of what is right is in it. Higher is better."
    if ends:
        caption += (
            " The pale bars, and the small figures under the headline, are 95\N{NO-BREAK SPACE}% "
            f"intervals over {report.asking}."
        )
    title, drawn = "How much is found", figure(svg, caption)
    if len(report.systems) == 1:
        return section(title, drawn)
    rows = [
        _line(report, name, [tenths(_recalls(report.systems[name]).get(k)) for k in report.ks()])
        for name in report.systems
    ]
    head = [("recall", ""), *numbers(f"@{k}" for k in report.ks())]
    return section(f"{title}, and by what", drawn, table(head, rows))


def _beyond_recall(report: NextItemsReport) -> str:
    if len(report.systems) == 1:
        return ""  # the model's own numbers follow
    names = ("hit_rate", "ndcg", "catalogue_coverage", "popularity")
    rows = []
    for name, values in report.systems.items():
        known = [values.get(f"{metric}@{report.at()}") for metric in names]
        hit, ndcg, coverage, popularity = known
        rows.append(
            _line(report, name, [tenths(hit), number(ndcg), tenths(coverage), _times(popularity)])
        )
    head = numbers(["hit rate", "nDCG", "catalogue listed", "popularity"])
    return section(
        f"Lists of {report.at():,}, by other measures",
        table([("system", ""), *head], rows),
        note(
            "Hit rate: lists in which something is right. nDCG: how far up the right items stand, "
            "1 is best. Catalogue listed: items that stand in at least one list. Popularity: how "
            "often the listed items stand in training, against what is right; above 1 the lists "
            "lean to the popular."
        ),
    )


def _slices(report: NextItemsReport) -> str:
    values = report.systems[report.model()]
    rows = []
    for name, words in _SLICES.items():
        count = values.get(f"{name}/targets")
        if count is None or not count > 0:
            continue
        cells = [f"{count:,.0f}", *(tenths(values.get(f"{name}/recall@{k}")) for k in report.ks())]
        rows.append(row([(words, ""), *numbers(cells)]))
    if not rows:
        return ""
    head = numbers(["number", *(f"@{k}" for k in report.ks())])
    return section(
        "Where it is easy and where it is hard",
        table([("targets that stood", ""), *head], rows),
        note(
            f"Recall of each kind of targets, over the {report.asking} that have one of the kind."
        ),
    )


def _numbers(report: NextItemsReport) -> str:
    values = report.systems[report.model()]
    rows = []
    for metric, (name, meaning) in _MEANINGS.items():
        known = [values.get(f"{metric}@{k}") for k in report.ks()]
        if any(value is not None for value in known):
            label = f"{name}<br><small>{meaning}</small>"
            rows.append(row([(label, ""), *numbers(map(number, known))]))
    head = [("at N =", ""), *numbers(f"{k:,}" for k in report.ks())]
    return section("The model in numbers", table(head, rows))


def _facts(title: str, facts: Mapping[str, str], findings: Sequence[str] = ()) -> str:
    if not facts and not findings:
        return ""
    rows = [row([(text(name), "quiet"), (text(fact), "")]) for name, fact in facts.items()]
    said = "".join(note(text(sentence)) for sentence in findings)
    return section(title, table([], rows, "facts") if rows else "", said)


def _line(report: NextItemsReport, name: str, cells: Sequence[str]) -> str:
    first: Cell = (text(name), "")
    return row([first, *numbers(cells)], own=name == report.model())


def _times(ratio: float | None) -> str:
    return DASH if ratio is None or not math.isfinite(ratio) else f"{ratio:.2f}"


def _recalls(values: Metrics) -> dict[int, float]:
    """Recall by N, where it is a number."""
    found = {int(n[7:]): v for n, v in values.items() if n.startswith("recall@")}
    return {k: v for k, value in found.items() if (v := _known(value)) is not None}


def _plain(report: NextItemsReport) -> dict[str, object]:
    """The report in the types of JSON: a number that is none becomes null."""
    return {
        "title": report.title,
        "model": report.model(),
        "depth": report.at(),
        "systems": {
            system: {name: _known(value) for name, value in values.items()}
            for system, values in report.systems.items()
        },
        "intervals": {
            name: [_known(low), _known(high)] for name, (low, high) in report.intervals.items()
        },
        "facts": dict(report.facts),
        "findings": list(report.findings),
        "settings": dict(report.settings),
        **item_sections.numbers(report.information, report.item_map, report.neighbours),
    }


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
