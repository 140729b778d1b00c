"""What in a product text must agree to the letter: codes, numbers, and numbers with units."""

import re
from dataclasses import dataclass

from thresher.data.tokens import words

_NUMBER_UNIT = re.compile(r"(\d+)([^\W\d_]*)")
_YEAR = re.compile(r"(19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Codes:
    """The parts of a text that name one product among its siblings.

    Args:
        joined: all words without blanks, in which a code is found however it was split.
        codes: words that mix letters and digits, or long numbers: "kin85af30", "5600".
        numbers: every number: "64", "85".
        units: for each unit the numbers before it: {"gb": {"64"}}.
    """

    joined: str
    codes: tuple[str, ...]
    numbers: frozenset[str]
    units: dict[str, set[str]]


def codes_of(text: str) -> Codes:
    """Reads the codes, numbers and units of a text.

    >>> m = codes_of("Bosch KIN85AF30 64 GB 2018")
    >>> m.codes, sorted(m.numbers), m.units
    (('kin85af30',), ['2018', '30', '64', '85'], {'gb': {'64'}})
    """
    found = words(text)
    codes: list[str] = []
    numbers: set[str] = set()
    units: dict[str, set[str]] = {}
    for i, word in enumerate(found):
        if word.isalpha():
            continue
        number = _NUMBER_UNIT.fullmatch(word)
        numbers.update(re.findall(r"\d+", word))
        if number is None:
            codes.append(word)  # letters and digits mixed, such as kin85af30
            continue
        digits, unit = number.groups()
        if not unit and i + 1 < len(found) and found[i + 1].isalpha() and len(found[i + 1]) <= 5:
            unit = found[i + 1]
        if unit:
            units.setdefault(unit, set()).add(digits)
        elif len(digits) >= 4 and not _YEAR.fullmatch(digits):
            codes.append(digits)
        if i and found[i - 1].isalpha() and len(found[i - 1]) <= 4 and len(digits) >= 2:
            codes.append(found[i - 1] + word)  # "rf 3111" is also written rf3111
    return Codes("".join(found), tuple(dict.fromkeys(codes)), frozenset(numbers), units)


def agreement(query: Codes, item: Codes) -> tuple[int | float, ...]:
    """How the codes, numbers and units of two texts agree; the order is that of `AGREEMENT`."""
    prefix, in_query = 0.0, 0
    for code in item.codes:
        length = len(code)
        while code[:length] not in query.joined:
            length -= 1
        if length == len(code):
            in_query = max(in_query, length)
        if length > 2:
            prefix = max(prefix, length / len(code))
    in_item = missed = 0
    for code in query.codes:
        if code in item.joined:
            in_item = max(in_item, len(code))
        else:
            missed = max(missed, len(code))
    same = differ = 0
    for unit, values in item.units.items():
        if unit in query.units:
            if values & query.units[unit]:
                same += 1
            else:
                differ += 1
    return (
        prefix if item.codes else -1.0,
        in_query,
        in_item,
        missed,
        len(item.numbers - query.numbers),
        len(query.numbers - item.numbers),
        len(item.numbers & query.numbers),
        same,
        differ,
    )


AGREEMENT = (
    "item code, share found in the query",
    "item code in the query, characters",
    "query code in the item, characters",
    "query code not in the item, characters",
    "numbers only in the item",
    "numbers only in the query",
    "numbers in both",
    "units that agree",
    "units that differ",
)
