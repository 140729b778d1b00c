"""The manifest is the commit point: whatever is killed when, what was there before stays usable."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from oracles.shop import trained
from thresher import artifact as module
from thresher import files
from thresher.artifact import FORMAT, Artifact, Transaction
from thresher.errors import InputError
from thresher.retriever import Retriever


def text(content, *names):
    def write(folder):
        for name in names or ("a.txt", "deep/b.txt"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)

    return write


def put(folder, content="old", parts=("model", "index", "decision"), **options):
    edit = Transaction(folder, **options)
    for part in parts:
        edit.write(part, text(f"{content} {part}"))
    return edit.commit()


def contents(folder):
    artifact = Artifact.open(folder)
    return {p: (artifact.part(p) / "deep/b.txt").read_text() for p in artifact.manifest["parts"]}


def edit_manifest(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


OLD = {"model": "old model", "index": "old index", "decision": "old decision"}


def test_what_is_written_is_read(tmp_path):
    artifact = put(tmp_path / "new" / "m")
    assert contents(artifact.folder) == OLD
    assert artifact.manifest["format"] == FORMAT == 3
    assert len(list(artifact.folder.iterdir())) == 4
    assert artifact.has("index")
    assert (artifact.part("model").stat().st_mode & 0o777) == 0o755


@pytest.mark.parametrize("before", [True, False])
def test_what_could_not_be_finished_leaves_nothing(tmp_path, before):
    if before:
        put(tmp_path)
    there = sorted(path.name for path in tmp_path.iterdir())

    def full(folder):
        raise InputError("the disk is full")

    edit = Transaction(tmp_path, fresh=True)
    edit.write("model", text("new"))
    with pytest.raises(InputError, match="the disk is full"):
        edit.write("index", full)
    assert sorted(path.name for path in tmp_path.iterdir()) == there
    assert not before or contents(tmp_path) == OLD


def test_some_parts_may_change_and_others_go(tmp_path):
    before = put(tmp_path)
    edit = Transaction(tmp_path)
    edit.write("index", text("new index"))
    edit.drop("decision")
    assert contents(tmp_path) == OLD  # nothing is current before the commit
    planned = edit.fingerprint("model", "index")
    after = edit.commit()
    assert contents(tmp_path) == {"model": "old model", "index": "new index"}
    assert after.fingerprint("model") == before.fingerprint("model")
    assert after.fingerprint("model", "index") == planned
    assert after.fingerprint("model", "index") != before.fingerprint("model", "index")
    assert len(list(tmp_path.iterdir())) == 3  # the old parts are gone


def test_a_fresh_artifact_takes_over_nothing(tmp_path):
    put(tmp_path)
    put(tmp_path, "new", ["model"], fresh=True)
    assert contents(tmp_path) == {"model": "new model"}


def test_the_same_content_twice_is_the_same_part(tmp_path):
    first = put(tmp_path)
    inode = (first.part("model") / "a.txt").stat().st_ino
    second = put(tmp_path)
    assert second.manifest == first.manifest
    assert (second.part("model") / "a.txt").stat().st_ino == inode
    assert len(list(tmp_path.iterdir())) == 4


def test_writing_the_same_content_mends_a_damaged_part(tmp_path):
    (put(tmp_path).part("model") / "a.txt").unlink()
    with pytest.raises(InputError, match=r"a\.txt is missing or not what was written"):
        Transaction(tmp_path)
    put(tmp_path, fresh=True)
    assert contents(tmp_path) == OLD


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    put(tmp_path)

    def fails(folder):
        text("half")(folder)
        raise RuntimeError("the disk is full")

    edit = Transaction(tmp_path)
    edit.write("index", text("new index"))
    with pytest.raises(RuntimeError, match="disk"):
        edit.write("decision", fails)
    assert contents(tmp_path) == OLD
    put(tmp_path, "next")  # and the next transaction sweeps what is left over
    assert len(list(tmp_path.iterdir())) == 4


def test_a_full_disk_is_one_sentence(tmp_path):
    def fails(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="cannot be written: the disk is full"):
        Transaction(tmp_path / "m").write("model", fails)


CHILD = """
import os, signal, sys
from pathlib import Path
import thresher.artifact as artifact

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def write(folder):
    (folder / "deep").mkdir()
    (folder / "deep/b.txt").write_text("new model")
    (folder / "a.txt").write_text("")
    if moment == "writing": die()

