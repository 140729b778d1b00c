"""What is searched: the items, their vectors, and what the re-ranker reads of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from thresher.config import Config
from thresher.data.dataset import Dataset
from thresher.data.findings import examples_of
from thresher.data.join import unique_rows
from thresher.data.queries import Queries
from thresher.data.tables import read_table, require_columns, text_of, write_table
from thresher.errors import InputError
from thresher.files import read_json, write_json
from thresher.rerank import PairFeatures, QueryAliases, Texts, compared_columns, pairs
from thresher.retrieve import Hits, Index, build, load
from thresher.towers import Tower
from thresher.towers.tower import Reader

if TYPE_CHECKING:
    from thresher.towers.item_embeddings import ItemEmbeddings

_FEW = 8


@dataclass(frozen=True)
class Catalogue:
    """Items with an index over their vectors.

    Args:
        items: table with `id` and any other columns.
        item_text: the columns that make up the text of an item; perhaps none.
        query_text: the same for queries.
        index: finds the items closest to a vector.
        features: what the re-ranker reads of an item beside a query.
        tower: that made the vectors.
    """

    items: pa.Table
    item_text: tuple[str, ...]
    query_text: tuple[str, ...]
    index: Index
    features: PairFeatures
    tower: "Tower | Reader"

    @classmethod
    def build(
        cls, data: Dataset, tower: Tower, config: Config, embeddings: "ItemEmbeddings | None"
    ) -> "Catalogue":
        """Encode the items of a dataset and index them.

        Raises:
            InputError: for an empty catalogue.
        """
        texts, ids = data.aliases()
        counts = dict(zip(data.items["id"].to_pylist(), data.item_counts().tolist(), strict=True))
        aliases = QueryAliases(tuple(texts), tuple(ids), counts)
        table = data.part("train").queries.table
        ignored = config.build("features").ignored()
        compare = compared_columns(data.items, table, (*data.item_text, *data.query_text), ignored)
        queries = data.part("train").queries
        first = {
            text: row for row, text in reversed(list(enumerate(queries.text(data.query_text))))
        }

        def encode(texts: Sequence[str]) -> Any:
            rows = np.array([first[text] for text in texts], np.int64)
            return tower.encode(tower.queries(queries.take(rows)))

        text = (data.item_text, data.query_text)
        return cls._of(data.items, text, aliases, compare, encode, tower, config, embeddings)

    def over(
        self,
        items: pa.Table,
        tower: Tower,
        embeddings: "ItemEmbeddings | None",
        config: Config,
    ) -> "Catalogue":
        """The same model over other items; training queries of items that stay are kept.

        Raises:
            InputError: when an id is missing or repeats, or a column is missing.
        """
        require_columns(items, ["id", *self.item_text], "the table of items")
        _check_ids(items)
        before = dict(zip(self.items["id"].to_pylist(), self.train_counts.tolist(), strict=True))
        aliases = QueryAliases(self.features.aliases.texts, self.features.aliases.item_ids, before)
        text, features = (self.item_text, self.query_text), self.features
        encode = features.vectors_of
        return self._of(items, text, aliases, features.compare, encode, tower, config, embeddings)

    @classmethod
    def _of(
        cls,
        items: pa.Table,
        text: tuple[tuple[str, ...], tuple[str, ...]],
        aliases: QueryAliases,
        compare: tuple[Any, ...],
        encode: Callable[[Sequence[str]], Any],
        tower: Tower,
        config: Config,
        embeddings: "ItemEmbeddings | None",
    ) -> "Catalogue":
        if not len(items):
            raise InputError("the catalogue has no items; give at least one")
        tower.describe(items)
        vectors, ids = tower.encode(tower.items()), items["id"].to_pylist()
        if embeddings is not None:
            vectors = embeddings.vectors(vectors, ids)
        counts = np.array([aliases.counts.get(i, 0) for i in ids], np.int64)
        features = PairFeatures.build(
            items,
            text=text[0],
            query_text=text[1],
            compare=compare,
            aliases=aliases,
            train_counts=counts,
            encode=encode,
        )
        index = build(vectors, kind=config.build("index").kind)
        return cls(items, *text, index, features, tower)

    def save(self, folder: Path, *, model: str = "") -> None:
        """Write everything into a folder; `model` is the fingerprint of what made the vectors."""
        write_table(self.items, folder / "items.parquet")
        columns = {"item_text": list(self.item_text), "query_text": list(self.query_text)}
        write_json(folder / "catalogue.json", {**columns, "model": model})
        self.index.save(folder / "vectors")
        self.features.save(folder / "pair_features")

    @classmethod
    def load(cls, folder: Path, tower: "Tower | Reader", *, model: str = "") -> "Catalogue":
        """Read what `save` wrote.

        Raises:
            InputError: when a file is missing or damaged, or another model made the vectors.
        """
        try:
            columns = read_json(
                folder / "catalogue.json", what="the catalogue", fix="run `thresher index` again"
            )
            if columns["model"] != model:
                raise InputError(
                    f"the index in {folder} is of another model; run `thresher index` again"
                )
            items = read_table(folder / "items.parquet")
            tower.describe(items)
            return cls(
                items,
                tuple(columns["item_text"]),
                tuple(columns["query_text"]),
                load(folder / "vectors"),
                PairFeatures.load(folder / "pair_features", items),
                tower,
            )
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the index in {folder} cannot be read ({error}); run `thresher index` again"
            ) from error

    @property
    def train_counts(self) -> Int64[np.ndarray, " N"]:
        """Training pairs of each item."""
        return self.features.train_counts

    def pair_features(
        self, queries: Queries, vectors: Any, hits: Hits, *, texts: Sequence[Texts] | None = None
    ) -> Float32[np.ndarray, "Q k F"]:
        """What the re-ranker weighs of every candidate; `texts` as in `PairFeatures.read`."""
        found = (hits.rows, hits.scores)
        return self.features.read(
            queries.aligned(), vectors, *found, histories=queries.histories, texts=texts
        )

    def rows(self, ids: Sequence[str]) -> Int64[np.ndarray, " n"]:
        """The rows of items.

        Raises:
            InputError: for an unknown id.
        """
        rows = pc.index_in(
            pa.array(list(ids), pa.string()), value_set=self.items["id"].combine_chunks()
        )
        if rows.null_count:
            unknown = [i for i, row in zip(ids, rows, strict=True) if not row.is_valid]
            raise InputError(
                f"the catalogue has no item {', '.join(map(repr, examples_of(unknown)))}; its ids "
                f"are such as {self.items['id'][0].as_py()!r}"
            )
        return rows.to_numpy(zero_copy_only=False).astype(np.int64)

    def score_new(
        self,
        vectors: Float32[np.ndarray, "Q L D"],
        found: Int64[np.ndarray, "Q k"],
        rows: Int64[np.ndarray, "Q m"],
    ) -> tuple[Int64[np.ndarray, "Q m"], Float32[np.ndarray, "Q m"]]:
        """The rows of further candidates without those found already, and their scores.

        Args:
            vectors: of the queries, one for each interest; the best score counts.
            found: rows that are candidates already.
            rows: of further ones, -1 for none.
        """
        rows = np.array(rows)
        return rows, pairs.score_new(vectors, self._vectors, found, rows)

    @cached_property
    def _vectors(self) -> Float32[np.ndarray, "N D"]:
        """All vectors, not to be written to: one type to compile for."""
        view = np.asarray(self.index.vectors)[:]
        view.flags.writeable = False
        return view

    def vectors(self, rows: Int64[np.ndarray, " n"]) -> Any:
        """The vectors of items that are searched."""
        return self.index.vectors[rows]

    def ids(self, rows: Int64[np.ndarray, " n"]) -> pa.Array:
        """The item ids of rows; null for row -1."""
        return _taken(self._ids, rows)

    @cached_property
    def _ids(self) -> pa.StringArray:
        return self.items["id"].combine_chunks()

    def texts(self, rows: Int64[np.ndarray, " n"]) -> pa.Array:
        """The texts of item rows; empty for row -1 and where items have no text."""
        if not self.item_text:
            return pa.array([""] * len(rows), pa.string())
        columns = {name: _taken(column, rows) for name, column in self._text_columns.items()}
        return pa.array(text_of(pa.table(columns), self.item_text), pa.string())

    @cached_property
    def _text_columns(self) -> dict[str, pa.Array]:
        require_columns(self.items, self.item_text, "the table")
        return {name: self.items[name].combine_chunks() for name in self.item_text}

    def hits_of(self, query_ids: pa.StringArray, table: pa.Table) -> Hits:
        """Candidates of another search engine as hits, best first; unknown items are left out.

        A table without a row gives no candidate to any query.

        Raises:
            InputError: when no candidate is of these queries and items, or a score is no number.
        """
        query = pc.index_in(table["query_id"].cast(pa.string()), value_set=query_ids)
        item = pc.index_in(
            table["item_id"].cast(pa.string()), value_set=self.items["id"].combine_chunks()
        )
        q, i = (pc.fill_null(x, -1).to_numpy().astype(np.int64) for x in (query, item))
        try:
            scores = table["score"].cast(pa.float32()).to_numpy()
            finite = np.isfinite(scores).all()
        except pa.ArrowException:
            finite = False
        if not finite:
            raise InputError("a score of the candidates is missing or no finite number; mend it")
        if not len(table):
            return Hits.none(len(query_ids), 1)
        kept = (q >= 0) & (i >= 0)
        if not kept.any():
            raise InputError(
                "no candidate names both one of these queries and an item of the catalogue; check "
                "query_id and item_id"
            )
        q, i, scores = q[kept], i[kept], scores[kept]
        order = np.lexsort((i, -scores, q))
        q, i, scores = q[order], i[order], scores[order]
        counts = np.bincount(q, minlength=len(query_ids))
        place = np.arange(len(q)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.full((len(query_ids), int(counts.max())), -1, np.int64)
        best = np.full(rows.shape, -np.inf, np.float32)
        rows[q, place], best[q, place] = i, scores
        return Hits(rows, best)

    def same(self, other: "Catalogue") -> bool:
        """Whether another catalogue has the same items, so that a policy still holds."""
        return self.items.equals(other.items)


def _taken(values: pa.Array, rows: Int64[np.ndarray, " n"]) -> pa.Array:
    """The values of rows; null for row -1. Of a few rows in a third of the time of Arrow's own."""
    if len(rows) > _FEW or not isinstance(values, pa.StringArray):
        return values.take(pa.array(rows, mask=rows < 0))
    return pa.array(
        [values[row].as_py() if row >= 0 else None for row in rows.tolist()], values.type
    )


def _check_ids(items: pa.Table) -> None:
    """InputError for a row without an id, or two of one id."""
    for finding in unique_rows(items, "the table of items", "item")[1]:
        raise InputError(finding.sentence())
