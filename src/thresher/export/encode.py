"""Texts and rows to unit vectors, with NumPy and ONNX Runtime alone.

A copy of this file lies in every exported folder, beside `tokeniser.json`, which says how a row is
read. It does not import Thresher, and nothing outside the standard library but NumPy.

    from encode import Encoder
    Encoder(".").encode(["canon eos 2000d black"])
"""

import json
import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

Row = str | Mapping[str, Any]
Bag = dict[int, float]

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[^\W\d_]+|\d+")
_ROWS = 128  # rows that are encoded at a time


class Tokeniser:
    """Rows to numbers of vectors and their weights, as `tokeniser.json` says.

    Args:
        path: of that file.
    """

    def __init__(self, path: str | Path) -> None:
        about = json.loads(Path(path).read_text("utf-8"))
        self.sides: dict[str, list[dict[str, Any]]] = about["sides"]
        self._tables = {t["name"]: _TABLES[t["reads"]](t) for t in about["tables"]}

    def bags(self, rows: Sequence[Row], side: str = "query") -> list[Bag]:
        """For each row the numbers of vectors, and the weight of each.

        Args:
            rows: texts, or mappings with the columns that `tokeniser.json` names.
            side: whether they are queries or items: "query" or "item".
        """
        return [self._bag(row, side) for row in rows]

    def padded(self, bags: Sequence[Bag]) -> tuple[np.ndarray, np.ndarray]:
        """Bags as arrays: int64 [n, t] and float32 [n, t], filled up with a weight of 0."""
        most = max([1, *map(len, bags)])
        tokens = np.zeros((len(bags), most), np.int64)
        weights = np.zeros((len(bags), most), np.float32)
        for i, bag in enumerate(bags):
            tokens[i, : len(bag)] = list(bag)
            weights[i, : len(bag)] = list(bag.values())
        return tokens, weights

    def _bag(self, row: Row, side: str) -> Bag:
        features = self.sides[side]
        if isinstance(row, str):  # the first text column takes it, and nothing is known of others
            text = next(f["columns"][0] for f in features if f["name"] == "text")
            row = {text: row}
        found: Bag = {}
        for feature in features:
            values = [row.get(column) for column in feature["columns"]]
            for place, weight in self._tables[feature["table"]].read(values):
                found[place] = found.get(place, 0.0) + weight
        return found


class Encoder:
    """Unit vectors of texts and rows, by `model.onnx`.

    Args:
        folder: that holds `model.onnx` and `tokeniser.json`.
    """

    def __init__(self, folder: str | Path) -> None:
        import onnxruntime

        self.tokeniser = Tokeniser(Path(folder) / "tokeniser.json")
        providers = onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(
            str(Path(folder) / "model.onnx"), providers=providers
        )

    def encode(self, rows: Sequence[Row], side: str = "query") -> np.ndarray:
        """Unit rows: float32 [n, D]; a row of which nothing is known is one of zeros.

        Args:
            rows: as in `Tokeniser.bags`.
            side: the same.
        """
        bags = self.tokeniser.bags(rows, side)
        blocks = [bags[i : i + _ROWS] for i in range(0, max(len(bags), 1), _ROWS)]
        return np.concatenate([self._vectors(*self.tokeniser.padded(block)) for block in blocks])

    def _vectors(self, tokens: np.ndarray, weights: np.ndarray) -> np.ndarray:
        (found,) = self._session.run(None, {"tokens": tokens, "weights": weights})
        return np.asarray(found, np.float32)


