"""What a contender gets, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from thresher.data.dataset import Dataset
from thresher.data.tables import text_of
from thresher.retrieve.hits import Hits

Texts = Sequence[str]


@dataclass(frozen=True)
class Task:
    """What every contender gets.

    Args:
        data: items, queries, truth and split.
        tables: the folder with the same as items.parquet, queries.parquet and pairs.parquet.
        scratch: an empty folder.
        threads: to use.
        minutes: longest training of a transformer.
        seed: of every random choice.
        run: the TOML of Thresher's run; None for its settings below.
    """

    data: Dataset
    tables: Path
    scratch: Path
    threads: int
    minutes: float
    seed: int
    run: Path | None

    @cached_property
    def items(self) -> list[str]:
        """The text of each item."""
        return text_of(self.data.items, self.data.item_text)

    @cached_property
    def queries(self) -> list[str]:
        """The text of each training query."""
        return self.texts("train")

    @cached_property
    def pairs(self) -> np.ndarray:
        """Training query and item row of the training pairs."""
        return self.data.part("train").truth.pairs()

    def texts(self, split: str) -> list[str]:
        """The text of each query of a split."""
        return self.data.part(split).queries.text(self.data.query_text)

    def labelled(self, offers: bool) -> tuple[list[str], np.ndarray]:
        """Texts and the item row of each: the catalogue, perhaps with the labelled offers."""
        texts, owners = list(self.items), np.arange(len(self.items))
        if not offers:
            return texts, owners
        texts += [self.queries[q] for q in self.pairs[:, 0]]
        return texts, np.concatenate([owners, self.pairs[:, 1]])


class Decided(NamedTuple):
    """First answers with a confidence of their own, and whether they are accepted."""

    rows: np.ndarray
    confidence: np.ndarray
    accepted: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """A contender that is ready.

    Args:
        encode: texts to what is searched with.
        find: texts and k to the k best items.
        lowest: the lowest score there is, for the lead over a runner-up that was not found.
        decide: answers with a confidence of their own, where there are any.
    """

    encode: Callable[[Texts], Any]
    find: Callable[[Texts, int], Hits]
    lowest: float = 0.0
    decide: Callable[[Texts], Decided] | None = None


@dataclass(frozen=True)
class Contender:
    """A way to do the job.

    Args:
        fit: a task and a setting to what is ready.
        settings: those that are tried, likeliest first; the best on validation is tested.
        modules: what has to be there.
        install: what to give to `pip install` where it is not.
    """

    fit: Callable[..., Fitted]
    settings: Sequence[Mapping[str, Any]] = ({},)
    modules: Sequence[str] = ()
    install: str = ""
