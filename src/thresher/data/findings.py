"""A finding about a user's data, wrong, doubtful or worth knowing; and an audit, all of them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from thresher.data.agreement import Agreement

EXAMPLES = 5
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found in the data, with examples, what it means and what to do about it.

    Args:
        code: a fixed name, for machines ("unknown-item").
        severity: error (training refuses it or its numbers lie), warning (costs quality), note.
        count: how many rows it concerns.
        examples: up to five of them.
        meaning: one clause that says what was found.
        remedy: one clause that says what to do; empty where there is nothing to do.
    """

    code: str
    severity: Literal["error", "warning", "note"]
    count: int
    examples: tuple[str, ...]
    meaning: str
    remedy: str

    def sentence(self) -> str:
        """The finding as one sentence, the form of an error message."""
        such = f" (such as {', '.join(map(repr, self.examples))})" if self.examples else ""
        return f"{self.meaning}{such}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class Audit:
    """The size of a dataset, its shape, and what was found in it, the gravest first.

    Args:
        items: number of items in the catalogue.
        queries: number of queries.
        pairs: number of true pairs.
        splits: number of queries in each split, and of those that are left out for want of a label.
        items_per_query: how many queries have 0, 1, 2, ... true items.
        queries_per_item: how many items are true for 0, 1, 2, ... queries.
        findings: errors, then warnings, then notes.
        columns: how often the columns of both sides agree in true pairs and in random ones.
    """

    items: int
    queries: int
    pairs: int
    splits: dict[str, int]
    items_per_query: dict[str, int]
    queries_per_item: dict[str, int]
    findings: tuple[Finding, ...]
    columns: tuple[Agreement, ...] = ()

    @property
    def ok(self) -> bool:
        """True where no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        columns = [{**asdict(column), "telling": column.telling} for column in self.columns]
        return {"ok": self.ok, **asdict(self), "columns": columns}

    def lines(self) -> list[str]:
        """The audit as lines of text for a terminal."""
        lines = [
            ", ".join(
                (
                    counted(self.items, "item", "items"),
                    counted(self.queries, "query", "queries"),
                    counted(self.pairs, "true pair", "true pairs"),
                )
            ),
            *_bars("queries by split", self.splits),
            *_bars("queries by number of true items", self.items_per_query),
            *_bars("items by number of queries", self.queries_per_item),
            *(["", "columns that agree"] if self.columns else []),
            *(f"  {column.line()}" for column in self.columns),
            "",
        ]
        for finding in self.findings:
            lines.append(f"{finding.severity:<8} {finding.code}: {finding.meaning}")
            lines += [f"{'':<8}   - {example}" for example in finding.examples]
            lines += [f"{'':<8}   {finding.remedy}"] if finding.remedy else []
        tally = [sum(f.severity == name for f in self.findings) for name in SEVERITIES]
        names = [("error", "errors"), ("warning", "warnings"), ("note", "notes")]
        return [*lines, ", ".join(counted(n, *name) for n, name in zip(tally, names, strict=True))]


def examples_of(values: Iterable[object], *, width: int = 100) -> tuple[str, ...]:
    """The first few different values, cut to `width` characters."""
    seen: dict[str, None] = {}
    for value in values:
        text = str(value)
        seen[text if len(text) <= width else text[: width - 1] + "…"] = None
        if len(seen) == EXAMPLES:
            break
    return tuple(seen)


def counted(number: int, one: str, many: str) -> str:
    """A number and its noun: "1 item has", "2,000 items have"."""
    return f"{number:,} {one if number == 1 else many}"


def _bars(title: str, sizes: dict[str, int]) -> list[str]:
    """A small table: name, number, and a bar of its share."""
    total = max(sum(sizes.values()), 1)
    wide = max((len(name) for name in sizes), default=0)
    rows = (
        f"  {name:<{wide}}  {size:>9,}  {size / total:>6.1%}  {'▪' * round(30 * size / total)}"
        for name, size in sizes.items()
    )
    return ["", title, *(row.rstrip() for row in rows)]
