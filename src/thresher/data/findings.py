"""A finding: one thing about a user's data that is wrong, doubtful or worth knowing."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing found in the data, with examples, what it means and what to do about it.

    Args:
        code: a fixed name, for machines ("unknown-item").
        severity: error (training refuses it or its numbers lie), warning (costs quality), note.
        count: how many rows it concerns.
        examples: up to five of them.
        meaning: one clause that says what was found.
        remedy: one clause that says what to do.
    """

    code: str
    severity: Literal["error", "warning", "note"]
    count: int
    examples: tuple[str, ...]
    meaning: str
    remedy: str

    def sentence(self) -> str:
        """The finding as one sentence, the form of an error message."""
        such = f" (such as {', '.join(map(repr, self.examples))})" if self.examples else ""
        return f"{self.meaning}{such}; {self.remedy}"

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self) | {"examples": list(self.examples)}


def examples_of(values: Iterable[object], *, width: int = 100) -> tuple[str, ...]:
    """The first few different values, cut to `width` characters."""
    seen: dict[str, None] = {}
    for value in values:
        text = str(value)
        seen[text if len(text) <= width else text[: width - 1] + "…"] = None
        if len(seen) == EXAMPLES:
            break
    return tuple(seen)


def counted(number: int, one: str, many: str) -> str:
    """A number and its noun: "1 item has", "2,000 items have"."""
    return f"{number:,} {one if number == 1 else many}"
