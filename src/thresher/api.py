"""What a user types first: train on data frames, open what was saved."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thresher.config import Config, read
from thresher.data.dataset import dataset_of
from thresher.data.frames import Frame, to_table
from thresher.data.options import IN_MEMORY
from thresher.errors import InputError
from thresher.jobs.train import train as train_run
from thresher.retriever import Retriever


def train(
    items: Frame | None = None,
    queries: Frame | None = None,
    pairs: Frame | None = None,
    target: float | None = None,
    *,
    events: Frame | None = None,
    config: str | Path | Mapping[str, Any] | Config | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> Retriever:
    """Train a model that finds the item of each query, and certify what it may decide alone.

    Args:
        items: the catalogue: `id` and any columns, as a data frame (pandas, polars, Arrow), a list
            of dicts, or the path of a table.
        queries: what is matched to it, likewise. A column `split` (train, validation, calibration,
            test) is honoured.
        pairs: true pairs, `query_id` and `item_id`.
        target: precision to certify among the accepted, as in 0.95.
        events: `user_id`, `item_id` and `timestamp`, in place of pairs: what users did.
        config: a run's TOML, or the same as a mapping of sections, for every key that is no
            argument: `{"data": {"without_pairs": "unlabelled"}, "train": {"epochs": 3}}`.
        out: folder of the artifact; nothing is kept on disk without it.
        quiet: no progress bars.

    Returns:
        The trained model, calibrated where labels were kept apart.

    Raises:
        InputError: for data or settings that cannot be used, in one sentence.

    Example:
        >>> model = thresher.train(items, offers, pairs, target=0.95)  # doctest: +SKIP
        >>> model.match(["sony turntable ps-lx310bt"])  # doctest: +SKIP
    """
    given = {"items": items, "queries": queries, "pairs": pairs, "events": events}
    frames = {name: frame for name, frame in given.items() if frame is not None}
    run = _with(config, frames, target)
    named = _named(frames)
    tables = {} if named else {name: to_table(frame, what=name) for name, frame in frames.items()}
    data = dataset_of(run.build("data"), base=run.folder, **tables)
    if target is not None and not len(data.part("calibration")):
        raise InputError(
            f"a target of {target:g} is certified on labels that training has not seen, and the "
            "data has none in the split 'calibration'; give it a share in [data] shares, or leave "
            "the target out"
        )
    result = train_run(run, None if out is None else Path(out), data=data, quiet=quiet)
    if result is None:
        raise RuntimeError("only the first of several processes has the trained model")
    return result[0]


def open(folder: str | Path) -> Retriever:
    """Read a trained model from its folder.

    Raises:
        InputError: for a folder that is no artifact, is damaged, or is of another version.
    """
    return Retriever.open(folder)


def _named(frames: Mapping[str, Any]) -> bool:
    """Whether the tables are files, which the run then names."""
    return all(isinstance(frame, str | Path) for frame in frames.values())


def _with(config: Any, frames: Mapping[str, Any], target: float | None) -> Config:
    """The run with what the arguments say."""
    base = read(config) if isinstance(config, str | Path) else config
    if not isinstance(base, Config | Mapping | None):
        raise InputError(
            f"config is {base!r}; give a run's TOML, or a mapping of sections, such as "
            '{"train": {"epochs": 3}}'
        )
    raw: dict[str, Any] = {} if base is None else dict(_raw(base))
    if frames:
        named = _named(frames)
        names = {
            name: str(Path(frame).resolve()) if named else IN_MEMORY
            for name, frame in frames.items()
        }
        raw["data"] = {**raw.get("data", {}), **names}
    if target is not None:
        raw["decide"] = {**raw.get("decide", {}), "target": target}
    run = read(raw)
    return run if not isinstance(base, Config) else Config(run.sections, run.objective, base.folder)


def _raw(config: Any) -> Mapping[str, Any]:
    return tomllib.loads(config.to_toml()) if isinstance(config, Config) else config
