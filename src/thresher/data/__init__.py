"""Tables, the relation of who is true for whom, datasets, splits, audits and readers.

Nothing here imports torch; the links of a training batch, which do, are in `thresher.data.links`.
"""

from thresher.data.audit import audit, audit_files
from thresher.data.bundled import BUNDLED, bundled
from thresher.data.dataset import Dataset, DataSpec, load_dataset
from thresher.data.findings import Audit, Finding
from thresher.data.relation import Relation
from thresher.data.split import SPLITS
from thresher.data.tables import read_table, require_columns, text_of, write_table

__all__ = [
    "BUNDLED",
    "SPLITS",
    "Audit",
    "DataSpec",
    "Dataset",
    "Finding",
    "Relation",
    "audit",
    "audit_files",
    "bundled",
    "load_dataset",
    "read_table",
    "require_columns",
    "text_of",
    "write_table",
]
