"""Encode, search, weigh, decide: the one service that the command line and a server both call."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64

from thresher.artifact import Artifact
from thresher.catalogue import Catalogue
from thresher.data.frames import Frame, like, to_table
from thresher.data.relation import Relation
from thresher.data.tables import require_columns, text_of
from thresher.decide.evidence import Reader
from thresher.decide.learned import Learned
from thresher.decide.options import DecideOptions
from thresher.decide.policy import NoThreshold, Policy
from thresher.decide.scorers import margin, raw
from thresher.errors import InputError
from thresher.retrieve import Hits, search_without
from thresher.towers import Tower, load_tower

ACCEPT, REVIEW = "accept", "review"


@dataclass(frozen=True)
class Proposals:
    """Ranked candidates of each query, and how sure the first one is.

    Args:
        hits: candidates, likeliest first, with the scores of the tower.
        confidence: in the first candidate; higher is surer; -inf without any.
    """

    hits: Hits
    confidence: Float64[np.ndarray, " Q"]


@dataclass(frozen=True)
class Matcher:
    """A trained tower over a catalogue, with what turns its scores into decisions.

    Args:
        tower: encodes queries.
        catalogue: what is searched.
        columns: the text columns of queries.
        options: how scores become decisions.
        learned: the fitted confidence, when that is the kind chosen.
        policy: the certified threshold, or why there is none; None before calibration.
    """

    tower: Tower
    catalogue: Catalogue
    columns: tuple[str, ...]
    options: DecideOptions
    learned: Learned | None = None
    policy: Policy | NoThreshold | None = None

    @classmethod
    def open(cls, folder: str | Path, *, decision: bool = True) -> "Matcher":
        """Loads an artifact, with its decision if it has one and it is wanted.

        Raises:
            InputError: for a damaged artifact, or a policy of another model or index.
        """
        artifact = Artifact.open(Path(folder))
        model = artifact.part("model")
        settings = read_settings(model)
        matcher = cls(
            load_tower(model / "tower"),
            Catalogue.load(artifact.part("index")),
            tuple(settings["query_columns"]),
            DecideOptions(**settings["decide"]),
        )
        wanted = decision and artifact.has("decision")
        return matcher.with_decision(artifact) if wanted else matcher

    def with_decision(self, artifact: Artifact) -> "Matcher":
        """The same with the confidence and policy, if they are of this model and index."""
        folder = artifact.part("decision")
        options = DecideOptions(**read_settings(folder)["decide"])
        policy = read_policy(folder, fitted_on=artifact.fingerprint("model", "index"))
        learned = Learned.load(folder / "confidence.json") if options.scorer == "reranker" else None
        return replace(self, options=options, learned=learned, policy=policy)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.catalogue.evidence)

    def encode(self, queries: Sequence[str] | pa.Table) -> Any:
        """Unit rows of texts, or of the text columns of a table: float32, sparse for `tfidf`."""
        if isinstance(queries, pa.Table):
            require_columns(queries, self.columns, "the table of queries")
            queries = text_of(queries, self.columns)
        return self.tower.encode(queries)

    def search(
        self,
        texts: Sequence[str],
        k: int,
        *,
        allow: Bool[np.ndarray, " N"] | None = None,
        ignored: Relation | None = None,
    ) -> tuple[Any, Hits]:
        """The vectors of texts, and the k items closest to each, of those allowed.

        Args:
            texts: of the queries.
            k: items a query.
            allow: items that may be found; all when left out.
            ignored: items that may not be found, one row a text.

        Raises:
            InputError: when k is larger than the catalogue.
        """
        vectors = self.tower.encode(texts)
        index = self.catalogue.index
        found = search_without(lambda n: index.search(vectors, n, allow=allow), k, ignored)
        return vectors, found

    def signs(
        self, texts: Sequence[str], *, ignored: Relation | None = None
    ) -> tuple[Hits, np.ndarray]:
        """Candidates in the tower's order, and the signs that the learned confidence weighs."""
        k = min(self.options.candidates, len(self.catalogue.index))
        vectors, hits = self.search(texts, k, ignored=ignored)
        return hits, self._reader.read(texts, vectors, hits.rows, hits.scores)

    def propose(
        self,
        texts: Sequence[str],
        *,
        depth: int = 0,
        allow: Bool[np.ndarray, " N"] | None = None,
        ignored: Relation | None = None,
    ) -> Proposals:
        """Ranks the candidates of each text and says how sure the first one is.

        Args:
            texts: of the queries.
            depth: items a query to return at least; beyond the candidates in the tower's order.
            allow: items that may be proposed; all when left out.
            ignored: items that may not be proposed, one row a text.
        """
        items = len(self.catalogue.index)
        candidates = min(self.options.candidates, items)
        k = min(max(depth, candidates), items)
        vectors, hits = self.search(texts, k, allow=allow, ignored=ignored)
        if self.options.scorer != "reranker":
            kind = raw if self.options.scorer == "score" else margin
            return Proposals(hits, kind(hits.scores).astype(np.float64))
        if self.learned is None:
            raise InputError(
                "the learned confidence is not fitted yet; run `thresher calibrate` first"
            )
        near = hits.top(candidates)
        found = rank(self.learned, near, self._reader.read(texts, vectors, near.rows, near.scores))
        rows = np.concatenate([found.hits.rows, hits.rows[:, candidates:]], axis=1)
        scores = np.concatenate([found.hits.scores, hits.scores[:, candidates:]], axis=1)
        return Proposals(Hits(rows, scores), found.confidence)

    def match(self, queries: Frame) -> Any:
        """Finds the item of each query, and decides.

        Args:
            queries: a text, texts, or a table (pandas, polars, Arrow, a list of dicts) with the
                text columns, an `id` if there is one, and the column of the policy's segments if
                it has any.

        Returns:
            One row a query, in order: `query_id`, `query`, `item_id`, `item`, `score`,
            `confidence`, `decision` (accept or review), `policy`. The kind of table that came in;
            an Arrow table for texts.

        Raises:
            InputError: when the artifact is not calibrated, or a column is missing.
        """
        if self.policy is None:
            raise InputError(
                "no policy has been certified for this model and index; "
                "run `thresher calibrate` on the artifact first"
            )
        given = queries
        if isinstance(given, str):
            given = [given]
        elif not isinstance(given, pa.Table) and not (
            isinstance(given, list | tuple) and all(isinstance(x, str) for x in given)
        ):
            given = to_table(given, what="queries")
        texts, ids, segments = self._read(given)
        found = self.propose(texts)
        # A text without a word is as close to one item as to another: nothing is proposed for it.
        empty = np.array([not text.strip() for text in texts], bool)
        first = np.where(empty, -1, found.hits.rows[:, 0])
        if isinstance(self.policy, Policy):
            accepted = self.policy.decide(found.confidence, segments)
            policy = self.policy.id
        else:
            accepted, policy = np.zeros(len(texts), bool), ""
        answers = pa.table(
            {
                "query_id": pa.array(ids, pa.string()),
                "query": pa.array(texts, pa.string()),
                "item_id": pa.array(self.catalogue.ids(first), pa.string()),
                "item": pa.array(self.catalogue.texts(first), pa.string()),
                "score": pa.array(found.hits.scores[:, 0]),
                "confidence": pa.array(found.confidence),
                "decision": np.where(accepted & ~empty, ACCEPT, REVIEW).tolist(),
                "policy": pa.array([policy] * len(texts), pa.string()),
            }
        )
        return answers if isinstance(given, list | tuple) else like(answers, queries)

    def _read(
        self, queries: Sequence[str] | pa.Table
    ) -> tuple[list[str], list[str | None], list[str | None] | None]:
        by = self.policy.by if isinstance(self.policy, Policy) else None
        if isinstance(queries, pa.Table):
            needed = [*self.columns, *([by] if by else [])]
            require_columns(queries, needed, "the table of queries")
            ids = (
                queries["id"].cast(pa.string()).to_pylist()
                if "id" in queries.column_names
                else [str(i) for i in range(len(queries))]
            )
            segments = queries[by].cast(pa.string()).to_pylist() if by else None
            return text_of(queries, self.columns), ids, segments
        if by:
            raise InputError(
                f"the policy has a threshold for each {by}; give a table with that column"
            )
        numbers: list[str | None] = [str(i) for i in range(len(queries))]
        return list(queries), numbers, None


def rank(learned: Learned, hits: Hits, signs: np.ndarray) -> Proposals:
    """Candidates in the order of the learned confidence."""
    order, confidence = learned.rank(signs, hits.rows < 0)
    rows = np.take_along_axis(hits.rows, order, axis=1)
    return Proposals(Hits(rows, np.take_along_axis(hits.scores, order, axis=1)), confidence)


def read_policy(folder: Path, *, fitted_on: str) -> Policy | NoThreshold:
    """The policy of a decision part, or why there is none.

    Raises:
        InputError: when it is damaged, or was fitted on another model or index.
    """
    if (folder / "policy.json").exists():
        return Policy.load(folder / "policy.json", fitted_on=fitted_on)
    try:
        values = json.loads((folder / "no_threshold.json").read_text("utf-8"))
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return NoThreshold(**given)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"the decision in {folder} cannot be read ({error}); run `thresher calibrate`"
        ) from error


def read_settings(folder: Path) -> dict[str, Any]:
    """`settings.json` of a part.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        return json.loads((folder / "settings.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / 'settings.json'} cannot be read ({error}); train the artifact anew"
        ) from error
