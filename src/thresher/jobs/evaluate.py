"""From a model and labelled queries to numbers and a report, the same for every kind of run."""

import copy
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from thresher import __version__
from thresher.data.tables import read_table
from thresher.decide.policy import NoThreshold, Policy
from thresher.errors import InputError, percent_hint
from thresher.evaluate.label_errors import names_another
from thresher.jobs.item_sections import information_of, map_of, neighbours_of
from thresher.measure import LABELS, Measured, drawn, measure
from thresher.progress import phase
from thresher.report import (
    Candidate,
    Decision,
    Mistake,
    Report,
    Reviewed,
    Slice,
    System,
    write_report,
)

REMOVED = (0.1, 0.3)
"""Shares of the catalogue that a report takes away, to show what the policy does then."""
CATEGORIES = 30
"""Values of the column `category` that are measured without being asked, at most."""
REVIEWED = 200
"""Queries of the sample that goes to a person."""


def evaluate(
    model: Any,
    *,
    files: Mapping[str, Path] | None = None,
    without_pairs: str | None = None,
    split: str = "test",
    remove_items: float = 0.0,
    by: str | None = None,
    report: bool = True,
    quiet: bool = False,
) -> dict[str, Any]:
    """Measure a model, and write a report into its artifact.

    The report of the model's own test split lies in `report/`. Any other evaluation has a folder of
    its own beside it, named after what differs, as in `report-validation` or `report-new_offers`.

    Args:
        model: a `thresher.Retriever`, or the folder of an artifact.
        files: `queries` and `pairs`, and perhaps `items`, in place of the model's own.
        without_pairs: what those of these queries are that have no pair, "unlabelled" or "no_item".
        split: of its own data, when no files are given.
        remove_items: share of the items to take out of the catalogue first; their queries have no
            true item then, and accepting one is an error.
        by: column of the queries whose values are measured one by one.
        report: whether to write a report; a model that was not saved has none.
        quiet: no progress bars.

    Returns:
        A flat table of numbers; those of a slice are named `slice/metric`, those of a baseline
        `popularity/metric` and so on; None where a number is not defined. Beside them `warnings`,
        sentences that the reader must not miss, and `report`, the page, if one was written.

    Raises:
        InputError: for a damaged artifact, or data that cannot be used.
    """
    _check_share(remove_items)
    files = {name: Path(path) for name, path in (files or {}).items()}
    model = _opened(model)
    with _over(model, files.get("items")) as own:
        labels = files.get("queries"), files.get("pairs")
        part = own.labelled(split, *labels, without_pairs=without_pairs)
        allow = kept_items(len(own.items), remove_items) if remove_items else None
        test = measure(own, part, by=by or _category(part), allow=allow, quiet=quiet)
        numbers: dict[str, Any] = test.numbers()
        if allow is not None:
            numbers["items"] = float(allow.sum())
        warnings = test.warnings(numbers)
        folder = report_folder(model.folder, files, split, remove_items) if report else None
        if folder is not None:
            asked = _command(model.folder, files, split, remove_items, by)
            source = _source(files, split)
            with phase("writing the report", quiet=quiet):
                shown = report_of(test, numbers, warnings, source=source, open_too=not remove_items)
            facts = {"command": asked, **{name: str(path) for name, path in files.items()}}
            shown = replace(shown, provenance={**shown.provenance, **facts})
            numbers["report"] = str(write_report(shown, folder))
    return numbers | {"warnings": warnings}


def _check_share(remove_items: float) -> None:
    if not 0 <= remove_items < 1:
        raise InputError(
            f"the share of items to remove must lie in [0, 1), got {remove_items:g}"
            f"{percent_hint(remove_items)}"
        )


def report_folder(
    folder: Path | None, files: Mapping[str, Path], split: str, remove_items: float
) -> Path | None:
    """Where the report of an evaluation lies; None for a model that was not saved."""
    if folder is None:
        return None
    parts = [path.stem for name, path in files.items() if name != "pairs" or len(files) == 1]
    parts += [] if files or split == "test" else [split]
    parts += [f"without-{100 * remove_items:g}-percent"] if remove_items else []
    name = re.sub(r"[^\w.-]+", "_", "-".join(["report", *parts]))
    return folder / name


