"""Events to sequences, and who is asked, user by user and event by event."""

from typing import NamedTuple


class Event(NamedTuple):
    user: str
    item: str
    time: int
    weight: float = 1.0


def sequences(events, *, repeats="keep", fewest=1):
    """For each user, in the order of their ids: the events, oldest first, each once."""
    found = {}
    for user in sorted({event.user for event in events}):
        mine = []
        for event in (e for e in events if e.user == user):
            twin = [k for k, e in enumerate(mine) if (e.item, e.time) == (event.item, event.time)]
            if twin:
                heavier = max(mine[twin[0]].weight, event.weight)
                mine[twin[0]] = mine[twin[0]]._replace(weight=heavier)
            else:
                mine.append(event)
        mine.sort(key=lambda event: event.time)  # stable: ties stay as in the file
        if repeats == "merge":
            merged = []
            for event in mine:
                if merged and merged[-1].item == event.item:
                    heavier = max(merged[-1].weight, event.weight)
                    merged[-1] = merged[-1]._replace(weight=heavier)
                else:
                    merged.append(event)
            mine = merged
        if len(mine) >= fewest:
            found[user] = mine
    return found
