"""Make up data whose structure is known, for a features run.

    python benchmarks/make_synthetic.py runs/made --items 1000 --queries 1000 --pairs 10000

Writes items, queries and pairs as parquet; `grids/synthetic.py` says how they are drawn.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from grids.synthetic import Synthetic, write
from thresher.errors import InputError


def main() -> None:
    """Reads the arguments, which are those of `Synthetic`; writes the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the tables")
    for field in dataclasses.fields(Synthetic):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    given = vars(parser.parse_args())
    out = given.pop("out")
    try:
        sizes = write(Synthetic(**given), out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    for name, count in sizes.items():
        print(f"{count:,} {name} written to {out / name}.parquet")


if __name__ == "__main__":
    main()
