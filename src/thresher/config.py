"""A run's TOML: every table is bound to the signature of what it builds, before anything loads.

There is no second tree of configuration classes. A section names a constructor (directly, or one
of several through `kind`), and its keys are that constructor's arguments. An unknown key is an
error that names the file, the key and the nearest valid one.
"""

import difflib
import inspect
import json
import re
import tomllib
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from thresher.errors import InputError
from thresher.family import (
    MATCHING,
    Constructor,
    Family,
    Section,
    check_own,
    check_together,
    check_views,
    family_of,
    towers,
)
from thresher.losses import LOSSES

# What a loss gets from the tower, never from a user.
_SUPPLIED = ("dim", "generator")
# What a batch links: queries and their true items; with label prototypes, the items' text besides.
LINKS = "offered"
PROTOTYPE_LINKS = (LINKS, "described", "asked", "gap")


@dataclass(frozen=True)
class Config:
    """A whole run, defaults included: what `train` obeys and the artifact keeps.

    Args:
        family: what is retrieved from what, which decides the sections.
        sections: each a table of plain values.
        objective: the terms, each a table with name, kind, links, weight and the loss's arguments.
        folder: where relative paths begin.
    """

    family: Family
    sections: Mapping[str, Section]
    objective: Sequence[Section]
    folder: Path

    def build(self, section: str) -> Any:
        """Makes what a section describes, such as `DataSpec` or the tower."""
        values = dict(self.sections[section])
        if section in self.family.kinds:
            return self.family.kinds[section].choices[values.pop("kind")](**values)
        return self.family.plain[section](**values)

    def to_toml(self) -> str:
        """The run as TOML that `thresher train` reads, every default written out."""
        parts = [_table(f"[{name}]", self.sections[name]) for name in self.sections]
        at = self.family.order.index("objective")
        parts[at:at] = [_table("[[objective]]", term) for term in self.objective]
        return "\n".join(parts)


def read(path: Path | None, overrides: Iterable[str] = ()) -> Config:
    """Reads a run's TOML and checks every key and value of it; no data is touched.

    Args:
        path: the file; None for all defaults.
        overrides: as given to `--set`: "train.epochs=3".

    Raises:
        InputError: for a file that is no TOML, an unknown section or key, a value of the wrong
            type, or a value that the constructor refuses.
    """
    raw = _toml(path) if path is not None else {}
    for override in overrides:
        _set(raw, override)
    tower = _section(raw, "tower").get("kind", MATCHING.kinds["tower"].usual)
    _check_kind(tower, towers(), "tower")
    family = family_of(tower)
    _section(raw, "data")  # is a table
    check_own(raw, family)
    _known(raw, family.order, where="section")
    sections = {name: _bind(made, _section(raw, name), name) for name, made in family.plain.items()}
    for name, (choices, usual) in family.kinds.items():
        table: Section = {"kind": usual, **_section(raw, name)}
        sections[name] = {"kind": table["kind"], **_choose(choices, table, name)}
    for name in sections:
        own = family.unsaid(name, sections["tower"]["kind"])
        unsaid = {k: v for k, v in own.items() if k not in _section(raw, name)}
        sections[name] = {**sections[name], **unsaid}
    prototypes = sections.get("labels", {}).get("kind") == "prototype"
    links = (*(PROTOTYPE_LINKS if prototypes else (LINKS,)), *family.links)
    tables = _terms(raw, family.objective)
    terms = [_term(t, i, links) for i, t in enumerate(tables)]
    names = [t["name"] for t in terms]
    if len(set(names)) < len(names):
        raise InputError(f"every term of the objective needs its own name, got {names}")
    ordered = {name: sections[name] for name in family.order if name != "objective"}
    folder = (path.parent if path is not None else Path()).resolve()
    config = Config(family, ordered, terms, folder)
    for name in ordered:
        if name != "tower" or family is not MATCHING:  # others may load a model
            config.build(name)
    check_together(family, ordered)
    if family is MATCHING:
        check_views(ordered["tower"]["kind"], terms)
    return config


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the TOML file of a run") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is no TOML file: {error}") from error


