"""One trained model over one catalogue: encode, search, match, recommend, evaluate, calibrate."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from thresher.answers import ACCEPT, REVIEW, decided, listed
from thresher.artifact import Transaction, check_folder
from thresher.asked import labelled_queries, reloaded, split_of
from thresher.catalogue import Catalogue
from thresher.changed_items import changed
from thresher.checks import whole
from thresher.config import Config
from thresher.data.dataset import Dataset, Part
from thresher.data.frames import Frame, like, to_table
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.sources import rename
from thresher.decide.known import KnownTexts
from thresher.decide.policy import NoThreshold, Policy
from thresher.decision import Decision, fit_decision
from thresher.errors import InputError
from thresher.files import FolderLock, make_folder
from thresher.lazy import Late
from thresher.rerank import Examples
from thresher.retrieve import Hits, search_without
from thresher.saving import edit, read_parts, write_model
from thresher.searching import Searching
from thresher.towers import Tower
from thresher.towers.tower import Reader

if TYPE_CHECKING:
    from thresher.towers.item_embeddings import ItemEmbeddings

__all__ = ["ACCEPT", "BLOCK", "REVIEW", "Retriever"]

BLOCK = 8192  # queries that are encoded, searched and decided at a time


class Retriever(Searching):
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
        reader: makes the tower's vectors of queries without torch; the tower when left out.

    Example:
        >>> import thresher
        >>> model = thresher.train(items=items, queries=offers, pairs=pairs)  # doctest: +SKIP
        >>> model.match(new_offers)  # doctest: +SKIP
    """

    embeddings: Any = Late()
    examples: Any = Late()

    def __init__(
        self,
        config: Config,
        tower: Tower | Reader,
        catalogue: Catalogue,
        *,
        embeddings: "ItemEmbeddings | None" = None,
        decision: Decision | None = None,
        train_queries: int = 0,
        known_texts: KnownTexts | None = None,
        examples: Examples | None = None,
        data: Dataset | None = None,
        folder: Path | None = None,
        reader: Reader | None = None,
    ) -> None:
        more: dict[str, Any] = {"decision": decision, "known_texts": known_texts, "reader": reader}
        super().__init__(config, tower, catalogue, **more)
        self.embeddings, self.train_queries = embeddings, train_queries
        self.examples, self.data, self.folder = examples, data, folder
        self.fingerprint = ""  # of model and index as they lie in the folder

    def __repr__(self) -> str:
        found = "not calibrated"
        if self.policy is not None:
            fate = "certified at" if isinstance(self.policy, Policy) else "nothing certified at"
            found = f"{fate} a precision of {self.options.target:.12g}"
        kind = self.config.sections["tower"]["kind"]
        return f"<Retriever: tower {kind!r}, {len(self.items):,} items, {found}>"

    @property
    def policy(self) -> Policy | NoThreshold | None:
        """The certified threshold, or why there is none; None before calibration."""
        return None if self.decision is None else self.decision.policy

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
        tables = [
            listed(self.catalogue, part, self.hits(part, k)[1], "query_id")
            for part in _blocks(asked)
        ]
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
        found_all = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        return like(found_all, queries if queries is not None else events)

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
                + ("; recommend lists items for users without one" * self.reads_events)
            )
        k = whole("k", k, len(self.items), "the size of the catalogue")
        themselves = self.themselves(queries)
        found = self.propose(queries, depth=k, ignored=themselves, candidates=candidates)
        accepted = np.zeros(len(queries), bool)
        if isinstance(self.policy, Policy):
            by = self.policy.by
            segments = queries.column(by) if by else None
            accepted = self.policy.decide(found.confidence, segments, known=self.known(queries))
            accepted &= found.hits.rows[:, 0] >= 0
        policy = getattr(self.policy, "id", "")
        return decided(
            self.catalogue, queries, found, accepted, k, policy=policy, keep=_several(keep)
        )

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
            listed(self.catalogue, part, self.lists(part, k, remove_history=remove_history), who)
            for part in _blocks(asked)
        ]
        rows, given = pa.concat_tables(tables), events if queries is None else queries
        lost = asked.ids.filter(pc.invert(pc.is_in(asked.ids, value_set=rows[who])))
        if len(lost) and not isinstance(given, Queries):
            warnings.warn(
                f"{len(lost)} of {len(asked)} have no list, such as {who} {lost[0].as_py()!r}: "
                "nothing is known of them, or no item is left",
                stacklevel=2,
            )
        return like(rows, given)

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
        table = listed(self.catalogue, Queries(pa.array(ids), None, None, None), found, "of")
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
                change = edit(self, self.folder)
                change.write("decision", decision.save)
                change.commit()
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
                    edit(self, self.folder)
                    self.write(self.folder)
        except BaseException:
            self.catalogue, self.decision = before, decision
            self.tower.describe(before.items)
            raise

    def with_items(
        self, upserts: Sequence[Mapping[str, Any]] = (), deletes: Sequence[str] = ()
    ) -> "Retriever":
        """The same model over a catalogue of which some items changed; only these are encoded.

        The policy stays, although it was certified for the catalogue before: who uses it says how
        many items changed, and calibrates again. What the re-ranker counts over all items, such as
        how rare a word is, stays as it was then; `index` counts again. This retriever is as before.

        Args:
            upserts: rows to add or to replace, each with its id.
            deletes: ids of items to remove; unknown ones change nothing.

        Raises:
            InputError: for a column or value that the catalogue cannot hold, or when no item would
                be left.
        """
        given = (self.catalogue, self.tower, self.embeddings, upserts, deletes)
        catalogue, tower = changed(*given, histories=self.reads_events)
        return Retriever(
            self.config,
            tower,
            catalogue,
            embeddings=self.embeddings,
            decision=self.decision,
            train_queries=self.train_queries,
            known_texts=self.known_texts,
            examples=self.examples,
        )

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
            return labelled_queries(self, queries, pairs, without_pairs)
        if self.data is None:
            self.data = reloaded(self.config)
        return split_of(self.data, split, self.items)

    # Saving

    def export(self, folder: str | Path, to: str = "onnx") -> dict[str, Any]:
        """Write the text tower into a new folder, for systems that run without Thresher.

        Args:
            folder: new, or empty.
            to: "onnx", or "static" for a model of sentence-transformers.

        Returns:
            Its bytes, tokens and width, and by how much the vectors of the catalogue's first 1,000
            items differ from the model's own.

        Raises:
            InputError: an unknown form, a folder that holds something, a tower that reads more than
                texts and named values, or the extra `export` is not installed.
        """
        from thresher.export import export

        return export(self.reader, self.items, folder, to)

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
        change = Transaction(folder, fresh=True)
        change.write("model", partial(write_model, self))
        change.write("index", partial(self.catalogue.save, model=change.fingerprint("model")))
        decision = self.decision
        if decision is not None:
            decision = decision.bound(change.fingerprint("model", "index"))
            change.write("decision", decision.save)
        change.commit()
        self.decision, self.folder = decision, folder
        self.fingerprint = change.fingerprint("model", "index")

    @classmethod
    def open(cls, folder: str | Path) -> "Retriever":
        """Read an artifact.

        Raises:
            InputError: for a damaged artifact, or a policy of another model or index.
        """
        parts, later, fingerprint = read_parts(folder)
        opened = cls(**parts)
        for name, read in later.items():
            setattr(opened, name, read)
        opened.fingerprint = fingerprint
        return opened


def _several(names: Any) -> list[str]:
    """One name or several, as a list of texts."""
    return [str(name) for name in ([names] if np.isscalar(names) or names is None else names)]


def _numbered(queries: Queries) -> Iterator[tuple[Queries, Int64[np.ndarray, " n"]]]:
    if len(queries) <= BLOCK:
        yield queries, np.arange(len(queries))
        return
    for start in range(0, len(queries), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(queries)))
        yield queries.take(rows), rows


def _blocks(queries: Queries) -> Iterator[Queries]:
    for part, _ in _numbered(queries):
        yield part
