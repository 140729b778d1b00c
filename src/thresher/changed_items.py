"""A catalogue of which some items changed: only these are encoded."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from thresher.catalogue import Catalogue
from thresher.errors import InputError, did_you_mean
from thresher.rerank.changed import Splice, spliced, take
from thresher.retrieve import rebuilt
from thresher.towers import Tower

if TYPE_CHECKING:
    from thresher.towers.item_embeddings import ItemEmbeddings


def item_rows(catalogue: Catalogue, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Items as rows of the catalogue; columns that are left out are empty.

    Raises:
        InputError: for a row without an id (a text or a whole number), two of one id, a column that
            the catalogue lacks, or a value that its type does not hold.
    """
    schema = catalogue.items.schema
    names = [_id(row.get("id"), place) for place, row in enumerate(rows, 1)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"item {twice!r} stands there twice; give each item once")
    for name in dict.fromkeys(name for row in rows for name in row):
        if name not in schema.names:
            raise InputError(
                f"items have no column {name!r}{did_you_mean(name, schema.names)}; they have "
                f"{', '.join(schema.names)}"
            )
    columns = [_column(field, [row.get(field.name) for row in rows]) for field in schema]
    return pa.table(columns, schema=schema)


def _id(value: Any, place: int) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InputError(f"item {place} has no id; give one")
    if isinstance(value, bool) or not isinstance(value, str | Integral):
        raise InputError(f"item {place} has the id {value!r}; give a text or a whole number")
    return str(value)


def _column(field: pa.Field, values: list[Any]) -> pa.Array:
    texts = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    try:
        if texts:
            values = [None if v is None else v if isinstance(v, str) else str(v) for v in values]
        elif pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            values = [float(v) if isinstance(v, str) else v for v in values]
        return pa.array(values, field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        said = str(error).partition("\n")[0]
        raise InputError(
            f"a value of {field.name!r} cannot be held as {field.type} ({said}); mend it"
        ) from None


def changed(
    catalogue: Catalogue,
    tower: Tower,
    embeddings: "ItemEmbeddings | None",
    upserts: Sequence[Mapping[str, Any]],
    deletes: Sequence[str],
    *,
    histories: bool,
) -> tuple[Catalogue, Tower]:
    """The catalogue after changes, and the tower that encodes over it.

    A changed item stays at its place and keeps its training pairs; new ones come last. What was
    counted over the whole catalogue is not counted again; see `thresher.rerank.changed`.

    Args:
        catalogue: before.
        tower: that made its vectors.
        embeddings: of single items, beside the tower.
        upserts: rows to add or to replace, each with its id.
        deletes: ids to remove; unknown ones change nothing.
        histories: whether queries refer to rows of items.

    Raises:
        InputError: see `item_rows`; and where no item would be left.
    """
    new = item_rows(catalogue, upserts)
    rows = {item: row for row, item in enumerate(catalogue.items["id"].to_pylist())}
    splice = _splice(rows, new["id"].to_pylist(), set(deletes))
    if not len(splice.order):
        raise InputError("no item would be left; a catalogue needs at least one")
    runs = splice.runs
    items = pa.concat_tables(
        [(catalogue.items, new)[which].slice(low, high - low) for which, low, high in runs]
    ).combine_chunks()
    old, own = catalogue.index.vectors, _encoded(tower, embeddings, new)
    if isinstance(old, np.ndarray):
        vectors: Any = take(
            runs, old, np.empty((0, old.shape[1]), old.dtype) if own is None else own
        )
    else:
        vectors = sparse.vstack(
            [(old, own)[which][low:high] for which, low, high in runs], format="csr"
        )
    if histories:
        tower = copy.copy(tower)
        tower.describe(items)
    features = spliced(catalogue.features, splice, new)
    made = replace(
        catalogue,
        items=items,
        index=rebuilt(catalogue.index, vectors),
        features=features,
        tower=tower,
    )
    return made, tower


def _splice(rows: Mapping[str, int], new: Sequence[str], deletes: set[str]) -> Splice:
    before = len(rows)
    order = np.arange(before, dtype=np.int64)
    added, kept_of_added = [], []
    for place, item in enumerate(new):
        if item in rows:
            order[rows[item]] = before + place
        else:
            added.append(before + place)
            kept_of_added.append(-1)
    kept = np.arange(before, dtype=np.int64)
    stays = np.ones(before, bool)
    stays[[rows[item] for item in deletes - set(new) if item in rows]] = False
    return Splice(
        np.concatenate([order[stays], np.array(added, np.int64)]),
        before,
        np.concatenate([kept[stays], np.array(kept_of_added, np.int64)]),
    )


def _encoded(tower: Tower, embeddings: "ItemEmbeddings | None", new: pa.Table) -> Any:
    """The vectors of changed items, by a tower that shares all weights with the live one."""
    if not len(new):
        return None
    twin = copy.copy(tower)
    twin.describe(new)
    vectors = twin.encode(twin.items())
    return vectors if embeddings is None else embeddings.vectors(vectors, new["id"].to_pylist())
