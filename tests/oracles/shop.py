"""A small shop: 300 products with a brand, a code and a colour, and 1,500 noisy names of them."""

import csv
import random

CONFIG = """
[data]
items = "items.csv"
queries = "queries.csv"
pairs = "pairs.csv"
shares = { train = 0.5, validation = 0.05, calibration = 0.3, test = 0.15 }

[tower]
dim = 32
bits = 12

[train]
epochs = 3
batch_size = 64
cluster_from_epoch = 1
cluster_size = 16

[decide]
folds = 0
"""
BRANDS = ["Nordal", "Veltek", "Ombra", "Kisumi", "Hartig", "Lumino", "Caldo", "Brevo", "Zanit"]
KINDS = ["kettle", "toaster", "blender", "mixer", "grill"]
COLOURS = ["red", "blue", "green", "black", "white", "silver"]


def products(draw, count):
    for i in range(count):
        code = f"{draw.choice('ABCDEFGH')}{draw.choice('KLMNP')}-{draw.randrange(100, 1000)}"
        name = f"{draw.choice(BRANDS)} {code} {draw.choice(KINDS)} {draw.choice(COLOURS)}"
        yield f"i{i}", name


def noisy(draw, name):
    """The same words in another order, some gone, the code perhaps cut in two."""
    brand, code, kind, colour = name.split()
    words = [kind]
    words += [code.replace("-", draw.choice(["-", "", " "]))] if draw.random() < 0.8 else []
    words += [brand] if draw.random() < 0.6 else []
    words += [colour] if draw.random() < 0.7 else []
    words += [draw.choice(["new", "sale", "xl"])] if draw.random() < 0.3 else []
    draw.shuffle(words)
    return " ".join(words)


def write(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def open_shop(folder, *, items=300, queries=1500, seed=0):
    """items.csv, queries.csv, pairs.csv and run.toml."""
    draw = random.Random(seed)
    catalogue = list(products(draw, items))
    asked = [draw.randrange(items) for _ in range(queries)]
    names = [
        (f"q{n}", noisy(draw, catalogue[i][1]), draw.choice(["north", "south"]))
        for n, i in enumerate(asked)
    ]
    write(folder / "items.csv", ["id", "title"], catalogue)
    write(folder / "queries.csv", ["id", "title", "shop"], names)
    write(
        folder / "pairs.csv",
        ["query_id", "item_id"],
        [(f"q{n}", f"i{i}") for n, i in enumerate(asked)],
    )
    (folder / "run.toml").write_text(CONFIG, "utf-8")
    return folder


_made = []


def trained(factory):
    """The folder of the shop with a trained artifact `model` in it; made once a session."""
    if _made:
        return _made[0]
    from thresher.config import read
    from thresher.jobs.train import train

    folder = open_shop(factory.mktemp("shop"))
    train(read(folder / "run.toml"), folder / "model", quiet=True)
    _made.append(folder)
    return folder
