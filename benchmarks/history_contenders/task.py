"""What a contender gets, and what every one of them does with it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from thresher.data.parts import Part
from thresher.data.sequences import Sequences, bounds, ranges

CELLS = 1 << 24  # scores at a time: 64 MB

# Histories to a score for each item of the catalogue, higher is better; -inf is never listed.
Score = Callable[[Sequences], np.ndarray]


@dataclass(frozen=True)
class Task:
    """What every contender gets.

    Args:
        sequences: events of the training users, nothing of anybody else.
        items: size of the catalogue.
        threads: to use.
        minutes: longest training, of processor time; who learns in rounds ends there.
        seed: of every random choice.
        judge: recall@50 on (some of) the validation users, to end in time.
    """

    sequences: Sequences
    items: int
    threads: int
    minutes: float
    seed: int
    judge: Callable[[Score], float]


def events_of(train: Part) -> Sequences:
    """The events of each training user, up to the last one that is to be predicted."""
    histories, users = train.queries.histories, train.groups
    first, last = histories.first.numpy(), histories.last.numpy()
    starts = first[np.flatnonzero(np.diff(users, prepend=-1))]
    ends = np.zeros(len(starts), np.int64)
    np.maximum.at(ends, np.cumsum(np.diff(users, prepend=users[:1]) != 0), last + 1)
    counts = ends - starts
    return Sequences(bounds(counts), histories.items.numpy()[ranges(starts, counts)])


@dataclass(frozen=True)
class Contender:
    """A way to do the job.

    Args:
        fit: a task and a setting to what scores histories.
        settings: those that are tried, likeliest first; the best on validation is tested.
        modules: what has to be there.
        install: what to give to `pip install` where it is not.
        rounds: a task to the events of an epoch and a function that trains so many epochs, for
            `--speed`; None where there are none.
    """

    fit: Callable[..., Score]
    settings: Sequence[Mapping[str, Any]] = ({},)
    modules: Sequence[str] = ()
    install: str = ""
    rounds: Callable[[Task], tuple[int, Callable[[int], None]]] | None = None


def recommend(score: Score, histories: Sequences, items: int, k: int, remove: bool) -> np.ndarray:
    """Rows of the k best items a user, best first; -1 where there are no more."""
    rows = np.full((len(histories), k), -1, np.int64)
    step = max(1, CELLS // items)
    for start in range(0, len(histories), step):
        block = np.arange(start, min(start + step, len(histories)))
        known = histories.take(block)
        scores = score(known)
        if remove:
            scores[np.repeat(np.arange(len(known)), known.counts()), known.items] = -np.inf
        rows[block] = best(scores, k)
    return rows


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k highest of each row, highest first; -1 in place of those at -inf."""
    order = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, -k:]
    values = np.take_along_axis(scores, order, axis=1)
    turn = np.argsort(-values, axis=1, kind="stable")
    order = np.take_along_axis(order, turn, axis=1)
    return np.where(np.take_along_axis(values, turn, axis=1) > -np.inf, order, -1)


def learn(task: Task, step: Callable[[], Any], score: Score, keep: Callable[[], Any]) -> Any:
    """Call `step` until validation has fallen behind three times or the time is over.

    Returns:
        What `keep` gave after the best step. The time is the processor's, so that another program
        takes nothing away, and judging does not count.
    """
    kept, highest, behind, spent = None, -1.0, 0, 0.0
    while kept is None or (behind < 3 and spent < 60 * task.minutes):
        begun = time.process_time()
        step()
        spent += time.process_time() - begun
        value = task.judge(score)
        behind += 1
        if value > highest:
            kept, highest, behind = keep(), value, 0
    return kept


def matrix(sequences: Sequences, items: int, half_life: float | None = None) -> sparse.csr_matrix:
    """Users by items: 1 for what they had, or what is left of 1 after an age in events."""
    counts = sequences.counts()
    users = np.repeat(np.arange(len(sequences)), counts)
    ages = np.repeat(sequences.starts[1:], counts) - 1 - np.arange(len(sequences.items))
    weights = np.ones(len(users)) if half_life is None else 0.5 ** (ages / half_life)
    pairs = (users, sequences.items)
    found = sparse.csr_matrix(
        (weights.astype(np.float32), pairs), shape=(len(sequences), items), dtype=np.float32
    )
    if half_life is None:
        found.data[:] = 1
    return found


def popularity(task: Task) -> np.ndarray:
    """Training events of each item, as a share of those of the most frequent one."""
    counts = np.bincount(task.sequences.items, minlength=task.items).astype(np.float32)
    return counts / counts.max()


def popular(task: Task) -> Score:
    """The same list for everybody: what was had most."""
    shares = popularity(task)
    return lambda histories: np.tile(shares, (len(histories), 1))
