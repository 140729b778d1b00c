"""One pass of labelled queries through a model, and every number that follows from it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from thresher import baselines
from thresher.data.parts import Part
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences, bounds
from thresher.data.tables import text_of
from thresher.decide.policy import Policy
from thresher.decide.scorers import margin
from thresher.errors import InputError
from thresher.evaluate import PRECISIONS, as_json, evaluate, intervals, slices_by
from thresher.progress import Bar, phase
from thresher.retrieve.hits import Hits

BLOCK = 8192  # queries that go through the model at a time
BASELINE_QUERIES = 10_000
"""Queries of the TF-IDF baseline, at most, drawn from all: it is there to compare with, not to wait
for."""

# What of a system is worth comparing; the rest of its numbers say nothing more.
_COUNTED = ("queries", "queries_without_item")
_COMPARED = (*_COUNTED, "P", "recall", "hit_rate", "ndcg", "map", "coverage", "aurc")
_COMPARED_LISTS = ("catalogue_coverage", "popularity")
LABELS: Mapping[str, str] = {
    "popularity": "popularity",
    "tfidf": "TF-IDF, margin",
    "item_knn": "item-kNN",
    "raw": "model, raw score",
    "margin": "model, margin",
}
"""What readers call the systems beside the model, in the order in which they are shown."""


@dataclass(frozen=True)
class Measured:
    """Labelled queries, what was proposed for them, and what the policy makes of it.

    Args:
        model: the `thresher.Retriever` that proposed.
        part: the queries and their true items.
        hits: the lists that are shown: re-ranked where the run decides.
        confidence: in the first of each; None for the raw score.
        accepted: for a target precision, which queries are accepted.
        others: baselines and other orders of the same queries, with the confidence in the first;
            of more than 10,000 queries TF-IDF has those of `asked`.
        by: column of the queries whose values are measured one by one.
    """

    model: Any
    part: Part
    hits: Hits
    confidence: Float64[np.ndarray, " Q"] | None
    accepted: Mapping[float, Bool[np.ndarray, " Q"]]
    others: Mapping[str, tuple[Hits, Float[np.ndarray, " q"] | None]]
    by: str | None = None

    def numbers(self) -> dict[str, float | None]:
        """Every number; those of other systems are named `system/metric`, as those of slices."""
        slices = slices_by(self.part.queries.column(self.by), name=self.by) if self.by else None
        found = self._evaluated(
            self.hits,
            self.part,
            self.confidence,
            accepted=self.accepted,
            slices=slices,
            train_queries=self.model.train_queries or None,
            constants=self.model.config.build("data").propensity,
        )
        for name, (hits, confidence) in self.others.items():
            part = self.part.take(self.asked(name))
            for metric, value in self._evaluated(hits, part, confidence).items():
                if _compared(metric, name):
                    found[f"{name}/{metric}"] = value
        return as_json(found)

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals of the numbers that decisions rest on."""
        options = self._options()
        return intervals(
            self.hits,
            self.part.truth,
            confidence=self.confidence,
            accepted=self.accepted,
            targets=self.part.targets,
            count_repeats=options.count_repeats,
            ks=options.ks,
        )

    def _evaluated(
        self, hits: Hits, part: Part, confidence: Float[np.ndarray, " q"] | None, **more: Any
    ) -> dict[str, float]:
        options = self._options()
        return evaluate(
            hits,
            part.truth,
            confidence=confidence,
            targets=part.targets,
            count_repeats=options.count_repeats,
            ks=options.ks,
            train_counts=self.model.catalogue.train_counts,
            **more,
        )

    def _options(self) -> Any:
        return self.model.config.build("recommend")

    def correct(self, name: str = "") -> Bool[np.ndarray, " q"]:
        """Whether the first proposal of the model, or of another system, is true."""
        hits = self.others[name][0] if name else self.hits
        return self.part.truth.correct(hits.rows[:, :1], queries=self.asked(name))[:, 0]

    def asked(self, name: str) -> Int64[np.ndarray, " q"]:
        """The queries that a system answered: all, or those drawn for a slow baseline."""
        whole = np.arange(len(self.part))
        return whole if not name or len(self.others[name][0]) == len(whole) else drawn(len(whole))

    def warnings(self, found: Mapping[str, float | None]) -> list[str]:
        """A sentence for each baseline that finds more than the model, by `numbers()`."""
        k = next((k for k in self._options().ks if k >= 10), self._options().ks[-1])
        one = len(self.part.truth.indices) == np.count_nonzero(self.part.truth.counts())
        metric = "P@1" if one else f"recall@{k}"
        sentences = []
        for name in ("popularity", "tfidf", "item_knn"):
            own, other = found.get(metric), found.get(f"{name}/{metric}")
            if other is not None and len(rows := self.asked(name)) < len(self.part):
                own = self._evaluated(self.hits[rows], self.part.take(rows), None).get(metric)
            if own is not None and other is not None and other > own:
                sentences.append(
                    f"the model finds less than {LABELS[name].partition(',')[0]}: {metric} is "
                    f"{own:.4f}, and that of the baseline {other:.4f}; train longer or on more "
                    "pairs, or check that the columns it reads tell the items apart"
                )
        return sentences


