"""A text tower in forms that other systems run: ONNX, and a model of sentence-transformers.

A new form is its file and its line in `TARGETS`.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.errors import InputError, did_you_mean
from thresher.export.encode import Encoder
from thresher.export.onnx import write_graph
from thresher.export.static import write_static
from thresher.export.tables import Tables
from thresher.files import aside
from thresher.towers.sums import unit_sums
from thresher.towers.tower import Reader

__all__ = ["TARGETS", "export"]

TARGETS: Mapping[str, Callable[[Tables, Path], None]] = {
    "onnx": write_graph,
    "static": write_static,
}
"""Name of a form -> what writes it into a folder, beside `tokeniser.json` and `encode.py`."""

TOLERANCE = 1e-5  # of a number of a unit vector; single precision leaves some 1e-7
_ROWS = 1000  # of the catalogue that are compared


def export(tower: Reader, items: pa.Table, folder: str | Path, to: str) -> dict[str, Any]:
    """Write the text tower of a model into a new folder.

    Args:
        tower: of the model, or its reader.
        items: its catalogue; of its first 1,000 items the exported vectors are compared with the
            tower's own where ONNX Runtime is installed.
        folder: new, or empty.
        to: one of `TARGETS`.

    Returns:
        `folder`, `bytes` of it, `tokens` with a vector, `dim`; `compared` items and the
        `largest_difference` of a number of a vector, None where nothing was compared.

    Raises:
        InputError: an unknown form, a folder that holds something, a tower that cannot be exported,
            or the extra `export` is not installed; nothing is written then.
    """
    folder = Path(folder)
    if to not in TARGETS:
        known = ", ".join(TARGETS)
        raise InputError(f"no export to {to!r}; give one of {known}{did_you_mean(to, TARGETS)}")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} holds something already; give a new folder")
    tables = Tables.of(tower)
    result: dict[str, Any] = {"to": to, "folder": str(folder)}
    with aside(folder) as part:
        part.mkdir()
        TARGETS[to](tables, part)
        (part / "tokeniser.json").write_text(json.dumps(tables.about) + "\n", "utf-8")
        shutil.copyfile(Path(__file__).with_name("encode.py"), part / "encode.py")
        (part / "README.md").write_text(_readme(tables, to), "utf-8")
        result |= _compared(tower, tables, items, part, to)
        result["bytes"] = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    return {**result, "tokens": len(tables.rows), "dim": tables.rows.shape[1]}


def _compared(
    tower: Reader, tables: Tables, items: pa.Table, folder: Path, to: str
) -> dict[str, Any]:
    """How far the vectors of items are from the tower's own, which a fault of ours would change."""
    if to != "onnx" or find_spec("onnxruntime") is None:
        return {"compared": 0, "largest_difference": None}
    items = items.slice(0, _ROWS)
    bags, parts = tower.schema.read("item", items), []
    starts = {table["name"]: table["first"] for table in tables.about["tables"]}
    table: Any = tables.rows if tables.scale is None else (tables.rows, tables.scale)
    for feature in tower.schema.items:
        bag = bags[feature.name]
        rows = (bag.indices + starts[feature.table]).astype(np.int32)
        weights = bag.data.astype(np.float32)
        parts.append((table, rows, weights, bag.indptr.astype(np.int64)))
    own = unit_sums(parts, len(items), tables.rows.shape[1])
    found = Encoder(folder).encode(items.to_pylist(), side="item")
    difference = float(np.abs(found - own).max(initial=0.0))
    if difference > TOLERANCE:
        raise RuntimeError(f"exported vectors are off by up to {difference:.2g}")
    return {"compared": len(items), "largest_difference": difference}


def _readme(tables: Tables, to: str) -> str:
    columns = {
        side: sorted({column for feature in features for column in feature["columns"]})
        for side, features in tables.about["sides"].items()
    }
    read = "\n".join(f"- {side}: {', '.join(names)}" for side, names in columns.items())
    return _README[to].format(read=read, dim=tables.rows.shape[1], tokens=len(tables.rows))


_HOW = """`tokeniser.json` says which columns of queries and of items are read, which tokens a text
has and which vector each token takes; `encode.py` reads it. The columns:

{read}

Vectors have the length 1, so that the product of two is their cosine; a row of which nothing is
known becomes zeros. They carry no decision: the certified threshold stays with the artifact.
"""
_README = {
    "onnx": """# A text tower of Thresher in ONNX

`model.onnx` takes `tokens` (int64 [n, t]) and `weights` (float32 [n, t]; 0 where a row is filled
up), and gives `vectors` (float32 [n, {dim}]) from a table of {tokens:,} vectors. It needs ONNX
Runtime and NumPy:

```python
from encode import Encoder

encoder = Encoder(".")  # this folder
queries = encoder.encode(["canon eos 2000d black"])
items = encoder.encode(["Canon EOS 2000D body"], side="item")
print(queries @ items.T)
```

A row may be a mapping of column to value in place of a text.

"""
    + _HOW,
    "static": """# A text tower of Thresher for sentence-transformers

The folder brings a module of its own, `hashed_text.py`, so that it has to be trusted:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(".", trust_remote_code=True)  # this folder
print(model.encode(["canon eos 2000d black"]))
```

"""
    + _HOW,
}
