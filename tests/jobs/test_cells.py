"""Cells run in processes of their own, each once, and a failing one stops no other."""

import os
import subprocess
import sys
import textwrap
import time

import pytest

from thresher.errors import InputError
from thresher.jobs.cells import Cell, cells_at_a_time, fingerprint, run_cells

PROGRAM = """
    import json, os, signal, sys, time
    from pathlib import Path
    folder = Path(sys.argv[1])
    task = json.loads((folder / "cell.json").read_text())
    with (folder / "ran.txt").open("a") as file:
        file.write(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}\\n")
    while not Path(task.get("after", folder)).exists():
        time.sleep(0.02)
    if task.get("together"):
        with Path(task["together"]).open("a") as file:
            file.write("begin\\n")
        with Path(task["together"]).open("a") as file:
            file.write("end\\n")
    if task.get("fail"):
        print("much to say")
        raise ValueError(task["fail"])
    if task.get("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if task.get("silent"):
        os._exit(3)
    values = {"value": float(len((folder / "given.txt").read_text()))}
    done = {"fingerprint": task["fingerprint"], "values": values}
    (folder / "measured.json").write_text(json.dumps(done))
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "toy_cell.py").write_text(textwrap.dedent(PROGRAM))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return "toy_cell"


def cell(tmp_path, name="a", *, seed=0, text="four", mark="x", **task):
    return Cell(name, seed, tmp_path / f"{name}-{seed}", mark, {"given.txt": text}, task)


def times_run(one):
    path = one.folder / "ran.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_cells_come_back_in_order_whichever_ends_first(tmp_path, program):
    # the first goes on when the end of the second was reported
    over = tmp_path / "over"
    cells = [cell(tmp_path, "slow", after=str(over)), cell(tmp_path, "quick", text="12345")]
    seen = []

    def report(outcome):
        seen.append(outcome)
        over.touch()

    outcomes = run_cells(cells, program, jobs=2, report=report)
    assert [(o.cell.name, o.values) for o in outcomes] == [
        ("slow", {"value": 4}),
        ("quick", {"value": 5}),
    ]
    assert [o.cell.name for o in seen] == ["quick", "slow"]
    assert [(o.done, o.total) for o in seen] == [(1, 2), (2, 2)]
    assert seen[0].left > 0
    assert seen[1].left == 0
    assert outcomes[0].seconds > 0


def test_no_more_than_so_many_at_a_time_and_each_its_share_of_the_cores(tmp_path, program):
    together = tmp_path / "together"
    cells = [cell(tmp_path, together=str(together), seed=n) for n in range(3)]
    run_cells(cells, program, jobs=1)
    assert together.read_text().split() == ["begin", "end"] * 3
    assert (cells[0].folder / "ran.txt").read_text().split()[1] == str(len(os.sched_getaffinity(0)))


def test_a_measured_cell_is_not_run_again_and_a_changed_one_is(tmp_path, program):
    first = cell(tmp_path)
    run_cells([first], program, jobs=1)
    seen = []
    again = run_cells([first], program, jobs=1, report=seen.append)
    assert (times_run(first), seen) == (1, [])
    assert again[0].values == {"value": 4}
    (first.folder / "model").mkdir()
    changed = cell(tmp_path, text="another", mark="y")
    assert changed.measured() is None
    assert run_cells([changed], program, jobs=1)[0].values == {"value": 7}
    assert times_run(first) == 2
    # What the other cell left must not be taken for this one's.
    assert not (first.folder / "model").exists()


def test_an_unfinished_cell_keeps_what_it_left(tmp_path):
    one = cell(tmp_path)
    one.prepare()
    (one.folder / "model").mkdir()
    one.prepare()
    assert (one.folder / "model").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fingerprint": "x"}', '{"values": {}}'])
def test_a_damaged_result_is_none(tmp_path, text):
    one = cell(tmp_path)
    one.prepare()
    (one.folder / "measured.json").write_text(text)
    assert one.measured() is None


def test_a_failing_cell_says_why_and_the_rest_goes_on(tmp_path, program):
    cells = [
        cell(tmp_path, "bad", fail="the reason"),
        cell(tmp_path, "killed", kill=True),
        cell(tmp_path, "silent", silent=True),
        cell(tmp_path, "good"),
    ]
    outcomes = run_cells(cells, program, jobs=2)
    assert [o.error for o in outcomes] == [
        "ValueError: the reason",
        "it was ended by signal 9; there may be too little memory",
        "it ended with exit code 3",
        "",
    ]
    assert [o.values is None for o in outcomes] == [True, True, True, False]
    assert "much to say" in (cells[0].folder / "output.txt").read_text()
    run_cells(cells, program, jobs=2)
    assert [times_run(c) for c in cells] == [2, 2, 2, 1]


def test_ctrl_c_ends_the_running_cells(tmp_path, program):
    never = str(tmp_path / "never")
    cells = [cell(tmp_path, "quick"), cell(tmp_path, "long", after=never)]

    def stop(outcome):
        while not (cells[1].folder / "ran.txt").exists():
            time.sleep(0.02)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, program, jobs=2, report=stop)
    process = int((cells[1].folder / "ran.txt").read_text().split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert cells[0].measured() == {"value": 4}


MEASURES = """
    import time
    from thresher.errors import InputError
    from thresher.jobs.cells import measure_cell
    def measure(folder, task):
        print("ready", flush=True)
        if task["fail"]:
            raise InputError(task["fail"])
        time.sleep(task["sleep"])
        return {"value": 3.0}
    measure_cell(measure)
"""


@pytest.fixture
def measures(tmp_path):
    (tmp_path / "measures.py").write_text(textwrap.dedent(MEASURES))
    return str(tmp_path)


def test_a_program_of_cells_writes_what_it_measured(tmp_path, measures):
    cells = [cell(tmp_path, "good", fail="", sleep=0), cell(tmp_path, "bad", fail="the sentence")]
    good, bad = run_cells(cells, "measures", jobs=2, path=measures)
    assert good.values["value"] == 3
    assert good.values["total_seconds"] >= 0
    assert (bad.values, bad.error) == (None, "the sentence")


def test_a_cell_ends_when_its_starter_is_gone(tmp_path, measures):
    one = cell(tmp_path, fail="", sleep=60)
    one.prepare()
    child = subprocess.Popen(
        [sys.executable, f"{measures}/measures.py", str(one.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    child.stdin.close()
    assert child.wait(20) == 130
    child.stdout.close()


def test_fingerprints(tmp_path):
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("id\n1\n")
    other.write_text("id\n1\n")
    assert fingerprint({"a": 1, "b": 2}, [one]) == fingerprint({"b": 2, "a": 1}, [other])
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    before = fingerprint({}, [one])
    one.write_text("id\n2\n")
    os.utime(one, ns=(1, 1))
    assert fingerprint({}, [one]) != before
    with pytest.raises(InputError, match=r"gone\.csv cannot be read: No such file"):
        fingerprint({}, [tmp_path / "gone.csv"])


def test_how_many_cells_at_a_time():
    assert cells_at_a_time(3) == 3
    assert cells_at_a_time() >= 1
    with pytest.raises(InputError, match="jobs is 0 cells at a time; give 1 or more"):
        cells_at_a_time(0)
