"""The tables of docs/guides/configuration.md, made from signatures and docstrings.

    python docs/reference.py    writes them again; `make docs-check` compares

A table stands between `<!-- section -->` and `<!-- end -->`.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from thresher.config import KINDS, PLAIN
from thresher.losses import LOSSES

PAGE = Path(__file__).parent / "guides" / "configuration.md"
SUPPLIED = ("dim", "generator")  # what a loss gets from the tower, never from a file
TABLES: Mapping[str, Callable] = {
    f"{section} {name}".strip(): made_by
    for section, choices in [
        *((name, {"": made_by}) for name, made_by in PLAIN.items()),
        *KINDS.items(),
        ("objective", LOSSES),
    ]
    for name, made_by in choices.items()
    if inspect.signature(made_by).parameters  # what has no key has no table
}
_BLOCK = re.compile(r"<!-- ([\w ]+) -->\n.*?<!-- end -->", re.DOTALL)


def meanings(made_by: Callable) -> dict[str, str]:
    """What the docstring says of each argument."""
    lines = inspect.cleandoc(made_by.__doc__ or "").splitlines()
    found: dict[str, str] = {}
    name = ""
    for line in lines[lines.index("Args:") + 1 :]:
        if line and not line.startswith(" "):
            break
        if start := re.match(r"    (\w+): (.*)", line):
            name = start[1]
            found[name] = start[2]
        elif line.strip() and name:
            found[name] += " " + line.strip()
        elif not line.strip():
            break
    return found


def default(parameter: inspect.Parameter, made_by: Callable) -> str:
    """The default of an argument as TOML, or that it is needed or left out."""
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "needed"
    field = getattr(made_by, "__dataclass_fields__", {}).get(parameter.name)
    if field is not None and callable(field.default_factory):
        value = field.default_factory()
    if value is None or value == {}:
        return "none"
    if isinstance(value, Mapping):
        return "`{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }`"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def table(name: str) -> str:
    """The Markdown table of one section."""
    made_by = TABLES[name]
    configured = meanings(made_by)
    rows = ["| key | default | meaning |", "|-|-|-|"]
    for key, parameter in inspect.signature(made_by).parameters.items():
        if name.startswith("objective ") and key in SUPPLIED:
            continue
        meaning = configured[key].replace("`", "").replace("|", "\\|")
        rows.append(f"| `{key}` | {default(parameter, made_by)} | {meaning} |")
    return "\n".join(rows)


def written(text: str) -> str:
    """The page with every table made again."""
    return _BLOCK.sub(lambda m: f"<!-- {m[1]} -->\n{table(m[1])}\n<!-- end -->", text)


def missing(text: str) -> list[str]:
    """The sections that have no table on the page."""
    return sorted(set(TABLES) - set(_BLOCK.findall(text)))


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
