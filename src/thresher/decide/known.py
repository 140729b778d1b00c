"""The texts that training knew: queries that repeat one are traffic of another kind."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt64

from thresher.data.split import normalised
from thresher.errors import InputError


@dataclass(frozen=True)
class KnownTexts:
    """The texts of the training queries, 8 bytes each.

    Equation:  hash(text) = sha256(normalised text)[:8]

    Two texts share a hash with a probability of 2^-64.

    Args:
        hashes: of the distinct texts, rising.

    Example:
        >>> KnownTexts.of(["iPhone 8", ""]).has(["iphone  8", "iPhone 9", ""]).tolist()
        [True, False, False]
    """

    hashes: UInt64[np.ndarray, " T"]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "KnownTexts":
        """Keep these texts; an empty one is none."""
        hashes = _hashes(texts)
        return cls(np.unique(hashes[hashes > 0]))

    def has(self, texts: Sequence[str]) -> Bool[np.ndarray, " Q"]:
        """Whether each text is known."""
        hashes = _hashes(texts)
        at = np.searchsorted(self.hashes, hashes)
        found = at < len(self.hashes)
        found[found] = self.hashes[at[found]] == hashes[found]
        return found

    def save(self, path: Path) -> None:
        """Write a NumPy array."""
        np.save(path, self.hashes, allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> "KnownTexts":
        """Read what `save` wrote.

        Raises:
            InputError: if the file is damaged.
        """
        try:
            hashes = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path} cannot be read ({error}); train again") from error
        return cls(hashes)


def _hashes(texts: Sequence[str]) -> UInt64[np.ndarray, " Q"]:
    """The hash of each text; 0 for an empty one."""
    keys = [normalised(text).encode() for text in texts]
    digests = [hashlib.sha256(key).digest()[:8] if key else bytes(8) for key in keys]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
