"""Folders in the layouts of the XC repository, and a set whose reciprocal pairs are listed."""

import gzip
import json
import random

from oracles.shop import BRANDS, KINDS

LABELS = ["Red Ballet Skirt", "Neon Tutu", "Tutu & Wings \u2013 pink", "Neon Tutu"]
TRAIN = [
    ("Ballet Tutu, neon", [1, 2]),
    ("Ribbon skirt", [0]),
    ("", [3]),
    ("Neon Tutu", [1, 0, 3]),
    ("A lonely sock", []),
]
TEST = [("Red skirt for ballet", [0]), ("Tutu", [2, 1])]
# Point and label; the third training point is the last label itself.
FILTERS = {"train": [(3, 1), (3, 3)], "test": [(1, 2)]}


def pack(path, content, *, packed):
    """Write bytes, packed or not; say where."""
    data = content.encode() if isinstance(content, str) else content
    path = path.with_name(path.name + ".gz") if packed else path
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return path


def write_filters(folder, filters, names="filter_labels_{}.txt"):
    for part, pairs in filters.items():
        text = "".join(f"{point} {label}\n" for point, label in pairs)
        (folder / names.format(part)).write_text(text)


def write_json(folder, *, labels=LABELS, train=TRAIN, test=TEST, filters=FILTERS, packed=True):
    """trn.json.gz, tst.json.gz and lbl.json.gz, as LF-AmazonTitles-131K is published."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"uid": f"B{n:06}", "title": t, "content": "words"} for n, t in enumerate(labels)]
    files = {"lbl": lines}
    for name, points in (("trn", train), ("tst", test)):
        files[name] = [
            {
                "uid": f"{name}{n:06}",
                "title": title,
                "content": "more words",
                "target_ind": targets,
                "target_rel": [1.0] * len(targets),
            }
            for n, (title, targets) in enumerate(points)
        ]
    for name, rows in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        pack(folder / f"{name}.json", text, packed=packed)
    write_filters(folder, filters)
    return folder


def write_text(
    folder,
    *,
    labels=LABELS,
    train=TRAIN,
    test=TEST,
    filters=FILTERS,
    packed=False,
    names=("Y.txt", "trn_X.txt", "tst_X.txt"),
):
    """The same as raw text: a title a line, and the labels of each as `label:value`."""
    folder.mkdir(parents=True, exist_ok=True)
    titles = [labels, *([title for title, _ in points] for points in (train, test))]
    for name, lines in zip(names, titles, strict=True):
        pack(folder / name, "".join(f"{line}\n" for line in lines), packed=packed)
    for name, points in (("trn", train), ("tst", test)):
        rows = "".join(" ".join(f"{i}:1.000" for i in found) + "\n" for _, found in points)
        pack(folder / f"{name}_X_Y.txt", f"{len(points)} {len(labels)}\n{rows}", packed=packed)
    write_filters(folder, filters)
    return folder


def write_alike(folder, *, train=1500, test=150, seed=0):
    """Products that are bought with each other: every point is a label too, and lists itself."""
    draw = random.Random(seed)
    names = [f"{brand} {kind}" for brand in BRANDS for kind in KINDS] * 2
    groups = [f"{name} {draw.choice([7, draw.randrange(10_000, 50_000)])}" for name in names]
    labels = [
        f"{group} {part}"
        for group in groups
        for part in ("steel handle", "glass lid", "flat plate")
    ]

    def point():
        own = draw.randrange(len(labels))
        first = own - own % 3
        return labels[own], [i for i in range(first, first + 3) if i != own], own

    parts = {name: [point() for _ in range(n)] for name, n in (("train", train), ("test", test))}
    filters = {name: [(n, own) for n, (_, _, own) in enumerate(p)] for name, p in parts.items()}
    points = {name: [(title, true) for title, true, _ in p] for name, p in parts.items()}
    return write_json(folder, labels=labels, filters=filters, **points)
