"""What a person reads on the terminal after a job."""

from collections.abc import Mapping
from typing import Any

Shown = Mapping[str, Any]
COUNTS = ("queries", "queries_without_item", "items")


def show_training(result: Shown) -> str:
    """The outcome of `train`."""
    queries = result["queries"]
    lines = [
        f"trained on {queries['train']:,} queries over {result['items']:,} items "
        f"in {result['seconds']:.0f} s; the artifact is {result['artifact']}"
    ]
    if "P@1" in result["validation"]:
        lines.append(f"validation: P@1 {result['validation']['P@1']:.3f}")
    return "\n".join([*lines, result["decision"]["sentence"]])


def show_decision(decision: Shown) -> str:
    """The outcome of `calibrate`."""
    return str(decision["sentence"])


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
