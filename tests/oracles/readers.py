"""Readers who like a genre, and books that stand in few pairs each: the genre says what fits."""

import random

GENRES, BOOKS, READERS, EACH = 6, 90, 150, 3

CONFIG = """
[data]
items = "books.csv"
queries = "readers.csv"
pairs = "pairs.csv"
protocol = "pairs"

[features]
width = 16
id_min_count = 1
item = { shelves = "categories" }

[tower]
combine = "concat"
layers = [24]

[[objective]]
kind = "softmax"
temperature = 0.1

[train]
epochs = 6
batch_size = 60

[recommend]
ks = [1, 10]
"""
VIEWS = """
[[objective]]
kind = "softmax"
name = "ssl"
links = "views"
weight = 0.3

[views]
items = 40
"""


def books():
    """(id, title, genre, shelves) of each: only the genre and the first shelf say what fits."""
    draw = random.Random(1)
    for n in range(BOOKS):
        genre = n % GENRES
        cover = draw.choice(["old", "new", "thin"])
        yield f"b{n}", f"{cover} tale of b{n}", f"genre{genre}", f"shelf{genre}|{cover}"


def pairs(seed=0, *, shuffled=False):
    """(reader, book) of each reader: all of the genre that the reader likes, or any."""
    draw = random.Random(seed)
    for reader in range(READERS):
        of = range(BOOKS) if shuffled else range(reader % GENRES, BOOKS, GENRES)
        for n in draw.sample(of, EACH):
            yield f"r{reader}", f"b{n}"


def write(path, header, rows):
    path.write_text("\n".join([header, *map(",".join, rows)]) + "\n", "utf-8")


def open_readers(folder, *, shuffled=False, more=""):
    """books.csv, readers.csv, pairs.csv and run.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "books.csv", "id,title,genre,shelves", books())
    names = ((f"r{n}", f"likes{n % GENRES}") for n in range(READERS))
    write(folder / "readers.csv", "id,taste", names)
    write(folder / "pairs.csv", "query_id,item_id", pairs(shuffled=shuffled))
    (folder / "run.toml").write_text(CONFIG + more, "utf-8")
    return folder
