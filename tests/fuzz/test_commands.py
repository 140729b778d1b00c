"""Every command on damaged inputs: exit code 0, 1 or 2, one sentence, nothing half written.

A damaged input is a file with bytes changed, cut out, doubled or put in, or an option with another
value. A command that takes more than twenty seconds of processor time hangs.
"""

import contextlib
import io
import json
import random
import shutil
import signal

import pytest

from fuzz.test_tables import SEEDS, mutated
from oracles.buyers import trained_on_histories
from oracles.shop import trained, write
from thresher import artifact
from thresher.cli.main import main

LIMIT = 20  # seconds of processor time, whatever else the machine does
VALUES = [
    *("", " ", "-", "--", "-1", "0", "1", "2.5", "1e999", "nan", "inf", "9" * 30, "true", "null"),
    *("0.95", "95", "0.9,0.95", "0.9,", "[]", "{}", "id", "title", "shop", "item.title", "a=b"),
    *("a=b=c", "=", "train", "tower.dim=0", "tower.kind=x", "é", "\x1b[31m", "\u202e", "a" * 5000),
    *("/", ".", "..", "/dev/null", "nowhere/x.csv", "x.csv", "x.parquet", "x", "i1", "[/bold]"),
]  # fmt: skip
SCORES = "score,correct,cluster\n" + "".join(f"{i / 200},{int(i > 40)},c{i}\n" for i in range(200))

# What a command is given; a name in braces is a file of the folder, which may be damaged.
COMMANDS = {
    "match": "match {model} --queries {few.csv} --out {d.csv} --top 2 --keep item.title",
    "match, reviewed": "match {model} --queries {few.csv} --review {r.csv} --json",
    "match, candidates": "match {model} --queries {few.csv} --candidates {found.csv} --json",
    "match, a text": "match {model} --text kettle --top 3",
    "calibrate": "calibrate {model} --target 0.9 --confidence-level 0.9 --by shop --scorer margin",
    "calibrate, labels": "calibrate {model} --queries {few.csv} --pairs {truth.csv} --target 0.8",
    "evaluate": "evaluate {model} --queries {few.csv} --pairs {truth.csv} --items {items.csv}",
    "evaluate, split": "evaluate {model} --split test --open-catalogue 0.2 --by shop --no-report",
    "index": "index {model} --items {items.csv}",
    "nearest": "nearest {model} --item i1 --top 2",
    "recommend, queries": "recommend {model} --queries {few.csv} --top 2 --out {d.parquet}",
    "recommend": "recommend {buyers} --events {events.csv} --top 2 --remove-history --json",
    "certify": "certify {scores.csv} --target 0.8 --confidence-level 0.9 --seed 1",
    "train": "train {run.toml} --dry-run --set tower.dim=16 --columns title=title",
    "audit": "data audit {run.toml}",
    "inspect": "data inspect {few.csv}",
    "inspect, lines": "data inspect {t.jsonl}",
    "convert": "data convert {few.csv} {d.parquet}",
    "convert, lines": "data convert {t.jsonl} {d.jsonl}",
}
# Files of an artifact that people may edit by hand; see SECURITY.md for the others.
EDITED = (".json", ".toml")
OUTPUTS = ("d.csv", "d.parquet", "d.jsonl", "r.csv")
WRITE_AN_ARTIFACT = ("calibrate", "index", "evaluate")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of whole inputs, all of which are answered, and two artifacts."""
    folder = tmp_path_factory.mktemp("fuzz")
    shop, buyers = trained(tmp_path_factory), trained_on_histories(tmp_path_factory)
    for name in ("items.csv", "queries.csv", "pairs.csv", "run.toml"):
        shutil.copy(shop / name, folder / name)
    shutil.copytree(shop / "model", folder / "model")
    shutil.copytree(buyers / "model", folder / "buyers")
    lines = (shop / "queries.csv").read_text().splitlines()[:161]
    (folder / "few.csv").write_text("\n".join(lines) + "\n")
    lines = (shop / "pairs.csv").read_text().splitlines()[:161]
    (folder / "truth.csv").write_text("\n".join(lines) + "\n")
    found = [(f"q{n}", f"i{n * 7 % 300}", n / 10) for n in range(20)]
    write(folder / "found.csv", ["query_id", "item_id", "score"], found)
    events = [(f"u{n % 5}", f"i{n % 5}-{n % 6}", n) for n in range(30)]
    write(folder / "events.csv", ["user_id", "item_id", "timestamp"], events)
    (folder / "scores.csv").write_text(SCORES)
    (folder / "t.jsonl").write_bytes(SEEDS["t.jsonl"])
    kept = whole(folder)
    with contextlib.chdir(folder):
        for line in COMMANDS.values():  # loops are compiled at first use, which is no hang
            words = [str(folder / w[1:-1]) if w.startswith("{") else w for w in line.split()]
            code, _, err = called(words, limit=0)
            assert code in (0, 1), (line, err)
            mend(folder, kept)
    return folder


def whole(folder):
    """Contents of all files, without what the commands are to write."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in OUTPUTS
    }