folder, moment = Path(sys.argv[1]), sys.argv[2]
edit = artifact.Transaction(folder)
edit.write("model", write)
if moment == "written": die()
if moment == "replacing": artifact.os.replace = die
if moment == "sweeping": artifact._sweep = die
edit.commit()
"""


@pytest.mark.parametrize("moment", ["writing", "written", "replacing", "sweeping"])
def test_a_killed_process_leaves_one_whole_artifact(tmp_path, moment):
    put(tmp_path)
    ran = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), moment], check=False)
    assert ran.returncode == -signal.SIGKILL
    new = {**OLD, "model": "new model"}
    assert contents(tmp_path) == (new if moment == "sweeping" else OLD)
    put(tmp_path, "next")
    assert len(list(tmp_path.iterdir())) == 4


def test_an_artifact_that_is_replaced_while_it_is_read(tmp_path, monkeypatch):
    put(tmp_path)
    whole, looked = module.digest, []

    def digest(path):
        looked.append(path)
        if len(looked) == 2:  # the first part is half read when another process puts new ones
            monkeypatch.setattr(module, "digest", whole)
            put(tmp_path, "new")
        return whole(path)

    monkeypatch.setattr(module, "digest", digest)
    artifact = Artifact.open(tmp_path)
    assert (artifact.part("model") / "a.txt").read_text() == "new model"


def test_only_its_own_folders_are_swept(tmp_path):
    mine = ["model-a", "index-files", "decision-of-2024", "models", ".model-notes", "report"]
    mine += ["model-0123456789abc", "model-0123456789AB"]  # longer, and in other letters
    for name in mine:
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("x")
    put(tmp_path)
    put(tmp_path, "new")
    assert all((tmp_path / name / "precious.txt").exists() for name in mine)


def test_where_the_sync_alone_fails_no_report_of_the_old_parts_stays(tmp_path, monkeypatch):
    put(tmp_path)
    report = tmp_path / "report" / "report.html"
    report.parent.mkdir()
    report.write_text("old")
    sync, failing = files._sync, {"at": "manifest"}

    def full(path):
        if failing["at"] in path.name:
            raise OSError(errno.ENOSPC, "the disk is full")
        sync(path)

    for fresh in (False, True):
        edit = Transaction(tmp_path, fresh=fresh)
        edit.write("model", text("new model"))
        monkeypatch.setattr(files, "_sync", full)
        with pytest.raises((InputError, OSError)):  # before its rename
            edit.commit()
        monkeypatch.undo()
        assert contents(tmp_path)["model"] == "old model"
        assert report.read_text() == "old"
    edit = Transaction(tmp_path)
    edit.write("model", text("new model"))
    failing["at"] = tmp_path.name
    monkeypatch.setattr(files, "_sync", full)
    with pytest.raises((InputError, OSError)):  # after it
        edit.commit()
    assert contents(tmp_path)["model"] == "new model"
    assert not report.exists()


def test_the_report_of_other_parts_goes(tmp_path):
    put(tmp_path)
    (tmp_path / "report").mkdir()
    for name in ("report.html", "report.json"):
        (tmp_path / "report" / name).write_text("old numbers")
    put(tmp_path)
    assert (tmp_path / "report" / "report.html").exists()  # nothing changed
    put(tmp_path, "new", ["decision"])
    assert list((tmp_path / "report").iterdir()) == []


# What is refused: everything that is not what was written.


def flipped(path):
    """One bit of a file is another; its size and times are as they were."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def swapped(path):
    """Its content is that of another file, of the same length."""
    path.write_text("OLD" + path.read_text()[3:])


DAMAGE = {
    "a flipped bit": flipped,
    "another content of the same size": swapped,
    "truncated": lambda path: path.write_text(path.read_text()[:-1]),
    "longer": lambda path: path.write_text(path.read_text() + "x"),
    "empty": lambda path: path.write_text(""),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a file more": lambda path: (path.parent / "b.txtx").write_text("x"),
}


