"""Write the titles and subjects of finna-yso-titles-en as a folder in the XC repository's layout.

    python benchmarks/make_finna.py SOURCE OUT
    thresher data import xc OUT

SOURCE holds trn.tsv.gz and tst.tsv.gz, lines of `label ids <TAB> text`, and labels.tsv.gz, lines of
`address <TAB> preferred label <TAB> preferred and other labels`. OUT gets trn_X.txt, tst_X.txt,
Y.txt, trn_X_Y.txt and tst_X_Y.txt, a line at a time: one line of text is in memory.
"""

import argparse
import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

PARTS = ("trn", "tst")


def lines(path: Path) -> Iterator[str]:
    """The lines of a gzipped file; only a line feed ends one."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as source:
        yield from (line.removesuffix("\n") for line in source)


def short(text: str, longest: int) -> str:
    """The text on one line, cut before the word that would make it longer; 0 leaves all of it."""
    text = " ".join(text.split())
    if not longest or len(text) <= longest:
        return text
    return text[: longest + 1].rpartition(" ")[0] or text[:longest]


def labels(source: Path, out: Path) -> int:
    """Write the text of every label, its other names included; return how many there are."""
    number = 0
    with (out / "Y.txt").open("w", encoding="utf-8", newline="\n") as target:
        for number, line in enumerate(lines(source / "labels.tsv.gz"), 1):  # noqa: B007
            _, preferred, *_, every = line.split("\t")
            target.write(" ".join((every or preferred).split()) + "\n")
    return number


def points(source: Path, out: Path, part: str, *, columns: int, longest: int, rows: int) -> None:
    """Write the texts of a part and their labels; say how many texts were cut."""
    path = source / f"{part}.tsv.gz"
    rows = min(rows or 2**63, sum(1 for _ in lines(path)))
    cut = 0
    with (
        (out / f"{part}_X.txt").open("w", encoding="utf-8", newline="\n") as texts,
        (out / f"{part}_X_Y.txt").open("w", encoding="utf-8", newline="\n") as truth,
    ):
        truth.write(f"{rows} {columns}\n")
        for number, line in enumerate(islice(lines(path), rows), 1):
            ids, _, text = line.partition("\t")
            wanted = sorted({int(i) for i in ids.split()})
            if wanted and wanted[-1] >= columns:
                raise SystemExit(f"{path}:{number}: there is no label {wanted[-1]} of {columns}")
            texts.write((kept := short(text, longest)) + "\n")
            truth.write(" ".join(f"{label}:1" for label in wanted) + "\n")
            cut += len(kept) < len(" ".join(text.split()))
    print(f"{part}: {rows:,} texts, {cut:,} of them cut")


def main() -> None:
    """Read the arguments; write the five files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--longest",
        type=int,
        default=200,
        help="characters of a text: the one text in twenty that is longer is an abstract or "
        "carries one, and is cut between words so that titles stay titles; 0 keeps all of every "
        "text (default: %(default)s)",
    )
    parser.add_argument(
        "--rows", type=int, default=0, help="only the first so many texts of each part; 0 for all"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    columns = labels(arguments.source, arguments.out)
    print(f"{columns:,} labels")
    for part in PARTS:
        points(
            arguments.source,
            arguments.out,
            part,
            columns=columns,
            longest=arguments.longest,
            rows=arguments.rows,
        )


if __name__ == "__main__":
    main()
