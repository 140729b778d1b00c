"""One trained model over one catalogue: encode, search, match, recommend, evaluate, calibrate."""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from dataclasses import replace as dc_replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Float64, Int64

from thresher.artifact import Artifact, Transaction, check_folder
from thresher.catalogue import Catalogue
from thresher.checks import whole
from thresher.config import Config, read
from thresher.data.dataset import Dataset, Part, history_queries, labelled
from thresher.data.frames import Frame, like, texts_of, to_table
from thresher.data.options import IN_MEMORY
from thresher.data.queries import Queries, check_ids
from thresher.data.relation import Relation
from thresher.data.sources import rename
from thresher.data.tables import is_table, require_columns
from thresher.decide.known import KnownTexts
from thresher.decide.options import DecideOptions
from thresher.decide.policy import NoThreshold, Policy
from thresher.decision import Decision, confidence_of, fit_decision
from thresher.errors import InputError
from thresher.files import FolderLock, make_folder, read_json, write_json
from thresher.rerank import Examples
from thresher.retrieve import Hits, search_without
from thresher.towers import Tower, load_tower, save_tower
from thresher.towers.item_embeddings import ItemEmbeddings

ACCEPT, REVIEW = "accept", "review"
BLOCK = 8192  # queries that are encoded, searched and decided at a time


@dataclass(frozen=True)
class Proposals:
    """Ranked candidates of each query, and the confidence in the first one.

    Args:
        hits: candidates, likeliest first, with the scores of the tower.
        confidence: in the first candidate; higher is more certain; -inf without any.
        tower: the closest items in the tower's own order.
        chances: confidence of each of the first candidates where a re-ranker gives one.
    """

    hits: Hits
    tower: Hits
    confidence: Float64[np.ndarray, " Q"]
    chances: Float64[np.ndarray, "Q c"] | None = None


