import re
import shutil
from pathlib import Path

import pytest

from thresher import jobs
from thresher.config import read

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    run = read(Path("examples/quickstart/quickstart.toml"), ["train.epochs=1", "tower.dim=32"])
    jobs.train(run, Path("runs/quickstart"), quiet=True)
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    exec(code[1], {})
    said = capsys.readouterr().out
    assert said.count(" -> ") == 5
    assert "for a person to look at" in said
    assert Path("runs/answers.parquet").exists()
