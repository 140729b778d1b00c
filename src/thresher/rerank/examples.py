"""Training queries with candidates that were found without them, for a re-ranker to learn from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64

from thresher.arrays import read_arrays, write_arrays
from thresher.errors import InputError
from thresher.files import make_folder, read_json, write_json
from thresher.rerank.reranker import Reranker, fit_and_judge


@dataclass(frozen=True)
class Examples:
    """Candidates of queries, their features, and which are right.

    Args:
        features: as `PairFeatures.read` gives them, in half precision.
        correct: whether each candidate is a true item of its query.
        missing: places without a candidate.
        names: of the features.
    """

    features: Float32[np.ndarray, "Q k F"]
    correct: Bool[np.ndarray, "Q k"]
    missing: Bool[np.ndarray, "Q k"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.correct)

    @classmethod
    def joined(cls, parts: Iterable["Examples"]) -> "Examples":
        """The queries of all parts; features as they are kept, whether saved or not."""
        each = list(parts)
        features = np.concatenate([part.features for part in each])
        # Twice as small on disk, and what is fitted before saving equals what is fitted after.
        most = np.finfo(np.float16).max  # a text may have more characters
        features = np.clip(features, -most, most).astype(np.float16).astype(np.float32)
        correct, missing = (
            np.concatenate([getattr(part, name) for part in each])
            for name in ("correct", "missing")
        )
        return cls(features, correct, missing, each[0].names)

    def fit(self, *, absent: float, names: Sequence[str]) -> Reranker:
        """A re-ranker of these queries; see `Reranker.fit`.

        Raises:
            InputError: they are of other features than those.
        """
        self._check(names)
        at = (self.features, self.correct, self.missing)
        return Reranker.fit(*at, names=self.names, absent=absent, boosted=True)

    def fit_and_judge(
        self, *, absent: float, names: Sequence[str], hidden: Bool[np.ndarray, " Q"]
    ) -> tuple[Reranker, Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
        """The same re-ranker, and what it says of these queries out of fold; see `fit_and_judge`.

        Raises:
            InputError: they are of other features than those.
        """
        self._check(names)
        at = (self.features, self.correct, self.missing)
        return fit_and_judge(*at, names=self.names, absent=absent, hidden=hidden)

    def _check(self, names: Sequence[str]) -> None:
        if self.names != tuple(names):
            raise InputError(
                "the model's training queries were compared by other features than its index; "
                "train again"
            )

    def save(self, folder: Path) -> None:
        """Write everything into a folder."""
        make_folder(folder)
        write_json(folder / "names.json", list(self.names))
        arrays = {"features": self.features.astype(np.float16)}
        write_arrays(folder, arrays | {"correct": self.correct, "missing": self.missing})

    @classmethod
    def load(cls, folder: Path) -> "Examples | None":
        """Read what `save` wrote; None where nothing was.

        Raises:
            InputError: a file is damaged.
        """
        if not folder.exists():
            return None
        names = read_json(folder / "names.json", what="the examples", fix="train again")
        try:
            found = read_arrays(folder)
            arrays = [found[name] for name in ("features", "correct", "missing")]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{folder} cannot be read ({error}); train again") from error
        return cls(arrays[0].astype(np.float32), arrays[1], arrays[2], tuple(names))
