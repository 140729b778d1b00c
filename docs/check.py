"""Checks that the documentation says what the code does: `make docs-check`.

Links and anchors lead somewhere; Python examples compile and name what exists, with its arguments;
```toml blocks and examples of runs are read; commands in ```sh blocks are parsed by the command
line itself; commands, registry names and keys are all documented; rows of numbers in the README
name their command; no file is over 2 MB. Prints what is wrong and exits with 1.
"""

import ast
import importlib
import inspect
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

import reference
import thresher
from thresher import config
from thresher.cli.importers import IMPORTERS
from thresher.cli.main import app
from thresher.data import BUNDLED, SPLITS
from thresher.errors import InputError
from thresher.losses import LOSSES
from thresher.retriever import Retriever
from thresher.towers import ENCODERS, TOWERS

ROOT = Path(__file__).parent.parent
MOST_BYTES = 2_000_000
NOT_OURS = {"runs", "build", "dist", "__pycache__"}
COMMANDS = typer.main.get_command(app)

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(thresher [a-z][^`]*|python (?:benchmarks|docs)/[^`]*|make [a-z-]+)`")
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
            yield f"no file {target}"
        elif anchor and to.suffix == ".md" and anchor not in anchors(to.read_text("utf-8")):
            yield f"no heading {target}"


def python(code: str) -> Iterator[str]:
    """What an example of Python names that is not there."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        yield str(error)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("thresher"):
            module = importlib.import_module(node.module)
            lost = [n.name for n in node.names if not hasattr(module, n.name)]
            yield from (f"{node.module} has no {name}" for name in lost)
        elif isinstance(node, ast.Attribute) and _owner(node) is None:
            yield f"there is no {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and callable(made := _owner(node.func)):
            yield from _arguments(node, made)


def _owner(node: ast.expr) -> object:
    """The thing of ours that `thresher.x` or `model.x` is; None where it does not exist."""
    match node:
        case ast.Attribute(value=ast.Name(id="thresher")):
            return getattr(thresher, node.attr, None)
        case ast.Attribute(value=ast.Name(id="losses"), attr=name):
            return getattr(thresher.losses, name, None)
        case ast.Attribute(value=ast.Name(id="model"), attr="config" | "items" | "policy"):
            return ...
        case ast.Attribute(value=ast.Name(id="model"), attr=name):
            return getattr(Retriever, name, None)
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="thresher"), attr="losses")):
            return getattr(thresher.losses, node.attr, None)
    return ...


def _arguments(node: ast.Call, made: Callable) -> Iterator[str]:
    known = inspect.signature(made).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in known:
                yield f"{ast.unparse(node.func)} has no argument {keyword.arg}"


def toml(code: str) -> Iterator[str]:
    """Why a run, or a part of one, is refused."""
    try:
        config.read(tomllib.loads(code))
    except (tomllib.TOMLDecodeError, InputError) as error:
        yield str(error)


def shell(code: str) -> Iterator[str]:
    """Commands of a block that the command line does not take."""
    for line in code.replace("\\\n", " ").splitlines():
        yield from command(line)


def command(line: str, *, whole: bool = True) -> Iterator[str]:
    """Why a line of a shell is refused: one of ours, of a script of ours, or of make.

    Args:
        line: as it is typed.
        whole: whether all its arguments are there; a mention in a sentence may lack some.
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        yield f"{line}: {error}"
        return
    ends = [i for i, word in enumerate(words) if word in ("<", ">", "|", "||", "&&")]
    match words[: min(ends, default=len(words))]:
        case ["thresher", *rest]:
            yield from _thresher(rest, whole)
        case ["python", script, *rest] if script.endswith(".py"):
            yield from _script(ROOT / script, rest)
        case ["make", target, *_]:
            if not re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE):
                yield f"make has no target {target}"


def _thresher(words: list[str], whole: bool) -> Iterator[str]:
    found, names = COMMANDS, ["thresher"]
    while hasattr(found, "commands") and words and not words[0].startswith("-"):
        names.append(words.pop(0))
        found = found.commands.get(names[-1])
    typed = " ".join(names)
    if found is None or found.hidden:
        yield f"there is no command {typed}"
    elif whole and "--help" not in words:
        try:
            found.make_context(typed, list(words))
        except typer.exceptions.TyperException as error:
            yield f"{typed}: {error.format_message()}"
        sets = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--set"]
        try:
            config.read(None, sets)
        except InputError as error:
            yield f"{typed}: {error}"
    else:
        known = {option for parameter in found.params for option in parameter.opts}
        known |= {o for parameter in found.params for o in parameter.secondary_opts} | {"--help"}
        yield from (f"{typed} has no {w}" for w in words if w.startswith("--") and w not in known)


def _script(path: Path, words: list[str]) -> Iterator[str]:
    if not path.exists():
        yield f"there is no {path.relative_to(ROOT)}"
        return
    text = "".join(p.read_text("utf-8") for p in [path, *path.parent.glob("grids/*.py")])
    own = "--{field.name}" in path.read_text("utf-8")  # its options are those of a dataclass
    for word in words:
        if word.startswith("--") and f'"{word}"' not in text and not own:
            yield f"{path.relative_to(ROOT)} has no {word}"


_LANGUAGES = {"python": python, "toml": toml, "sh": shell}


def examples(path: Path) -> Iterator[str]:
    """What is wrong with the examples of a page."""
    text = path.read_text("utf-8")
    for kind, code in _FENCE.findall(text):
        yield from _LANGUAGES.get(kind, lambda _: ())(code)
    for line in _INLINE.findall(_FENCE.sub("", text)):
        yield from command(line, whole=False)


def commands() -> Iterator[str]:
    """Every command, as it is typed."""
    for name, found in COMMANDS.commands.items():
        inner = getattr(found, "commands", [""])
        yield from (f"thresher {name} {own}".strip() for own in inner)


def undocumented(pages: str) -> Iterator[str]:
    """Names of the code that no page mentions."""
    yield from (f"no page mentions `{c}`" for c in commands() if c not in pages)
    registries = {
        "loss": LOSSES,
        "tower": TOWERS,
        "encoder": ENCODERS,
        "split": SPLITS,
        "bundled data": BUNDLED,
    }
    for kind, names in registries.items():
        for name in names:
            if f"`{name}`" not in pages and f'"{name}"' not in pages:
                yield f"no page mentions the {kind} {name}"
    for name in IMPORTERS:
        if f"thresher data import {name}" not in pages:
            yield f"no page mentions the importer {name}"


def configuration() -> Iterator[str]:
    """Tables of keys that differ from the signatures."""
    text, page = reference.PAGE.read_text("utf-8"), reference.PAGE.relative_to(ROOT)
    yield from (f"{page} has no table for {s}" for s in reference.missing(text))
    if reference.written(text) != text:
        yield f"{page} is behind the code; run python docs/reference.py"


def runs() -> Iterator[str]:
    """Example runs that are refused."""
    for path in sorted((ROOT / "examples").rglob("*.toml")):
        try:
            config.read(path)
        except InputError as error:
            yield f"{path.relative_to(ROOT)}: {error}"


def figures() -> Iterator[str]:
    """Table rows of the README with numbers and without the command that makes them."""
    for line in (ROOT / "README.md").read_text("utf-8").splitlines():
        numbers = line.startswith("|") and _FIGURE.search(re.sub(r"`[^`]*`", "", line))
        if numbers and line.count("`") < 2:
            yield f"README.md: this row names no command: {line}"


def decisions(index: str) -> Iterator[str]:
    """Decision records that the index does not list."""
    for path in sorted((ROOT / "docs" / "adr").glob("0*.md")):
        if f"({path.name})" not in index:
            yield f"docs/adr/index.md does not list {path.name}"


def problems() -> Iterator[str]:
    """Everything that is wrong."""
    pages = sorted(p for p in files() if p.suffix == ".md")
    for path in pages:
        wrong = [*links(path)]
        # The lab book and the changelog keep the commands and names of their day.
        if path.name not in ("log.md", "CHANGELOG.md"):
            wrong += examples(path)
        yield from (f"{path.relative_to(ROOT)}: {one}" for one in wrong)
    docs = [p.read_text("utf-8") for p in pages if p.name != "CHANGELOG.md"]
    yield from undocumented("\n".join(docs))
    yield from configuration()
    yield from runs()
    yield from figures()
    yield from decisions((ROOT / "docs" / "adr" / "index.md").read_text("utf-8"))
    for path in files():
        if path.stat().st_size > MOST_BYTES:
            yield f"{path.relative_to(ROOT)} is over {MOST_BYTES:,} bytes"


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or "the documentation is in order")
    sys.exit(bool(found))
