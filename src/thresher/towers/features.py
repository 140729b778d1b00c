"""Which columns are features, and of what kind: as configured, or as the tables suggest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.dataset import Dataset
from thresher.data.tables import text_of
from thresher.errors import InputError, did_you_mean
from thresher.towers.encoders import ENCODERS

Side = Literal["item", "query"]
IGNORED, HISTORY = "ignored", "history"
TEXT = "text"
"""The feature that the text columns of a side are, in a sum."""
KINDS: Sequence[str] = (*ENCODERS, HISTORY)

_WORDS = ("title", "text", "name", "description")
_UNTYPED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")  # files whose every column is text
_LOOKED_AT = 10_000  # rows whose values decide whether text is words or a category
MANY = {"item": "items", "query": "queries"}
_FREE_TEXT = ("words", "text", "id", HISTORY)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature of an item or a query.

    Args:
        name: of its column, `text` for the text columns of a side, or `history.NAME` for what the
            items of a history have in column NAME.
        kind: how the column is read (`thresher.towers.encoders`).
        columns: that are read; the one of its name when left out.
        width: numbers of its embedding; 8 to 128 is usual.
        min_count: values that occur less often have no vector of their own: an id is counted by the
            training pairs it stands in, any other value by rows. 0 keeps every id.
        buckets: vectors that the values without one of their own share, by their hash; 0 for none,
            such a value is then left out, as if it were missing.
        table: name of its table of vectors; features of one table share it.
    """

    name: str
    kind: str
    columns: tuple[str, ...] = ()
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
        if not self.columns:
            object.__setattr__(self, "columns", (self.name,))

    def column(self, table: pa.Table) -> pa.ChunkedArray:
        """Its values in a table; those of several columns are joined by a blank."""
        if len(self.columns) == 1:
            return table[self.columns[0]]
        return pa.chunked_array([pa.array(text_of(table, self.columns), pa.string())])


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """How the columns of items and queries are read; the keys of the `[features]` table.

    A line such as `price = "number"`, or `brand = { kind = "category", table = "brand" }`, says how
    a column is read; the kind "ignored" leaves it out. A column that is not named here is read as
    its type and values suggest, which columns are depends on `tower.combine`:

    - "sum": the text columns of a side as one feature `text`, and columns that both sides have
      under one name and of one kind, but no further text. With events also the ids of items.
    - "concat": all columns.

    Args:
        item: by column of the items, its kind, or a table of its kind, width, min_count, buckets
            and table.
        query: the same for the queries, who take over what is said of items where they are items
            themselves; `history.NAME` is what the items of a history have in NAME.
        width: numbers of the embedding of a feature that says none, with "concat"; 16 to 128 is
            usual. In a sum every feature is as wide as the tower.
        min_count: values in fewer rows have no vector of their own, where a feature says none.
        id_min_count: ids in fewer training pairs have no vector of their own, where an id says no
            `min_count`; when left out 10 with "concat", where what little is learnt of such an id
            harms more than it helps, and 1 with "sum". 0 keeps every id.
        share_tables: whether features of one name and kind on both sides have one table of vectors.
    """

    item: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    width: int = 64
    min_count: int = 1
    id_min_count: int | None = None
    share_tables: bool = True

    def __post_init__(self) -> None:
        if self.min_count < 0 or (self.id_min_count or 0) < 0:
            raise InputError(
                f"features.min_count is {self.min_count} and id_min_count {self.id_min_count}; "
                "give 0 or more of both"
            )
        for side in ("item", "query"):
            for name in getattr(self, side):
                self.configured(side, name)  # refuses what is no feature before anything is read

    def configured(self, side: str, name: str) -> Feature | None:
        """What is said of a column; None for one that is ignored.

        InputError for an unknown kind or key, or a number out of range.
        """
        given, where = getattr(self, side)[name], f"features.{side}.{name}"
        keys = dict(given) if isinstance(given, Mapping) else {"kind": given}
        known = ("kind", "width", "min_count", "buckets", "table")
        for key in keys:
            if key not in known:
                raise InputError(f"{where} has the key {key!r}; it may have {', '.join(known)}")
        if "kind" not in keys:
            raise InputError(f"{where} needs a kind: {', '.join(KINDS)} or {IGNORED}")
        if keys["kind"] == IGNORED:
            return None
        if keys["kind"] not in KINDS:
            raise InputError(
                f"{where} has the kind {keys['kind']!r}; known are {', '.join(KINDS)} and {IGNORED}"
                + did_you_mean(str(keys["kind"]), KINDS)
            )
        numbers = ("width", "min_count", "buckets")
        wrong = [key for key in numbers if not isinstance(keys.get(key, 0), int)]
        wrong += [] if isinstance(keys.get("table", ""), str) else ["table"]
        if wrong:
            raise InputError(
                f"{where}.{wrong[0]} is {keys[wrong[0]]!r}; width, min_count and buckets are whole "
                "numbers, table is a text"
            )
        return self.feature(name, **keys)

    def ignored(self) -> tuple[str, ...]:
        """The columns that are left out on either side."""
        both = [(side, name) for side in ("item", "query") for name in getattr(self, side)]
        return tuple(name for side, name in both if self.configured(side, name) is None)

    def feature(self, name: str, kind: str, **keys: Any) -> Feature:
        """A feature of this kind with what it has when nothing else is said."""
        counts = self.id_min_count if kind == "id" else self.min_count
        default = {"width": self.width, "min_count": 10 if counts is None else counts}
        return Feature(**{**default, **keys, "name": name, "kind": kind})


