"""What was imported, as the dataset that reads it sees it."""

from dataclasses import dataclass

import pytest

from thresher.data import DataOptions, load_dataset


@dataclass
class Loaded:
    """By query: its true items, its ignored items, its split."""

    data: object
    true: dict
    ignored: dict
    split: dict


@pytest.fixture
def loaded():
    def load(folder, **options):
        files = {name: f"{name}.parquet" for name in ("items", "queries", "pairs")}
        options = DataOptions(**{**files, "without_pairs": "no_item", **options})
        data = load_dataset(options, folder)
        ids = data.items["id"].to_pylist()
        found = Loaded(data, {}, {}, {})
        for split, part in data.parts.items():
            for row, query in enumerate(part.queries.ids.to_pylist()):
                found.true[query] = [ids[item] for item in part.truth.items_of(row)]
                found.ignored[query] = [ids[item] for item in part.ignored.items_of(row)]
                found.split[query] = split
        return found

    return load
