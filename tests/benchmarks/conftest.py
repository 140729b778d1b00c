"""Puts the folder of the benchmarks on the path; only a few of their models are trained here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
