"""The folder of a run that is refused."""

import pytest

from thresher.errors import InputError
from thresher.jobs.folder import written_to


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
