"""The store of a service: one class over one database, whose parts are files of their own."""

import time
from collections.abc import Callable
from types import TracebackType

from thresher.review.database import Database
from thresher.review.decisions import Decisions
from thresher.review.items import Items
from thresher.review.keys import Keys
from thresher.review.reviews import Reviews
from thresher.review.settings import Settings


class Store(Decisions, Reviews, Items, Keys, Settings):
    """What a service remembers: decisions, cases, verdicts, changed items, keys, live settings.

    Every method is one transaction, safe for threads, processes and replicas: what it returned is
    on the disk. All raise Unavailable, with nothing changed, while the database is away or full.

    Example:
        >>> with Store.open("sqlite:///reviews.db") as store:  # doctest: +SKIP
        ...     case = store.lease("ann")
        ...     store.verdict(case.id, reviewer="ann", kind="item", item_id="42")
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database, self.clock = database, clock

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] = time.time) -> "Store":
        """Connect, and make or migrate the tables.

        Args:
            url: `sqlite:///file` or `postgresql://user@host/database`.
            clock: gives the present time, UTC seconds.

        Raises:
            InputError: for a URL of no supported database.
            Unavailable: when the database cannot be reached.
        """
        return cls(Database(url), clock)

    def close(self) -> None:
        """Give all connections back."""
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
