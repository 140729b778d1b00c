"""A text tower as a static model of sentence-transformers: a table of vectors and a sum.

The library's own `StaticEmbedding` reads tokens by the package `tokenizers`, which cuts a text into
pieces that do not overlap and looks each up in a vocabulary, and adds a token as often as it
occurs. A text of ours has n-grams and pairs of words that overlap, numbered by a hash, and a token
that occurs c times counts 1 + ln c. So the export brings a module of its own, `hashed_text.py`.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from thresher.errors import InputError
from thresher.export.tables import Tables

_MODULES = (
    {"idx": 0, "name": "0", "path": "", "type": "hashed_text.HashedText"},
    {
        "idx": 1,
        "name": "1",
        "path": "1_Normalize",
        "type": "sentence_transformers.sentence_transformer.modules.Normalize",
    },
)
_SETTINGS: Mapping[str, Any] = {
    "model_type": "SentenceTransformer",
    "prompts": {},
    "default_prompt_name": None,
    "similarity_fn_name": "cosine",
}


def write_static(tables: Tables, folder: Path) -> None:
    """Write what `SentenceTransformer(folder, trust_remote_code=True)` loads.

    Raises:
        InputError: the tower reads more of a query or an item than one text, or reads their texts
            differently.
    """
    query, item = ([dict(f) for f in tables.about["sides"][side]] for side in ("query", "item"))
    for side, features in (("query", query), ("item", item)):
        more = [feature["name"] for feature in features if feature["name"] != "text"]
        if more:
            raise InputError(
                f"a model of sentence-transformers reads one text, and this tower reads "
                f"{', '.join(more)} of a {side} as well; leave it out with "
                f"features.{side}.{more[0]} = 'ignored' and train again, or export to onnx"
            )
    if query[0]["table"] != item[0]["table"]:
        raise InputError(
            "a model of sentence-transformers reads texts of queries and of items alike, and this "
            "tower has a table for each; train with features.share_tables = true, or export to onnx"
        )
    arrays = {"table": np.ascontiguousarray(tables.rows)}
    if tables.scale is not None:
        arrays["scale"] = tables.scale
    save_file(arrays, folder / "model.safetensors")
    (folder / "1_Normalize").mkdir()
    (folder / "modules.json").write_text(json.dumps(_MODULES, indent=2) + "\n", "utf-8")
    settings = json.dumps(_SETTINGS, indent=2) + "\n"
    (folder / "config_sentence_transformers.json").write_text(settings, "utf-8")
    shutil.copyfile(Path(__file__).with_name("hashed_text.py"), folder / "hashed_text.py")
