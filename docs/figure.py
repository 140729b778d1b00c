"""Draws docs/images/precision-coverage.png from an artifact's test split: figure.py ARTIFACT.

`make quickstart figure` trains the artifact of the quickstart and draws it.
"""

import sys
from pathlib import Path

from thresher.artifact import Artifact
from thresher.jobs.data import labelled_queries
from thresher.jobs.measure import Measured
from thresher.jobs.report import report_of
from thresher.matcher import Matcher
from thresher.report import save_figure

OUT = Path(__file__).parent / "images" / "precision-coverage.png"


def main() -> None:
    """Measures the artifact named on the command line and writes the picture."""
    folder = Path(sys.argv[1])
    artifact, matcher = Artifact.open(folder), Matcher.open(folder)
    test = Measured.of(artifact, matcher, labelled_queries(artifact, matcher, {}, split="test"))
    save_figure(report_of(artifact, test, {}, test.systems(), {}), OUT)
    print(OUT)


if __name__ == "__main__":
    main()
