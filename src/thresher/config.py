"""A run, section by section: every table is checked against what it builds, before data is read.

A section names a constructor, directly or through `kind`, and its keys are that constructor's
arguments: pydantic checks their types, the constructor their ranges. What a run does follows from
what it has: events or pairs, labels kept apart for calibration or none.
"""

import dataclasses
import difflib
import inspect
import json
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pydantic
import tomli_w

from thresher.data.options import SHARES, DataOptions
from thresher.decide.options import DecideOptions
from thresher.errors import InputError
from thresher.lazy import Registry
from thresher.losses import LOSSES
from thresher.towers import (
    TOWERS,
    build_tower,
    default_objective,
    default_tower,
    default_training,
)

Section = Mapping[str, Any]
Constructor = Callable[..., Any]

PLAIN: Mapping[str, Constructor] = Registry(
    {
        "data": "thresher.data.options:DataOptions",
        "features": "thresher.towers.features:FeatureOptions",
        "views": "thresher.data.masking:ViewOptions",
        "train": "thresher.training.options:TrainOptions",
        "classifiers": "thresher.training.classifiers:ClassifierOptions",
        "index": "thresher.retrieve.options:IndexOptions",
        "decide": "thresher.decide.options:DecideOptions",
        "recommend": "thresher.evaluate.options:RecommendOptions",
    }
)
LABELS: Mapping[str, Constructor] = Registry(
    {
        "text": "thresher.training.labels:TextLabels",
        "shared": "thresher.training.labels:Shared",
        "prototype": "thresher.training.labels:Prototype",
    }
)
KINDS: Mapping[str, Mapping[str, Constructor]] = {"tower": TOWERS, "labels": LABELS}
ORDER = (
    *("data", "features", "tower", "labels", "objective", "views"),
    *("train", "classifiers", "index", "decide", "recommend"),
)
LINKS = "query_item"
PROTOTYPE_LINKS = ("query_text", "text_query", "text_minus_prototype")
VIEW_LINKS = ("views", "spread_out")
RENAMED: Mapping[str, str] = {
    "[ranking]": "[recommend]",
    "data.events_of_kind": "data.event_kinds",
    "data.repeats": "data.repeated_events",
    "data.fewest_events": "data.min_events",
    "data.known": "data.history_share",
    "data.item_categories": 'features.item, as in item.category = "categories"',
    "features.fewest": "features.min_count",
    "features.id_pairs": "features.id_min_count",
    "features.share": "features.share_tables",
    "features.longest": "tower.max_history",
    "features.text_bits": "tower.bits",
    "tower.word_bits": "tower.bits",
    "tower.shortest": "tower.ngram_range",
    "tower.longest": "tower.ngram_range (of n-grams) or tower.max_history (of events)",
    "tower.kind = 'bag'": "tower.kind = 'features' with combine = 'sum'",
    "tower.kind = 'history'": "tower.kind = 'features' with combine = 'sum'",
    "train.columns": "train.negatives",
    "train.mined": "train.hard_negatives",
    "train.sampled": "train.num_sampled_negatives",
    "train.sampled_power": "train.sampling_power",
    "train.in_batch": "train.in_batch_negatives",
    "train.chunk": "train.mini_batch_size",
    "train.clustered_from": "train.cluster_from_epoch",
    "links = 'offered'": "links = 'query_item'",
    "links = 'described'": "links = 'query_text'",
    "links = 'asked'": "links = 'text_query'",
    "links = 'gap'": "links = 'text_minus_prototype'",
    "links = 'spread'": "links = 'spread_out'",
    "decide.confidence": "decide.scorer",
    "decide.scorer = 'learned'": "decide.scorer = 'reranker'",
    "decide.fit_share": "decide.selection_share",
    "recommend.again": "recommend.repeat_boost",
    "recommend.repeats": "recommend.count_repeats",
    "recommend.depths": "recommend.ks",
}
"""What version 0.1 said -> what says it since 0.2."""
# What a loss gets from the tower, never from a user.
_SUPPLIED = ("dim", "generator")


