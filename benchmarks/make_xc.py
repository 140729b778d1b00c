"""Make up a set in the layout and of the size of LF-AmazonTitles-131K.

    python benchmarks/make_xc.py OUT
    thresher data import xc OUT data/made131k
    python benchmarks/alc.py --data data/made131k --set data.propensity=amazon --out runs/made131k

OUT gets trn.json.gz, tst.json.gz, lbl.json.gz and both filter lists, as the extreme classification
repository has them: 294,805 and 134,835 points, 131,073 labels, 2.29 labels a point. Products are
in families of eight, whose titles share a brand and words; a point is asked for with labels of its
family, and where it is itself a label, its own pair stands in the filter list. It is there for time
and memory: the model is our own, and no quality that is measured on it means anything.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

POINTS = {"trn": 294_805, "tst": 134_835}
LABELS, A_POINT = 131_073, 2.29
FAMILY = 8  # labels
BRANDS, WORDS, LETTERS = 5_000, 30_000, "abcdefghijklmnopqrstuvwxyz"
SELF = 0.3  # share of the points that are labels too
_BLOCK = 65_536


def titles(numbers: np.ndarray, draw: np.random.Generator) -> list[str]:
    """A title for each of these labels' products: brand, words of the family, model, own words."""
    families = numbers // FAMILY
    found = []
    own = draw.integers(0, WORDS, (len(numbers), 3))
    for number, family, more in zip(numbers.tolist(), families.tolist(), own.tolist(), strict=True):
        kind = [_word(family * 3 + i, WORDS) for i in range(3)]
        model = f"{LETTERS[number % 26]}{LETTERS[number // 26 % 26]}-{number % 997}"
        words = [_word(family, BRANDS), *kind, model, *(_word(w, WORDS) for w in more)]
        found.append(" ".join(words))
    return found


def _word(number: int, many: int) -> str:
    """One of so many made-up words, always the same for a number."""
    number = number * 7919 % many
    return "".join(LETTERS[number // 26**i % 26] for i in range(4)) + str(number % 7)


def lines(count: int, labels: int, draw: np.random.Generator) -> Iterator[tuple[dict, int]]:
    """The records of so many points, and the label that each of them is; -1 for none."""
    for start in range(0, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        # Some labels are asked for far more often than others.
        centre = (labels * draw.random(rows) ** 1.5).astype(np.int64)
        wanted = 1 + draw.poisson(A_POINT - 1, rows)
        own = draw.random(rows) < SELF
        names = titles(centre, draw)
        for number in range(rows):
            first = centre[number] // FAMILY * FAMILY
            family = np.arange(first, min(first + FAMILY, labels))
            family = family[family != centre[number]] if own[number] and len(family) > 1 else family
            many = min(int(wanted[number]), len(family))
            targets = sorted(draw.choice(family, many, replace=False).tolist())
            record = {
                "uid": f"P{start + number}",
                "title": names[number],
                "content": "",
                "target_ind": targets,
                "target_rel": [1.0] * len(targets),
            }
            is_label = own[number] and int(centre[number]) not in targets
            yield record, int(centre[number]) if is_label else -1


def write(out: Path, *, scale: float = 1.0, seed: int = 0) -> dict[str, int]:
    """Write the five files, a share of the whole size; returns how many lines each has."""
    out.mkdir(parents=True, exist_ok=True)
    labels = max(FAMILY, round(scale * LABELS))
    counts = {"lbl.json.gz": labels}
    with gzip.open(out / "lbl.json.gz", "wt", encoding="utf-8", compresslevel=1) as file:
        draw = np.random.default_rng((seed, 0))
        for row, title in enumerate(titles(np.arange(labels), draw)):
            record = {"uid": f"L{row}", "title": title, "content": ""}
            file.write(json.dumps(record) + "\n")
    for place, (part, whole) in enumerate(POINTS.items(), 1):
        count, listed = max(1, round(scale * whole)), 0
        draw = np.random.default_rng((seed, place))
        name = f"filter_labels_{'train' if part == 'trn' else 'test'}.txt"
        with (
            gzip.open(out / f"{part}.json.gz", "wt", encoding="utf-8", compresslevel=1) as file,
            (out / name).open("w", encoding="utf-8", newline="\n") as filters,
        ):
            for row, (record, label) in enumerate(lines(count, labels, draw)):
                file.write(json.dumps(record) + "\n")
                if label >= 0:
                    filters.write(f"{row} {label}\n")
                    listed += 1
        counts |= {f"{part}.json.gz": count, name: listed}
    return counts


def main() -> None:
    """Read the arguments; write the files and say how long they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the files")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the whole size")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name, count in write(given.out, scale=given.scale, seed=given.seed).items():
        print(f"{given.out / name}: {count:,} lines")


if __name__ == "__main__":
    main()