class _Text:
    """Hashed words, pieces of words and pairs of neighbours, each with 1 + ln(count)."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about, self._first = about, int(about["first"])
        self._known = {token: place for place, token in enumerate(about["tokens"])}

    def read(self, values: Sequence[Any]) -> Iterator[tuple[int, float]]:
        counts: Counter[int] = Counter()
        for token in self._hashes(" ".join(filter(None, map(_written, values)))):
            place = self._place(token)
            if place >= 0:
                counts[place] += 1
        weights = {place: 1 + math.log(count) for place, count in counts.items()}
        if self._about["unit"]:
            weights = {place: w * self._rarity(place) for place, w in weights.items()}
            length = math.sqrt(sum(w * w for w in weights.values()))
            weights = {place: w / length for place, w in weights.items()}
        return ((self._first + place, weight) for place, weight in weights.items())

    def _hashes(self, text: str) -> Iterator[int]:
        about, left = self._about, ""
        for word in words(text):
            for token in _of_word(word, *about["ngram_range"], about["parts"]):
                yield token % 2 ** about["bits"]
            if about["pairs"] and left:
                yield _hash("=" + left + word) % 2 ** about["bits"]
            left = word

    def _place(self, token: int) -> int:
        buckets = self._about["buckets"]
        return self._known.get(token, len(self._known) + token % buckets if buckets else -1)

    def _rarity(self, place: int) -> float:
        rarity = self._about["rarity"]
        return float(rarity[place] if place < len(rarity) else self._about["unseen"])


class _Values:
    """Named values, each with the weight 1."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about, self._first = about, int(about["first"])
        self._known = {value: place for place, value in enumerate(about["values"])}

    def read(self, values: Sequence[Any]) -> Iterator[tuple[int, float]]:
        found = dict.fromkeys(filter(lambda place: place >= 0, map(self._place, self._of(values))))
        weight = 1 / math.sqrt(len(found)) if found and self._about["unit"] else 1.0
        return ((self._first + place, weight) for place in found)

    def _of(self, values: Sequence[Any]) -> Iterator[str]:
        kind = self._about["kind"]
        for value in values:
            for text in map(_written, value if isinstance(value, list | tuple) else [value]):
                for part in text.split("|") if kind == "categories" else [text]:
                    plain = _folded(part) if kind != "id" else part
                    if plain:
                        yield plain

    def _place(self, value: str) -> int:
        buckets = self._about["buckets"]
        shared = len(self._known) + zlib.crc32(value.encode()) % buckets if buckets else -1
        return self._known.get(value, shared)


_TABLES: Mapping[str, Any] = {"text": _Text, "values": _Values}


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded, accents removed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.combining(c))
    return _WORD.findall(text.casefold())


def murmur(key: bytes) -> int:
    """MurmurHash3 of 32 bits with seed 0, its sign dropped.

    Source: A. Appleby's MurmurHash3_x86_32, as in scikit-learn's `FeatureHasher`.
    """
    h, whole = 0, len(key) & ~3
    for at in range(0, whole, 4):
        h = _mixed(h, int.from_bytes(key[at : at + 4], "little"))
        h = (h << 13 | h >> 19) & 0xFFFFFFFF
        h = (h * 5 + 0xE6546B64) & 0xFFFFFFFF
    if whole < len(key):
        h = _mixed(h, int.from_bytes(key[whole:], "little"))
    h ^= len(key)
    h = ((h ^ h >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ h >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    h ^= h >> 16
    return 0x100000000 - h if h >> 31 else h


def _mixed(h: int, k: int) -> int:
    k = (k * 0xCC9E2D51) & 0xFFFFFFFF
    k = (k << 15 | k >> 17) & 0xFFFFFFFF
    return h ^ (k * 0x1B873593) & 0xFFFFFFFF


@lru_cache(1 << 18)
def _hash(token: str) -> int:
    return murmur(token.encode())


@lru_cache(1 << 16)
def _of_word(word: str, shortest: int, longest: int, parts: bool) -> tuple[int, ...]:
    """The hashes of a word, of its n-grams with its ends marked, and of its parts."""
    marked = f"<{word}>"
    found = [f"={word}"]
    for n in range(max(shortest, 1), longest + 1):
        found += [marked[i : i + n] for i in range(len(marked) - n + 1)]
    if parts and not (word.isalpha() or word.isdigit()):
        found += [f"={part}" for part in _PART.findall(word)]
    return tuple(map(_hash, found))


@cache
def _lower(letter: str) -> str:
    return letter.lower()[0]  # one letter for one, also where a language has more


def _folded(value: str) -> str:
    """A category without regard to case, width and spaces around it."""
    return "".join(map(_lower, unicodedata.normalize("NFKC", value))).strip()


def _written(value: Any) -> str:
    """A value as text: nothing is "", numbers are written out, lists joined by spaces."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(_written, value)))
    return str(value).removesuffix(".0")
