"""Live settings: each change is an event with its reason; the latest is in force."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from thresher.review.database import Database
from thresher.review.records import Event
from thresher.review.schema import events


class Settings:
    """The part of the store that holds live settings and what happened."""

    database: Database
    clock: Callable[[], float]

    def settings(self, name: str) -> Any:
        """The value in force; None before any."""
        with self.database.read() as connection:
            return in_force(connection, name)

    def all_settings(self) -> dict[str, Any]:
        """All values in force, by name."""
        latest = sa.select(sa.func.max(events.c.number)).group_by(events.c.name)
        query = sa.select(events.c.name, events.c.value).where(events.c.number.in_(latest))
        with self.database.read() as connection:
            return {name: value for name, value in connection.execute(query)}

    def set(self, name: str, value: Any, *, reason: str = "", by: str = "") -> None:
        """Change a setting, with why and by whom."""
        with self.database.write("events") as connection:
            connection.execute(
                sa.insert(events).values(
                    at=self.clock(), name=name, value=value, reason=reason, by=by
                )
            )

    def events(self, name: str | None = None, limit: int = 100) -> list[Event]:
        """The latest changes first."""
        columns = (events.c.at, events.c.name, events.c.value, events.c.reason, events.c.by)
        query = sa.select(*columns).order_by(events.c.number.desc()).limit(limit)
        if name is not None:
            query = query.where(events.c.name == name)
        with self.database.read() as connection:
            return [Event(*row) for row in connection.execute(query)]


def in_force(connection: sa.Connection, name: str) -> Any:
    """The value of a setting, inside a transaction."""
    query = sa.select(events.c.value).where(events.c.name == name)
    return connection.scalar(query.order_by(events.c.number.desc()).limit(1))