def measure(
    model: Any,
    part: Part,
    *,
    by: str | None = None,
    allow: Bool[np.ndarray, " N"] | None = None,
    compare: bool = True,
    quiet: bool = False,
) -> Measured:
    """Send labelled queries through a model.

    A run that decides is measured as it decides, re-ranked; any other as it lists.

    Args:
        model: a `thresher.Retriever`.
        part: queries and their true items, over the model's catalogue.
        by: column of the queries whose values are measured one by one.
        allow: items that stay in the catalogue; a true item that does not is none.
        compare: whether to measure baselines beside it.
        quiet: no progress bars.
    """
    options, items = model.config.build("recommend"), len(model.items)
    part = part if allow is None else _only(part, allow)
    ignored, had = part.ignored, part.queries.histories
    if options.remove_history and had is not None:
        ignored = ignored.union(had.sequences().relation(items))
    depth = min(max(2, *options.ks), items)
    which: dict[str, Any] = {} if allow is None else {"allow": allow}

    def proposed(queries: Queries, ignored: Relation) -> tuple[Hits, Hits, Any]:
        found = model.propose(queries, depth=depth, ignored=ignored, **which)
        return found.hits, found.tower.top(depth), found.confidence

    def listed(queries: Queries, ignored: Relation) -> tuple[Hits, Hits, Any]:
        found = model.lists(queries, depth, ignored=ignored)
        return found, found, None

    lists = model.policy is None and allow is None
    shown, tower, confidence = _joined(part, ignored, listed if lists else proposed, quiet)
    others: dict[str, tuple[Hits, Any]] = {}
    if compare:
        with phase("measuring baselines", quiet=quiet):
            others = _baselines(model, part, depth, ignored, allow)
    if compare and not lists:
        scorer = model.options.scorer
        scored = {"score": (tower, None), "margin": (tower, margin(tower.scores))}
        others |= {"raw" if n == "score" else n: s for n, s in scored.items() if n != scorer}
    accepted = {} if confidence is None else _accepted(model, part.queries, confidence)
    return Measured(model, part, shown, confidence, accepted, others, by)


def _compared(metric: str, system: str) -> bool:
    name, _, k = metric.partition("@")
    lists = system not in ("raw", "margin") and k.isdecimal()
    return "/" not in metric and (name in _COMPARED or (lists and name in _COMPARED_LISTS))


def _joined(
    part: Part,
    ignored: Relation,
    search: Callable[[Queries, Relation], tuple[Hits, Hits, Any]],
    quiet: bool,
) -> tuple[Hits, Hits, Any]:
    """The hits of all queries, those of the tower, and the confidence, some queries at a time."""
    # Filled block by block: blocks that are joined at the end would take the memory twice.
    whole: list[Hits] = []
    sure = np.empty(len(part))
    known = True
    with Bar("queries", quiet=quiet) as bar:
        bar.start("measuring", total=len(part))
        for start in range(0, max(len(part), 1), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(part)))
            *both, confidence = search(part.queries.take(rows), ignored.take(rows))
            for at, found in enumerate(both[:1] if both[0] is both[1] else both):
                if not start:
                    whole.append(Hits.none(len(part), found.rows.shape[1]))
                whole[at].rows[rows], whole[at].scores[rows] = found.rows, found.scores
            known = confidence is not None
            if known:
                sure[rows] = confidence
            bar.advance(len(rows))
    return whole[0], whole[-1], sure if known else None


