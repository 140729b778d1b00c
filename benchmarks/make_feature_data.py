"""Make folders of tables with features from sets as they are published.

    python benchmarks/make_feature_data.py wikispeedia SOURCE OUT
    python benchmarks/make_feature_data.py amazon-beauty SOURCE OUT
    python benchmarks/make_feature_data.py online-retail SOURCE OUT

SOURCE is the folder of the set. OUT gets items.parquet with the features of every item, and either
queries.parquet and pairs.parquet, or events.parquet.

- wikispeedia: articles.jsonl.gz (id, title, categories such as "History.British_History") and
  links.tsv.gz, lines of `from <TAB> to`. Articles are the items and the queries, links the pairs.
- amazon-beauty: items.jsonl.gz (id, title, category: lists of names from wide to narrow) and
  sequences.txt.gz, lines of `user item item ...` in order of time.
- online-retail: online_retail.csv.gz, the invoice lines; what make_online_retail.py leaves out is
  left out here too. The first three characters of a stock code are its family.
"""

import argparse
import gzip
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import make_online_retail as online_retail
from thresher.data.tables import read_table, require_columns, write_table

FAMILY = 3  # characters of a stock code that products of one kind share


def lines(path: Path) -> Iterator[list[str]]:
    """The fields of every line of a gzipped file, at tabs and blanks."""
    with gzip.open(path, "rt", encoding="utf-8") as source:
        yield from (line.split() for line in source)


def prefixes(paths: Iterable[Sequence[str]], separator: str) -> list[str]:
    """Every category that one of these paths goes through, once, wide ones before narrow ones."""
    found = (step for path in paths for step in accumulate(path, f"{{}}{separator}{{}}".format))
    return list(dict.fromkeys(found))


def wikispeedia(source: Path) -> dict[str, pa.Table]:
    """Which article links to which."""
    articles = read_table(source / "articles.jsonl.gz")
    require_columns(articles, ("id", "title", "categories"), source)
    paths = [[path.split(".") for path in row or ()] for row in articles["categories"].to_pylist()]
    table = articles.select(["id", "title"]).append_column(
        "categories", pa.array([prefixes(row, ".") for row in paths], pa.list_(pa.string()))
    )
    links = list(lines(source / "links.tsv.gz"))
    pairs = {
        "query_id": [start for start, _ in links],
        "item_id": [end for _, end in links],
    }
    return {"items": table, "queries": table, "pairs": pa.table(pairs)}


def amazon_beauty(source: Path) -> dict[str, pa.Table]:
    """What users wrote about, one after the other; the time is the place in the sequence."""
    items = read_table(source / "items.jsonl.gz")
    require_columns(items, ("id", "title", "category"), source)
    categories = [prefixes(row or (), " > ") for row in items["category"].to_pylist()]
    table = items.select(["id", "title"]).append_column(
        "categories", pa.array(categories, pa.list_(pa.string()))
    )
    sequences = list(lines(source / "sequences.txt.gz"))
    lengths = np.array([len(had) for _, *had in sequences])
    events = {
        "user_id": pa.array([user for user, *_ in sequences]).take(
            pa.array(np.repeat(np.arange(len(sequences)), lengths))
        ),
        "item_id": [item for _, *had in sequences for item in had],
        "timestamp": np.concatenate([np.arange(length) for length in lengths]),
    }
    return {"items": table, "events": pa.table(events)}


def retail(source: Path) -> dict[str, pa.Table]:
    """What customers bought; a product has a price and a family beside its title."""
    path = source / "online_retail.csv.gz"
    invoices = read_table(path)
    require_columns(invoices, (*online_retail.COLUMNS, "UnitPrice"), path)
    invoices = online_retail.products(invoices)
    items = online_retail.items(invoices)
    # Sorted by product, so that the prices of each lie together, in the order of the items.
    prices = invoices.select(["StockCode", "UnitPrice"]).sort_by("StockCode")
    _, first = np.unique(prices["StockCode"].to_numpy(), return_index=True)
    of_each = np.split(prices["UnitPrice"].cast(pa.float64()).to_numpy(), first[1:])
    items = items.append_column("price", pa.array([float(np.median(some)) for some in of_each]))
    family = pc.utf8_slice_codeunits(items["id"], 0, FAMILY)
    return {
        "items": items.append_column("family", family),
        "events": online_retail.events(invoices),
    }


SETS = {"wikispeedia": wikispeedia, "amazon-beauty": amazon_beauty, "online-retail": retail}


def main() -> None:
    """Read the arguments; write the tables and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("set", choices=SETS)
    parser.add_argument("source", type=Path, help="folder of the set as it is published")
    parser.add_argument("out", type=Path, help="folder of the tables")
    arguments = parser.parse_args()
    for name, table in SETS[arguments.set](arguments.source).items():
        path = arguments.out / f"{name}.parquet"
        write_table(table, path)
        print(f"{path}: {len(table):,} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