def features_of(
    table: pa.Table,
    side: Side,
    options: FeatureOptions,
    default: Mapping[str, str],
    text: Sequence[str],
    path: str,
) -> tuple[Feature, ...]:
    """The features of a table: those of `default`, unless configured otherwise, and the others.

    InputError where a column that is configured is absent, holds what its kind cannot be, or holds
    nothing.
    """
    known = [*table.column_names, *([TEXT] if TEXT in default else [])]
    # The rest is said of the items of a history.
    configured = [n for n in getattr(options, side) if side == "item" or "history." not in n[:8]]
    for name in configured:
        if name not in known:
            raise InputError(
                f"features.{side} names {name!r}, and {path} has no such column (it has "
                f"{', '.join(table.column_names)}){did_you_mean(name, table.column_names)}"
            )
    found = []
    for name in dict.fromkeys([*(n for n in known if n in default), *configured]):
        said = name in configured
        feature = options.configured(side, name) if said else options.feature(name, default[name])
        if feature is None:
            continue
        if name == TEXT and TEXT in default and text:
            feature = replace(feature, columns=tuple(text))
        if feature.kind == HISTORY and side == "item":
            raise InputError(
                f"features.item.{name} is a history, which only queries have; read it as "
                f'"categories", or leave it out with features.item.{name} = "{IGNORED}"'
            )
        if all(_is_empty(table[column]) for column in feature.columns):
            raise InputError(
                f"{path}: the column {name!r} has no value in {len(table):,} rows; leave it out "
                f'with features.{side}.{name} = "{IGNORED}"'
            )
        found.append(feature)
    return tuple(found)


def shared_columns(
    data: Dataset, own: pa.Table | None, *, events: bool
) -> dict[str, dict[str, str]]:
    """What a sum reads when nothing is configured: text, and what both sides have."""
    items = suggested(data.items, data.items_path)
    queries = {} if own is None else suggested(own, data.queries_path)
    texts = {*data.item_text, *data.query_text, TEXT}
    shared = {
        name: kind
        for name, kind in items.items()
        if queries.get(name) == kind and kind not in _FREE_TEXT and name not in texts
    }
    found = {"item": dict(shared), "query": dict(shared)}
    history = {name: kind for name, kind in queries.items() if kind == HISTORY}
    found["query"] |= history
    if events or history:
        found["item"] = {"id": "id", **found["item"]}
    kind = "words" if events or history else "text"
    if data.item_text:
        found["item"][TEXT] = kind
    if data.query_text and own is not None:
        found["query"][TEXT] = kind
    return found


def of_history(items: Sequence[Feature], options: FeatureOptions) -> tuple[Feature, ...]:
    """What is read of the items of a history: their features, each averaged over the events.

    InputError where what is configured is of no feature of the items, or of another kind.
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
        feature = options.configured("query", name)
        if feature is None:
            del found[name]
        elif feature.kind != by_name[name].kind:
            raise InputError(
                f"features.query gives {name!r} the kind {feature.kind!r}, and items have it as "
                f"{by_name[name].kind!r}; a history is read as its items are"
            )
        else:
            found[name] = feature
    return tuple(replace(f, name=name) for name, f in found.items())


def with_tables(
    items: Sequence[Feature], queries: Sequence[Feature], *, share: bool
) -> tuple[tuple[Feature, ...], tuple[Feature, ...]]:
    """The features with the names of their tables of vectors filled in.

    InputError where features of one table differ in kind, width, min_count or buckets.
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


def suggested(table: pa.Table, path: str) -> dict[str, str]:
    """How each column is read when nothing is said of it.

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
    """
    typed = not path.lower().endswith(_UNTYPED)
    return {name: _kind(name, table[name], typed=typed) for name in table.column_names}


def check_configured(
    options: FeatureOptions, queries: pa.Table | None, columns: Sequence[str], *, events: bool
) -> None:
    """InputError for several histories, and for what is said of queries that have no such thing."""
    found = [*columns, *(["that of the events"] if events else [])]
    if len(found) > 1:
        raise InputError(
            f"a query has {len(found)} histories ({', '.join(found)}), and one is read; leave out "
            f'the others, as in features.query.{columns[0]} = "{IGNORED}"'
        )
    for name in options.query:
        if name.startswith("history.") and not found:
            raise InputError(
                f"features.query names {name!r}, and queries have no history; leave it out, or "
                "give a column of histories, or events"
            )
        if queries is None and not name.startswith("history."):
            raise InputError(
                f"features.query names {name!r}, and there is no table of queries; leave it out, "
                "or name the file in data.queries"
            )


def _kind(name: str, column: pa.ChunkedArray, *, typed: bool) -> str:
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


def _of_text(name: str, column: pa.ChunkedArray, *, typed: bool) -> str:
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


def _is_empty(column: pa.ChunkedArray) -> bool:
    """Whether a column has no value."""
    kind = column.type
    empty = column.null_count
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        empty = pc.sum(pc.equal(pc.fill_null(column, ""), "")).as_py() or 0
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        empty = pc.sum(pc.equal(pc.fill_null(pc.list_value_length(column), 0), 0)).as_py() or 0
    return empty == len(column)
