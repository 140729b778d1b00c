"""What an importer wrote, and what its user should know about it."""

import errno
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.column_kinds import column_kinds, with_numbers
from thresher.data.findings import counted
from thresher.data.join import Tables
from thresher.data.split import SPLITS, assign
from thresher.data.tables import text_of, write_table
from thresher.errors import InputError, percent_hint
from thresher.files import aside, make_folder, refusal


@dataclass(frozen=True)
class Summary:
    """What an importer wrote, and what its user should know about it.

    Args:
        items: number of items written.
        queries: number of queries written.
        pairs: number of true pairs written.
        splits: number of queries in each split that the source gives; the rest is split on loading.
        item_text: columns that describe an item, for the option of that name.
        query_text: the same for queries.
        notes: one sentence for each choice that was made or row that was left out.
        ignored: number of ignored pairs written; None where the source lists none.
        without_pairs: number of queries without a true pair.
        columns: what each column of items and queries holds: text, code, number or category.
    """

    items: int
    queries: int
    pairs: int
    splits: Mapping[str, int]
    item_text: tuple[str, ...]
    query_text: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    ignored: int | None = None
    without_pairs: int = 0
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "items": self.items,
            "queries": self.queries,
            "pairs": self.pairs,
            "ignored": self.ignored,
            "without_pairs": self.without_pairs,
            "splits": dict(self.splits),
            "item_text": list(self.item_text),
            "query_text": list(self.query_text),
            "columns": {name: dict(kinds) for name, kinds in self.columns.items()},
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The summary as lines of text, with the lines of configuration that read the result."""
        splits = ", ".join(f"{name} {number:,}" for name, number in self.splits.items() if number)
        listed = [] if self.ignored is None else ['ignored = "ignored.parquet"']
        more = "" if self.ignored is None else f", {self.ignored:,} ignored pairs"
        return [
            f"{self.items:,} items, {self.queries:,} queries, {self.pairs:,} true pairs{more}",
            f"queries by split: {splits or 'none given'}",
            *(f"- {note}" for note in self.notes),
            "",
            "[data]",
            'items = "items.parquet"',
            'queries = "queries.parquet"',
            'pairs = "pairs.parquet"',
            *listed,
            *(['without_pairs = "no_item"'] if self.without_pairs else []),
            f"item_text = {_listed(self.item_text)}",
            f"query_text = {_listed(self.query_text)}",
            *(
                f"# columns of {side}: {', '.join(f'{n} ({kind})' for n, kind in kinds.items())}"
                for side, kinds in self.columns.items()
            ),
        ]


def _listed(names: tuple[str, ...]) -> str:
    """A list of TOML."""
    return json.dumps(names, ensure_ascii=False)


def write_dataset(
    out: Path,
    tables: Tables,
    splits: Sequence[str | None],
    *,
    calibration: float,
    validation: float = 0.0,
    seed: int,
    notes: Sequence[str],
) -> Summary:
    """Write the tables into a folder, with a calibration split, and sum them up.

    Formats from elsewhere know no calibration split, and a threshold needs one: a seeded share of
    the train queries (of validation where there is no train, of test where there is neither)
    becomes it. Queries of the same text go together. Columns of numbers, perhaps with a currency,
    are written as numbers.

    Args:
        out: the folder, made if needed.
        tables: the tables; queries without a column `split`.
        splits: the split of each query in the source, None where it has none.
        calibration: fraction of those queries to use for calibration, in [0, 1); 0 for none.
        validation: fraction of the train queries that become validation; 0 for none.
        seed: of the choice.
        notes: what the user should know.

    Raises:
        InputError: a share is out of range, or there is no train to take validation from.
    """
    origin = next((name for name in ("train", "validation", "test") if name in splits), None)
    _check_shares(calibration, validation, origin)
    taken = {"validation": validation, "calibration": calibration}
    given, moved = _given(tables.queries, splits, origin, taken, seed)
    (items, strange), (queries, others) = _numbers(tables.items), _numbers(tables.queries)
    notes = list(dict.fromkeys([*notes, *moved, *strange, *others]))
    queries = queries.append_column("split", pa.array(given, pa.string()))
    written = {"items": items, "queries": queries, "pairs": tables.pairs}
    written |= {} if tables.ignored is None else {"ignored": tables.ignored}
    with written_together(out) as folder:
        for name, table in written.items():
            write_table(table, folder / f"{name}.parquet")
    return Summary(
        items=len(items),
        queries=len(queries),
        pairs=len(tables.pairs),
        splits={name: given.count(name) for name in SPLITS},
        item_text=_texts(tables.items),
        query_text=_texts(queries),
        notes=tuple(notes),
        ignored=None if tables.ignored is None else len(tables.ignored),
        without_pairs=len(queries) - pc.count_distinct(tables.pairs["query_id"]).as_py(),
        columns={"items": _told(items), "queries": _told(queries)},
    )


def _given(
    queries: pa.Table,
    splits: Sequence[str | None],
    origin: str | None,
    taken: Mapping[str, float],
    seed: int,
) -> tuple[list[str | None], list[str]]:
    """The split of each query, a share of those of `origin` moved, and a sentence for each move."""
    texts = text_of(queries, _texts(queries))
    rest = 1 - taken["validation"] - taken["calibration"]
    drawn = assign(texts, shares={"train": rest, **taken}, seed=seed)
    given = [
        SPLITS[number] if origin and name == origin and number else name
        for name, number in zip(splits, drawn.tolist(), strict=True)
    ]
    notes = []
    for split, share in taken.items():
        moved = sum(new == split != old for old, new in zip(splits, given, strict=True))
        if moved:
            became = counted(moved, f"{origin} query became", f"{origin} queries became")
            notes.append(f"{became} the {split} split (share {share:g}, seed {seed})")
    return given, notes


def _numbers(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Columns of text that hold numbers, but those that describe a row, as numbers."""
    found = [name for name, kind in column_kinds(table).items() if kind == "number"]
    free = [name for name in found if name not in _texts(table)]
    return with_numbers(table, [name for name in free if table[name].type == pa.string()])


