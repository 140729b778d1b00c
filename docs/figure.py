"""Draws docs/images/precision-coverage.png from an artifact's test split: figure.py ARTIFACT.

`make quickstart figure` trains the artifact of the quickstart and draws it.
"""

import sys
from pathlib import Path

from thresher.jobs.evaluate import report_of
from thresher.measure import measure
from thresher.report import save_figure
from thresher.retriever import Retriever

OUT = Path(__file__).parent / "images" / "precision-coverage.png"


def main() -> None:
    """Measure the artifact named on the command line and write the picture."""
    model = Retriever.open(Path(sys.argv[1]))
    test = measure(model, model.labelled("test"))
    save_figure(report_of(test, test.numbers(), [], open_too=False), OUT)
    print(OUT)


if __name__ == "__main__":
    main()
