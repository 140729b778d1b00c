"""Which columns of a table are features, and of what kind: read from the table, or as configured."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa
import pyarrow.compute as pc

from thresher.errors import InputError

Kind = Literal["id", "category", "categories", "words", "text", "number", "vector", "history"]
KINDS: Sequence[str] = get_args(Kind)
IGNORED = "ignored"

_WORDS = ("title", "text", "name", "description")
_UNTYPED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")  # files whose every column is text
_LOOKED_AT = 10_000  # rows whose values decide whether text is words or a category


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature of an item or a query.

    Args:
        name: of its column; `history.NAME` for what the items of a history have in column NAME.
        kind: how the column is read (`thresher.data.values`).
        width: numbers of its embedding; 8 to 128 is usual.
        min_count: values that occur less often have no vector of their own: an id is counted by the
            training pairs it stands in, any other value by rows. 0 keeps every id.
        buckets: vectors that the values without one of their own share, by their hash; 0 for none,
            such a value is then left out, as if it were missing.
        table: name of its table of vectors; features of one table share it.
    """

    name: str
    kind: Kind
    width: int = 64
    min_count: int = 1
    buckets: int = 0
    table: str = ""

    def __post_init__(self) -> None:
        if self.width < 1 or self.min_count < 0 or self.buckets < 0:
            raise InputError(
                f"the feature {self.name!r} has width {self.width}, min_count {self.min_count} and "
                f"buckets {self.buckets}; give a width of 1 or more, and 0 or more of the others"
            )


class Read(NamedTuple):
    """What a tower reads of an item and of a query."""

    items: tuple[Feature, ...]
    queries: tuple[Feature, ...]


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """How the columns of items and queries are read; the keys of the `[features]` table.

    A column that is not named here is read as its type and values suggest. A line such as
    `price = "number"`, or `brand = { kind = "category", width = 16, table = "brand" }`, says it
    otherwise; the kind "ignored" leaves a column out.

    Args:
        item: by column of the items, its kind, or a table of its kind, width, min_count, buckets and
            table.
        query: the same for the queries, who take over what is configured of items where they are items
            themselves; `history.NAME` is what the items of a history have in NAME.
        width: numbers of the embedding of a feature that says none; 16 to 128 is usual.
        min_count: values in fewer rows have no vector of their own, where a feature says none.
        id_min_count: ids in fewer training pairs have no vector of their own, where an id says no
            `min_count`: what little is learnt of such an id harms more than it helps, and the item is
            what its other features say. 0 keeps every id.
        share_tables: whether features of one name and kind on both sides have one table of vectors.
        max_history: most items of a history that are read, the last ones; 20 to 50 is usual.
        text_bits: the tokens of a "text" are hashed to 2 ** text_bits vectors.
    """

    item: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    width: int = 64
    min_count: int = 1
    id_min_count: int = 10
    share_tables: bool = True
    max_history: int = 50
    text_bits: int = 16

    def __post_init__(self) -> None:
        if self.max_history < 1 or self.id_min_count < 0:
            raise InputError(
                f"features.max_history is {self.max_history} and id_min_count {self.id_min_count}; give 1 or more, "
                "and 0 or more"
            )
        for side in ("item", "query"):
            for name in getattr(self, side):
                self.configured(side, name)  # refuses what is no feature before anything is read

    def ignored(self) -> list[str]:
        """Columns that are left out, of either side."""
        named = ((side, name) for side in ("item", "query") for name in getattr(self, side))
        return [name for side, name in named if self.configured(side, name) is None]

    def configured(self, side: str, name: str) -> Feature | None:
        """What is said of a column; None for one that is ignored.

        Raises:
            InputError: for an unknown kind or key, or a number out of range.
        """
        said = getattr(self, side)[name]
        keys = dict(said) if isinstance(said, Mapping) else {"kind": said}
        known = ("kind", "width", "min_count", "buckets", "table")
        for key in keys:
            if key not in known:
                raise InputError(
                    f"features.{side}.{name} has the key {key!r}; it may have {', '.join(known)}"
                )
        if "kind" not in keys:
            raise InputError(
                f"features.{side}.{name} needs a kind: {', '.join(KINDS)} or {IGNORED}"
            )
        if keys["kind"] == IGNORED:
            return None
        if keys["kind"] not in KINDS:
            near = difflib.get_close_matches(str(keys["kind"]), KINDS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"features.{side}.{name} has the kind {keys['kind']!r}; known are "
                f"{', '.join(KINDS)} and {IGNORED}{hint}"
            )
        wrong = [
            k for k in ("width", "min_count", "buckets") if not isinstance(keys.get(k, 0), int)
        ]
        if wrong or not isinstance(keys.get("table", ""), str):
            raise InputError(
                f"features.{side}.{name}.{(wrong or ['table'])[0]} is "
                f"{keys[(wrong or ['table'])[0]]!r}; width, min_count and buckets are whole numbers, "
                "table is a text"
            )
        return Feature(**{**self.usual(keys["kind"]), **keys, "name": name})

    def usual(self, kind: Kind) -> dict[str, Any]:
        """What a feature of this kind has that says nothing else."""
        return {
            "width": self.width,
            "min_count": self.id_min_count if kind == "id" else self.min_count,
        }


