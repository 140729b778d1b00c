"""A report as one page of HTML that needs nothing else: no network, no script, no other file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from string import Template

from thresher.evaluate import figures
from thresher.evaluate.cases import mistakes, reviewed
from thresher.evaluate.coverage import precision_coverage_curve
from thresher.evaluate.markup import (
    DASH,
    exact_percent,
    figure,
    interval,
    note,
    number,
    numbers,
    percent,
    row,
    section,
    shown,
    table,
    tenths,
    text,
)
from thresher.evaluate.summary import (
    Certified,
    NotCertified,
    OpenCatalogue,
    Report,
    Slice,
    System,
)

LEVELS = (0.90, 0.95, 0.98, 0.99)
"""Precisions at which systems are compared."""

_BARS = 30  # most that are shown; report.json has them all
_LOW = '<span class="low">\N{BLACK DOWN-POINTING TRIANGLE}</span>'
_MEANINGS = (
    (r"p@1", "share of the queries whose first proposal is right"),
    (r"p@(\d+)", "share of the first {k} proposals that is right"),
    (r"recall@(\d+)", "share of the true items found among the first {k}"),
    (r"(?:mrr|ndcg|map)@(\d+)", "how far up the true items stand among the first {k}; 1 is best"),
    (r"psp@(\d+)", "right proposals among the first {k}, rare items counting for more"),
    (r"coverage@precision=([\d.]+)", "most that could be accepted, knowing the answers"),
    (r"certified_coverage@precision=([\d.]+)", "share accepted at the certified threshold"),
    (r"certified_precision@precision=([\d.]+)", "share of those accepted that is right"),
    (r"aurc", "error rate, averaged over all thresholds; lower is better"),
    (r"opis", "how much the right threshold differs between classes; lower is better"),
    (r"queries", "test queries"),
    (r"queries_without_item", "those whose true item is not in the catalogue"),
    (r"items", "items in the catalogue"),
)


def render(report: Report) -> str:
    """The page of a report, every text in it escaped."""
    template = Template(files("thresher.evaluate").joinpath("report.html").read_text("utf-8"))
    headline = report.headline
    target = headline.target if headline else None
    systems = [system for system in report.systems if len(system.correct)]
    sections = (
        _curves(systems, headline),
        _confidences(report.systems, headline),
        _categories(report.categories, target),
        _slices(report.slices, target),
        _open_catalogue(report.open_catalogue, target),
        mistakes(report.mistakes),
        reviewed(report.reviewed),
        _metrics(report.metrics, report.intervals),
        _provenance(report.provenance),
    )
    return template.substitute(
        title=text(report.title),
        headline=_headline(headline),
        sections="\n".join(filter(None, sections)),
    )


def _headline(headline: Certified | NotCertified | None) -> str:
    if headline is None:
        return "<h1>How well the matching works</h1>"
    goal = exact_percent(headline.target)
    if isinstance(headline, NotCertified):
        return (
            f"<h1>No threshold is certified at {goal} precision</h1>"
            f"<p>{text(headline.sentence)}</p>"
            "<p>Until one is, a person looks at every match.</p>"
        )
    test = headline.test
    if test.coverage is None:
        return f"<h1>A threshold is certified at {goal} precision</h1>{_evidence(headline)}"
    return (
        f"<h1>At {goal} precision you can automate {percent(test.coverage)} of your matching</h1>"
        f"{_outcome(headline)}{_evidence(headline)}{_parts(test)}"
    )


def _outcome(headline: Certified) -> str:
    test, target = headline.test, headline.target
    verb = "was" if test.accepted == 1 else "were"
    found = (
        f"Of {test.queries:,} {text(headline.queries)}, "
        f"{test.accepted:,} {verb} accepted automatically"
    )
    if test.precision is None or test.interval is None:
        return f"<p>{found}.</p>"
    wrong = f"{test.wrong:,}" if test.wrong else "none"
    found += (
        f", {wrong} of them wrong: a precision of <b>{tenths(test.precision)}</b> "
        f"(95\N{NO-BREAK SPACE}% interval {interval(*test.interval)}\N{NO-BREAK SPACE}%)."
    )
    if _is_low(test, target):
        why = "find out why before you rely on it."
        return f'<p>{found}</p><p class="alert">This is clearly below the target: {why}</p>'
    if test.precision < target:
        found += " That is below the target, though no further than chance explains."
    return f"<p>{found}</p>"


def _evidence(headline: Certified) -> str:
    if headline.accept_at is None:
        rule, what = "Segments have thresholds of their own", "these accept"
    else:
        rule, what = f"The threshold, a confidence of {headline.accept_at:.4g},", "it accepts"
    seen = ""
    if headline.calibration_coverage is not None:
        seen = f", of which {what} {percent(headline.calibration_coverage)}"
    certified = "was certified" if headline.accept_at is not None else "that were certified"
    return note(
        f"{rule} {certified} on separate calibration queries{seen}: with "
        f"{exact_percent(headline.confidence)} confidence, at least "
        f"{exact_percent(headline.target)} of what {what.replace('these', 'they')} is right."
    )


def _parts(test: Slice) -> str:
    parts = (
        ("right", "accepted and right", test.accepted - test.wrong),
        ("wrong", "accepted but wrong", test.wrong),
        ("rest", "sent to a person", test.queries - test.accepted),
    )
    bar = "".join(f'<i class="{k}" style="flex-grow:{n}"></i>' for k, _, n in parts if n)
    key = "".join(
        f'<div><dt><i class="{kind}"></i>{words}</dt><dd>{count:,}'
        f"<small>{percent(count / test.queries)} of all queries</small></dd></div>"
        for kind, words, count in parts
    )
    return f'<div class="parts" aria-hidden="true">{bar}</div><dl>{key}</dl>'


def _curves(systems: Sequence[System], headline: Certified | NotCertified | None) -> str:
    if not systems:
        return ""
    caption = (
        "Lower the threshold, and more is accepted with less precision. Each curve shows all the "
        "choices of one system; higher is better."
    )
    if headline is not None:
        caption += " The dashed line is the precision asked for."
    if isinstance(headline, Certified) and headline.test.accepted:
        caption += (
            " The point is the certified choice on the test queries, and its bar shows how much "
            "of its height may be chance."
        )
        curve = precision_coverage_curve(systems[-1].confidence, systems[-1].correct)
        reachable, test = curve.coverage_at(headline.target), headline.test
        if (test.coverage or 0.0) < reachable and (test.precision or 0.0) >= headline.target:
            caption += (
                " It stops short of where the curve meets the line: that margin is the price of "
                "a promise."
            )
    drawn = figures.precision_coverage(systems, headline)
    svg = figures.to_svg(drawn, name="curves", label="Precision against coverage")
    title = "How much can be automated, and how precisely"
    return section(title, figure(svg, caption), _comparison(systems))


def _comparison(systems: Sequence[System]) -> str:
    rows = []
    for place, system in enumerate(systems, start=1):
        curve = precision_coverage_curve(system.confidence, system.correct)
        shares = [float(system.correct.mean()), *(curve.coverage_at(level) for level in LEVELS)]
        cells = numbers([*map(tenths, shares), number(curve.aurc())])
        own = 1 < len(systems) == place
        rows.append(row([(text(system.name), ""), *cells], own=own))
    levels = (f"at {exact_percent(level)}" for level in LEVELS)
    head = [("system", ""), *numbers(["right at first", *levels, "AURC"])]
    return table(head, rows) + note(
        "Right at first: the share of all queries whose first proposal is right. At "
        f"{exact_percent(LEVELS[0])} and so on: the most that could be accepted at this precision "
        "by someone who knows the answers, a limit and not a promise. AURC: the error rate "
        "averaged over all thresholds; lower is better."
    )


def _confidences(systems: Sequence[System], headline: Certified | NotCertified | None) -> str:
    if not systems or not len(systems[-1].correct):
        return ""
    accept_at = headline.accept_at if isinstance(headline, Certified) else None
    caption = (
        "How sure the model was of its proposals, once for those that are right and once for "
        "those that are wrong. The less the two overlap, the more can be automated."
    )
    if accept_at is not None:
        caption += " What stands right of the line is accepted."
    drawn = figures.confidences(systems[-1], accept_at)
    svg = figures.to_svg(drawn, name="confidence", label="Confidences of right and wrong proposals")
    return section("How well the confidence tells right from wrong", figure(svg, caption))


def _categories(slices: Sequence[Slice], target: float | None) -> str:
    if not slices:
        return ""
    largest = sorted(slices, key=lambda part: -part.queries)[:_BARS]
    rows = []
    for part in sorted(largest, key=lambda part: -(part.coverage or 0.0)):
        width = f"{100 * (part.coverage or 0.0):.2f}%"
        bar = f'<div class="bar"><b><i style="width:{width}"></i></b>{tenths(part.coverage)}</div>'
        cells = numbers([_precision(part, target), f"{part.accepted:,}", f"{part.queries:,}"])
        rows.append(row([(text(part.name), "name"), (bar, ""), *cells]))
    head = numbers(["right, of the accepted", "accepted", "queries"])
    return section(
        "What is automated in each category",
        table([("category", ""), ("automated", ""), *head], rows, "bars"),
        note(
            f"{shown(len(largest), len(slices), 'The largest')}In brackets the "
            "95\N{NO-BREAK SPACE}% interval, in percent: wide where little is accepted."
            f"{_low_note(largest, target)}"
        ),
    )


def _slices(slices: Sequence[Slice], target: float | None) -> str:
    if not slices:
        return ""
    rows = []
    for part in slices:
        cells = [tenths(part.p_at_1), tenths(part.coverage), _precision(part, target)]
        rows.append(row([(text(part.name), ""), *numbers([f"{part.queries:,}", *cells])]))
    head = numbers(["count", "right at first", "automated", "right, of the accepted"])
    return section(
        "Where it is easy and where it is hard",
        table([("queries", ""), *head], rows),
        note(_low_note(slices, target)),
    )


def _open_catalogue(tests: Sequence[OpenCatalogue], target: float | None) -> str:
    if not tests:
        return ""
    rows = []
    for entry in tests:
        part = entry.test
        cells = [tenths(part.coverage), _precision(part, target), f"{part.accepted:,}"]
        rows.append(row([(tenths(entry.removed), ""), *numbers([*cells, f"{part.queries:,}"])]))
    head = numbers(["automated", "right, of the accepted", "accepted", "queries"])
    return section(
        "When the true item is not in the catalogue",
        table([("items taken out", ""), *head], rows),
        note(
            "Items were taken out of the catalogue and the decision left as it is. A query whose "
            "item is gone should go to a person; accepting it counts as an error."
            + _low_note([entry.test for entry in tests], target)
        ),
    )


def _metrics(
    metrics: Mapping[str, float | None], intervals: Mapping[str, tuple[float, float]]
) -> str:
    if not metrics:
        return ""
    rows = []
    for name, value in metrics.items():
        ends = intervals.get(name)
        cells = numbers([number(value), f"{number(ends[0])} to {number(ends[1])}" if ends else ""])
        rows.append(row([(text(name), ""), *cells, (_meaning(name), "quiet")]))
    head = [("metric", ""), *numbers(["value", "interval" if intervals else ""]), ("", "")]
    return section("The model in numbers", table(head, rows, "metrics"))


def _meaning(name: str) -> str:
    for pattern, words in _MEANINGS:
        if found := re.fullmatch(pattern, name, re.IGNORECASE):
            return words.format(k=found[found.re.groups])
    return ""


def _provenance(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    rows = [row([(text(name), "quiet"), (text(fact), "")]) for name, fact in facts.items()]
    return section("Where these numbers come from", table([], rows, "facts"))


def _precision(part: Slice, target: float | None) -> str:
    if part.precision is None or part.interval is None:
        return DASH
    mark = f"{_LOW} " if _is_low(part, target) else ""
    return f"{mark}{tenths(part.precision)} <small>({interval(*part.interval)})</small>"


def _is_low(part: Slice, target: float | None) -> bool:
    """Whether chance alone hardly explains a precision below the target."""
    return target is not None and part.interval is not None and part.interval[1] < target


def _low_note(parts: Iterable[Slice], target: float | None) -> str:
    low = any(_is_low(part, target) for part in parts)
    return f" {_LOW} marks a precision clearly below the target." if low else ""
