"""Make the bundled PriceRunner files from the table of offers.

    python benchmarks/make_pricerunner.py pricerunner_aggregate.tsv.gz

The table has the columns product_id, title, vendor_id, cluster_id, cluster_label, category; see
src/thresher/data/bundled/pricerunner/README.md for its origin.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.bundled import bundled
from thresher.data.tables import read_table, require_columns, write_table

COLUMNS = ("product_id", "title", "vendor_id", "cluster_id", "cluster_label", "category")


def make(source: Path, out: Path) -> None:
    """Write items, queries and pairs."""
    offers = read_table(source)
    require_columns(offers, COLUMNS, source)
    cluster = offers["cluster_id"].combine_chunks()
    first = pc.index_in(pc.unique(cluster), cluster)  # the first offer of each product
    items = offers.select(["cluster_id", "cluster_label", "category"]).take(first)
    shop = pc.binary_join_element_wise("shop", offers["vendor_id"], " ")
    queries = pa.table(
        {
            "id": offers["product_id"],
            "title": offers["title"],
            "shop": shop,
            "category": offers["category"],
        }
    )
    pairs = offers.select(["product_id", "cluster_id"]).rename_columns(["query_id", "item_id"])
    tables = {
        "items": items.rename_columns(["id", "title", "category"]),
        "queries": queries,
        "pairs": pairs,
    }
    for name, table in tables.items():
        path = out / f"{name}.parquet"
        write_table(table, path)
        print(f"{path}: {len(table):,} rows, {path.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the table of offers, .tsv or .tsv.gz")
    parser.add_argument("--out", type=Path, default=bundled("pricerunner"))
    arguments = parser.parse_args()
    make(arguments.source, arguments.out)


if __name__ == "__main__":
    main()
