"""Splits: every query goes to train, validation, calibration or test, and its twins with it."""

import difflib
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from thresher.errors import InputError, percent_hint

SPLITS = ("train", "validation", "calibration", "test")
UNASSIGNED = 255


def normalised(text: str) -> str:
    """A text without regard to case, white space and Unicode form: what makes two texts equal.

    Equation: NFKC(casefold(NFKC(text))), each run of white space one space, so that canonically
    equivalent texts (an accent composed or not) are one.
    **Source**: Unicode Standard Annex 15, *Unicode normalization forms*; section 3.13, D146.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def split_number(name: str) -> int:
    """The number of a split, its place in `SPLITS`; InputError where there is no such split."""
    if name not in SPLITS:
        other = {"valid": "validation", "val": "validation", "dev": "validation"}
        near = difflib.get_close_matches(name, SPLITS, n=1)
        best = other.get(name) or (near[0] if near else None)
        hint = f"; did you mean {best!r}?" if best else ""
        raise InputError(f"unknown split {name!r}; the splits are {', '.join(SPLITS)}{hint}")
    return SPLITS.index(name)


def assign(
    texts: Sequence[str], *, shares: Mapping[str, float], seed: int = 0
) -> UInt8[np.ndarray, " Q"]:
    r"""Give every query a split by its text alone, so that equal texts always go together.

    Equation: u = sha256("{seed}\0{normalised text}")[:8] / 2^64; the split is the first whose
    cumulative share is above u. The same query gets the same split on every machine and whatever
    else is in the file, so a growing file keeps its test set.

    The shares are fractions of groups in [0, 1]; a split left out gets none. InputError where they
    name an unknown split, are negative, or do not sum to 1.

    Example:
        >>> half = {"train": 0.5, "test": 0.5}
        >>> assign(["iPhone 8", "iphone  8"], shares=half).tolist()
        [0, 0]
    """
    parts = check_shares(shares)
    u = np.array([uniform(text, seed) for text in texts], dtype=np.float64)
    cuts = np.cumsum(parts)
    # The last cut may sum to a hair under 1; no query may fall off the end, nor into a zero share.
    cuts[np.flatnonzero(parts)[-1] :] = np.inf
    return np.searchsorted(cuts, u, side="right").astype(np.uint8)


def fill(
    given: UInt8[np.ndarray, " Q"],
    texts: Sequence[str],
    *,
    shares: Mapping[str, float],
    seed: int = 0,
) -> UInt8[np.ndarray, " Q"]:
    """Complete a given split: queries without one (`UNASSIGNED`) follow a twin, or are drawn.

    A query whose text also stands in a given split goes there (to the last of `SPLITS` that holds
    the text), so that filling never tears a group apart. InputError as `assign`.
    """
    if not (given == UNASSIGNED).any():
        return given
    twins: dict[str, int] = {}
    for text, split in zip(texts, given.tolist(), strict=True):
        if split != UNASSIGNED:
            key = normalised(text)
            twins[key] = max(split, twins.get(key, 0))
    drawn = assign(texts, shares=shares, seed=seed)
    followed = np.array(
        [twins.get(normalised(t), d) for t, d in zip(texts, drawn.tolist(), strict=True)],
        dtype=np.uint8,
    )
    return np.where(given == UNASSIGNED, followed, given)


def check_shares(shares: Mapping[str, float]) -> list[float]:
    """The shares of all splits, in the order of `SPLITS`; one left out is 0.

    InputError where a name is unknown, or the shares are negative or do not sum to 1.
    """
    for name in shares:
        split_number(name)
    values = [float(shares.get(name, 0.0)) for name in SPLITS]
    if not (min(values) >= 0 and abs(sum(values) - 1) <= 1e-6):  # so that NaN is refused too
        each = ", ".join(f"{name} {value:g}" for name, value in zip(SPLITS, values, strict=True))
        raise InputError(
            f"the split shares are {each}, which sum to {sum(values):g}; "
            f"they must be 0 or more and sum to 1{percent_hint(max(values))}"
        )
    return values


def uniform(text: str, seed: int) -> float:
    r"""A number in [0, 1) that depends on the seed and the normalised text alone.

    Equation: sha256("{seed}\0{normalised text}")[:8] / 2^64
    """
    digest = hashlib.sha256(f"{seed}\0{normalised(text)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