class Retriever:
    """A trained model, the catalogue it searches, and what turns its scores into decisions.

    `thresher.train` makes one and `thresher.open` reads one. Queries and items may be data frames
    (pandas, polars, Arrow), paths of tables, lists of dicts, or texts; tables come back as the
    kind of frame that came in, and as Arrow tables for everything else.

    Args:
        config: the run.
        tower: encodes queries and items.
        catalogue: the items, their index, and what the re-ranker reads of them.
        embeddings: what training learnt of single items beside the tower.
        decision: re-ranker, policy and the outcomes it rests on; None before calibration.
        train_queries: number of queries that the model was trained on.
        known_texts: their texts; None where the model reads none.
        examples: training queries that the re-ranker learns from; None without any.
        data: what it was trained on, while it is in memory.
        folder: of the artifact, once it was saved.

    Example:
        >>> import thresher
        >>> model = thresher.train(items=items, queries=offers, pairs=pairs)  # doctest: +SKIP
        >>> model.match(new_offers)  # doctest: +SKIP
    """

    def __init__(
        self,
        config: Config,
        tower: Tower,
        catalogue: Catalogue,
        *,
        embeddings: ItemEmbeddings | None = None,
        decision: Decision | None = None,
        train_queries: int = 0,
        known_texts: KnownTexts | None = None,
        examples: Examples | None = None,
        data: Dataset | None = None,
        folder: Path | None = None,
    ) -> None:
        self.config, self.tower, self.catalogue = config, tower, catalogue
        self.embeddings, self.decision = embeddings, decision
        self.train_queries, self.known_texts = train_queries, known_texts
        self.examples, self.data, self.folder = examples, data, folder
        self.fingerprint = ""  # of model and index as they lie in the folder

    def __repr__(self) -> str:
        found = "not calibrated"
        if self.policy is not None:
            fate = "certified at" if isinstance(self.policy, Policy) else "nothing certified at"
            found = f"{fate} a precision of {self.options.target:g}"
        kind = self.config.sections["tower"]["kind"]
        return f"<Retriever: tower {kind!r}, {len(self.items):,} items, {found}>"

    # What it is made of

    @property
    def items(self) -> pa.Table:
        """The catalogue; column `id` and any others."""
        return self.catalogue.items

    @property
    def policy(self) -> Policy | NoThreshold | None:
        """The certified threshold, or why there is none; None before calibration."""
        return None if self.decision is None else self.decision.policy

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
        if events is None and self._reads_events and not self.tower.schema.queries:
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
        data = self.config.build("data")
        if not self._reads_events:
            raise InputError(
                "the model was trained on pairs of queries and items and reads no events; give "
                "queries"
            )
        path = str(events) if isinstance(events, str | Path) else "the table of events"
        given = to_table(events, what="events")
        return history_queries(given, data, items=self.items, users=users, path=path)

    @cached_property
    def _reads_events(self) -> bool:
        return "events" in self.config.build("data").named()

    def known(self, queries: Queries) -> Bool[np.ndarray, " Q"] | None:
        """Whether the text of each query stands among the training queries; None without texts."""
        if self.known_texts is None:
            return None
        return self.known_texts.has(queries.text(self.catalogue.query_text))

    def query_table(self, queries: Frame) -> pa.Table:
        """The columns of queries, under the names that the model knows; see `as_queries`."""
        columns = self.catalogue.query_text
        if isinstance(queries, str) and not os.path.isfile(queries):
            if is_table(Path(queries)):
                raise InputError(
                    f"there is no file {queries}; check the path, or give a list with the text to "
                    "match it as text"
                )
            queries = [queries]
        texts = texts_of(queries)
        if texts is not None:
            if not columns:
                fix = "events to recommend" if self._reads_events else "a table with its columns"
                raise InputError(f"this model reads no text; give {fix}")
            # Of several text columns the first takes the whole text; nothing is known of others.
            table = pa.table({columns[0]: texts})
            read = [name for f in self.tower.schema.queries for name in f.columns]
            compared = [column.name for column in self.catalogue.features.compare]
            for name in dict.fromkeys([*columns[1:], *read, *compared]):
                if name not in table.column_names:
                    table = table.append_column(name, pa.nulls(len(texts), pa.string()))
        else:
            columns_of = self.config.build("data").columns
            table = rename(to_table(queries, what="queries"), "queries", columns_of)
        require_columns(table, columns, "the table of queries")
        return table

    # Searching

    def encode(self, queries: Frame) -> Any:
        """Unit vectors of queries: float32 [n, dim]; sparse for the `tfidf` tower.

        Args:
            queries: as in `as_queries`.
        """
        return self.tower.encode(self.tower.queries(self.as_queries(queries)))

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
        vectors = self.tower.encode(self.tower.queries(queries))
        if candidates is not None:
            return vectors, search_without(candidates.padded, k, ignored)
        index, interests = self.catalogue.index, self.tower.interests
        known = np.asarray(abs(vectors).sum(axis=1)).ravel() > 0
        each = vectors.reshape(-1, self.tower.dim) if interests > 1 else vectors

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
        many = min(self.options.candidates, len(self.items))
        k = min(max(depth, many), len(self.items))
        vectors, hits = self.hits(queries, k, allow=allow, ignored=ignored, candidates=candidates)
        if self.decision is None or self.decision.reranker is None:
            return Proposals(hits, hits, confidence_of(self.options.scorer, hits.scores))
        near = hits.top(many)
        if candidates is None:
            near = self.with_words(queries, vectors, near, allow=allow, ignored=ignored)
        order, chances = self.decision.reranker.rank(
            self.catalogue.pair_features(queries, vectors, near), near.rows < 0
        )
        ranked = Hits(*(np.take_along_axis(x, order, 1) for x in (near.rows, near.scores)))
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
    ) -> Hits:
        """Hits, and behind them items that share the rarest words with each query.

        Args:
            queries: see `hits`.
            vectors: of the queries.
            hits: what the tower found.
            options: how many there may be; those of the decision when left out.
            allow: items that may be found; all when left out.
            ignored: items that may not be found, one row a query.
        """
        many = min((options or self.options).candidates_by_words, len(self.items))
        if not many or not isinstance(vectors, np.ndarray):
            return hits
        rows = self.catalogue.features.by_words(queries.aligned(), many)
        out = (rows[:, :, None] == hits.rows[:, None, :]).any(axis=2)
        if allow is not None:
            out |= ~allow[rows]
        if ignored is not None:
            out |= ignored.correct(rows)
        rows = np.where(out, -1, rows)
        query, place = np.nonzero(rows >= 0)
        scores = np.full(rows.shape, -np.inf, np.float32)
        scores[query, place] = self._scores(vectors, query, rows[query, place])
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

    # What users call

    def search(self, queries: Frame, k: int = 10) -> Any:
        """List the k closest items of each query, in the tower's order.

        Args:
            queries: as in `as_queries`.
            k: items a query.

        Returns:
            A row for each query and place: `query_id`, `item_id`, `rank` from 1, `score`.

        Raises:
            InputError: when k is not between 1 and the number of items.
        """
        asked = self.as_queries(queries)
        tables = [self._listed(part, self.hits(part, k)[1], "query_id") for part in _blocks(asked)]
        return like(pa.concat_tables(tables).drop_columns("item"), queries)

    def match(
        self,
        queries: Frame | None = None,
        k: int = 1,
        *,
        events: Frame | None = None,
        candidates: Frame | None = None,
        keep: Sequence[str] | str = (),
    ) -> Any:
        """Find the item of each query, and decide whether to accept it.

        Args:
            queries: as in `as_queries`, with the column of the policy's segments if it has any.
            k: candidates a query; a decision is about the first, the others are for the reviewer.
            events: what users did, for a model that reads histories.
            candidates: `query_id`, `item_id` and `score` of another search engine, to be re-ranked
                and decided in place of a search.
            keep: column or columns of the queries to carry over; those of items are named
                `item.NAME`.

        Returns:
            A row for each query and place: `query_id`, `query`, `item_id`, `item`, `rank`,
            `score`, `confidence`, `decision` ("accept" or "review", null from rank 2 on), `policy`,
            and what is kept.

        Raises:
            InputError: when the model is not calibrated, or a column is missing.
        """
        asked = self.as_queries(queries, events=events)
        found = None if candidates is None else self.candidates_of(asked, candidates)
        tables = [
            self.decide(part, k, keep=keep, candidates=None if found is None else found[rows])
            for part, rows in _numbered(asked)
        ]
        return like(pa.concat_tables(tables), queries if queries is not None else events)

    def decide(
        self,
        queries: Queries,
        k: int = 1,
        *,
        keep: Sequence[str] | str = (),
        candidates: Hits | None = None,
    ) -> pa.Table:
        """The rows of `match` for one block of queries."""
        if self.policy is None:
            raise InputError(
                "no threshold was certified for this model and index yet; call calibrate, or run "
                "`thresher calibrate` on the artifact, first"
                + ("; recommend lists items for users without one" * self._reads_events)
            )
        k = whole("k", k, len(self.items), "the size of the catalogue")
        themselves = self._themselves(queries)
        found = self.propose(queries, depth=k, ignored=themselves, candidates=candidates)
        rows = found.hits.rows[:, :k]
        accepted = np.zeros(len(queries), bool)
        if isinstance(self.policy, Policy):
            by = self.policy.by
            segments = queries.column(by) if by else None
            accepted = self.policy.decide(found.confidence, segments, known=self.known(queries))
            accepted &= rows[:, 0] >= 0
        shown = rows >= 0
        shown[:, 0] = True  # a query without a candidate still has its row
        query, place = np.nonzero(shown)
        confidence = np.full(rows.shape, np.nan)
        if found.chances is not None:
            width = min(k, found.chances.shape[1])
            confidence[:, :width] = found.chances[:, :width]
        confidence[:, 0] = found.confidence
        decision = np.full(rows.shape, None, object)
        decision[:, 0] = np.where(accepted, ACCEPT, REVIEW)
        at = rows[query, place]
        texts = np.array(queries.text(self.catalogue.query_text), object)
        table = pa.table(
            {
                "query_id": queries.ids.take(pa.array(query)),
                "query": pa.array(texts[query], pa.string()),
                "item_id": self.catalogue.ids(at),
                "item": self.catalogue.texts(at),
                "rank": pa.array(place + 1, pa.int32()),
                "score": pa.array(found.hits.scores[query, place]),
                "confidence": pa.array(confidence[query, place], from_pandas=True),
                "decision": pa.array(decision[query, place], pa.string()),
                "policy": pa.array([getattr(self.policy, "id", "")] * len(query), pa.string()),
            }
        )
        return self._kept(table, queries, _several(keep), query, at)

    def recommend(
        self,
        events: Frame | None = None,
        k: int = 20,
        *,
        queries: Frame | None = None,
        remove_history: bool | None = None,
    ) -> Any:
        """List the k items that users are likeliest to want next, or that queries are for.

        Args:
            events: user_id, item_id and timestamp, for a model that reads histories.
            k: items a user or query; fewer where little is left.
            queries: a table of queries, or of what is known of users beside their history.
            remove_history: leave out what a user has had; as configured when left out.

        Returns:
            A row for each place of each list: `user_id` or `query_id`, `item_id`, `rank`, `score`,
            `item`. Users and queries of which nothing is known have no row, and a warning counts
            them.

        Raises:
            InputError: when k is not between 1 and the number of items.
        """
        asked = self.as_queries(queries, events=events)
        who = "query_id" if events is None else "user_id"
        tables = [
            self._listed(part, self.lists(part, k, remove_history=remove_history), who)
            for part in _blocks(asked)
        ]
        listed, given = pa.concat_tables(tables), events if queries is None else queries
        lost = asked.ids.filter(pc.invert(pc.is_in(asked.ids, value_set=listed[who])))
        if len(lost) and not isinstance(given, Queries):
            warnings.warn(
                f"{len(lost)} of {len(asked)} have no list, such as {who} {lost[0].as_py()!r}: "
                "nothing is known of them, or no item is left",
                stacklevel=2,
            )
        return like(listed, given)

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
        ignored = Relation.none((len(queries), len(self.items))) if ignored is None else ignored
        if queries.histories is None:
            ignored = ignored.union(self._themselves(queries))
            return self.hits(queries, k, ignored=ignored)[1]
        if remove:
            had = queries.histories.sequences().relation(len(self.items))
            return self.hits(queries, k, ignored=ignored.union(had))[1]
        vectors, found = self.hits(queries, k, ignored=ignored)
        return self.raised(queries, vectors, found, options.boost)

    def raised(self, queries: Queries, vectors: Any, hits: Hits, boost: float) -> Hits:
        """The same lists after `boost` was added to the scores of what each query had."""
        if not boost or queries.histories is None:
            return hits
        had = queries.histories.sequences().relation(len(self.items))
        return hits.raised(had, partial(self._scores, vectors), boost)

    def nearest(self, item_ids: Sequence[str | int] | str | int, k: int = 10) -> pa.Table:
        """List the items whose vectors are closest to those of some items.

        Args:
            item_ids: ids of items of the catalogue.
            k: neighbours an item.

        Returns:
            A row for each place: `item_id`, `neighbour_id`, `rank`, `score`, `neighbour`.

        Raises:
            InputError: for an unknown id, or more neighbours than there are.
        """
        ids = _several(item_ids)
        rows = self.catalogue.rows(ids)
        itself = Relation.from_pairs(np.arange(len(rows)), rows, shape=(len(rows), len(self.items)))
        vectors, index = self.catalogue.vectors(rows), self.catalogue.index
        k = whole("k", k, len(self.items) - 1, "the other items")
        found = search_without(partial(index.search, vectors), k, itself)
        table = self._listed(Queries(pa.array(ids), None, None, None), found, "of")
        return table.rename_columns(["item_id", "neighbour_id", "rank", "score", "neighbour"])

    def evaluate(
        self,
        split: str = "test",
        *,
        queries: Frame | None = None,
        pairs: Frame | None = None,
        without_pairs: str | None = None,
        by: str | None = None,
    ) -> dict[str, float | None]:
        """Measure ranking, coverage and what the policy does.

        Args:
            split: of the data that the model was trained on.
            queries: labelled queries of your own, with `pairs`, in place of a split.
            pairs: their true items: `query_id`, `item_id`.
            without_pairs: what queries without a pair are, "unlabelled" or "no_item".
            by: column of the queries whose values are measured one by one.

        Returns:
            A flat table of numbers, named as in `thresher.evaluate`; None where one is not defined.

        Raises:
            InputError: for a split without queries, or data that cannot be used.
        """
        from thresher.measure import measure

        part = self.labelled(split, queries, pairs, without_pairs=without_pairs)
        return measure(self, part, by=by).numbers()

    def calibrate(
        self,
        target: float | Sequence[float] | None = None,
        *,
        queries: Frame | None = None,
        pairs: Frame | None = None,
        without_pairs: str | None = None,
        **options: Any,
    ) -> Any:
        """Fit the re-ranker and certify a threshold on labels that training has not seen.

        Args:
            target: precision to certify, as in 0.95; as configured when left out. Of several all
                answers hold at once, and the model decides by the first.
            queries: labelled queries of your own, in place of the calibration split.
            pairs: their true items: `query_id`, `item_id`.
            without_pairs: what queries without a pair are, "unlabelled" or "no_item".
            options: other keys of `[decide]`, such as `confidence_level` or `by`.

        Returns:
            The policy, or why no threshold could be certified; for several targets a dictionary
            with one of them for each. A model that was saved or opened writes it to its folder at
            once.

        Raises:
            InputError: with too few labels, or an option that is none; nothing is changed then.
        """
        targets = [] if target is None else np.ravel(np.asarray(target, object)).tolist()
        if target is not None and not targets:
            raise InputError("no target precision was given; give one or more, as 0.95")
        given = {**({"target": targets[0]} if targets else {}), **options}
        config = self.config.replace(decide=given)
        part = self.labelled("calibration", queries, pairs, without_pairs=without_pairs)
        decision = fit_decision(self, part, config.build("decide"), targets[1:])
        if self.folder is not None:
            with FolderLock(self.folder, "calibrate"):
                edit = self._edit(self.folder)
                edit.write("decision", decision.save)
                edit.commit()
        self.config, self.decision = config, decision
        return decision.policy if target is None or np.isscalar(target) else decision.answers()

    def index(self, items: Frame) -> None:
        """Put another catalogue behind the model; a changed one has to be calibrated again.

        A model that was saved or opened writes it to its folder at once.

        Args:
            items: the new catalogue: `id` and the columns that the model reads.

        Raises:
            InputError: when an id is missing or repeats, or a column is missing; nothing is
                changed then.
        """
        before, decision = self.catalogue, self.decision
        columns = self.config.build("data").columns
        table = rename(to_table(items, what="items"), "items", columns)
        try:
            self.catalogue = before.over(table, self.tower, self.embeddings, self.config)
            if not before.same(self.catalogue):
                self.decision = None
            if self.folder is not None:
                with FolderLock(self.folder, "index"):
                    self._edit(self.folder)
                    self.write(self.folder)
        except BaseException:
            self.catalogue, self.decision = before, decision
            self.tower.describe(before.items)
            raise

    def labelled(
        self,
        split: str,
        queries: Frame | None = None,
        pairs: Frame | None = None,
        *,
        without_pairs: str | None = None,
    ) -> Part:
        """Queries whose true items are known, over the present catalogue.

        Args:
            split: of the data that the model was trained on, without queries and pairs.
            queries: labelled queries.
            pairs: their true items.
            without_pairs: what queries without a pair are, "unlabelled" or "no_item"; as
                configured when left out.

        Raises:
            InputError: for one without the other, a split without queries, or data that is gone.
        """
        if (queries is None) != (pairs is None):
            raise InputError("queries and pairs go together; give both, or neither")
        if queries is not None and pairs is not None:
            table, true = self.query_table(queries), to_table(pairs, what="pairs")
            given = {} if without_pairs is None else {"without_pairs": without_pairs}
            data = self.config.replace(data=given) if given else self.config
            options = dc_replace(data.build("data"), open_catalogue=True)
            return labelled(options, items=self.items, queries=table, pairs=true)
        if self.data is None:
            self.data = _reloaded(self.config)
        part = self.data.part(split)
        if self.items is not self.data.items:
            part = part.over(self.data.items, self.items)
        if not len(part.queries):
            raise InputError(
                f"the data has no queries in the split {split!r}; give it a share in [data] "
                "shares, or give labelled queries and pairs"
            )
        return part

    # Saving

    def _edit(self, folder: Path) -> Transaction:
        """Changes to the folder; InputError where it holds another model or catalogue by now."""
        if Artifact.open(folder).fingerprint("model", "index") != self.fingerprint:
            raise InputError(
                f"{folder} holds another model or catalogue by now than when this one was opened; "
                "open it again"
            )
        return Transaction(folder)

    def save(self, folder: str | Path) -> Path:
        """Write the model, its index and its decision into one folder.

        Raises:
            InputError: when the folder cannot be written, or is of something else.
        """
        folder = Path(folder)
        make_folder(folder)
        check_folder(folder)
        with FolderLock(folder, "save"):
            self.write(folder)
        return folder

    def write(self, folder: Path) -> None:
        """Write all parts into a folder that nobody else writes to."""
        edit = Transaction(folder, fresh=True)
        edit.write("model", self._write_model)
        edit.write("index", partial(self.catalogue.save, model=edit.fingerprint("model")))
        decision = self.decision
        if decision is not None:
            decision = decision.bound(edit.fingerprint("model", "index"))
            edit.write("decision", decision.save)
        edit.commit()
        self.decision, self.folder = decision, folder
        self.fingerprint = edit.fingerprint("model", "index")

    @classmethod
    def open(cls, folder: str | Path) -> "Retriever":
        """Read an artifact.

        Raises:
            InputError: for a damaged artifact, or a policy of another model or index.
        """
        artifact = Artifact.open(folder)
        try:
            return cls._of(artifact)
        except InputError:
            raise
        except Exception as error:  # files that fit their digests and are not what save writes
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(
                f"{folder} cannot be read ({said}): a file is not what Thresher writes; restore "
                "the artifact, or train again"
            ) from error

    @classmethod
    def _of(cls, artifact: Artifact) -> "Retriever":
        model = artifact.part("model")
        settings = read_json(model / "settings.json", what="the settings", fix="train again")
        config = read(model / "config.toml")
        config = dc_replace(config, folder=Path(settings["base"]))
        tower = load_tower(model / "tower")
        decision, known = None, model / "known_texts.npy"
        if artifact.has("decision"):
            decision = Decision.load(
                artifact.part("decision"), fitted_on=artifact.fingerprint("model", "index")
            )
            config = config.replace(decide=asdict(decision.options))
        opened = cls(
            config,
            tower,
            Catalogue.load(artifact.part("index"), tower, model=artifact.fingerprint("model")),
            embeddings=ItemEmbeddings.load(model / "items"),
            decision=decision,
            train_queries=settings["train_queries"],
            known_texts=KnownTexts.load(known) if known.exists() else None,
            examples=Examples.load(model / "examples.safetensors"),
            folder=artifact.folder,
        )
        opened.fingerprint = artifact.fingerprint("model", "index")
        return opened

    def _write_model(self, folder: Path) -> None:
        save_tower(self.tower, folder / "tower")
        if self.embeddings is not None:
            self.embeddings.save(folder / "items")
        if self.known_texts is not None:
            self.known_texts.save(folder / "known_texts.npy")
        if self.examples is not None:
            self.examples.save(folder / "examples.safetensors")
        (folder / "config.toml").write_text(self.config.to_toml(), "utf-8")
        settings = {"base": str(self.config.folder), "train_queries": self.train_queries}
        write_json(folder / "settings.json", settings)

    # Rows of answers

    def candidates_of(self, queries: Queries, candidates: Frame) -> Hits:
        """The candidates of another search engine as hits, best first."""
        table = to_table(candidates, what="candidates")
        require_columns(table, ["query_id", "item_id", "score"], "the table of candidates")
        return self.catalogue.hits_of(queries.ids, table)

    def _listed(self, queries: Queries, hits: Hits, who: str) -> pa.Table:
        query, place = np.nonzero(hits.rows >= 0)
        rows = hits.rows[query, place]
        return pa.table(
            {
                who: queries.ids.take(pa.array(query)),
                "item_id": self.catalogue.ids(rows),
                "rank": pa.array(place + 1, pa.int32()),
                "score": pa.array(hits.scores[query, place]),
                "item": self.catalogue.texts(rows),
            }
        )

    def _kept(
        self,
        table: pa.Table,
        queries: Queries,
        keep: Sequence[str],
        query: Int64[np.ndarray, " n"],
        rows: Int64[np.ndarray, " n"],
    ) -> pa.Table:
        for name in keep:
            own = name.removeprefix("item.")
            if name.startswith("item."):
                require_columns(self.items, [own], "the catalogue")
                column = self.items[own].take(pa.array(rows, mask=rows < 0))
            else:
                column = queries.values(own).take(pa.array(query))
            if name in table.column_names:
                raise InputError(f"keep names {name!r}, which the answer has already")
            table = table.append_column(name, column)
        return table

    def _scores(
        self, vectors: Float32[np.ndarray, "n V"], user: np.ndarray, item: np.ndarray
    ) -> Float32[np.ndarray, " p"]:
        """The score of each pair of a query and an item; of several interests the best."""
        distinct, at = np.unique(item, return_inverse=True)
        items = self.catalogue.vectors(distinct)[at]
        each = vectors.reshape(len(vectors), self.tower.interests, self.tower.dim)[user]
        return np.einsum("pld,pd->pl", each, items).max(axis=1, initial=-np.inf)

    def _themselves(self, queries: Queries) -> Relation:
        """Queries that are items of the catalogue, where all are: none is found for itself."""
        data, table = self.config.sections["data"], queries.table
        are_items = data["pairs"] is not None and data["queries"] is None
        if not are_items or table is None or "id" not in table.column_names:
            return Relation.none((len(queries), len(self.items)))
        own = pc.index_in(queries.ids, value_set=self.items["id"].combine_chunks())
        rows = pc.fill_null(own, -1).to_numpy().astype(np.int64)
        query = np.flatnonzero(rows >= 0)
        return Relation.from_pairs(query, rows[query], shape=(len(queries), len(self.items)))


def _reloaded(config: Config) -> Dataset:
    """The data of a run, read again."""
    from thresher.data.dataset import load_dataset

    options = config.build("data")
    if IN_MEMORY in (options.items, options.pairs, options.events):
        raise InputError(
            "this model was trained on data frames, which are not kept; give queries and pairs"
        )
    return load_dataset(options, config.folder)


def _several(names: Any) -> list[str]:
    """One name or several, as a list of texts."""
    return [str(name) for name in ([names] if np.isscalar(names) or names is None else names)]


def _numbered(queries: Queries) -> Iterator[tuple[Queries, Int64[np.ndarray, " n"]]]:
    for start in range(0, max(len(queries), 1), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(queries)))
        yield queries.take(rows), rows


def _blocks(queries: Queries) -> Iterator[Queries]:
    for part, _ in _numbered(queries):
        yield part