def _told(table: pa.Table) -> dict[str, str]:
    """The kinds of columns as they are written: numbers that are text are none."""
    return {
        name: "text" if kind == "number" and table[name].type == pa.string() else kind
        for name, kind in column_kinds(table).items()
    }


def _check_shares(calibration: float, validation: float, origin: str | None) -> None:
    for name, share in (("calibration", calibration), ("validation", validation)):
        if not 0 <= share < 1:
            raise InputError(
                f"the {name} share is {share}; it must be in [0, 1){percent_hint(share)}"
            )
    if calibration + validation >= 1:
        raise InputError(
            f"the calibration share {calibration} and the validation share {validation} leave "
            "nothing to train on; together they must be below 1"
        )
    if validation and origin != "train":
        raise InputError(
            f"a validation share of {validation} was asked for, but the source has no train "
            "queries to take it from; leave the share out"
        )


def _texts(table: pa.Table) -> tuple[str, ...]:
    """The columns that describe a row: texts, codes, names, and those of usual names."""
    usual = ("title", "name", "text", "description", "manufacturer", "brand")
    kinds = column_kinds(table)
    found = [
        name
        for name, kind in kinds.items()
        if name in usual or kind in ("text", "code") or (kind == "category" and _tells(table[name]))
    ]
    return tuple(sorted(found, key=lambda n: usual.index(n) if n in usual else len(usual))) or (
        *kinds,
    )


def _tells(column: pa.ChunkedArray) -> bool:
    """Whether short values are names of the rows, few of which repeat, and not categories."""
    return column.type == pa.string() and pc.count_distinct(column).as_py() > len(column) / 2


@contextmanager
def written_together(out: Path) -> Iterator[Path]:
    """Give a folder for tables that become those of `out` in one step, or not at all.

    Ignored pairs that an earlier import left there go: they are of other queries.

    Raises:
        InputError: `out` cannot be written to.
    """
    if out.is_file():
        raise refusal(out, FileExistsError(errno.EEXIST, ""))
    with aside(out, drop=["ignored.parquet"]) as folder:
        make_folder(folder)
        yield folder
