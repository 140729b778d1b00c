"""Where nothing can be written: one sentence and exit code 2, before any work is lost."""

import shutil
from pathlib import Path

import pytest

# A folder of processes and one of devices, which the kernel makes up; nobody writes there.
NOWHERE = [place for place in ("/proc", "/sys") if Path(place).is_dir()]
pytestmark = pytest.mark.skipif(not NOWHERE, reason="this system has no such folders")


@pytest.fixture(params=NOWHERE)
def nowhere(request):
    return Path(request.param)


def said_well(said, place):
    assert str(place) in said
    assert "cannot be written: " in said
    return True


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.xlsx", "none/x.csv"])
def test_tables(refused, shop, nowhere, name):
    out = nowhere / name
    assert said_well(refused("data", "convert", shop / "items.csv", out), nowhere)
    ask = ("match", shop / "model", "--text", "red kettle")
    assert said_well(refused(*ask, "--out", out), nowhere)
    assert said_well(refused(*ask, "--review", out), nowhere)


def test_lists(refused, shop, buyers, tmp_path, nowhere):
    path = tmp_path / "e.csv"
    path.write_text("user_id,item_id,timestamp\na,i0-0,1\n")
    ask = ("recommend", buyers / "model", "--events", path, "--top", 2)
    assert said_well(refused(*ask, "--out", nowhere / "l.csv"), nowhere)
    ask = ("recommend", shop / "model", "--queries", shop / "queries.csv", "--top", 2)
    assert said_well(refused(*ask, "--out", nowhere / "none" / "l.csv"), nowhere)


def test_folders(refused, shop, tmp_path, nowhere):
    run, out = shop / "run.toml", nowhere / "m"
    assert said_well(refused("train", run, "--out", out), nowhere)
    assert said_well(refused("compare", run, "--seeds", "0", "--out", out), nowhere)
    (tmp_path / "lines.txt").write_text("1,10,0\n1,11,1\n")
    assert said_well(refused("data", "import", "comirec", tmp_path, out), nowhere)


@pytest.mark.parametrize("command", ["calibrate", "index"])
def test_an_artifact_that_is_read_only(refused, model, monkeypatch, command):
    """As on a file system that is mounted to be read; a superuser may write elsewhere."""

    def full(*arguments, **options):
        raise OSError(30, "Read-only file system")

    for name in ("mkdtemp", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", full)
    before = {p: p.stat().st_mtime_ns for p in model.rglob("*") if p.is_file()}
    said = refused(command, model)
    assert "cannot be written: the file system is read-only; give another path" in said
    assert {p: p.stat().st_mtime_ns for p in model.rglob("*") if p.is_file()} == before


def test_a_file_where_a_folder_is_needed(refused, shop, tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file" / "m", tmp_path / "file"):
        said = refused("compare", shop / "run.toml", "--seeds", "0", "--out", out)
        assert "a file lies where a folder is needed" in said
    shutil.copy(shop / "items.csv", tmp_path / "lines.txt")
    said = refused("data", "import", "comirec", tmp_path, tmp_path / "file")
    assert "a file lies where a folder is needed" in said