class Hang(BaseException):
    pass


def called(arguments, *, limit=LIMIT):
    """Exit code, and what was said; a hang or a fault of ours is a failure."""

    def late(*_):
        raise Hang(f"{arguments} took more than {LIMIT} s")

    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as end:
        return end.code or 0, out.getvalue(), err.getvalue()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return 0, out.getvalue(), err.getvalue()


def damage(place, line, draw):
    """The arguments of a damaged call, and the files that are damaged."""
    words = line.split()
    inputs = [w[1:-1] for w in words if w.startswith("{") and w[1:-1] not in OUTPUTS]
    options = [at for at, word in enumerate(words) if at > 1 and not word.startswith("{")]
    changed = []
    if options and draw.random() < 0.3:
        words[draw.choice(options)] = draw.choice(VALUES)
    else:
        given = place / draw.choice(inputs)
        path = given if given.is_file() else draw.choice(files_of(given))
        path.write_bytes(mutated(path.read_bytes(), draw))
        by_hand = path.suffix in EDITED and path.name != "manifest.json"
        if given.is_dir() and by_hand and draw.random() < 0.7:
            seal(given)
        changed.append(path.name)
    return [str(place / w[1:-1]) if w.startswith("{") else w for w in words], changed


def files_of(model):
    return sorted(path for path in model.rglob("*") if path.is_file() and path.stat().st_size)


def seal(model):
    """Makes the manifest fit the files."""
    manifest = json.loads((model / "manifest.json").read_text())
    for about in manifest["parts"].values():
        about["files"] = artifact._contents(model / about["folder"])
        about["digest"] = artifact._digest(about["files"])
    (model / "manifest.json").write_text(json.dumps(manifest))


def fuzz(place, name, rounds, seed, monkeypatch):
    monkeypatch.chdir(place)
    draw, kept = random.Random(f"{name} {seed}"), whole(place)
    try:
        return {attempt(place, name, draw, kept) for _ in range(rounds)}
    finally:
        mend(place, kept)


def attempt(place, name, draw, kept):
    """One damaged call; its exit code."""
    mend(place, kept)
    arguments, changed = damage(place, COMMANDS[name], draw)
    before = whole(place)
    code, _, err = called(arguments)
    assert code in (0, 1, 2), (arguments, changed, err)
    assert "Traceback" not in err, (arguments, err)
    if code == 2:
        # typer's own refusals, such as of a number that is none, are a box
        assert err.startswith(("error: ", "Usage: ")), err
        assert err.startswith("Usage: ") or err.count("\n") == 1, err
        assert "\x1b" not in err
    if code == 2 or not name.startswith(WRITE_AN_ARTIFACT):
        after = whole(place)
        new = {p for p in after.keys() - before.keys() if code == 2 or ".part" in p}
        assert not new, (arguments, new)
        lost = {p for p in before if after.get(p) != before[p]}
        assert not lost, (arguments, lost)
    return code


def mend(place, kept):
    for path in sorted(place.rglob("*"), reverse=True):
        name = str(path.relative_to(place))
        if path.is_file() and name not in kept:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name, content in kept.items():
        path = place / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@pytest.mark.parametrize("name", COMMANDS)
def test_damaged_inputs_are_one_sentence(place, name, monkeypatch):
    assert 2 in fuzz(place, name, 12, 0, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_damaged_inputs_are_one_sentence_many_times(place, name, monkeypatch):
    fuzz(place, name, 600, 1, monkeypatch)
