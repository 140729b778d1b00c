"""Whatever is killed when, or fills the disk: the old state or the new, and nothing left over."""

import random
import shutil
from collections import Counter

import pytest

from oracles.buyers import trained_on_histories
from oracles.crashes import Commands
from oracles.shop import open_shop, trained
from thresher.artifact import Artifact
from thresher.errors import InputError

COMMANDS = {
    "train": "train tfidf.toml --out new --quiet",
    "train, again": "train tfidf.toml --out model --quiet",
    "train, a tower": "train tower.toml --out new --quiet",
    "calibrate": "calibrate model --target 0.8 --scorer margin --quiet",
    "index": "index model --items items.csv --quiet",
    "evaluate": "evaluate model --quiet",
    "match": "match model --queries few.csv --out d.csv --review r.csv --quiet",
    "recommend": "recommend buyers --events events.csv --out d.parquet --quiet",
    "convert": "data convert items.csv d.jsonl.gz",
    "import": "data import pairs tables imported",
    "suspects": "data audit --model model --out suspects.csv",
}
QUICK = ("calibrate", "index", "match", "recommend", "convert", "import")
TABLES = {
    "tableA.csv": "id,name,price\n1,mug,2\n2,pan,3\n",
    "tableB.csv": "id,name,price\n7,red mug,2\n8,pan,4\n",
    "train.csv": "ltable_id,rtable_id,label\n1,7,1\n1,8,0\n",
    "valid.csv": "ltable_id,rtable_id,label\n",
    "test.csv": "ltable_id,rtable_id,label\n2,8,1\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of inputs and artifacts; the tests work on copies."""
    folder = tmp_path_factory.mktemp("crash") / "place"
    folder.mkdir()
    shop, buyers = trained(tmp_path_factory), trained_on_histories(tmp_path_factory)
    shutil.copytree(shop / "model", folder / "model")
    shutil.copytree(buyers / "model", folder / "buyers")
    shutil.copy(buyers / "events.csv", folder / "events.csv")
    open_shop(folder)
    text = (folder / "run.toml").read_text()
    data, rest = text.split("[tower]")
    (folder / "tfidf.toml").write_text(f'{data}[tower]\nkind = "tfidf"\n\n[decide]\nfolds = 0\n')
    rest = rest.replace("epochs = 3", "epochs = 1\ncheckpoint_steps = 5")
    (folder / "tower.toml").write_text(f"{data}[tower]{rest}")
    lines = (folder / "queries.csv").read_text().splitlines()[:31]
    (folder / "few.csv").write_text("\n".join(lines) + "\n")
    (folder / "tables").mkdir()
    for name, content in TABLES.items():
        (folder / "tables" / name).write_text(content)
    return folder


@pytest.fixture(scope="module")
def commands():
    with Commands() as running:
        yield running


def state(folder):
    """Names and contents of all files; the report and a training hold the time of day."""
    timed = ("report/", "report.", "training/")
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*")}
    return {
        name: path.read_bytes() if path.is_file() and not any(t in name for t in timed) else b""
        for name, path in found.items()
    }


def names_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def opened(folder):
    """What every artifact of the folder holds; each has to be whole."""
    return {
        path.parent.name: Artifact.open(path.parent).manifest["parts"]
        for path in folder.glob("*/manifest.json")
    }


def disturbed(place, tmp_path, commands, name, how, points):
    """Disturbs a command at calls that change files; `points` of them, or all where None."""
    work, line = tmp_path / "work", COMMANDS[name]
    shutil.copytree(place, work)
    before, parts_before = state(work), opened(work)
    code, calls, said = commands.run(work, line)
    assert code in (0, 1), said
    after, parts_after = state(work), opened(work)
    every = range(calls)
    count = calls if points is None else min(points, calls)
    for at in sorted(random.Random(name).sample(every, count)):
        shutil.rmtree(work)
        shutil.copytree(place, work)
        code, _, said = commands.run(work, line, at=at, how=how)
        if how == "kill":
            assert code == -9
            left = opened(work)
            for model, parts in left.items():
                assert parts in (parts_before.get(model), parts_after.get(model)), at
            for path, content in state(work).items():
                ours = path in before or path in after
                assert not ours or content in (before.get(path), after.get(path), b""), (at, path)
        else:
            assert code in (0, 1, 2), (at, said)
            if code == 2:
                assert said.startswith("error: ")
                assert said.count("\n") == 1
                assert "disk is full" in said, (at, said)
            assert not {n for n in names_of(work) if ".part" in n or ".lock" in n}, at
            if code == 2:
                # Where the sync alone fails, after the manifest's rename, nothing old is left.
                assert opened(work) == parts_before or state(work) == after, (at, said)
                ours = (names_of(work) - set(before), set(after) - set(before))
                new, whole = ({n for n in names if not n.startswith("new")} for names in ours)
                # When the last call fails, which syncs a folder, all of one output is in place.
                if new not in (set(), whole):
                    assert len(new) == 1, (at, said)
                    assert state(work).items() >= {(n, after[n]) for n in new}, (at, said)
        on = " --resume" if (work / "new" / "training" / "last.safetensors").exists() else ""
        code, _, said = commands.run(work, line + on)
        assert code in (0, 1), (at, said)
        assert state(work) == after, at
    return calls


@pytest.mark.parametrize("name", QUICK)
def test_killed(place, tmp_path, commands, name):
    disturbed(place, tmp_path, commands, name, "kill", 1)


@pytest.mark.parametrize("name", QUICK)
def test_a_disk_that_is_full(place, tmp_path, commands, name):
    disturbed(place, tmp_path, commands, name, "full", 1)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "full"])
