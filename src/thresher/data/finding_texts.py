"""The words of every finding: how grave it is, what was found, and what to do about it."""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from thresher.data.findings import Finding, examples_of

Severity = Literal["error", "warning", "note"]
# {n} is how many, {one|many} follows it in number; other names are given. A code ends at "/".
# fmt: off
_TEXTS: Mapping[str, tuple[Severity, str, str]] = {
    "no-{table}": ("error", "{path} has columns but no rows", "give a file with at least one"),
    "missing-id": ("error", "{path}: {n} {row has|rows have} no id", "give every row an id"),
    "duplicate-{kind}-id": ("error", "{path}: {n} {id stands|ids stand} on several rows",
        "keep one row for each {kind}"),
    "unknown-query": ("error",
        "{path}: {n} {pair names|pairs name} a query_id that is not an id in {other}",
        "correct the ids or remove the pairs"),
    "unknown-item": ("error",
        "{path}: {n} {pair names|pairs name} an item_id that is not an id in {other}",
        "correct the ids or remove the pairs, or set open_catalogue = true if such queries have "
        "no item in the catalogue"),
    "unknown-item/open": ("note",
        "{path}: {n} {pair names|pairs name} an item_id that is not an id in {other}",
        "correct the ids if that is wrong; a query whose last pair goes has no true item"),
    "negative-pairs": ("error",
        "{path}: {n} {pair is|pairs are} labelled as false in column {column!r}",
        "this file lists true pairs alone, so remove those, or the column if it says something "
        "else, or import a folder of judged pairs as a pair table"),
    "repeated-pair": ("note", "{path}: {n} {pair repeats|pairs repeat} another",
        "nothing to do: a pair counts once"),
    "true-and-ignored": ("note",
        "{path}: {n} {pair is|pairs are} also in {other} and no longer true",
        "right where the list of ignored pairs is to win; else remove them from it"),
    "pair-with-itself": ("note", "{path}: {n} {pair|pairs} of an item with itself left out",
        "nothing to do: an item is never retrieved for itself"),
    "query-in-two-splits": ("error", "{path}: {n} {query is|queries are} in several splits",
        'put all pairs of a query in one split, or set protocol = "pairs"'),
    "unknown-split": ("error", "{path}: {n} {row names|rows name} a split that does not exist",
        "the splits are {splits}"),
    "query-without-pairs": ("error", "{path}: {n} of {total} {has|have} no pair in {other}",
        'set without_pairs = "unlabelled" in [data], in Python config={{"data": {{"without_pairs": '
        '"unlabelled"}}}}, to leave them out because nobody has labelled them, or "no_item" if '
        'their items are not in the catalogue, so that accepting an answer is an error'),
    "query-without-pairs/left-out": ("note",
        "{path}: {n} of {total} {has|have} no pair in {other} and {is|are} left out",
        "nothing to do, if nobody has labelled them"),
    "other-event-kind": ("note", "{n} {event|events} of another kind than {kinds} left out", ""),
    "event-without-id": ("note", "{n} {row|rows} without {column} left out", ""),
    "unknown-item/event": ("error",
        "{path}: {n} {item is|items are} not in the catalogue, named by {events}",
        "add them to the items, remove their events, or leave the items file out"),
    "unknown-item/passed": ("note",
        "{path}: {n} {item is|items are} not in the catalogue, named by {events} left out",
        ""),
    "repeated-event": ("note", "{n} {event|events} listed twice, counted once", ""),
    "unordered-events": ("note", "{n} {event|events} not in the order of time, sorted", ""),
    "merged-events": ("note", "{n} {event|events} of the same item as just before, merged", ""),
    "short-history": ("note", "{n} {user|users} with fewer than {min_events} events left out", ""),
    "user-left-out": ("note", "{split}: {n} {user|users} without a {what} left out", ""),
    "refused": ("error", "{sentence}", ""),
    "no-training-pairs": ("error", "no true pair is in train ({where})",
        "give queries of train, in a column split or by [data] shares"),
    "few-training-pairs": ("error",
        "there {is|are} {n} training {pair|pairs}, fewer than one batch of {batch_size}",
        "lower train.batch_size, or give more pairs or a larger share for train"),
    "few-calibration-queries": ("error",
        "{there} in calibration, and a threshold needs {needed} or more",
        "label more of them, or give calibration a larger share in [data] shares"),
    "empty-split": ("warning", "no query is in {split}: {use}",
        "give it queries, or set the share of {split} to 0 if that is meant"),
    "leak": ("error",
        "{n} query {text stands|texts stand} in several splits, so that results on one split were "
        "partly learned from another",
        "put equal texts in one split, or leave the column split out and let the text decide"),
    "same-text-different-truth": ("warning",
        "{n} {query shares its|queries share their} text with a query that has another true item: "
        "no model that reads the text alone gets all of them right",
        "add a column that tells them apart to query_text, or correct the pairs"),
    "same-item-text": ("warning",
        "{n} {item shares its|items share their} text with another item: which of them comes "
        "first is chance",
        "merge them, or add a column that tells them apart to item_text"),
    "item-without-text": ("warning", "{n} {item has|items have} no text",
        "remove them, or name a column that has their text in item_text"),
    "query-without-text": ("warning", "{n} {query has|queries have} no text",
        "remove them, or name a column that has their text in query_text"),
    "item-encoding": ("warning", "{n} {item has|items have} text with broken characters",
        "read the source again with its own encoding and save it as UTF-8"),
    "query-encoding": ("warning", "{n} {query has|queries have} text with broken characters",
        "read the source again with its own encoding and save it as UTF-8"),
    "query-without-item": ("note", "{n} {query has|queries have} no true item",
        "right if their item is not in the catalogue: accepting an answer to them then counts as "
        "an error"),
    "item-without-query": ("note", "{n} {item is|items are} true for no query",
        "nothing to do: they are negatives"),
    "query-is-item-text": ("note",
        "{n} {query is|queries are} word for word the text of an item ({share})",
        "nothing to do, but a lookup finds these without a model"),
}
# fmt: on


def found(
    code: str, count: int, examples: Iterable[object] = (), **values: object
) -> list[Finding]:
    """The finding of this code, in words; none where it concerns nothing.

    `code` is a key of the table above, `count` how many rows, ids or texts it concerns, `examples`
    some or all of them, and `values` what the words leave open, such as the path.

    Example:
        >>> [finding] = found("missing-id", 2, ["row 3", "row 7"], path="items.csv")
        >>> finding.sentence()
        "items.csv: 2 rows have no id (such as 'row 3', 'row 7'); give every row an id"
    """
    if not count:
        return []
    severity, meaning, remedy = _TEXTS[code]
    parts = [
        re.sub(r"\{([^{}|]*)\|([^{}|]*)\}", r"\1" if count == 1 else r"\2", text).format(
            n=f"{count:,}", **values
        )
        for text in (meaning, remedy)
    ]
    name = code.split("/")[0].format(**values)
    return [Finding(name, severity, int(count), examples_of(examples), *parts)]
