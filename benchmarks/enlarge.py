"""An artifact over a larger catalogue: its own items, and made-up ones beside them.

    python benchmarks/enlarge.py runs/quickstart runs/large --items 131072
    python benchmarks/serve.py runs/large

A made-up item is one of the catalogue with two thirds of the words of its text taken from others,
so that it looks like one. The artifact is copied, indexed and calibrated again.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from thresher.data.tables import write_table
from thresher.retriever import Retriever


def enlarged(items: pa.Table, column: str, count: int, seed: int = 0) -> pa.Table:
    """The items and as many made-up ones as make `count`; other columns are the original's."""
    draw = np.random.default_rng(seed)
    texts = [str(text or "").split() for text in items[column].to_pylist()]
    words = np.array([word for text in texts for word in text])
    rows = draw.integers(len(items), size=max(0, count - len(items)))
    made = []
    for row in rows:
        text = np.array(texts[row], dtype=object)
        other = draw.random(len(text)) < 2 / 3
        text[other] = draw.choice(words, other.sum())
        made.append(" ".join(text))
    more = items.take(pa.array(rows))
    ids = pa.array([f"made-up-{at}" for at in range(len(rows))], items["id"].type)
    for name, values in (("id", ids), (column, pa.array(made, items[column].type))):
        more = more.set_column(more.column_names.index(name), name, values)
    return pa.concat_tables([items, more])


def main() -> None:
    """Copy, index and calibrate."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--items", type=int, default=131_072)
    given = parser.parse_args()
    model = Retriever.open(given.artifact)
    table = enlarged(model.items, model.catalogue.item_text[0], given.items)
    shutil.copytree(given.artifact, given.out, ignore=shutil.ignore_patterns("report*"))
    with tempfile.TemporaryDirectory() as place:
        write_table(table, path := Path(place) / "items.parquet")
        for line in (["index", given.out, "--items", path], ["calibrate", given.out]):
            command = [sys.executable, "-m", "thresher", *map(str, line)]
            if subprocess.run(command, check=False).returncode not in (0, 1):
                sys.exit(f"thresher {line[0]} failed")


if __name__ == "__main__":
    main()