@dataclass(frozen=True)
class Config:
    """A whole run, defaults included: what `train` follows and the artifact keeps.

    Args:
        sections: each a table of plain values; `decide` is absent without labels kept apart.
        objective: the terms, each a table with name, kind, links, weight and the loss's arguments.
        folder: where relative paths begin.
    """

    sections: Mapping[str, Section]
    objective: Sequence[Section]
    folder: Path

    @property
    def decides(self) -> bool:
        """Whether the run is to certify a threshold."""
        return "decide" in self.sections

    def build(self, section: str) -> Any:
        """Make what a section describes, such as `DataOptions` or the tower."""
        values = dict(self.sections[section])
        if section == "tower":
            return build_tower(values.pop("kind"), base=self.folder, **values)
        if section in KINDS:
            return KINDS[section][values.pop("kind")](**values)
        return PLAIN[section](**values)

    def to_toml(self) -> str:
        """Write the run as TOML that `thresher train` reads, with every default."""
        tables = {
            name: list(self.objective) if name == "objective" else self.sections[name]
            for name in ORDER
            if name == "objective" or name in self.sections
        }
        return tomli_w.dumps(_without_none(tables))

    def replace(self, **sections: Mapping[str, Any]) -> "Config":
        """Return the same run with some keys of some sections changed, checked again."""
        raw: dict[str, Any] = {name: dict(table) for name, table in self.sections.items()}
        raw["objective"] = [dict(term) for term in self.objective]
        for name, changed in sections.items():
            raw[name] = {**raw.get(name, {}), **changed}
        return resolve(_without_none(raw), self.folder)


def read(source: Path | str | Section | Config | None, overrides: Iterable[str] = ()) -> Config:
    """Read a run and check every key and value of it; no data is touched.

    The source is a TOML file, or the same as a mapping of sections, None for all defaults;
    overrides are as given to `--set`: "train.epochs=3". InputError for a file that is no TOML, an
    unknown section or key, a value of the wrong type, or a value that the constructor refuses.
    """
    if isinstance(source, Config):
        raw: dict[str, Any] = tomllib.loads(source.to_toml())
        folder = source.folder
    elif isinstance(source, Mapping):
        raw, folder = dict(source), Path().resolve()
    elif source is None:
        raw, folder = {}, Path().resolve()
    else:
        raw, folder = _toml(Path(source)), Path(source).parent.resolve()
    for override in overrides:
        _set(raw, override)
    return resolve(raw, folder)


def read_saved(path: Path, folder: Path, decide: DecideOptions | None) -> Config:
    """The run of an artifact, with the options of its decision: checked when it was saved.

    A section is read when it is looked at, so that a run is opened without what trains it.

    Raises:
        InputError: for a file that is no TOML, or an unknown section; later for a damaged one.
    """
    raw = _toml(path)
    _known(raw, ORDER, where="section")
    if decide is not None:
        raw["decide"] = _without_none(dataclasses.asdict(decide))
    terms = [dict(term) for term in _terms(raw, ())]
    return Config(_Saved({k: v for k, v in raw.items() if k != "objective"}), terms, folder)


