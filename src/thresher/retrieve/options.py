"""How the catalogue is searched: the keys of the `[index]` table."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """Which index holds the catalogue's vectors.

    Args:
        kind: `auto` searches exactly up to 200,000 items and by inverted lists above; `exact`,
            `flat` and `ivf` choose.
    """

    kind: Literal["auto", "exact", "flat", "ivf"] = "auto"