def report_of(
    test: Measured,
    numbers: Mapping[str, Any],
    warnings: list[str],
    *,
    source: str | None = None,
    open_too: bool = True,
) -> Report:
    """Everything that the report of a model shows.

    Args:
        test: the measurement.
        numbers: its numbers.
        warnings: sentences that the reader must not miss.
        source: what the queries are, when they are not the model's own test split.
        open_too: whether to measure again with a part of the catalogue gone.
    """
    model, part = test.model, test.part
    accepted = _accepted_by_policy(test)
    name: Any = "queries" if part.queries.histories is None else "users"
    decided = isinstance(model.policy, Policy)
    lists = model.policy is None
    return Report(
        title=f"{_name(model)}: {len(part):,} {name} against {len(model.items):,} items",
        metrics={n: v for n, v in numbers.items() if not isinstance(v, str)},
        systems=_systems(test),
        who=name,
        intervals=test.intervals(),
        warnings=warnings,
        decision=_decision(test, numbers, source),
        by=test.by,
        mistakes=_mistakes(test, accepted),
        reviewed=_reviewed(test, accepted) if decided else [],
        open_catalogue=_opened_catalogue(test) if decided and open_too else {},
        information=information_of(model),
        item_map=map_of(model, lists=lists),
        neighbours=neighbours_of(model) if lists else (),
        facts=_facts(model, part),
        findings=model.data.findings if model.data is not None and source is None else (),
        provenance=_provenance(model),
    )


def kept_items(items: int, share: float) -> Bool[np.ndarray, " N"]:
    """Which items stay when a share of them, the same every time, is taken away."""
    allow = np.ones(items, np.bool_)
    allow[np.random.default_rng(0).permutation(items)[: round(share * items)]] = False
    return allow


def _opened(model: Any) -> Any:
    if not isinstance(model, str | Path):
        return model
    from thresher.retriever import Retriever  # which imports torch

    return Retriever.open(model)


@contextmanager
def _over(model: Any, items: Path | None) -> Iterator[Any]:
    """The same model and decision over another catalogue, for measuring only."""
    if items is None:
        yield model
        return
    own = copy.copy(model)
    try:
        own.catalogue = model.catalogue.over(
            read_table(items), model.tower, model.embeddings, model.config
        )
        yield own
    finally:
        model.tower.describe(model.items)


def _category(part: Any) -> str | None:
    """The column that is measured without being asked: `category`, if it has few values."""
    table = part.queries.table
    if table is None or "category" not in table.column_names:
        return None
    return "category" if len(set(part.queries.column("category"))) <= CATEGORIES else None


def _source(files: Mapping[str, Path], split: str) -> str | None:
    """What the queries are; None for the model's own test split, which nothing has seen."""
    if files:
        return f"queries of {', '.join(path.name for path in files.values())}"
    return None if split == "test" else f"queries of the split {split!r}"


def _command(
    folder: Path, files: Mapping[str, Path], split: str, remove_items: float, by: str | None
) -> str:
    words_ = ["thresher", "evaluate", str(folder)]
    for name, path in files.items():
        words_ += [f"--{name}", str(path)]
    words_ += [] if split == "test" else ["--split", split]
    words_ += ["--open-catalogue", f"{remove_items:g}"] if remove_items else []
    words_ += [] if by is None else ["--by", by]
    return shlex.join(words_)


def _name(model: Any) -> str:
    data = model.config.sections["data"]
    return str(model.folder.name if model.folder is not None else data.get("bundled") or "model")


def _systems(test: Measured) -> dict[str, System]:
    """The systems in the order of the page: what has no curve first, the model last."""
    found = {}
    for name, label in LABELS.items():
        if name in test.others:
            hits, confidence = test.others[name]
            drawn = name in ("tfidf", "raw", "margin") and test.confidence is not None
            sure = hits.scores[:, 0] if confidence is None else confidence
            found[name] = System(label, sure, test.correct(name)) if drawn else System(label)
    scorer = {"reranker": "re-ranked", "margin": "margin", "score": "raw score"}
    if test.confidence is None:
        return found | {"": System("model")}
    label = f"model, {scorer[test.model.options.scorer]}"
    return found | {"": System(label, test.confidence, test.correct())}


def _accepted_by_policy(test: Measured) -> Bool[np.ndarray, " Q"]:
    policy = test.model.policy
    if not isinstance(policy, Policy):
        return np.zeros(len(test.part), np.bool_)
    return test.accepted[policy.target_precision] & (test.hits.rows[:, 0] >= 0)