class _Saved(Mapping[str, Section]):
    """Sections with all their keys, each checked when it is first looked at."""

    def __init__(self, raw: Mapping[str, Section]) -> None:
        self._raw, self._bound = raw, dict[str, Section]()

    def __getitem__(self, name: str) -> Section:
        if name not in self._raw:
            raise KeyError(name)
        if name not in self._bound:
            self._bound[name] = _bound(name, _table(self._raw, name))
        return self._bound[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def _bound(name: str, table: Section) -> Section:
    """A section with its kind, if it has one, and its arguments, checked."""
    if name not in KINDS:
        return _bind(PLAIN[name], table, name)
    choices, kind = KINDS[name], table.get("kind")
    _check_kind(kind, choices, name)
    rest = {k: v for k, v in table.items() if k != "kind"}
    return {"kind": kind, **_bind(choices[str(kind)], rest, name)}


def resolve(raw: Section, folder: Path) -> Config:
    """Fill in the defaults of a run and check it as a whole."""
    from thresher.training.together import check_together

    _known(raw, ORDER, where="section")
    data = _bind(DataOptions, _table(raw, "data"), "data")
    options = DataOptions(**data)
    named = options.named()
    events = "events" in named
    shares = SHARES["queries"]
    if events or "pairs" in named:
        shares = options.split_shares(options.split_protocol(named))
    decides = shares.get("calibration", 0) > 0 or "decide" in raw
    defaults = {
        "tower": default_tower(_table(raw, "tower"), events=events),
        "labels": {"kind": "text"},
    }
    sections: dict[str, Section] = {"data": data}
    for name in KINDS:
        sections[name] = _bound(name, {**defaults[name], **_table(raw, name)})
    kind = sections["tower"]["kind"]
    training = default_training(kind, sections["tower"], events=events, decides=decides)
    for name, constructor in PLAIN.items():
        if name == "data" or (name == "decide" and not decides):
            continue
        defaults = training if name == "train" else {}
        sections[name] = _bind(constructor, {**defaults, **_table(raw, name)}, name)
    prototypes = sections["labels"]["kind"] == "prototype"
    links = (LINKS, *(PROTOTYPE_LINKS if prototypes else ()), *VIEW_LINKS)
    tables = _terms(raw, default_objective(events=events, decides=decides))
    terms = [_term(t, i, links) for i, t in enumerate(tables)]
    names = [t["name"] for t in terms]
    if len(set(names)) < len(names):
        raise InputError(f"every term of the objective needs its own name, got {names}")
    ordered = {name: sections[name] for name in ORDER if name in sections}
    config = Config(ordered, terms, folder)
    for name in ordered:
        if name != "tower" or ordered["tower"]["kind"] != "sentence":  # which loads a model
            config.build(name)
    check_together(ordered, terms, events=events)
    return config


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the TOML file of a run") from None
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the TOML file of a run") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from error


def _set(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    section, _, name = key.strip().partition(".")
    if not (equals and section and name):
        raise InputError(f"--set takes section.key=value, such as train.epochs=3, got {override!r}")
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = value.strip()
    table = _table(raw, section)
    column, _, inner = name.partition(".")
    if inner:  # a table in a table, such as features.item.price or features.query."history.price"
        parsed, name = {**_table(table, column), inner.strip('"'): parsed}, column
    raw[section] = {**table, name: parsed}


def _table(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name, {})
    if not isinstance(table, Mapping):
        raise InputError(f"{name} must be a table of keys and values, got {table!r}")
    return dict(table)


def _terms(raw: Mapping[str, Any], default: Sequence[Section]) -> Sequence[Any]:
    tables = raw.get("objective", default)
    if not isinstance(tables, Sequence) or isinstance(tables, str):
        raise InputError(
            f"objective must be a list of tables, each under [[objective]], got {tables!r}"
        )
    if not tables:
        raise InputError("the objective needs at least one term; add [[objective]] with a kind")
    return tables


def _term(table: Any, number: int, links: Sequence[str]) -> Section:
    where = f"objective.{number}"
    if not isinstance(table, Mapping) or "kind" not in table:
        raise InputError(f"{where} needs a kind; the losses are {', '.join(LOSSES)}")
    kind = table["kind"]
    _check_kind(kind, LOSSES, where)
    own = _bind(_Term, {k: table[k] for k in ("name", "links", "weight") if k in table}, where)
    own = {**own, "name": own["name"] or kind}
    _renamed(f"links = {own['links']!r}")
    rest = {k: v for k, v in table.items() if k not in ("kind", *own)}
    arguments = _bind(LOSSES[kind], rest, where, extra=("kind", *own), supplied=_SUPPLIED)
    if own["links"] not in links:
        hint = " (with labels.kind = 'prototype' alone)" if own["links"] in PROTOTYPE_LINKS else ""
        raise InputError(
            f"{where}.links must be {' or '.join(map(repr, links))}, got {own['links']!r}{hint}"
        )
    width = {"dim": 1} if "dim" in inspect.signature(LOSSES[kind]).parameters else {}
    # Refuses values out of range now, not after the data is read.
    LOSSES[kind](**arguments, **width)
    return {"name": own["name"], "kind": kind, **arguments, **own}


@dataclass(frozen=True, kw_only=True)
class _Term:
    """What every term of an objective has beside the arguments of its loss."""

    name: str = ""
    links: str = LINKS
    weight: float = 1.0


def _check_kind(kind: Any, kinds: Collection[str], where: str) -> None:
    if not isinstance(kind, str) or kind not in kinds:
        _renamed(f"{where}.kind = {kind!r}")
        raise InputError(f"{where}.kind is {kind!r}{_choice(str(kind), kinds, 'known')}")


@lru_cache(maxsize=64)
def _model(constructor: Constructor, supplied: tuple[str, ...]) -> type[pydantic.BaseModel]:
    """Make a pydantic model with the arguments of a constructor."""
    factories = {
        f.name: pydantic.Field(default_factory=f.default_factory)
        for f in getattr(constructor, "__dataclass_fields__", {}).values()
        if f.default_factory is not dataclasses.MISSING
    }
    arguments: dict[str, Any] = {}
    for name, p in inspect.signature(constructor, eval_str=True).parameters.items():
        if name not in supplied:
            default = ... if p.default is inspect.Parameter.empty else p.default
            arguments[name] = (p.annotation, factories.get(name, default))
    return pydantic.create_model(
        "Section",
        __config__=pydantic.ConfigDict(
            extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False
        ),
        **arguments,
    )


def _bind(
    constructor: Constructor,
    table: Section,
    where: str,
    extra: Sequence[str] = (),
    supplied: tuple[str, ...] = (),
) -> Section:
    """The arguments of a constructor, with its defaults, checked against its signature."""
    model = _model(constructor, supplied)
    _known(table, (*model.model_fields, *extra), where=where)
    try:
        # From JSON a strict model takes a list for a tuple, and still no text for a number.
        bound = model.model_validate_json(json.dumps(_without_none(table), default=str))
    except pydantic.ValidationError as error:
        raise InputError(_sentence(error.errors()[0], where, table)) from None
    return {name: getattr(bound, name) for name in model.model_fields}


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text in quotes",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table of keys and values",
    "mapping": "a table of keys and values",
    "path": "a path in quotes",
}


def _sentence(error: Mapping[str, Any], where: str, table: Section) -> str:
    """What pydantic refused, in one sentence."""
    # A union says which of its members failed after the key; only keys are shown.
    key, *rest = error["loc"]
    keys = table[key] if isinstance(table.get(key), Mapping) else ()
    inner = [str(part) for part in rest if part in keys]
    name = ".".join([where, str(key), *inner])
    if error["type"] == "missing" and rest:
        return f"{name} is {table[key]!r}; it needs more values than that"
    if error["type"] == "missing":
        return f"{where} needs {key}; add {key} = ... to it"
    if error["type"] == "literal_error":
        _renamed(f"{name} = {error['input']!r}")
        allowed = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"{name} must be one of {allowed}, got {error['input']!r}"
    expected = _EXPECTED.get(error["type"].split("_")[0], error["msg"].lower())
    return f"{name} must be {expected}, got {error['input']!r}"


def _known(table: Mapping[str, Any], accepted: Sequence[str], where: str) -> None:
    for key in table:
        if key not in accepted:
            full = key if where == "section" else f"{where}.{key}"
            _renamed(f"[{key}]" if where == "section" else full)
            raise InputError(
                f"{full} is not a known {'section' if where == 'section' else 'key'}"
                f"{_choice(str(key), sorted(accepted), 'valid')}"
            )


def _renamed(old: str) -> None:
    """InputError for what had another name in version 0.1."""
    if old in RENAMED:
        raise InputError(f"{old} is called {RENAMED[old]} since 0.2; rename it")


def _choice(key: str, names: Collection[str], are: str) -> str:
    """The name that was surely meant, or else the nearest one, if any, and all of them."""
    for sure, cutoff in ((True, 0.8), (False, 0.5)):
        if close := difflib.get_close_matches(key, names, n=1, cutoff=cutoff):
            hint = f" (did you mean {close[0]!r}?)"
            return hint if sure else f"{hint}; {are} are {', '.join(names)}"
    return f"; {are} are {', '.join(names)}"


def _without_none(value: Any) -> Any:
    """The same without what is None, which TOML cannot say, and with lists for tuples."""
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, tuple | list):
        return [_without_none(v) for v in value]
    return str(value) if isinstance(value, Path) else value
