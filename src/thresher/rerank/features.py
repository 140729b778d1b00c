"""What the re-ranker reads of a query beside a candidate, for any kind of run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from thresher.data.histories import Histories
from thresher.data.tables import text_of
from thresher.files import read_json, write_json
from thresher.rerank.columns import Compared, column_features, column_names
from thresher.rerank.pair_features import NAMES, Evidence, QueryAliases, Reader, leads

WITHOUT_TEXT = ("score", "score, lead", "training pairs, log", "in the history")


@dataclass(frozen=True)
class PairFeatures:
    """Pair features of queries and candidates: of their text, their columns, or their history.

    Args:
        items: the catalogue.
        text: columns that make up the text of an item; perhaps none.
        query_text: the same for queries.
        compare: columns that stand on both sides.
        train_counts: training pairs of each item.
        evidence: tokens, codes and aliases of the items; None without text.
    """

    items: pa.Table
    text: tuple[str, ...]
    query_text: tuple[str, ...]
    compare: tuple[Compared, ...]
    train_counts: Int64[np.ndarray, " N"]
    evidence: Evidence | None

    @classmethod
    def build(
        cls,
        items: pa.Table,
        *,
        text: tuple[str, ...],
        query_text: tuple[str, ...],
        compare: tuple[Compared, ...],
        aliases: QueryAliases,
        train_counts: Int64[np.ndarray, " N"],
        encode: Callable[[Sequence[str]], Any],
    ) -> "PairFeatures":
        """Work out what belongs to an item once; aliases of other items are left out."""
        evidence = None
        if text and query_text:
            texts = text_of(items, text)
            evidence = Evidence.build(texts, items["id"].to_pylist(), aliases, encode)
        return cls(items, text, query_text, compare, train_counts, evidence)

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        own = WITHOUT_TEXT if self.evidence is None else NAMES
        return (*own, *column_names(self.compare))

    @property
    def aliases(self) -> QueryAliases:
        """The training queries that are kept."""
        return QueryAliases((), ()) if self.evidence is None else self.evidence.aliases

    def read(
        self,
        queries: pa.Table,
        vectors: Any,
        rows: Int64[np.ndarray, "Q k"],
        scores: Float32[np.ndarray, "Q k"],
        *,
        histories: Histories | None = None,
    ) -> Float32[np.ndarray, "Q k F"]:
        """The features of every candidate, in the order of `names`; a missing one has zeros.

        Args:
            queries: their columns, a row each.
            vectors: their unit rows.
            rows: candidates of each query.
            scores: their scores.
            histories: the items that each had.
        """
        if self._reader is not None:
            own = self._reader.read(text_of(queries, self.query_text), vectors, rows, scores)
        else:
            own = self._without_text(rows, scores, histories)
        if not self.compare:
            return own
        compared = column_features(self.compare, self.items, queries, rows, self.text, self.query_text)
        return np.concatenate([own, compared], axis=-1)

    def save(self, folder: Path) -> None:
        """Write what was worked out; the items are the catalogue's to keep."""
        about = {
            "text": self.text,
            "query_text": self.query_text,
            "compare": [[c.name, c.kind] for c in self.compare],
        }
        write_json(folder / "pair_features.json", about)
        np.save(folder / "train_counts.npy", self.train_counts, allow_pickle=False)
        if self.evidence is not None:
            self.evidence.save(folder / "evidence")

    @classmethod
    def load(cls, folder: Path, items: pa.Table) -> "PairFeatures":
        """Read what `save` wrote."""
        path = folder / "pair_features.json"
        about = read_json(path, what="the pair features", fix="index again")
        text, query_text = tuple(about["text"]), tuple(about["query_text"])
        evidence = None
        if text and query_text:
            evidence = Evidence.load(folder / "evidence", text_of(items, text))
        compare = tuple(Compared(name, kind) for name, kind in about["compare"])
        counts = np.load(folder / "train_counts.npy", allow_pickle=False)
        return cls(items, text, query_text, compare, counts, evidence)

    @cached_property
    def _reader(self) -> Reader | None:
        return None if self.evidence is None else Reader(self.evidence)

    def _without_text(
        self,
        rows: Int64[np.ndarray, "Q k"],
        scores: Float32[np.ndarray, "Q k"],
        histories: Histories | None,
    ) -> Float32[np.ndarray, "Q k 4"]:
        missing = rows < 0
        score = np.where(missing, np.nan, scores).astype(np.float32)[..., None]
        had = np.zeros(rows.shape, np.float32)
        if histories is not None:
            had = histories.relation(len(self.items)).correct(rows).astype(np.float32)
        popular = np.log1p(self.train_counts[np.maximum(rows, 0)]).astype(np.float32)
        features = np.concatenate([score, leads(score), popular[..., None], had[..., None]], -1)
        return np.where(missing[..., None], 0.0, np.nan_to_num(features)).astype(np.float32)
