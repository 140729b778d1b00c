"""Files are whole or not there, whatever goes wrong; leftovers of the dead are swept."""

import errno
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import safetensors.torch
import torch

from thresher import files
from thresher.errors import InputError
from thresher.files import (
    FolderLock,
    aside,
    atomic_write,
    digest,
    make_folder,
    output_folder,
    read_json,
    sweep,
    write_json,
)


def run(code, *args, **options):
    """Runs Python code in a process of its own, which may be cut off and so compiles for itself."""
    command = [sys.executable, "-B", "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def write(path, text="x"):
    with atomic_write(path) as file:
        file.write(text)


def write_folder(path, *names):
    with aside(path) as part:
        part.mkdir()
        for name in names:
            (part / name).write_text(name)


def write_and_raise(path, error, text="x"):
    with atomic_write(path) as file:
        file.write(text)
        file.flush()
        raise error


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from thresher.files import aside
    with aside(Path(sys.argv[1])) as part:
        part.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_is_current_only_when_whole(tmp_path):
    path = tmp_path / "deep" / "er" / "a.txt"
    with atomic_write(path) as file:
        file.write("größe\r\n")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == "größe\r\n".encode()
    with atomic_write(path, "wb") as file:
        file.write(b"\xff")
    assert path.read_bytes() == b"\xff"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [InputError("no"), KeyError("no"), KeyboardInterrupt()])
def test_an_error_leaves_what_was_there_and_no_folder_that_was_made(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("before")
    for target in (path, tmp_path / "new" / "er" / "a.txt"):
        with pytest.raises(type(error)):
            write_and_raise(target, error)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_target_of_a_symbolic_link_is_replaced(tmp_path):
    (tmp_path / "real.txt").write_text("before")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with atomic_write(tmp_path / "link.txt") as file:
        file.write("after")
    assert (tmp_path / "real.txt").read_text() == "after"
    assert (tmp_path / "link.txt").is_symlink()


@pytest.mark.parametrize("place", ["/proc/x/a.txt", "/proc/a.txt", "/sys/a.txt", "/sys/x/a.txt"])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these")
def test_places_of_the_system_are_refused(place):
    with pytest.raises(InputError, match=rf"^{re.escape(os.path.dirname(place))}\S* cannot be wri"):
        write(place)
    with pytest.raises(InputError, match=r"cannot be written: .*; "), output_folder(place):
        pass


def test_a_folder_or_a_file_in_the_way(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder cannot be written: it is a folder; name a file"):
        write(tmp_path / "folder")
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file" / "a.txt", tmp_path / "file" / "b" / "a.txt"):
        with pytest.raises(InputError, match=r"written: a file lies where a folder is needed; mo"):
            write(target)
    with pytest.raises(InputError, match=r"file cannot be written: a file lies where a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(InputError, match=r"a file lies where a folder is needed"):
        write_folder(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"
    with pytest.raises(InputError, match=r"the name is too long; give a shorter one"):
        write(tmp_path / ("a" * 300))
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


FULL = "the disk is full and more than 0.5 MB are needed; free some space, or give a path on an"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EACCES, "-"), "permission denied; change its permissions, or give another"),
        (OSError(errno.EROFS, "-"), "the file system is read-only; give another path"),
        (OSError(errno.ENOSPC, "-"), FULL),
        (OSError(errno.EDQUOT, "-"), FULL),
        (OSError(errno.EIO, "Input/output error"), "Input/output error; give another path"),
        # As safetensors and faiss say it.
        (RuntimeError("I/O error: No space left on device (os error 28)"), FULL),
        (RuntimeError("could not open a.faiss for writing: Permission denied"), "permission denie"),
    ],
)
def test_errors_of_the_system_also_in_the_words_of_a_library(tmp_path, error, words):
    with pytest.raises(InputError) as caught:
        write_and_raise(tmp_path / "model.bin", error, "x" * 500_000)
    assert str(caught.value).startswith(f"{tmp_path}/model.bin cannot be written: {words}")
    assert os.listdir(tmp_path) == []


def test_a_limit_on_the_size_of_files_as_a_full_disk(tmp_path):
    # Beyond the limit, write answers EFBIG as a full disk answers ENOSPC.
    code = """
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        from thresher.files import atomic_write
        from thresher.errors import InputError
        try:
            with atomic_write(sys.argv[1], "wb") as file:
                file.write(bytes(100_000))
        except InputError as error:
            print(error)
    """
    ran = run(code, tmp_path / "a.bin")
    assert ran.stdout.startswith(f"{tmp_path}/a.bin cannot be written: the disk is full and ")
    assert os.listdir(tmp_path) == []


def test_the_message_names_the_final_place(tmp_path):
    (tmp_path / "out").mkdir()
    with aside(tmp_path / "out") as part:
        (part / "t.csv").mkdir(parents=True)
        with pytest.raises(InputError, match=rf"^{tmp_path}/out/t\.csv cannot be written: it is "):
            write(part / "t.csv")


