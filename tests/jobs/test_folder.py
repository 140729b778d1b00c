"""The folder of a run that is refused."""

import shutil

import pytest

from thresher.errors import InputError
from thresher.files import FolderLock
from thresher.jobs.calibrate import calibrate
from thresher.jobs.folder import written_to
from thresher.jobs.index import index


def refused_in(folder, write=lambda: None):
    def run():
        with written_to(folder):
            write()
            raise InputError("no")

    with pytest.raises(InputError, match="no"):
        run()


def test_what_was_made_for_nothing_is_gone(tmp_path):
    refused_in(tmp_path / "runs" / "a")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays(tmp_path):
    (tmp_path / "runs").mkdir()
    refused_in(tmp_path / "runs" / "a")
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]
    refused_in(tmp_path / "runs")
    assert (tmp_path / "runs").exists()


def test_what_was_written_stays(tmp_path):
    folder = tmp_path / "runs" / "a"
    refused_in(folder, lambda: (folder / "log.jsonl").write_text("{}"))
    assert (folder / "log.jsonl").read_text() == "{}"


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path):
    with (
        written_to(tmp_path / "a"),
        pytest.raises(InputError, match="is being written to by `thresher train`"),
        written_to(tmp_path / "a"),
    ):
        pass
    with written_to(tmp_path / "a"):  # the first one has ended
        pass
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize("job", [lambda m: calibrate(m, target=0.5), index])
def test_no_part_is_replaced_while_another_process_writes(shop, tmp_path, job):
    model = tmp_path / "model"
    shutil.copytree(shop / "model", model)
    before = (model / "manifest.json").read_text("utf-8")
    with FolderLock(model, "thresher train"), pytest.raises(InputError, match="thresher train"):
        job(model)
    assert (model / "manifest.json").read_text("utf-8") == before