def features_of(
    table: pa.Table, side: Literal["item", "query"], options: FeatureOptions, *, path: str
) -> tuple[Feature, ...]:
    """The features of a table: its columns, as configured or as their types and values suggest.

    | column | is read as |
    |-|-|
    | `id` | id |
    | `history`, a list, of queries | history: ids of items |
    | a list of texts or numbers of varying length | categories |
    | a list of fractions, or of fixed length | vector |
    | text named title, text, name or description, or of two words a value or more | words |
    | other text | category; a number where every value of a text file is one |
    | numbers | number |
    | true and false | category |

    Args:
        table: items or queries.
        side: which of them.
        options: what is configured of its columns.
        path: of its file, for messages.

    Raises:
        InputError: a column that is configured of is absent, holds what its kind cannot be, or holds
            nothing.
    """
    configured = getattr(options, side)
    if side == "query":  # the rest is configured of the items of a history
        configured = [name for name in configured if not name.startswith("history.")]
    for name in configured:
        if name not in table.column_names:
            near = difflib.get_close_matches(name, table.column_names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"features.{side} names {name!r}, and {path} has no such column (it has "
                f"{', '.join(table.column_names)}){hint}"
            )
    found = []
    for name in table.column_names:
        if name in configured:
            feature = options.configured(side, name)
        else:
            kind = _suggested(name, table[name], typed=not path.lower().endswith(_UNTYPED))
            feature = Feature(name=name, kind=kind, **options.usual(kind))
        if feature is None:
            continue
        if feature.kind == "history" and side == "item":
            raise InputError(
                f"features.item.{name} is a history, which only queries have; read it as "
                f'"categories", or leave it out with features.item.{name} = "{IGNORED}"'
            )
        _check_values(table[name], feature, side, path)
        found.append(feature)
    return tuple(found)


def of_history(items: Sequence[Feature], options: FeatureOptions) -> tuple[Feature, ...]:
    """What is read of the items of a history: their features, each averaged over the events.

    Raises:
        InputError: what is configured of one is of no feature of the items, or of another kind.
    """
    by_name = {f"history.{f.name}": f for f in items}
    found = dict(by_name)
    for name in options.query:
        if not name.startswith("history."):
            continue
        if name not in by_name:
            raise InputError(
                f"features.query names {name!r}, and items have no feature {name[8:]!r}; they have "
                f"{', '.join(f.name for f in items)}"
            )
        configured = options.configured("query", name)
        if configured is None:
            del found[name]
        elif configured.kind != by_name[name].kind:
            raise InputError(
                f"features.query gives {name!r} the kind {configured.kind!r}, and items have it as "
                f"{by_name[name].kind!r}; a history is read as its items are"
            )
        else:
            found[name] = configured
    return tuple(replace(f, name=name) for name, f in found.items())


def tables_named(
    items: Sequence[Feature], queries: Sequence[Feature], *, share: bool
) -> tuple[tuple[Feature, ...], tuple[Feature, ...]]:
    """The features with the names of their tables of vectors filled in.

    Raises:
        InputError: features of one table differ in kind, width, min_count or buckets.
    """
    kinds = {f.name: f.kind for f in items}

    def named(side: str, feature: Feature) -> Feature:
        own = feature.name.removeprefix("history.")
        alone = side == "query" and not (share and kinds.get(own) == feature.kind)
        return replace(feature, table=feature.table or (f"query.{feature.name}" if alone else own))

    named_items = tuple(named("item", f) for f in items)
    named_queries = tuple(named("query", f) for f in queries)
    first: dict[str, tuple[str, str]] = {}
    for side, features in (("item", named_items), ("query", named_queries)):
        for f in features:
            said = f"{f.kind}, width {f.width}, min_count {f.min_count}, buckets {f.buckets}"
            name, before = first.setdefault(f.table, (f"features.{side}.{f.name}", said))
            if before != said:
                raise InputError(
                    f"{name} ({before}) and features.{side}.{f.name} ({said}) share the table "
                    f"{f.table!r}; give both the same, or tables of their own"
                )
    return named_items, named_queries


def _suggested(name: str, column: pa.ChunkedArray, *, typed: bool) -> Kind:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if name == "id":
        return "id"
    if pa.types.is_fixed_size_list(kind):
        return "vector"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if pa.types.is_floating(kind.value_type):
            return "vector"
        return "history" if name == "history" else "categories"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_text(name, column.slice(0, _LOOKED_AT), typed=typed)
    return "category"


def _of_text(name: str, column: pa.ChunkedArray, *, typed: bool) -> Kind:
    given = pc.utf8_trim_whitespace(column.cast(pa.string()).drop_null())
    given = given.filter(pc.not_equal(given, ""))
    if name in _WORDS:
        return "words"
    if not len(given):
        return "category"
    if not typed and not name.endswith("_id"):
        try:
            given.cast(pa.float64())
            return "number"
        except pa.ArrowInvalid:
            pass
    blanks = pc.mean(pc.count_substring(given, " ")).as_py()
    return "words" if blanks >= 1 else "category"


def _check_values(column: pa.ChunkedArray, feature: Feature, side: str, path: str) -> None:
    """InputError for a column without a value."""
    kind = column.type
    empty = column.null_count
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        empty = pc.sum(pc.equal(pc.fill_null(column, ""), "")).as_py() or 0
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        empty = pc.sum(pc.equal(pc.fill_null(pc.list_value_length(column), 0), 0)).as_py() or 0
    if empty == len(column):
        raise InputError(
            f"{path}: the column {feature.name!r} has no value in {len(column):,} rows; leave it "
            f'out with features.{side}.{feature.name} = "{IGNORED}"'
        )
