"""The tokeniser in compiled code: lines of marked words to flat arrays."""

from typing import Any

import numpy as np

from thresher.compiled import compiled

# Tokens are hashed to 17 bits, and whole words and codes to 20, where hardly two share a number.
TOKEN_BITS, WORD_BITS = 17, 20
# What stands before a word of letters and digits, of letters, of digits; and before their parts.
MIXED, LETTERS, DIGITS, LETTER_PART, DIGIT_PART = 1, 2, 3, 4, 5
_NEW_LINE, _SPACE, _EQUALS, _LESS, _GREATER = 10, 32, 61, 60, 62
_SHORTEST, _LONGEST = 2, 5


@compiled
def _mix(h: int, k: int) -> int:
    """One word of four bytes, or what is left of one, into a hash."""
    k = (k * 0xCC9E2D51) & 0xFFFFFFFF
    k = ((k << 15) | (k >> 17)) & 0xFFFFFFFF
    return h ^ ((k * 0x1B873593) & 0xFFFFFFFF)


@compiled
def murmur(key: np.ndarray, begin: int, end: int) -> int:
    """MurmurHash3 of 32 bits with seed 0, its sign dropped.

    Source: A. Appleby's MurmurHash3_x86_32, as in scikit-learn's `FeatureHasher`.
    """
    h, k, shift = 0, 0, 0
    for at in range(begin, end):
        k |= int(key[at]) << shift
        shift += 8
        if shift == 32:
            h = _mix(h, k)
            h = ((h << 13) | (h >> 19)) & 0xFFFFFFFF
            h = (h * 5 + 0xE6546B64) & 0xFFFFFFFF
            k, shift = 0, 0
    if shift:
        h = _mix(h, k)
    h ^= end - begin
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    h ^= h >> 16
    return 0x100000000 - h if h >> 31 else h


@compiled
def _copy(raw: np.ndarray, begin: int, end: int, out: np.ndarray, at: int) -> int:
    """The bytes of one array behind those of another; where they end."""
    for i in range(begin, end):
        out[at] = raw[i]
        at += 1
    return at


@compiled
def _word_end(raw: np.ndarray, begin: int) -> int:
    while raw[begin] > _SPACE:
        begin += 1
    return begin


@compiled
def characters(raw: np.ndarray, begin: int, end: int) -> int:
    """The characters of UTF-8 bytes."""
    found = 0
    for at in range(begin, end):
        found += raw[at] & 0xC0 != 0x80
    return found


@compiled
def _place(h: int, bits: int, table: np.ndarray, out: np.ndarray) -> int:
    """Where in a row's table a hash stands, or would stand: numbers in `out`, plus one; 0 if free.

    A table as large as a row needs stays in the fastest cache; one with room for every hash does
    not.
    """
    last = len(table) - 1
    slot = h & last
    while table[slot] and out[table[slot] - 1] & ((1 << bits) - 1) != h:
        slot = (slot + 1) & last
    return slot


@compiled
def _add(h: int, table: np.ndarray, token: np.ndarray, end: int) -> int:
    """A hash behind the distinct ones of a row, or one more of it, up to 255."""
    slot = _place(h, TOKEN_BITS, table, token)
    if table[slot] == 0:
        token[end] = h
        end += 1
        table[slot] = end
    at = table[slot] - 1
    token[at] += np.int32(1 << TOKEN_BITS) if token[at] >> TOKEN_BITS < 255 else np.int32(0)
    return end


@compiled
def _add_word(
    key: np.ndarray, size: int, whole: int, tables: Any, token: Any, word: Any, ends: np.ndarray
) -> None:
    """A word, part or pair of neighbours: among the tokens and, with its flag, the words."""
    h = murmur(key, 0, size) & ((1 << WORD_BITS) - 1)
    ends[0] = _add(h & ((1 << TOKEN_BITS) - 1), tables[0], token, ends[0])
    slot = _place(h, WORD_BITS, tables[1], word)
    if tables[1][slot] == 0:
        word[ends[1]] = h
        ends[1] += 1
        tables[1][slot] = ends[1]
    word[tables[1][slot] - 1] |= np.int32(whole << WORD_BITS)


@compiled
def _append_ngrams(
    key: np.ndarray, size: int, shortest: int, longest: int, token: Any, end: int
) -> int:
    """The hashes of the n-grams of `size` bytes behind those that are there; where they end."""
    for begin in range(size):
        if key[begin] & 0xC0 == 0x80:
            continue
        stop = begin
        for n in range(1, longest + 1):
            if stop == size:
                break
            stop += 1
            while stop < size and key[stop] & 0xC0 == 0x80:
                stop += 1
            if n >= shortest:
                token[end] = murmur(key, begin, stop)
                end += 1
    return end