def _accepted(
    model: Any, queries: Queries, confidence: Float64[np.ndarray, " Q"]
) -> dict[float, Bool[np.ndarray, " Q"]]:
    """What is accepted at each target; at its own the policy decides, whatever the rest."""
    if model.policy is None:
        return {}
    options = model.options
    answers = model.decision.outcomes.certify(
        target=PRECISIONS, confidence_level=options.confidence_level, by=options.by
    )
    answers |= {model.policy.target_precision: model.policy}
    nothing, known = np.zeros(len(queries), np.bool_), model.known(queries)
    segments = queries.column(options.by) if options.by else None
    return {
        target: policy.decide(confidence, segments if policy.by else None, known=known)
        if isinstance(policy, Policy)
        else nothing
        for target, policy in sorted(answers.items())
    }


def _baselines(
    model: Any,
    part: Part,
    depth: int,
    ignored: Relation,
    allow: Bool[np.ndarray, " N"] | None,
) -> dict[str, tuple[Hits, Any]]:
    """The systems that need no training, where there is what they read."""
    items, catalogue, queries = model.items, model.catalogue, part.queries
    found: dict[str, tuple[Hits, Any]] = {}
    found["popularity"] = baselines.popular(catalogue.train_counts, depth, ignored, allow), None
    own = model.config.sections["tower"]["kind"]
    if catalogue.item_text and catalogue.query_text and own != "tfidf":
        some = drawn(len(part))
        texts = queries.take(some).text(catalogue.query_text)
        item_texts = text_of(items, catalogue.item_text)
        hits = baselines.tfidf(item_texts, texts, depth, ignored.take(some), allow)
        found["tfidf"] = hits, margin(hits.scores)
    if queries.histories is not None:
        with suppress(InputError):  # the training data is gone
            learned, had = _learned(model.labelled("train")), queries.histories.sequences()
            knn = baselines.item_knn(learned, had, len(items), depth, ignored, allow)
            found["item_knn"] = knn, None
    return found


def drawn(queries: int) -> Int64[np.ndarray, " q"]:
    """The queries that slow numbers are measured on: all, or 10,000 of them, always the same."""
    order = np.random.default_rng(0).permutation(queries)
    return np.sort(order[:BASELINE_QUERIES]).astype(np.int64)


def _learned(part: Part) -> Sequences:
    """The events of each training user, the last one among them."""
    histories, users = part.queries.histories, part.groups
    if histories is None or users is None:
        return Sequences(np.zeros(1, np.int64), np.zeros(0, np.int64))
    # The latest example of a user holds all that came before it.
    _, latest = np.unique(users[::-1], return_index=True)
    rows = len(users) - 1 - latest
    had, last = histories.take(rows).sequences(), part.truth.take(rows)
    of = np.arange(len(rows))
    owner = np.concatenate([np.repeat(of, had.counts()), np.repeat(of, last.counts())])
    order = np.argsort(owner, kind="stable")
    events: Int64[np.ndarray, " E"] = np.concatenate([had.items, last.indices])[order]
    return Sequences(bounds(had.counts() + last.counts()), events)


def _only(part: Part, allow: Bool[np.ndarray, " N"]) -> Part:
    """The same queries; a true item that is not allowed is none."""
    pairs, targets = part.truth.pairs(), part.targets
    kept = pairs[allow[pairs[:, 1]]]
    truth = Relation.from_pairs(kept[:, 0], kept[:, 1], shape=part.truth.shape)
    if targets is not None:
        owner = np.repeat(np.arange(len(targets)), targets.counts())[allow[targets.items]]
        counts = np.bincount(owner, minlength=len(targets))
        targets = Sequences(bounds(counts), targets.items[allow[targets.items]])
    return replace(part, truth=truth, targets=targets)
