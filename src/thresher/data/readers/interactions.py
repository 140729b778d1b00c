"""What an importer of histories wrote: a table of events and one of items."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from thresher.data.findings import counted
from thresher.data.tables import write_blocks
from thresher.errors import InputError


@dataclass(frozen=True)
class Interactions:
    """What an importer of histories wrote, and what its user should know about it.

    Args:
        users: number of users with an event.
        items: number of items written.
        events: number of events written.
        item_text: columns that describe an item, for the option of that name.
        item_categories: columns of its categories, likewise.
        notes: one sentence for each choice that was made or line that was left out.
    """

    users: int
    items: int
    events: int
    item_text: tuple[str, ...] = ()
    item_categories: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "users": self.users,
            "items": self.items,
            "events": self.events,
            "item_text": list(self.item_text),
            "item_categories": list(self.item_categories),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The summary as lines of text, with the lines of configuration that read the result."""
        names = json.dumps(self.item_text, ensure_ascii=False)
        text = [f"item_text = {names}"] if self.item_text else []
        categories = [f'{name} = "categories"' for name in self.item_categories]
        sizes = (
            counted(self.users, "user", "users"),
            counted(self.items, "item", "items"),
            counted(self.events, "event", "events"),
        )
        return [
            ", ".join(sizes),
            *(f"- {note}" for note in self.notes),
            "",
            "[data]",
            'events = "events.parquet"',
            'items = "items.parquet"',
            *text,
            *(["", "[features]", f"item = {{ {', '.join(categories)} }}"] if categories else []),
        ]


@dataclass(frozen=True)
class Seen:
    """The users and items of some events, ascending, and the number of the events."""

    users: Int64[np.ndarray, " U"]
    items: Int64[np.ndarray, " N"]
    events: int


def write_events(blocks: Iterable[pa.Table], out: Path, source: Path) -> Seen:
    """Write blocks of events to `events.parquet` as they come, and say whom and what they named.

    Args:
        blocks: tables of whole numbers `user_id`, `item_id`, `timestamp`.
        out: the folder to write to.
        source: where they come from, for the error.

    Memory: one block, and the distinct users and items.

    Raises:
        InputError: there is no event.
    """
    users = items = np.empty(0, np.int64)
    events = 0

    def passing() -> Iterator[pa.Table]:
        nonlocal users, items, events
        for block in blocks:
            users = np.union1d(users, block["user_id"].to_numpy())
            items = np.union1d(items, block["item_id"].to_numpy())
            events += len(block)
            if len(block):
                yield block
        if not events:
            raise InputError(f"{source} has no event; give lines of events")

    write_blocks(passing(), out / "events.parquet")
    return Seen(users, items, events)
