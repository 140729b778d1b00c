"""Items that changed since the artifact was made, as a log with a version."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from thresher.errors import InputError
from thresher.review.database import Database
from thresher.review.records import Change
from thresher.review.schema import items


class Items:
    """The part of the store that holds changed items."""

    database: Database
    clock: Callable[[], float]

    def upsert(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Log new or changed items, each with its `id`; the version after them."""
        if any(row.get("id") in (None, "") for row in rows):
            raise InputError("an item has no id; give each one an `id`")
        return self._change([(str(row["id"]), dict(row)) for row in rows])

    def delete(self, item_ids: Sequence[str], catalogue: Collection[str] | None = None) -> int:
        """Log that items are gone; the version after them.

        Args:
            item_ids: to remove.
            catalogue: ids of the items before any change.

        Raises:
            InputError: when no item of the catalogue and of all changes would be left.
        """
        return self._change([(item_id, None) for item_id in item_ids], catalogue)

    def items_since(self, version: int = 0) -> list[Change]:
        """The latest change of every item that changed after a version, in order."""
        latest = (
            sa.select(sa.func.max(items.c.version))
            .where(items.c.version > version)
            .group_by(items.c.item_id)
        )
        query = (
            sa.select(items.c.version, items.c.at, items.c.item_id, items.c.row)
            .where(items.c.version.in_(latest))
            .order_by(items.c.version)
        )
        with self.database.read() as connection:
            return [Change(*row) for row in connection.execute(query)]

    def items_version(self) -> int:
        """The version of the latest change; 0 before any."""
        with self.database.read() as connection:
            return connection.scalar(sa.select(sa.func.max(items.c.version))) or 0

    def _change(
        self,
        changes: Sequence[tuple[str, dict[str, Any] | None]],
        catalogue: Collection[str] | None = None,
    ) -> int:
        at = self.clock()
        rows = [{"at": at, "item_id": item_id, "row": row} for item_id, row in changes]
        with self.database.write("items") as connection:
            if catalogue is not None:
                left = _left(connection, catalogue)
                if left and not left.difference(item_id for item_id, _ in changes):
                    raise InputError("no item would be left; a catalogue needs at least one")
            if rows:
                connection.execute(sa.insert(items), rows)
            return connection.scalar(sa.select(sa.func.max(items.c.version))) or 0


def _left(connection: sa.Connection, catalogue: Collection[str]) -> set[str]:
    """The items of a catalogue after all changes, inside the transaction."""
    latest = sa.select(sa.func.max(items.c.version)).group_by(items.c.item_id)
    query = sa.select(items.c.item_id, items.c.row.is_(None)).where(items.c.version.in_(latest))
    left = set(catalogue)
    for item_id, gone in connection.execute(query):
        (left.discard if gone else left.add)(item_id)
    return left