@pytest.mark.parametrize("name", COMMANDS)
def test_at_many_calls(place, tmp_path, commands, name, how):
    # Calls of one kind follow each other: a sample of those of a training is enough for one run.
    some = 45 if how == "kill" else 10
    assert disturbed(place, tmp_path, commands, name, how, some) > 0


WRITERS = {
    "calibrate": "calibrate model --target {} --scorer margin --quiet",
    "index": "index model --items {}.csv --quiet",
    "train": "train tfidf.toml --out model --quiet --set decide.target={}",
}


def two_at_once(place, tmp_path, commands, name, rounds):
    work = tmp_path / "work"
    found = Counter()
    for _ in range(rounds):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(place, work)
        for given in ("0.8", "0.7"):
            shutil.copy(work / "items.csv", work / f"{given}.csv")
        ran = commands.run(work, *(WRITERS[name].format(given) for given in ("0.8", "0.7")))
        for code, _, said in ran:
            found[code] += 1
            assert code in (0, 1, 2), said
            assert code != 2 or "is being written to by" in said
        assert {code for code, *_ in ran} != {2}
        assert opened(work)["model"].keys() == opened(place)["model"].keys() or name == "train"
        assert not {n for n in names_of(work) if ".part" in n or ".lock" in n}
    return found


def test_two_writers_at_once(place, tmp_path, commands):
    two_at_once(place, tmp_path, commands, "calibrate", 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_two_writers_at_once_many_times(place, tmp_path, commands, name):
    two_at_once(place, tmp_path, commands, name, 40)


def readers_beside_a_writer(place, tmp_path, commands, rounds):
    work = tmp_path / "work"
    shutil.copytree(place, work)
    read = "match model --text kettle"
    for at in range(rounds):
        write = WRITERS["calibrate"].format(0.6 + at % 3 / 10)
        for code, _, said in commands.run(work, write, read, read):
            assert code in (0, 1), said


def test_readers_beside_a_writer(place, tmp_path, commands):
    readers_beside_a_writer(place, tmp_path, commands, 2)


@pytest.mark.slow
def test_readers_beside_a_writer_many_times(place, tmp_path, commands):
    readers_beside_a_writer(place, tmp_path, commands, 60)


def flips(place, tmp_path, model, rounds):
    """Flips one bit of an artifact: what is opened then says what the whole one says."""
    work, draw = tmp_path / "work", random.Random(model)
    shutil.copytree(place / model, work)
    whole = Artifact.open(work).manifest["parts"]
    files = [path for path in sorted(work.rglob("*")) if path.is_file() and path.stat().st_size]
    refused = 0
    for _ in range(rounds):
        path = draw.choice(files)
        content = path.read_bytes()
        at = draw.randrange(len(content))
        path.write_bytes(
            content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
        )
        try:
            assert Artifact.open(work).manifest["parts"] == whole
        except InputError:
            refused += 1
        path.write_bytes(content)
    return refused


@pytest.mark.parametrize("model", ["model", "buyers"])
def test_flipped_bits(place, tmp_path, model):
    assert flips(place, tmp_path, model, 25)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["model", "buyers", "tfidf"])
def test_flipped_bits_many_times(place, tmp_path, commands, model):
    if model == "tfidf":
        shutil.copytree(place, tmp_path / "place")
        place = tmp_path / "place"
        assert commands.run(place, "train tfidf.toml --out tfidf --quiet")[0] in (0, 1)
    assert flips(place, tmp_path, model, 300)
