"""What `pip install thresher` brings is enough: no file of the repository is needed."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = """
[data]
bundled = "pricerunner"
[tower]
dim = 32
[train]
epochs = 1
batch_size = 1024
[[objective]]
kind = "softmax"
"""


@pytest.mark.slow
def test_a_wheel_trains_matches_and_reports_from_an_empty_folder(tmp_path):
    wheels, home = tmp_path / "wheels", tmp_path / "environment"
    pip = [sys.executable, "-m", "pip"]
    run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT], tmp_path)
    (wheel,) = wheels.glob("thresher-*.whl")
    venv.create(home, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": home, "platbase": home}))
    run([*pip, "install", "--quiet", "--no-deps", "--target", site, wheel], tmp_path)
    # The dependencies are those of this environment; its own .pth files are not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    python = home / "bin" / "python"
    where = run([python, "-c", "import thresher; print(thresher.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(site)
    (tmp_path / "run.toml").write_text(RUN, "utf-8")
    thresher = [python, "-c", "from thresher.cli.main import main; main()"]
    run([*thresher, "train", "run.toml", "--out", "model"], tmp_path)
    run([*thresher, "evaluate", "model"], tmp_path)
    assert (tmp_path / "model" / "report" / "report.html").stat().st_size > 10_000
    said = run([*thresher, "match", "model", "--text", "bosch wat28450gb washer"], tmp_path)
    assert "bosch wat28450gb washer" in said


def run(command, folder):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
