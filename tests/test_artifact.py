"""The manifest is the commit point: whatever is killed when, what was there before stays usable."""

import json
import os
import signal
import subprocess
import sys

import pytest

from thresher.artifact import FORMAT, Artifact, Edit
from thresher.errors import InputError


def text(content, *names):
    def write(folder):
        for name in names or ("a.txt", "deep/b.txt"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)

    return write


def put(folder, content="old", parts=("model", "index", "decision"), **options):
    edit = Edit(folder, **options)
    for part in parts:
        edit.write(part, text(f"{content} {part}"))
    return edit.commit()


def contents(folder):
    artifact = Artifact.open(folder)
    return {p: (artifact.part(p) / "deep/b.txt").read_text() for p in artifact.manifest["parts"]}


OLD = {"model": "old model", "index": "old index", "decision": "old decision"}


def test_what_is_written_is_read(tmp_path):
    artifact = put(tmp_path / "new" / "m")
    assert contents(artifact.folder) == OLD
    assert artifact.manifest["format"] == FORMAT
    assert len(list(artifact.folder.iterdir())) == 4
    assert artifact.has("index")
    assert (artifact.part("model").stat().st_mode & 0o777) == 0o755


def test_some_parts_may_change_and_others_go(tmp_path):
    before = put(tmp_path)
    edit = Edit(tmp_path)
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
    put(tmp_path, fresh=True)
    assert contents(tmp_path) == OLD


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    put(tmp_path)

    def fails(folder):
        text("half")(folder)
        raise RuntimeError("the disk is full")

    edit = Edit(tmp_path)
    edit.write("index", text("new index"))
    with pytest.raises(RuntimeError, match="disk"):
        edit.write("decision", fails)
    assert contents(tmp_path) == OLD
    put(tmp_path, "next")  # and the next edit sweeps what is left over
    assert len(list(tmp_path.iterdir())) == 4


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
edit = artifact.Edit(folder)
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


def test_only_its_own_folders_are_swept(tmp_path):
    mine = ["model-a", "index-files", "decision-of-2024", "models", ".model-notes", "report"]
    for name in mine:
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("x")
    put(tmp_path)
    put(tmp_path, "new")
    assert all((tmp_path / name / "precious.txt").exists() for name in mine)


def test_the_report_of_other_parts_goes(tmp_path):
    put(tmp_path)
    (tmp_path / "report").mkdir()
    for name in ("report.html", "report.json"):
        (tmp_path / "report" / name).write_text("old numbers")
    put(tmp_path)
    assert (tmp_path / "report" / "report.html").exists()  # nothing changed
    put(tmp_path, "new", ["decision"])
    assert list((tmp_path / "report").iterdir()) == []


@pytest.mark.parametrize("part", ["model", "index", "decision"])
def test_a_missing_truncated_or_longer_file_is_named(tmp_path, part):
    path = put(tmp_path).part(part) / "deep" / "b.txt"
    whole = path.read_text()
    for content in (whole[:-1], whole + "x"):
        path.write_text(content)
        with pytest.raises(
            InputError, match=rf"b\.txt has {len(content)} bytes where {len(whole)}"
        ):
            Artifact.open(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"b\.txt is missing where .* restore it or train it anew"):
        Artifact.open(tmp_path)


def test_what_is_no_artifact(tmp_path):
    with pytest.raises(InputError, match=r"is no artifact: it has no manifest.*thresher train"):
        Artifact.open(tmp_path)
    with pytest.raises(InputError, match="is no artifact"):
        Artifact.open(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match="is no artifact"):
        Artifact.open(file)
    with pytest.raises(InputError, match="a file lies where a folder is needed"):
        Edit(file)


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"format": 2}', "\ufffe"])
def test_a_manifest_that_is_none(tmp_path, manifest):
    put(tmp_path)
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=r"manifest\.json cannot be read .*train"):
        Artifact.open(tmp_path)


def test_another_format_is_refused_and_both_versions_named(tmp_path):
    put(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    changed = manifest | {"format": 7, "thresher": "9.1"}
    (tmp_path / "manifest.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match=r"written in format 7 \(thresher 9\.1\).*reads format 2"):
        Artifact.open(tmp_path)


@pytest.mark.parametrize(
    ("part", "command"), [("model", "train"), ("index", "index"), ("decision", "calibrate")]
)
def test_a_part_that_is_not_there_names_the_command_that_makes_it(tmp_path, part, command):
    artifact = put(tmp_path, parts=[p for p in OLD if p != part])
    with pytest.raises(InputError, match=f"has no {part} yet; run `thresher {command}`"):
        artifact.part(part)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="a file lies where a folder is needed"):
        Edit(tmp_path / "new")
