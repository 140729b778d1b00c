"""What a person reads on the terminal after a job."""

from collections.abc import Mapping
from typing import Any

from thresher.data.findings import counted

Shown = Mapping[str, Any]
COUNTS = ("queries", "queries_without_item", "items")


def show_training(result: Shown) -> str:
    """The outcome of `train`."""
    if "examples" in result:
        return _show_histories(result)
    queries = result["queries"]
    lines = [
        f"trained on {queries['train']:,} queries over {result['items']:,} items "
        f"in {result['seconds']:.0f} s; the artifact is {result['artifact']}"
    ]
    if "P@1" in result["validation"]:
        lines.append(f"validation: P@1 {result['validation']['P@1']:.3f}")
    return "\n".join([*lines, result["decision"]["sentence"]])


def _show_histories(result: Shown) -> str:
    recalls = [
        f"{name} {value:.3f}"
        for name, value in result["validation"].items()
        if name.startswith("recall@")
    ]
    what = f"{result['examples']:,} pairs"
    if "customers" in result:
        what = f"{result['examples']:,} events of {result['customers']:,} customers"
    return "\n".join(
        [
            f"trained on {what} over {result['items']:,} items in {result['seconds']:.0f} s; the "
            f"artifact is {result['artifact']}",
            *_read(result.get("features", {})),
            *(f"- {finding}" for finding in result["findings"]),
            *([f"validation: {', '.join(recalls)}"] if recalls else []),
        ]
    )


def _read(features: Shown) -> list[str]:
    """What a features run reads of either side."""
    return [
        f"{side}: {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}"
        for side, kinds in features.items()
    ]


def show_next_items(metrics: Shown) -> str:
    """The numbers of lists of next items: a line each, a column each depth, beside popularity."""
    depths = [name.partition("@")[2] for name in metrics if name.startswith("recall@")]
    names = ("recall", "hit_rate", "ndcg", "map", "catalogue_coverage", "popularity")
    rows = [(name, name) for name in names]
    rows[1:1] = [
        ("  most popular tenth", "head/recall"),
        ("  others in training", "tail/recall"),
        *((f"  {s} in training", f"{s}/recall") for s in ("unseen", "rare", "frequent")),
    ]
    rows.append(("recall by popularity", "popularity/recall"))
    width = max(len(title) for title, _ in rows)
    lines = [f"{'at':<{width}}" + "".join(f"{depth:>9}" for depth in depths)]
    for title, name in rows:
        values = [metrics.get(f"{name}@{depth}") for depth in depths]
        shown = [f"{'-' if value is None else format(value, '.4f'):>9}" for value in values]
        lines.append(f"{title:<{width}}" + "".join(shown))
    head = f"{metrics['users']:,.0f} lists, {metrics['targets']:,.0f} targets"
    return "\n".join([head, *lines])


def show_lists(result: Shown) -> str:
    """The outcome of `recommend`: where the rows are, or the lines of each list."""
    if "queries" in result:
        head = counted(result["queries"], "query", "queries")
    else:
        head = counted(result["customers"], "customer", "customers")
    if passed := result["unknown_events"]:
        head += f"; {counted(passed, 'event', 'events')} of items that the catalogue lacks"
    if empty := result["without_history"]:
        head += f"; {counted(empty, 'customer', 'customers')} of nothing else, without a list"
    if "out" in result:
        return f"{head}; written to {result['out']}"
    lines = []
    for row in result["lists"]:
        before = row["user_id"] if row["rank"] == 1 else ""
        title = f"  {row['item']}" if row["item"] else ""
        lines.append(f"{before:<12}  {row['rank']:>3}  {row['score']:.3f}  {row['item_id']}{title}")
    return "\n".join([*lines, head])


def show_nearest(result: Shown) -> str:
    """The outcome of `nearest`: each item, and by each model its neighbours."""
    lines = []
    for item in result["items"]:
        lines.append(f"{item['id']}  {item['item']}")
        for model, near in item["nearest"].items():
            lines.append(f"  {model}")
            lines += [f"    {n['score']:.3f}  {n['id']}  {n['item']}" for n in near]
    return "\n".join(lines)


def show_decision(decision: Shown) -> str:
    """The outcome of `calibrate`."""
    return str(decision["sentence"])


def show_evaluation(metrics: Shown) -> str:
    """The outcome of `evaluate`, of an artifact that decides or of one that recommends."""
    recommends = "catalogue_coverage" in {name.partition("@")[0] for name in metrics}
    return show_next_items(metrics) if recommends else show_metrics(metrics)


def show_metrics(metrics: Shown) -> str:
    """The numbers of the whole, a line each; slices below, a line a slice."""
    whole = {name: value for name, value in metrics.items() if "/" not in name}
    width = max(map(len, whole))
    lines = [f"{name:<{width}}  {_number(name, value)}" for name, value in whole.items()]
    slices = sorted({name.rsplit("/", 1)[0] for name in metrics if "/" in name})
    for name in slices:
        shown = ("queries", "P@1", "coverage@precision=0.95", "certified_coverage@precision=0.95")
        parts = [
            f"{metric} {_number(metric, metrics[f'{name}/{metric}'])}"
            for metric in shown
            if f"{name}/{metric}" in metrics
        ]
        lines.append(f"{name}: {', '.join(parts)}")
    return "\n".join(lines)


def show_index(result: Shown) -> str:
    """The outcome of `index`."""
    next_step = (
        "the policy still holds"
        if result["calibrated"]
        else f"run `thresher calibrate {result['artifact']}` before matching"
    )
    return (
        f"{result['items']:,} items indexed ({result['added']:,} new, {result['removed']:,} gone); "
        f"{next_step}"
    )


def show_matches(result: Shown) -> str:
    """The outcome of `match`: where the rows are, or the rows."""
    head = (
        f"{result['queries']:,} queries: {result['accepted']:,} accepted, "
        f"{result['review']:,} for review"
    )
    if "out" in result:
        return f"{head}; written to {result['out']}"
    rows = [
        f"{row['decision']:<6}  {row['confidence']:.3f}  {row['query']}  ->  {row['item'] or '-'}"
        for row in result["matches"]
    ]
    return "\n".join([*rows, head])


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name in COUNTS else f"{value:.4f}"