def test_what_killed_processes_left_is_swept_by_the_next_writer(tmp_path):
    for name in ("a.txt", "b.txt"):
        assert run(KILLED, tmp_path / name).returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("whole")
    assert sorted(re.sub(r"\.\d+\..{8}\.", ".N.", n) for n in os.listdir(tmp_path)) == [
        ".b.txt.N.part",
        "a.txt",
    ]
    with output_folder(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["a.txt"]


def test_temporary_files_of_safetensors_are_swept_with_the_part(tmp_path):
    with aside(tmp_path / "model.safetensors") as part:
        safetensors.torch.save_file({"a": torch.zeros(3)}, part)
        (part.parent / ".tmpAbCdEf").write_text("left by a killed one")
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_parts_of_living_writers_and_files_of_others_stay(tmp_path):
    (tmp_path / ".mine.part").write_text("x")
    (tmp_path / ".a.1.part").write_text("x")
    with aside(tmp_path / "a.txt") as one, aside(tmp_path / "a.txt") as two:
        sweep(tmp_path)
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a.txt").read_text() == "one"
    assert sorted(os.listdir(tmp_path)) == [".a.1.part", ".mine.part", "a.txt"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_joins_one_that_is_there(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda new, path, drop: False)
    out = tmp_path / "out"
    (out / "kept").mkdir(parents=True)
    (out / "kept" / "own.txt").write_text("own")
    (out / "link").symlink_to("kept")
    (out / "b.txt").write_text("old")
    (out / "c.txt").write_text("old")
    with aside(out, drop=["c.txt", "d.txt"]) as part:
        part.mkdir()
        (part / "a.txt").write_text("a")
        (part / "b.txt").write_text("b")
        assert sorted(os.listdir(out)) == ["b.txt", "c.txt", "kept", "link"]
    assert sorted(os.listdir(out)) == ["a.txt", "b.txt", "kept", "link"]
    assert (out / "b.txt").read_text() == "b"
    assert (out / "link" / "own.txt").read_text() == "own"
    assert os.listdir(tmp_path) == ["out"]


def test_the_current_folder_stays_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.txt").write_text("old")
    with aside(".") as part:
        part.mkdir()
        (part / "b.txt").write_text("b")
    assert os.listdir(".") == ["b.txt"]
    assert (tmp_path / "b.txt").read_text() == "b"


def test_json_and_its_damage(tmp_path):
    path = tmp_path / "settings.json"
    write_json(path, {"größe": [1, None]})
    ask = {"what": "the settings", "fix": "train it again"}
    assert read_json(path, **ask) == {"größe": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text()) == {"größe": [1, None]}
    for content, why in {
        b"{": "Expecting",
        b"[" * 100_000: "it is nested too deep",
        b"\xff": "codec",
    }.items():
        path.write_bytes(content)
        words = rf"json, the settings, cannot be read: .*{why}.*; train it again$"
        with pytest.raises(InputError, match=words):
            read_json(path, **ask)
    with pytest.raises(InputError, match=r"it is missing; train it again"):
        read_json(tmp_path / "none.json", **ask)
    with pytest.raises(InputError, match=r"Is a directory; train it again"):
        read_json(tmp_path, **ask)


def test_a_digest_is_blake2b(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # Of 32 bytes, from the reference implementation's test vectors.
    want = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
    assert digest(tmp_path / "a") == want


def test_a_folder_made_for_nothing_goes_away(tmp_path):
    with pytest.raises(InputError, match="refused"), output_folder(tmp_path / "a" / "b"):
        raise InputError("refused")
    assert os.listdir(tmp_path) == []
    with output_folder(tmp_path / "a" / "b"):
        write(tmp_path / "a" / "b" / "kept")
    with pytest.raises(InputError, match="refused"), output_folder(tmp_path / "a" / "b"):
        raise InputError("refused")
    assert os.listdir(tmp_path / "a" / "b") == ["kept"]


def test_a_second_writer_gets_one_sentence(tmp_path):
    with FolderLock(tmp_path, "thresher train"):
        words = (
            rf"{tmp_path} is being written to by `thresher train` \(process {os.getpid()} on \S+, "
            r"for 0 minutes\); wait until it ends, or give another folder"
        )
        with pytest.raises(InputError, match=words), FolderLock(tmp_path, "thresher calibrate"):
            pass
    with FolderLock(tmp_path, "thresher calibrate"):
        assert os.listdir(tmp_path) == [".lock"]
    assert os.listdir(tmp_path) == []


def test_the_lock_of_a_dead_owner_is_taken_over(tmp_path):
    code = """
        import os, signal, sys
        from thresher.files import FolderLock
        FolderLock(sys.argv[1], "thresher train").__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(code, tmp_path).returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".lock"]
    with FolderLock(tmp_path, "thresher calibrate"):
        assert json.loads((tmp_path / ".lock").read_text())["action"] == "thresher calibrate"
    assert os.listdir(tmp_path) == []


def _count_up(folder, rounds):
    for _ in range(rounds):
        while True:
            try:
                with FolderLock(folder, "counting"):
                    count = int((folder / "count").read_text())
                    (folder / "count").write_text(str(count + 1))
                break
            except InputError:
                time.sleep(0.001)


def test_only_one_of_many_writers_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_count_up, args=(tmp_path, 20)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (tmp_path / "count").read_text() == "60"


def test_a_lock_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none cannot be written: no folder can be made there"):
        FolderLock(tmp_path / "none", "thresher train").__enter__()
