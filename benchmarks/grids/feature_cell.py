"""Trains and measures the features run of one cell: `python -m thresher.bench.feature_cell FOLDER`.

Reads and writes what `thresher.bench.history_cell` does. It computes on one thread, which is
fastest where several cells run at a time and rows are gathered more than multiplied.
"""

import sys
from pathlib import Path

import torch

from thresher.bench.cells import end_with_starter
from thresher.bench.history_cell import measure
from thresher.errors import InputError
from thresher.jobs.feature_lists import evaluate_features


def main() -> None:
    """Measures the cell of the folder named on the command line; exits with 1 where it cannot."""
    end_with_starter()
    torch.set_num_threads(1)
    try:
        measure(Path(sys.argv[1]), evaluate_features)
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
