"""Who is true for whom, by id."""


def trues(data, which="truth"):
    """The ids of the items of each query, over all splits of a dataset.

    Args:
        data: the dataset.
        which: "truth", or "ignored".
    """
    ids, found = data.items["id"].to_pylist(), {}
    for part in data.parts.values():
        for row, query in enumerate(part.queries.ids.to_pylist()):
            items = getattr(part, which).items_of(row).tolist()
            found[query] = found.get(query, []) + [ids[item] for item in items]
    return found
