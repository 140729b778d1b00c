"""Make the bundled Online Retail files from the invoice lines.

    python benchmarks/make_online_retail.py online_retail.csv.gz

The table has the columns InvoiceNo, StockCode, Description, InvoiceDate and CustomerID; see
src/thresher/data/bundled/online-retail/README.md for its origin and for what is left out.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from thresher.data.bundled import bundled
from thresher.data.tables import read_table, require_columns

COLUMNS = ("InvoiceNo", "StockCode", "Description", "InvoiceDate", "CustomerID")
# Products are numbered with five digits and perhaps letters; POST, M, BANK CHARGES are no products.
PRODUCT = r"^\d{5}[A-Za-z]*$"


def make(source: Path, out: Path) -> None:
    """Write items and events."""
    lines = read_table(source)
    require_columns(lines, COLUMNS, source)
    lines = products(lines)
    out.mkdir(parents=True, exist_ok=True)
    for name, table in (("items", items(lines)), ("events", events(lines))):
        path = out / f"{name}.parquet"
        # Few different items in many events, customers and times in order: a third of the bytes.
        pq.write_table(
            table,
            path,
            compression="zstd",
            compression_level=19,
            use_dictionary=["item_id"],
            column_encoding={
                field.name: "DELTA_BINARY_PACKED"
                for field in table.schema
                if field.name in ("user_id", "timestamp")
            },
        )
        print(f"{path}: {len(table):,} rows, {path.stat().st_size:,} bytes")


def products(lines: pa.Table) -> pa.Table:
    """The lines of a known customer who bought a product and did not send it back."""
    for what, kept in (
        ("without a customer", lambda t: pc.not_equal(t["CustomerID"], "")),
        ("of a cancellation", lambda t: pc.invert(pc.starts_with(t["InvoiceNo"], "C"))),
        ("of no product", lambda t: pc.match_substring_regex(t["StockCode"], PRODUCT)),
    ):
        before, lines = len(lines), lines.filter(kept(lines))
        print(f"{before - len(lines):,} lines {what} left out")
    return lines


def items(lines: pa.Table) -> pa.Table:
    """Every product by its code, with the description that most of its lines have."""
    titles = pc.utf8_trim_whitespace(lines["Description"])
    seen = pa.table({"id": lines["StockCode"], "title": titles})
    counts = seen.group_by(["id", "title"]).aggregate([([], "count_all")])
    # The most frequent one of each product comes first; of two as frequent, the first by letters.
    by = [("id", "ascending"), ("count_all", "descending"), ("title", "ascending")]
    ranked = counts.sort_by(by)
    ids = ranked["id"].to_numpy()
    return ranked.select(["id", "title"]).filter(pa.array(np.r_[True, ids[1:] != ids[:-1]]))


def events(lines: pa.Table) -> pa.Table:
    """Customer, product and minute, each once, by customer and time, else as on the invoice."""
    columns = {
        "user_id": lines["CustomerID"].cast(pa.int32()),
        "item_id": lines["StockCode"],
        "timestamp": lines["InvoiceDate"].cast(pa.timestamp("s")),
        "line": pa.array(np.arange(len(lines))),
    }
    once = pa.table(columns).group_by(["user_id", "item_id", "timestamp"])
    table = once.aggregate([("line", "min")])
    by = [("user_id", "ascending"), ("timestamp", "ascending"), ("line_min", "ascending")]
    print(f"{len(lines) - len(table):,} lines of the same customer, minute and product left out")
    return table.sort_by(by).select(["user_id", "item_id", "timestamp"]).combine_chunks()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the invoice lines, .csv or .csv.gz")
    parser.add_argument("--out", type=Path, default=bundled("online-retail"))
    arguments = parser.parse_args()
    make(arguments.source, arguments.out)


if __name__ == "__main__":
    main()
