"""Query aliases: training queries as further names of the items they were matched with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class QueryAliases:
    """Training queries and the item of each: other names under which an item goes.

    Args:
        texts: of the queries; none where queries have no text.
        item_ids: the item of each text.
        counts: training pairs of each item, where they are more than its texts here.
    """

    texts: Sequence[str] = ()
    item_ids: Sequence[str] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def of_rows(self, rows: Mapping[str, int], limit: int) -> "QueryAliases":
        """The aliases of a catalogue, ordered by row, at most `limit` of an item.

        Those kept are spread evenly over those that the item has.

        Args:
            rows: the row of each item by its id; aliases of other items are left out.
            limit: see above.
        """
        total = Counter(self.item_ids)
        seen: Counter[str] = Counter()
        kept = []
        for i, item in enumerate(self.item_ids):
            place, have = seen[item], total[item]
            seen[item] += 1
            # The j-th of `limit` shares of `have` begins where place * limit // have steps up.
            if have > limit and place * limit // have == (place - 1) * limit // have:
                continue
            if item in rows:
                kept.append(i)
        kept.sort(key=lambda i: rows[self.item_ids[i]])
        texts, ids = (tuple(x[i] for i in kept) for x in (self.texts, self.item_ids))
        return QueryAliases(texts, ids, self.counts)