@compiled
def _add_ngrams(key: np.ndarray, size: int, table: np.ndarray, token: Any, end: int) -> int:
    """The same, each hash once in a row; new ones lie behind the others until told apart."""
    stop = _append_ngrams(key, size, _SHORTEST, _LONGEST, token, end)
    for i in range(end, stop):
        end = _add(token[i] & ((1 << TOKEN_BITS) - 1), table, token, end)
    return end


@compiled
def _tables(raw: np.ndarray, at: int, room: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Empty tables for the line that begins at a place, at most half of which it will fill."""
    end = at
    while raw[end] != _NEW_LINE:
        end += 1
    size = 64
    while size < 8 * (end - at) + 32:
        size *= 2
    room[: 2 * size] = 0
    return room[:size], room[size : 2 * size]


@compiled
def tokenise(raw: np.ndarray, rows: int) -> Any:
    """Tokens and words of lines.

    Returns:
        The first four arrays of `Texts`, and `length`.
    """
    token = np.empty(4 * len(raw) + 16, np.int32)  # four n-grams begin at a letter
    word = np.empty(2 * len(raw) + 16, np.int32)
    token_start, word_start = np.zeros(rows + 1, np.int64), np.zeros(rows + 1, np.int64)
    length = np.zeros((rows, 2), np.int32)
    key = np.empty(2 * len(raw) + 2, np.uint8)
    ends = np.zeros(2, np.int64)
    room = np.empty(4 * (8 * len(raw) + 64), np.int32)
    at = 0
    for row in range(rows):
        tables = _tables(raw, at, room)
        left = stop = 0  # the word before
        while raw[at] != _NEW_LINE:
            end = _word_end(raw, at + 1)
            part = raw[at] >= LETTER_PART
            key[0] = _EQUALS
            size = _copy(raw, at + 1, end, key, 1)
            _add_word(key, size, 0 if part else 1, tables, token, word, ends)
            if not part:
                length[row, 0] += 1
                length[row, 1] += characters(raw, at + 1, end)
                key[0], key[size] = _LESS, _GREATER
                ends[0] = _add_ngrams(key, size + 1, tables[0], token, ends[0])
                if stop:
                    key[0] = _EQUALS
                    size = _copy(raw, at + 1, end, key, _copy(raw, left, stop, key, 1))
                    _add_word(key, size, 0, tables, token, word, ends)
                left, stop = at + 1, end
            at = end
        at += 1
        for i in range(word_start[row], ends[1]):
            word[i] = 2 * (word[i] & ((1 << WORD_BITS) - 1)) + (word[i] >> WORD_BITS)
        token_start[row + 1], word_start[row + 1] = ends
    return token_start, token[: ends[0]].copy(), word_start, word[: ends[1]].copy(), length


@compiled
def _counted(token: np.ndarray, times: np.ndarray, begin: int, end: int) -> int:
    """Sort the hashes of a row and keep each once, with how often it was there; their end."""
    token[begin:end].sort()
    kept = begin
    for at in range(begin, end):
        if at > begin and token[at] == token[kept - 1]:
            times[kept - 1] += 1
        else:
            token[kept], times[kept] = token[at], 1
            kept += 1
    return kept


@compiled
def _most(raw: np.ndarray, rows: int, shortest: int, longest: int) -> int:
    """No fewer than the tokens of all lines: n-grams of marked words, words, and their pairs."""
    most = at = 0
    for _ in range(rows):
        while raw[at] != _NEW_LINE:
            end = _word_end(raw, at + 1)
            size = end - at + 1
            most += size * max(min(longest, size) - shortest + 1, 0) + 2
            at = end
        at += 1
    return most


@compiled
def count(
    raw: np.ndarray, rows: int, mask: int, shortest: int, longest: int, pairs: bool, parts: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each token stands in each line: the data, indices and indptr of a CSR matrix.

    Args:
        raw: lines of marked words.
        rows: number of lines.
        mask: number of different hashes, a power of 2, less one.
        shortest: length of the shortest n-gram, 1 or more.
        longest: the same of the longest; 0 for none.
        pairs: whether neighbouring words are joined.
        parts: whether parts of words count.
    """
    most = _most(raw, rows, shortest, longest)
    token, times = np.empty(most, np.int32), np.empty(most, np.float32)
    start = np.zeros(rows + 1, np.int64)
    key = np.empty(2 * len(raw) + 2, np.uint8)
    at = end = 0
    for row in range(rows):
        left = stop = 0  # the word before
        while raw[at] != _NEW_LINE:
            word_end = _word_end(raw, at + 1)
            part = raw[at] >= LETTER_PART
            if parts or not part:
                key[0] = _EQUALS
                size = _copy(raw, at + 1, word_end, key, 1)
                token[end] = murmur(key, 0, size)
                end += 1
                if not part:
                    key[0], key[size] = _LESS, _GREATER
                    end = _append_ngrams(key, size + 1, shortest, longest, token, end)
            if not part:
                if pairs and stop:
                    key[0] = _EQUALS
                    size = _copy(raw, at + 1, word_end, key, _copy(raw, left, stop, key, 1))
                    token[end] = murmur(key, 0, size)
                    end += 1
                left, stop = at + 1, word_end
            at = word_end
        at += 1
        for i in range(start[row], end):
            token[i] &= mask
        end = _counted(token, times, start[row], end)
        start[row + 1] = end
    return times[:end].copy(), token[:end].copy(), start


@compiled
def _is_part(mark: int) -> bool:
    return mark in (LETTER_PART, DIGIT_PART)


@compiled
def _add_numbers(
    raw: Any, begin: int, end: int, number: Any, first: int, numbers: int
) -> tuple[int, int]:
    """The numbers of a word behind the distinct ones of its row; where its parts end."""
    whole = raw[begin - 1] == DIGITS
    while whole or _is_part(raw[end]):
        if not whole:
            begin, end = end + 1, _word_end(raw, end + 1)
        if whole or raw[begin - 1] == DIGIT_PART:
            h = murmur(raw, begin, end)
            new = True
            for i in range(first, numbers):
                new &= number[i] != h
            if new:
                number[numbers] = h
                numbers += 1
        whole = False
    return end, numbers


@compiled
def _measure(raw: Any, begin: int, end: int) -> tuple[int, int, int, int]:
    """Where the digits of a word lie and where their unit; zeros for a word that is no number."""
    if raw[begin - 1] == DIGITS:
        unit = unit_end = end + 1
        if raw[end] == LETTERS:
            unit_end = _word_end(raw, unit)
        if characters(raw, unit, unit_end) > _LONGEST:
            unit_end = unit
        return begin, end, unit, unit_end
    digits_end = _word_end(raw, end + 1)
    unit_end = _word_end(raw, digits_end + 1)
    two = _is_part(raw[digits_end]) and not _is_part(raw[unit_end])
    if raw[end] == DIGIT_PART and two:
        return end + 1, digits_end, digits_end + 1, unit_end
    return 0, 0, 0, 0


@compiled
def _is_year(raw: Any, begin: int, end: int) -> bool:
    century = 10 * raw[begin] + raw[begin + 1] - 11 * ord("0") if end - begin == 4 else 0
    return century == 19 or century == 20


@compiled
def find_codes(raw: np.ndarray, rows: int) -> Any:
    """What of lines must agree to the letter, as the arrays of `Texts` from `letter_start` on.

    A code is a word that mixes letters and digits ("kin85af30") unless it is a number and its unit
    ("64gb"); a number of four digits that is no year and has no unit ("5600"); and a short word
    joined to the number after it ("rf 3111"). A unit follows its number, in the same word or as
    the next one, of five letters at most.
    """
    letter, code = np.empty(len(raw), np.uint8), np.empty(3 * len(raw), np.uint8)
    code_start = np.zeros(2 * len(raw) + 1, np.int64)
    number, unit = np.empty(len(raw), np.uint32), np.empty((len(raw), 2), np.uint32)
    start = np.zeros((4, rows + 1), np.int64)
    at, letters, codes, numbers, units = 0, 0, 0, 0, 0
    for row in range(rows):
        left, stop = 0, 0  # the word before, if of letters
        while raw[at] != _NEW_LINE:
            begin, end = at + 1, _word_end(raw, at + 1)
            letters = _copy(raw, begin, end, letter, letters)
            if raw[at] == LETTERS:
                left, stop, at = begin, end, end
                continue
            at, numbers = _add_numbers(raw, begin, end, number, start[2, row], numbers)
            digits, digits_end, measure, measure_end = _measure(raw, begin, end)
            size = characters(raw, digits, digits_end)
            if measure_end > measure:
                unit[units] = murmur(raw, measure, measure_end), murmur(raw, digits, digits_end)
                units += 1
            elif size == 0 or (size >= 4 and not _is_year(raw, digits, digits_end)):
                codes += 1
                code_start[codes] = _copy(raw, begin, end, code, code_start[codes - 1])
            if stop and size >= 2 and characters(raw, left, stop) <= 4:
                codes += 1
                middle = _copy(raw, left, stop, code, code_start[codes - 1])
                code_start[codes] = _copy(raw, begin, end, code, middle)
            left, stop = 0, 0
        at += 1
        start[:, row + 1] = letters, codes, numbers, units
    code_start = code_start[: codes + 1].copy()
    return (
        start[0].copy(),
        letter[:letters].copy(),
        start[1].copy(),
        code_start,
        code[: code_start[-1]].copy(),
        start[2].copy(),
        number[:numbers].copy(),
        start[3].copy(),
        unit[:units].copy(),
    )
