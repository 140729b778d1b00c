"""The arms of self-supervised learning: what each adds to a plain run, and what data it needs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from grids.ssl_trials import USUAL, Draw
from thresher.config import Section
from thresher.towers.features import IGNORED, Feature
from thresher.towers.item_parts import SEVERAL
from thresher.towers.schema import Schema
from thresher.training.views import SPREAD_OUT, VIEWS

Sections = Mapping[str, Any]
"""Sections of a run's TOML, the objective among them."""

Arm = Callable[[Draw], Sections]
"""From the settings of a trial to what the arm adds to a plain run of these settings."""

PLAIN = "plain"


def _softmax(draw: Draw, **term: Any) -> Section:
    return {"kind": "softmax", "temperature": draw.temperature, **term}


def _two_terms(draw: Draw, links: str) -> Sequence[Section]:
    return [_softmax(draw), _softmax(draw, name="ssl", links=links, weight=draw.alpha)]


def _views(masking: str, **fixed: Any) -> Arm:
    def arm(draw: Draw) -> Sections:
        views = {"masking": masking, "value_dropout": draw.value_dropout, **fixed}
        return {"objective": _two_terms(draw, VIEWS), "views": views}

    return arm


_EVERY_ID: Sections = {"features": {"id_min_count": 0}}

ARMS: Mapping[str, Arm] = {
    PLAIN: lambda draw: {},
    "FD": lambda draw: {"tower": {"feature_dropout": draw.feature_dropout}},
    "SO": lambda draw: {"objective": _two_terms(draw, SPREAD_OUT)},
    "RFM": _views("random"),
    "RFM_no_compl": _views("independent"),
    "CFM": _views("correlated"),
    "CFM_no_dropout": _views("correlated", value_dropout=0.0),
    "NoMasking": _views("none"),
    "CFM_no_id": _views("correlated", mask_id=False),
    "every id": lambda draw: _EVERY_ID,
    "CFM, every id": lambda draw: {**_views("correlated")(draw), **_EVERY_ID},
}
"""Those of every data set, by the names of the paper; the last three are ours.

The paper has a vector for every id. So has "every id", where the others leave out ids of few pairs.
"""

KEEPS: Mapping[str, Callable[[Feature], bool]] = {
    "no id": lambda feature: feature.kind != "id",
    "categories only": lambda feature: feature.kind in ("category", "categories"),
}
"""Those that are plain towers of fewer features: which they keep."""

NAMES = (*ARMS, *KEEPS)


def sections(arm: Arm, draw: Draw) -> Sections:
    """The whole of what a trial of an arm says."""
    common = {
        "objective": [_softmax(draw)],
        "train": {
            "learning_rate": draw.learning_rate,
            "initial_accumulator": draw.accumulator,
        },
        "tower": {"dropout": draw.dropout},
    }
    return joined(common, arm(draw))


def joined(*parts: Sections) -> dict[str, Any]:
    """Sections over each other: of a key that two have, the last counts."""
    found: dict[str, Any] = {}
    for part in parts:
        for name, section in part.items():
            if isinstance(section, Mapping):
                found[name] = {**found.get(name, {}), **section}
            else:
                found[name] = section
    return found


def settings(arm: Arm, draw: Draw) -> str:
    """What a trial of an arm draws, for people: of an arm's own settings those that it has."""
    own = arm(draw)
    said = f"rate {draw.learning_rate}, temperature {draw.temperature}, dropout {draw.dropout}"
    said += f", accumulator {draw.accumulator}"
    if "objective" in own:
        said += f", alpha {draw.alpha}"
    if own.get("views", {}).get("value_dropout"):
        said += f", value dropout {draw.value_dropout}"
    if "tower" in own:
        said += f", feature dropout {draw.feature_dropout}"
    return said


def usable(
    names: Iterable[str], schema: Schema, configured: Section
) -> tuple[dict[str, Arm], list[str]]:
    """The arms that these features allow, and a sentence for each that they do not.

    Args:
        names: of the arms.
        schema: the features of the data.
        configured: the `[features]` of its runs.
    """
    found: dict[str, Arm] = {}
    left_out = []
    for name in names:
        if lacking := _lacking(name, schema.items):
            left_out.append(f"{name} is left out: {lacking}.")
        elif name in ARMS:
            found[name] = ARMS[name]
        else:
            found[name] = _keeping(KEEPS[name], schema, configured)
    return found, left_out


def _lacking(name: str, items: Sequence[Feature]) -> str:
    """Why an arm has no sense for items with these features; empty where it has."""
    if keep := KEEPS.get(name):
        kept = sum(keep(feature) for feature in items)
        if kept == len(items):
            return "items have no other features"
        return "" if kept else "items have no such features"
    views = ARMS[name](USUAL).get("views", {})
    ids = sum(feature.kind == "id" for feature in items)
    if name.endswith("every id") and not ids:
        return "items have no id"
    masked = len(items) if views.get("mask_id", True) else len(items) - ids
    if views.get("masking", "none") != "none" and masked < 2:
        return f"it masks features of items, and of {len(items)} it can mask {masked}"
    if not views.get("mask_id", True) and not ids:
        return "items have no id, so it is CFM"
    drops = name in ("NoMasking", "CFM_no_dropout")
    if drops and not any(feature.kind in SEVERAL for feature in items):
        same = "both views of an item are alike" if name == "NoMasking" else "it is CFM"
        return f"no feature has several values of which some could be dropped, so {same}"
    return ""


def _keeping(keep: Callable[[Feature], bool], schema: Schema, configured: Section) -> Arm:
    """A plain tower of these features; a query that would have none keeps all of its own."""
    items = [f.name for f in schema.items if not keep(f)]
    own = [f for f in schema.queries if not f.name.startswith("history.")]
    read = any(keep(f) for f in schema.queries)
    queries = [f.name for f in own if read and not keep(f)]
    # Nothing may be said of what the items of a history do not have.
    gone = {f"history.{name}" for name in items}
    said = {name: value for name, value in configured["query"].items() if name not in gone}
    features = {
        "item": {**configured["item"], **dict.fromkeys(items, IGNORED)},
        "query": {**said, **dict.fromkeys(queries, IGNORED)},
    }
    return lambda draw: {"features": features}