def _set(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not equals or not dot:
        raise InputError(f"--set takes section.key=value, such as train.epochs=3, got {override!r}")
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    table = _section(raw, section)
    column, _, inner = name.partition(".")
    if inner:  # a table in a table, such as features.item.price or features.query."history.price"
        parsed, name = {**_section(table, column), inner.strip('"'): parsed}, column
    raw[section] = {**table, name: parsed}


def _section(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"{name} must be a table of keys and values, got {table!r}")
    return table


def _terms(raw: Mapping[str, Any], usual: Sequence[Section]) -> Sequence[Any]:
    tables = raw.get("objective", usual)
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
    own = {"name": table["kind"], "links": LINKS, "weight": 1.0}
    rest = {k: v for k, v in table.items() if k not in own}
    arguments = _choose(LOSSES, rest, where, extra=tuple(own), supplied=_SUPPLIED)
    given = {k: table.get(k, v) for k, v in own.items()}
    given["weight"] = _typed(given["weight"], float, f"{where}.weight")
    for key in ("name", "links"):
        _typed(given[key], str, f"{where}.{key}")
    if given["links"] not in links:
        others = "" if set(PROTOTYPE_LINKS) <= {*links} else ", unless labels.kind is 'prototype'"
        raise InputError(
            f"{where}.links must be {' or '.join(map(repr, links))}{others}, got {given['links']!r}"
        )
    loss = LOSSES[table["kind"]]
    width = {"dim": 1} if "dim" in inspect.signature(loss).parameters else {}
    loss(**arguments, **width)  # refuses values out of range now, not after the data is read
    return {"name": given["name"], "kind": table["kind"], **arguments, **given}


def _choose(
    kinds: Mapping[str, Constructor],
    table: Section,
    where: str,
    extra: Sequence[str] = (),
    supplied: Sequence[str] = (),
) -> Section:
    kind = table["kind"]
    _check_kind(kind, kinds, where)
    rest = {k: v for k, v in table.items() if k != "kind"}
    return _bind(kinds[kind], rest, where, extra=("kind", *extra), supplied=supplied)


def _check_kind(kind: Any, kinds: Collection[str], where: str) -> None:
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(
            f"{where}.kind is {kind!r}{_nearest(str(kind), kinds)}; known are {', '.join(kinds)}"
        )


def _bind(
    constructor: Constructor,
    table: Section,
    where: str,
    extra: Sequence[str] = (),
    supplied: Sequence[str] = (),
) -> Section:
    """The arguments of a constructor, with its defaults, checked against its signature."""
    signature = inspect.signature(constructor, eval_str=True).parameters
    accepted = {name: p for name, p in signature.items() if name not in supplied}
    _known(table, (*accepted, *extra), where=where)
    bound: dict[str, Any] = {}
    for name, parameter in accepted.items():
        if name in table:
            bound[name] = _typed(table[name], parameter.annotation, f"{where}.{name}")
        elif parameter.default is inspect.Parameter.empty:
            raise InputError(f"{where} needs {name}; add {name} = ... to it")
        else:
            bound[name] = _default(constructor, parameter)
    return bound


def _default(constructor: Constructor, parameter: inspect.Parameter) -> Any:
    """An argument's default; a dataclass hides those that it makes anew each time."""
    made = {
        f.name: f.default_factory for f in getattr(constructor, "__dataclass_fields__", {}).values()
    }
    factory = made.get(parameter.name, MISSING)
    return parameter.default if factory is MISSING else factory()


def _known(table: Mapping[str, Any], accepted: Sequence[str], where: str) -> None:
    for key in table:
        if key not in accepted:
            full = key if where == "section" else f"{where}.{key}"
            raise InputError(
                f"{full} is not a known {'section' if where == 'section' else 'key'}"
                f"{_nearest(key, accepted)}; valid are {', '.join(sorted(accepted))}"
            )


def _nearest(key: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _typed(value: Any, annotation: Any, where: str) -> Any:
    """The value, if it has the annotated type; a whole number may stand for a fraction."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        options = [a for a in typing.get_args(annotation) if a is not type(None)]
        return value if value is None else _typed(value, options[0], where)
    if origin is typing.Literal:
        allowed = typing.get_args(annotation)
        if value not in allowed:
            raise InputError(
                f"{where} must be one of {', '.join(map(str, allowed))}, got {value!r}"
            )
        return value
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be a table of keys and values, got {value!r}")
        inner = typing.get_args(annotation)[1]
        return {
            k: v if inner is Any else _typed(v, inner, f"{where}.{k}") for k, v in value.items()
        }
    if origin is tuple:
        inner = typing.get_args(annotation)[0]
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} must be a list, got {value!r}")
        return tuple(_typed(v, inner, where) for v in value)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(annotation, type) and (
        not isinstance(value, annotation) or (isinstance(value, bool) and annotation is not bool)
    ):
        raise InputError(f"{where} must be {_NAMES.get(annotation, annotation)}, got {value!r}")
    return value


_NAMES = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}


def _table(header: str, values: Section) -> str:
    # TOML has no null: an argument left at None is simply not written.
    lines = [f"{k} = {_value(v)}" for k, v in values.items() if v is not None]
    return "\n".join([header, *lines, ""])


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _key(name: str) -> str:
    """A key as TOML writes it: in quotes, unless it is bare letters, digits and dashes."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
