"""Which items a query finds, and in which order: tower, catalogue and re-ranker together."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64

from thresher.answers import Proposals
from thresher.asked import histories, query_table
from thresher.catalogue import Catalogue
from thresher.checks import whole
from thresher.config import Config
from thresher.data.dataset import Part
from thresher.data.frames import Frame, to_table
from thresher.data.queries import Queries, check_ids
from thresher.data.relation import Relation
from thresher.data.tables import require_columns
from thresher.decide.known import KnownTexts
from thresher.decide.options import DecideOptions
from thresher.decision import Decision, confidence_of
from thresher.errors import InputError
from thresher.lazy import Late
from thresher.rerank import Examples, Texts
from thresher.retrieve import Hits, search_without
from thresher.retrieve.side_by_side import shares, side_by_side
from thresher.towers import Tower
from thresher.towers.tower import Reader


class Searching:
    """What `Retriever` is built on: from what was asked to ranked candidates.

    Args:
        config: the run.
        tower: encodes queries and items.
        catalogue: the items, their index, and what the re-ranker reads of them.
        decision: re-ranker, policy and the outcomes it rests on; None before calibration.
        known_texts: of the training queries; None where the model reads none.
        reader: makes the same vectors of queries, without torch; the tower itself when left out.
    """

    tower: Any = Late()

    def __init__(
        self,
        config: Config,
        tower: Tower | Reader,
        catalogue: Catalogue,
        *,
        decision: Decision | None = None,
        known_texts: KnownTexts | None = None,
        reader: Reader | None = None,
    ) -> None:
        self._reader = reader
        self.config, self.tower, self.catalogue = config, tower, catalogue
        self.decision, self.known_texts = decision, known_texts

    @property
    def reader(self) -> Reader:
        """What makes vectors of queries: the tower, or what needs no torch to make the same."""
        reader: Reader = self.tower if self._reader is None else self._reader
        return reader

    @property
    def items(self) -> pa.Table:
        """The catalogue; column `id` and any others."""
        return self.catalogue.items

    @property
    def options(self) -> DecideOptions:
        """How scores become decisions; the raw score where nothing was calibrated."""
        if self.decision is not None:
            return self.decision.options
        return DecideOptions(scorer="score")

    def as_queries(self, queries: Frame | None = None, *, events: Frame | None = None) -> Queries:
        """Queries as the model reads them.

        Args:
            queries: a frame or table with the columns of the training queries, a list or series
                of texts, or one text. Without a column `id` queries are numbered from 0.
            events: a table of user_id, item_id and timestamp: what users did, oldest first.

        Raises:
            InputError: for neither, a column that is missing, an id that is missing or repeats, or
                events of no known item.
        """
        if isinstance(queries, Queries):
            return queries
        if events is None and self.reads_events and not self.reader.schema.queries:
            raise InputError("this model reads only what users did; give events to recommend")
        table = None if queries is None else self.query_table(queries)
        if table is not None and "id" in table.column_names:
            check_ids(table["id"])
        if events is not None:
            if isinstance(events, Queries):
                return events
            return self.histories(events, table)[0]
        if table is None:
            raise InputError("nothing to look for was given; give queries, or events of users")
        return Queries.of_table(table)

    def histories(
        self, events: Frame, users: pa.Table | None = None
    ) -> tuple[Queries, tuple[str, ...]]:
        """Users as the model reads them, and a clause for each kind of event that was left out.

        Raises:
            InputError: for a model that reads no histories, a column that is missing, or events of
                no known item.
        """
        return histories(self, events, users)

    @cached_property
    def reads_events(self) -> bool:
        """Whether it was trained on what users did."""
        return "events" in self.config.build("data").named()

    def known(self, queries: Queries) -> Bool[np.ndarray, " Q"] | None:
        """Whether the text of each query stands among the training queries; None without texts."""
        if self.known_texts is None:
            return None
        return self.known_texts.has(queries.text(self.catalogue.query_text))

    def query_table(self, queries: Frame) -> pa.Table:
        """The columns of queries, under the names that the model knows; see `as_queries`."""
        return query_table(self, queries)

    def encode(self, queries: Frame) -> Any:
        """Unit vectors of queries: float32 [n, dim]; sparse for the `tfidf` tower.

        Args:
            queries: as in `as_queries`.
        """
        return self.reader.encode(self.reader.queries(self.as_queries(queries)))

    def hits(
        self,
        queries: Queries,
        k: int,
        *,
        allow: Bool[np.ndarray, " N"] | None = None,
        ignored: Relation | None = None,
        candidates: Hits | None = None,
    ) -> tuple[Any, Hits]:
        """The vectors of queries, and the k closest items of each, in the tower's own order.

        Args:
            queries: as in `as_queries`.
            k: items a query.
            allow: items that may be found; all when left out.
            ignored: items that may not be found, one row a query.
            candidates: found by another search engine, in place of a search.

        Raises:
            InputError: when k is not between 1 and the number of items.
        """
        k = whole("k", k, len(self.items), "the size of the catalogue")
        vectors = self.reader.encode(self.reader.queries(queries))
        if candidates is not None:
            return vectors, search_without(candidates.padded, k, ignored)
        index, interests = self.catalogue.index, self.reader.interests
        known = np.asarray(abs(vectors).sum(axis=1)).ravel() > 0
        each = vectors.reshape(-1, self.reader.dim) if interests > 1 else vectors

        def search(depth: int) -> Hits:
            return index.search(each, depth, allow=allow).merged(interests)

        found = search_without(search, k, ignored)
        # A query of which nothing is known is as close to one item as to another.
        rows = np.where(known[:, None], found.rows, -1)
        return vectors, Hits(rows, np.where(rows < 0, -np.inf, found.scores).astype(np.float32))

    def propose(
        self,
        queries: Queries,
        *,
        depth: int = 0,
        allow: Bool[np.ndarray, " N"] | None = None,
        ignored: Relation | None = None,
        candidates: Hits | None = None,
    ) -> Proposals:
        """Rank the candidates of each query and give the confidence in the first one.

        Args:
            queries: as in `as_queries`.
            depth: items a query to return at least; beyond the candidates in the tower's order.
            allow: items that may be proposed; all when left out.
            ignored: items that may not be proposed, one row a query.
            candidates: found by another search engine, in place of a search.
        """

        def run(rows: Int64[np.ndarray, " q"]) -> Proposals:
            own = None if ignored is None else ignored.take(rows)
            found = None if candidates is None else candidates[rows]
            return self._propose(
                queries.take(rows), depth=depth, allow=allow, ignored=own, candidates=found
            )

        parts = shares(len(queries))
        if len(parts) == 1:
            return self._propose(
                queries, depth=depth, allow=allow, ignored=ignored, candidates=candidates
            )
        return Proposals.joined(side_by_side(run, parts))

    def _propose(
        self,
        queries: Queries,
        *,
        depth: int,
        allow: Bool[np.ndarray, " N"] | None,
        ignored: Relation | None,
        candidates: Hits | None,
    ) -> Proposals:
        many = min(self.options.candidates, len(self.items))
        k = min(max(depth, many), len(self.items))
        vectors, hits = self.hits(queries, k, allow=allow, ignored=ignored, candidates=candidates)
        if self.decision is None or self.decision.reranker is None:
            return Proposals(hits, hits, confidence_of(self.options.scorer, hits.scores))
        near = hits.top(many)
        texts = self.catalogue.features.tokenised(queries.text(self.catalogue.query_text))
        if candidates is None:
            near = self.with_words(
                queries, vectors, near, allow=allow, ignored=ignored, texts=texts
            )
        features = self.catalogue.pair_features(queries, vectors, near, texts=texts)
        order, chances = self.decision.reranker.rank(features, near.rows < 0)
        each = np.arange(len(order))[:, None]
        ranked = Hits(near.rows[each, order], near.scores[each, order])
        ranked = ranked.followed(hits, many)
        width = min(max(k, near.rows.shape[1]), len(self.items))
        return Proposals(ranked.top(width), hits, chances[:, 0], chances[:, :width])

    def with_words(
        self,
        queries: Queries,
        vectors: Any,
        hits: Hits,
        *,
        options: DecideOptions | None = None,
        allow: Bool[np.ndarray, " N"] | None = None,
        ignored: Relation | None = None,
        texts: Sequence[Texts] | None = None,
    ) -> Hits:
        """Hits, and behind them items that share the rarest words with each query.

        Args:
            queries: see `hits`.
            vectors: of the queries.
            hits: what the tower found.
            options: how many there may be; those of the decision when left out.
            allow: items that may be found; all when left out.
            ignored: items that may not be found, one row a query.
            texts: of the queries, as in `PairFeatures.read`.
        """
        many = min((options or self.options).candidates_by_words, len(self.items))
        if not many or not isinstance(vectors, np.ndarray):
            return hits
        rows = self.catalogue.features.by_words(queries.aligned(), many, texts=texts)
        if allow is not None:
            rows = np.where(allow[rows], rows, -1)
        if ignored is not None:
            rows = np.where(ignored.correct(rows), -1, rows)
        each = vectors.reshape(len(vectors), self.reader.interests, self.reader.dim)
        rows, scores = self.catalogue.score_new(each, hits.rows, rows)
        return Hits(
            np.concatenate([hits.rows, rows], axis=1),
            np.concatenate([hits.scores, scores], axis=1),
        )

    def examples_of(self, part: Part, options: DecideOptions) -> Examples:
        """Candidates of labelled queries, for a re-ranker to learn from."""
        k = min(options.candidates, len(self.items))
        vectors, hits = self.hits(part.queries, k, ignored=part.ignored)
        hits = self.with_words(part.queries, vectors, hits, options=options, ignored=part.ignored)
        return Examples(
            self.catalogue.pair_features(part.queries, vectors, hits),
            part.truth.correct(hits.rows),
            hits.rows < 0,
            self.catalogue.features.names,
        )

    def lists(
        self,
        queries: Queries,
        k: int,
        *,
        ignored: Relation | None = None,
        remove_history: bool | None = None,
    ) -> Hits:
        """The k items to list for each query: as configured without what it had, or that raised.

        Args:
            queries: as in `as_queries`.
            k: items a query.
            ignored: items that may not be listed, one row a query.
            remove_history: leave out what is in the history; as configured when left out. Asked to
                keep it, the configured `repeat_boost` holds.
        """
        options = self.config.build("recommend")
        remove = options.remove_history if remove_history is None else remove_history
        more = None
        if queries.histories is None:
            more = self.themselves(queries)
        elif remove:
            more = queries.histories.sequences().relation(len(self.items))
        if ignored is not None and more is not None:
            more = ignored.union(more)
        ignored = ignored if more is None else more
        if queries.histories is None or remove:
            return self.hits(queries, k, ignored=ignored)[1]
        vectors, found = self.hits(queries, k, ignored=ignored)
        return self.raised(queries, vectors, found, options.boost)

    def raised(self, queries: Queries, vectors: Any, hits: Hits, boost: float) -> Hits:
        """The same lists after `boost` was added to the scores of what each query had."""
        if not boost or queries.histories is None:
            return hits
        had = queries.histories.sequences().relation(len(self.items))
        return hits.raised(had, partial(self.scores, vectors), boost)

    def candidates_of(self, queries: Queries, candidates: Frame) -> Hits:
        """The candidates of another search engine as hits, best first."""
        table = to_table(candidates, what="candidates")
        require_columns(table, ["query_id", "item_id", "score"], "the table of candidates")
        return self.catalogue.hits_of(queries.ids, table)

    def scores(
        self, vectors: Float32[np.ndarray, "n V"], user: np.ndarray, item: np.ndarray
    ) -> Float32[np.ndarray, " p"]:
        """The score of each pair of a query and an item; of several interests the best."""
        distinct, at = np.unique(item, return_inverse=True)
        items = self.catalogue.vectors(distinct)[at]
        each = vectors.reshape(len(vectors), self.reader.interests, self.reader.dim)[user]
        return np.einsum("pld,pd->pl", each, items).max(axis=1, initial=-np.inf)

    def themselves(self, queries: Queries) -> Relation | None:
        """Queries that are items, which are not found for themselves; None where none need be."""
        data, table = self.config.sections["data"], queries.table
        are_items = data["pairs"] is not None and data["queries"] is None
        if not are_items or table is None or "id" not in table.column_names:
            return None
        own = pc.index_in(queries.ids, value_set=self.items["id"].combine_chunks())
        rows = pc.fill_null(own, -1).to_numpy().astype(np.int64)
        query = np.flatnonzero(rows >= 0)
        return Relation.from_pairs(query, rows[query], shape=(len(queries), len(self.items)))
