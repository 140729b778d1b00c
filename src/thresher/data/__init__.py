"""One dataset: its tables, who is true for whom, its splits, an audit of it, and readers.

Nothing here imports torch until histories are made.
"""

from thresher.data.audit import audit
from thresher.data.bundled import BUNDLED, bundled
from thresher.data.dataset import Dataset, Part, dataset_of, labelled, load_dataset
from thresher.data.findings import Audit, Finding
from thresher.data.options import DataOptions
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.split import SPLITS
from thresher.data.tables import read_table, require_columns, text_of, write_table

__all__ = [
    "BUNDLED",
    "SPLITS",
    "Audit",
    "DataOptions",
    "Dataset",
    "Finding",
    "Part",
    "Queries",
    "Relation",
    "audit",
    "bundled",
    "dataset_of",
    "labelled",
    "load_dataset",
    "read_table",
    "require_columns",
    "text_of",
    "write_table",
]