def _decision(test: Measured, numbers: Mapping[str, Any], source: str | None) -> Decision | None:
    policy = test.model.policy
    if policy is None:
        return None
    target, level = policy.target_precision, policy.confidence_level
    if isinstance(policy, NoThreshold):
        return Decision(target, level, refused=policy.sentence())
    whole = policy.by is None
    found = Decision(
        target,
        level,
        accept_at=policy.accept_at if whole else None,
        test=Slice.of("all", numbers, target),
        calibration_coverage=policy.coverage if whole else None,
    )
    return found if source is None else replace(found, queries=source)


def _opened_catalogue(test: Measured) -> dict[float, Slice]:
    found, part = {}, test.part.take(drawn(len(test.part)))
    for share in REMOVED:
        allow = kept_items(len(test.model.items), share)
        again = measure(test.model, part, allow=allow, compare=False, quiet=True)
        accepted, right = _accepted_by_policy(again), again.correct()
        counts = len(accepted), int(accepted.sum()), int((accepted & ~right).sum())
        found[share] = Slice("all", *counts)
    return found


def _mistakes(test: Measured, accepted: Bool[np.ndarray, " Q"]) -> list[Mistake]:
    """The wrong proposals that were accepted, the surest first."""
    wrong = np.flatnonzero(accepted & ~test.correct())
    if test.confidence is None or not len(wrong):
        return []
    wrong = wrong[np.argsort(-test.confidence[wrong], kind="stable")]
    truth = [test.part.truth.items_of(row)[:1] for row in wrong]
    of = [int(items[0]) if len(items) else -1 for items in truth]
    queries = _queries(test, wrong)
    proposed = _items(test.model, test.hits.rows[wrong, 0])
    true = _items(test.model, np.array(of, np.int64))
    return [
        Mistake(
            query,
            item,
            right if row >= 0 else None,
            float(test.confidence[at]),
            names_another(query.text, item.text, right.text if row >= 0 else None),
        )
        for at, query, item, right, row in zip(wrong, queries, proposed, true, of, strict=True)
    ]


def _reviewed(test: Measured, accepted: Bool[np.ndarray, " Q"]) -> list[Reviewed]:
    """A random sample of what a person looks at."""
    sent = np.random.default_rng(0).permutation(np.flatnonzero(~accepted))[:REVIEWED]
    rows = test.hits.rows[sent, :2]
    right = test.part.truth.correct(rows, queries=sent)
    first, second = (_items(test.model, column) for column in rows.T)
    return [
        Reviewed(
            query,
            [item for item, row in zip((a, b), rows[i], strict=True) if row >= 0],
            float(test.confidence[sent[i]]) if test.confidence is not None else float("nan"),
            int(right[i].argmax()) if right[i].any() else None,
        )
        for i, (query, a, b) in enumerate(zip(_queries(test, sent), first, second, strict=True))
    ]


def _queries(test: Measured, rows: np.ndarray) -> list[Candidate]:
    some = test.part.queries.take(rows)
    texts = some.text(test.model.catalogue.query_text)
    return [Candidate(i, text) for i, text in zip(some.ids.to_pylist(), texts, strict=True)]


def _items(model: Any, rows: np.ndarray) -> list[Candidate]:
    ids, texts = model.catalogue.ids(rows), model.catalogue.texts(rows)
    pairs = zip(ids.to_pylist(), texts.to_pylist(), strict=True)
    return [Candidate(i or "", text or "") for i, text in pairs]


def _facts(model: Any, part: Any) -> dict[str, str]:
    counts = {
        "queries that were trained on": model.train_queries,
        "items": len(model.items),
        "items never in training": int((model.catalogue.train_counts == 0).sum()),
        "queries evaluated": len(part),
        "true pairs": len(part.truth.indices),
    }
    return {name: f"{count:,}" for name, count in counts.items()}


def _provenance(model: Any) -> dict[str, str]:
    data, sections = model.config.sections["data"], model.config.sections
    named = {n: str(data[n]) for n in ("bundled", "items", "queries", "pairs", "events") if data[n]}
    policy = model.policy
    columns = {
        "text columns of queries": ", ".join(model.catalogue.query_text),
        "text columns of items": ", ".join(model.catalogue.item_text),
    }
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "artifact": str(model.folder or "in memory"),
        **named,
        "seed": f"data {data['seed']}, training {sections['train']['seed']}",
        "objective": ", ".join(
            f"{term['name']} on {term['links']} (weight {term['weight']:g})"
            for term in model.config.objective
        ),
        **{name: value for name, value in columns.items() if value},
        "policy": policy.id if isinstance(policy, Policy) else "none",
        "fitted on": getattr(policy, "fitted_on", "") or "none",
        "thresher": __version__,
    }
