"""What the report of a history run shows of the items themselves, each part where it is given."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from thresher.evaluate import figures
from thresher.evaluate.information_figure import heat_map
from thresher.evaluate.markup import DASH, Cell, figure, note, row, section, table, text
from thresher.evaluate.next_items_figures import scattered_items

Information = tuple[tuple[str, ...], Float64[np.ndarray, "k k"]]
ItemMap = tuple[Float64[np.ndarray, "n 2"], Sequence[str]]
Neighbours = Sequence[tuple[str, Mapping[str, Sequence[str]]]]


def information(known: Information | None) -> str:
    """How much the item features tell about each other, and what follows for masking."""
    if known is None:
        return ""
    drawn = heat_map(*known)
    label = "Mutual information of every two item features"
    return section(
        "What the item features tell about each other",
        figure(
            figures.to_svg(drawn, name="information", label=label),
            "How much knowing one feature of an item tells about another, in nats: 0 is nothing. "
            "Grey is the entropy of a feature, how much there is to tell. This decides which "
            "features are masked together: correlated masking draws a feature and hides with it "
            "those that tell most about it, the darkest of its row, so that they cannot give it "
            "away.",
        ),
    )


def item_map(placed: ItemMap | None) -> str:
    """Where the model sees the items, coloured by what they are."""
    if placed is None or not len(placed[1]):
        return ""
    svg = figures.to_svg(scattered_items(*placed), name="map", label="A map of the items")
    return section(
        "A map of the items",
        figure(
            svg,
            f"{len(placed[1]):,} items, near each other where their vectors are alike; in brackets "
            "how many of a colour there are. A colour in one place is a category that the model "
            "knows. Distances between groups, and the directions, mean nothing.",
        ),
    )


def neighbours(found: Neighbours) -> str:
    """The items nearest to some items, a column for each model."""
    if not found:
        return ""
    heads = list(dict.fromkeys(head for _, lists in found for head in lists))
    rows = []
    for title, lists in found:
        cells: list[Cell] = [(_listed(lists.get(head, ())), "") for head in heads]
        rows.append(row([(text(title), ""), *cells]))
    return section(
        "Nearest items",
        table([("item", ""), *((text(head), "") for head in heads)], rows),
        note("The items whose vectors are most alike to those of an item, the nearest first."),
    )


def numbers(
    known: Information | None, placed: ItemMap | None, found: Neighbours
) -> dict[str, object]:
    """What the sections show in the types of JSON; nothing of a part that is not given."""
    shown: dict[str, object] = {}
    if known is not None:
        names, values = known
        shown["information"] = {"features": list(names), "nats": values.tolist()}
    if placed is not None:
        coordinates, labels = placed
        shown["item_map"] = {"coordinates": coordinates.tolist(), "labels": list(labels)}
    if found:
        shown["neighbours"] = [
            {"item": title, "nearest": {head: list(texts) for head, texts in lists.items()}}
            for title, lists in found
        ]
    return shown


def _listed(texts: Sequence[str]) -> str:
    lines = (
        f'<div><span class="quiet">{place}</span> {text(words)}</div>'
        for place, words in enumerate(texts, start=1)
    )
    return "".join(lines) or DASH
