"""Checks that the documentation says what the code does: `make docs-check`.

Links and anchors lead somewhere; Python examples compile and import names that exist; examples of
runs are read; commands, registry names and keys are all documented; rows of numbers in the README
name their command; no file is over 2 MB. Prints what is wrong and exits with 1.
"""

import ast
import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import reference
from thresher import config
from thresher.cli.importers import IMPORTERS
from thresher.cli.main import app
from thresher.data import BUNDLED, SPLITS
from thresher.losses import LOSSES
from thresher.towers import TOWERS

ROOT = Path(__file__).parent.parent
MOST_BYTES = 2_000_000
NOT_OURS = {"runs", "build", "dist", "__pycache__"}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FIGURE = re.compile(r"(?<![\w.@])\.?\d+(\.\d+)?(?!\w)")


def files() -> Iterator[Path]:
    """Every file of the project; hidden folders and results of runs are not."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in NOT_OURS]
        yield from (Path(folder) / name for name in names)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as a code host makes them."""
    prose = _FENCE.sub("", text)
    heads = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def links(path: Path) -> Iterator[str]:
    """Links of a page that lead nowhere."""
    for target in _LINK.findall(_FENCE.sub("", path.read_text("utf-8"))):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        to = (path.parent / name).resolve() if name else path
        if not to.exists():
            yield f"{path.relative_to(ROOT)}: no file {target}"
        elif anchor and anchor not in anchors(to.read_text("utf-8")):
            yield f"{path.relative_to(ROOT)}: no heading {target}"


def snippets(path: Path) -> Iterator[str]:
    """Python examples of a page that do not compile, or import what is not there."""
    for kind, code in _FENCE.findall(path.read_text("utf-8")):
        if kind != "python":
            continue
        try:
            tree = ast.parse(code)
        except SyntaxError as error:
            yield f"{path.relative_to(ROOT)}: {error}"
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("thresher"):
                module = importlib.import_module(node.module)
                lost = [n.name for n in node.names if not hasattr(module, n.name)]
                yield from (f"{path.relative_to(ROOT)}: {node.module} has no {n}" for n in lost)


def commands() -> Iterator[str]:
    """Every command, as it is typed."""
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands:
            yield f"thresher {group.name} {_name(command)}"
    yield from (f"thresher {_name(command)}" for command in app.registered_commands)


def _name(command: object) -> str:
    return command.name or command.callback.__name__


def undocumented(pages: str) -> Iterator[str]:
    """Names of the code that no page mentions."""
    yield from (f"no page mentions `{c}`" for c in commands() if c not in pages)
    registries = {"loss": LOSSES, "tower": TOWERS, "split": SPLITS, "bundled data": BUNDLED}
    for kind, names in registries.items():
        for name in names:
            if f"`{name}`" not in pages and f'"{name}"' not in pages:
                yield f"no page mentions the {kind} {name}"
    for name in IMPORTERS:
        if f"thresher data import {name}" not in pages:
            yield f"no page mentions the importer {name}"


def configuration() -> Iterator[str]:
    """Tables of keys that differ from the signatures."""
    text = reference.PAGE.read_text("utf-8")
    yield from (f"docs/configuration.md has no table for {s}" for s in reference.missing(text))
    if reference.written(text) != text:
        yield "docs/configuration.md is behind the code; run python docs/reference.py"


def runs() -> Iterator[str]:
    """Example runs that are refused."""
    for path in sorted((ROOT / "examples").rglob("*.toml")):
        try:
            config.read(path)
        except config.InputError as error:
            yield f"{path.relative_to(ROOT)}: {error}"


def figures() -> Iterator[str]:
    """Table rows of the README with numbers and without the command that makes them."""
    for line in (ROOT / "README.md").read_text("utf-8").splitlines():
        numbers = line.startswith("|") and _FIGURE.search(re.sub(r"`[^`]*`", "", line))
        if numbers and line.count("`") < 2:
            yield f"README.md: this row names no command: {line}"


def decisions(index: str) -> Iterator[str]:
    """Decision records that the index does not list."""
    for path in sorted((ROOT / "docs" / "adr").glob("*.md")):
        if f"(adr/{path.name})" not in index:
            yield f"docs/index.md does not list {path.name}"


def problems() -> Iterator[str]:
    """Everything that is wrong."""
    pages = [p for p in files() if p.suffix == ".md"]
    for path in sorted(pages):
        yield from links(path)
        yield from snippets(path)
    docs = [p.read_text("utf-8") for p in pages if p.name != "CHANGELOG.md"]
    yield from undocumented("\n".join(docs))
    yield from configuration()
    yield from runs()
    yield from figures()
    yield from decisions((ROOT / "docs" / "index.md").read_text("utf-8"))
    for path in files():
        if path.stat().st_size > MOST_BYTES:
            yield f"{path.relative_to(ROOT)} is over {MOST_BYTES:,} bytes"


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or "the documentation is in order")
    sys.exit(bool(found))