@pytest.mark.parametrize("part", ["model", "index", "decision"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_what_was_written_is_named(tmp_path, part, damage):
    DAMAGE[damage](put(tmp_path).part(part) / "deep" / "b.txt")
    makes = {"model": "train", "index": "index", "decision": "calibrate"}[part]
    words = rf"b\.txtx? is missing or not what was written; .* `thresher {makes}` again"
    with pytest.raises(InputError, match=words) as caught:
        Artifact.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_link_is_no_file_and_no_folder(tmp_path):
    outside = tmp_path / "outside.txt"
    path = put(tmp_path / "m").part("model") / "deep" / "b.txt"
    path.rename(outside)
    path.symlink_to(outside)  # the content is right, and lies where nobody looks after it
    with pytest.raises(InputError, match=r"b\.txt is missing or not what was written"):
        Artifact.open(tmp_path / "m")
    put(tmp_path / "m", fresh=True)
    part = Artifact.open(tmp_path / "m").part("index")
    part.rename(tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(InputError, match=r"is missing or not what was written"):
        Artifact.open(tmp_path / "m")


def test_parts_of_another_artifact_do_not_fit(tmp_path):
    one, other = put(tmp_path / "a"), put(tmp_path / "b", "new")
    shutil.rmtree(one.part("index"))
    shutil.copytree(other.part("index"), one.part("index"))
    with pytest.raises(InputError, match=r"is missing or not what was written"):
        Artifact.open(tmp_path / "a")
    shutil.rmtree(one.part("index"))
    with pytest.raises(InputError, match=r"is missing or not what was written.*`thresher index`"):
        Artifact.open(tmp_path / "a")


PARTS = {
    "up": lambda parts: parts["index"].update(folder="../outside"),
    "absolute": lambda parts: parts["index"].update(folder="/tmp"),
    "of another part": lambda parts: parts["index"].update(folder=parts["model"]["folder"]),
    "a plain name": lambda parts: parts["index"].update(folder="index"),
    "no name": lambda parts: parts["index"].pop("folder"),
    "no digest": lambda parts: parts["index"].pop("digest"),
    "no files": lambda parts: parts["index"].pop("files"),
    "no file": lambda parts: parts["index"].update(files={}),
    "an unknown part": lambda parts: parts.update(other=parts["index"]),
    "no model": lambda parts: parts.pop("model"),
    "no table": lambda parts: parts.update(index=3),
    "a decision without its index": lambda parts: parts.pop("index"),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_no_artifact_has(tmp_path, name):
    put(tmp_path)
    edit_manifest(tmp_path, lambda manifest: PARTS[name](manifest["parts"]))
    with pytest.raises(InputError, match=r"manifest\.json names parts that no artifact has; rest"):
        Artifact.open(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.update(digest="0" * 64),
        lambda about: about["files"].update({"../../outside.txt": [1, "0"]}),
        lambda about: about["files"].update({"a.txt": [1]}),
        lambda about: about["files"].pop("a.txt"),
    ],
)
def test_a_manifest_that_does_not_fit_its_files(tmp_path, change):
    put(tmp_path / "m")
    (tmp_path / "outside.txt").write_text("x")
    edit_manifest(tmp_path / "m", lambda manifest: change(manifest["parts"]["index"]))
    with pytest.raises(InputError, match="is missing or not what was written"):
        Artifact.open(tmp_path / "m")


def test_what_is_no_artifact(tmp_path):
    with pytest.raises(InputError, match=r"is no artifact: it has no manifest.*thresher train"):
        Artifact.open(tmp_path)
    with pytest.raises(InputError, match="is no artifact"):
        Artifact.open(tmp_path / "nowhere")
    begun = tmp_path / "begun" / "training"
    begun.mkdir(parents=True)
    (begun / "last.safetensors").write_text("x")
    with pytest.raises(InputError, match=r"the training in it did not end, go on with .* --resume"):
        Artifact.open(tmp_path / "begun")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match="is no artifact"):
        Artifact.open(file)
    with pytest.raises(InputError, match="cannot be written: a file lies where a folder is needed"):
        Transaction(file)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("", "cannot be read: .*; train again"),
        ("{", "cannot be read: .*; train again"),
        ("\ufffe", "cannot be read: .*; train again"),
        ("[" * 100_000, "nested too deep; train again"),
        ("[]", "was written in format None"),
        ("{}", "was written in format None"),
        ('{"format": 3}', "names parts that no artifact has"),
        ('{"format": 3, "parts": []}', "names parts that no artifact has"),
    ],
)
def test_a_manifest_that_is_none(tmp_path, manifest, words):
    put(tmp_path)
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=words) as caught:
        Artifact.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_artifact_of_version_0_1_is_refused_in_one_sentence(tmp_path):
    part = {"folder": "model-0123456789ab", "digest": "0" * 64, "files": {"settings.json": 12}}
    old = {"format": 1, "thresher": "0.1.0", "parts": {"model": part}}
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    (tmp_path / "model-0123456789ab").mkdir()
    (tmp_path / "model-0123456789ab" / "settings.json").write_text("{}" + " " * 10)
    for opened in (Artifact.open, Retriever.open, Transaction):
        with pytest.raises(InputError, match=r"written in format 1 .* reads format 3: train again"):
            opened(tmp_path)
    # a new one takes its place
    put(tmp_path, fresh=True)
    assert contents(tmp_path) == OLD
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(("part", "command"), [("index", "index"), ("decision", "calibrate")])
def test_a_part_that_is_not_there_names_the_command_that_makes_it(tmp_path, part, command):
    artifact = put(tmp_path, parts=[p for p in OLD if p != part])
    with pytest.raises(InputError, match=f"has no {part} yet; run `thresher {command}`"):
        artifact.part(part)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written: permission denied"):
        Transaction(tmp_path / "new")


# A real one.


def test_no_file_of_a_trained_model_may_change(tmp_path_factory, tmp_path):
    model = shutil.copytree(trained(tmp_path_factory) / "model", tmp_path / "model")
    parts = Artifact.open(model).manifest["parts"]
    files = [Artifact.open(model).part(part) / name for part in parts
             for name in parts[part]["files"]]  # fmt: skip
    assert {"config.toml", "model.safetensors", "items.parquet", "policy.json"} <= {
        path.name for path in files
    }
    for path in files[::4]:
        whole = path.read_bytes()
        flipped(path)
        with pytest.raises(InputError, match=path.name):
            Retriever.open(model)
        path.write_bytes(whole)
    Retriever.open(model)
