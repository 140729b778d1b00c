"""Buyers whose next item is known: rings of items, bought in turn, some of them never yet."""

import random

RINGS, LENGTH, EVENTS = 5, 6, 8
# In training nobody buys these, one of each ring; only their words say where they belong.
COLD = [f"cold{ring}" for ring in range(RINGS)]
ITEMS = [f"i{ring}-{place}" for ring in range(RINGS) for place in range(LENGTH)]

CONFIG = """
[data]
events = "events.csv"
items = "items.csv"
item_text = ["title"]

[tower]
kind = "features"
dim = 16
id_dropout = 0.3

[train]
epochs = 3
batch_size = 64
metric = "recall@6"

[recommend]
ks = [1, 6, 100]
"""


def title(item):
    """The colour of a ring, and something of the item's own."""
    ring = item.removeprefix("cold").removeprefix("i").partition("-")[0]
    return f"colour{ring} thing {item}"


def histories(count, seed=0):
    """Each buyer goes around one ring from some place on; a list of items each."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        ring, at = draw.randrange(RINGS), draw.randrange(LENGTH)
        found.append([f"i{ring}-{(at + step) % LENGTH}" for step in range(EVENTS)])
    return found


def shuffled(lists, seed=0):
    """The same events, dealt to the buyers at random: nothing is left to learn."""
    draw = random.Random(seed)
    items = [item for items in lists for item in items]
    draw.shuffle(items)
    return [items[start : start + EVENTS] for start in range(0, len(items), EVENTS)]


def write_events(path, lists, *, weights=None, kinds=None):
    """Events in the order of time, a buyer after the other; the file's folder has to be there."""
    more = [name for name, given in (("weight", weights), ("event", kinds)) if given]
    lines = [",".join(["user_id", "item_id", "timestamp", *more])]
    for user, items in enumerate(lists):
        for time, item in enumerate(items):
            extra = [given[time] for given in (weights, kinds) if given]
            lines.append(",".join(map(str, [f"u{user}", item, time, *extra])))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def open_histories(folder, lists=None, **columns):
    """events.csv, items.csv and run.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    write_events(folder / "events.csv", histories(160) if lists is None else lists, **columns)
    lines = [f"{item},{title(item)}" for item in [*ITEMS, *COLD]]
    (folder / "items.csv").write_text("\n".join(["id,title", *lines]) + "\n", "utf-8")
    (folder / "run.toml").write_text(CONFIG, "utf-8")
    return folder


_made = []


def trained_on_histories(factory):
    """The folder of the buyers with a trained artifact `model` in it; made once a session."""
    if _made:
        return _made[0]
    from thresher.config import read
    from thresher.jobs.train import train

    folder = open_histories(factory.mktemp("buyers"))
    train(read(folder / "run.toml"), folder / "model", quiet=True)
    _made.append(folder)
    return folder
