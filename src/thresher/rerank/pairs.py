"""The loops over pairs of a query and a candidate, in compiled code."""

from typing import Any

import numpy as np

from thresher.compiled import compiled, compiled_sums
from thresher.data.tokenise import TOKEN_BITS, characters
from thresher.rerank.texts import Catalogue, Texts

# Relative differences up to which two numbers are near, and from which they contradict.
NEAR, FAR = 0.05, 0.25
# Fewest bytes of a name that is looked for in a text, and of codes that are one character apart.
MIN_NAME, MIN_CODE = 3, 5
GAPS = (np.float32(0.02), np.float32(0.05), np.float32(0.1))


# 1 + ln(count): the tenth mention of a word adds less than the first.
_TF = np.concatenate([[0], 1 + np.log(np.arange(1, 256))]).astype(np.float32)
_HASH = (1 << TOKEN_BITS) - 1


@compiled
def token_sums(start: Any, token: Any, idf: Any) -> Any:
    """The length of each text's tf-idf vector, and the sum of the idf of its tokens."""
    norm, total = np.zeros(len(start) - 1, np.float32), np.zeros(len(start) - 1, np.float32)
    for row in range(len(norm)):
        square, plain = 0.0, 0.0
        for i in range(start[row], start[row + 1]):
            weight = idf[token[i] & _HASH]
            plain += weight
            square += (_TF[token[i] >> TOKEN_BITS] * weight) ** 2
        norm[row], total[row] = np.sqrt(square), plain
    return norm, total


@compiled
def token_features(
    query: Texts, items: Texts, c: Catalogue, rows: Any, slot: Any, out: Any
) -> None:
    """tf-idf cosines with items and their closest aliases, and the shares of tokens found.

    Args:
        query: texts of the queries.
        items: texts of the items.
        c: see `Catalogue`.
        rows: candidates [Q, k].
        slot: zeros for every hash; zeros again when done.
        out: [Q, k, 4] to be filled.
    """
    # Arrays are taken out of their tuples first: inside a loop that would count references.
    start, token, idf = query.token_start, query.token, c.token_idf
    item_start, item_token = items.token_start, items.token
    item_norm, item_total = c.token_norm, c.token_total
    alias_start, name_start = c.alias_start, c.alias_token_start
    name_token, name_norm = c.alias_token, c.alias_norm
    norms, totals = token_sums(start, token, idf)
    for q in range(len(rows)):
        # Tables of the query's own tokens stay in the fastest cache; slot 0 is of all others.
        weight = np.zeros(min(start[q + 1] - start[q], 65_535) + 1, np.float32)
        own = np.zeros(len(weight), np.float32)
        for i in range(1, len(weight)):
            t = token[start[q] + i - 1]
            slot[t & _HASH] = i
            own[i] = idf[t & _HASH]
            weight[i] = _TF[t >> TOKEN_BITS] * own[i] * own[i] / max(norms[q], 1e-12)
        for j in range(rows.shape[1]):
            row = rows[q, j]
            if row < 0:
                continue
            # Without a branch, as half of the tokens are found: a wrong guess costs more than both.
            dot, shared, best = np.float32(0), np.float32(0), np.float32(0)
            for i in range(item_start[row], item_start[row + 1]):
                at = slot[item_token[i] & _HASH]
                dot += weight[at] * _TF[item_token[i] >> TOKEN_BITS]
                shared += own[at]
            for a in range(alias_start[row], alias_start[row + 1]):
                near = np.float32(0)
                for i in range(name_start[a], name_start[a + 1]):
                    near += weight[slot[name_token[i] & _HASH]] * _TF[name_token[i] >> TOKEN_BITS]
                best = max(best, near / max(name_norm[a], np.float32(1e-12)))
            out[q, j, 0] = dot / max(item_norm[row], 1e-12)
            out[q, j, 1] = best
            out[q, j, 2] = shared / max(item_total[row], 1e-6)
            out[q, j, 3] = shared / max(totals[q], 1e-6)
        for i in range(start[q], start[q + 1]):
            slot[token[i] & _HASH] = 0


@compiled
def word_features(query: Texts, items: Texts, c: Catalogue, rows: Any, seen: Any, out: Any) -> Any:
    """Shares of words found, words missing, and the sums of term weights.

    Args:
        query: texts of the queries, `word` as hashed.
        items: texts of the items, `word` as numbers in the vocabulary.
        c: see `Catalogue`.
        rows: candidates [Q, k].
        seen: zeros for every word of the vocabulary and one more; zeros again when done.
        out: [Q, k, 7] to be filled.

    Returns:
        The idf of the rarest word of each query.
    """
    vocabulary, weights, start, word = c.vocabulary, c.word_weights, query.word_start, query.word
    item_start, item_word, item_total = items.word_start, items.word, c.word_total
    expected_total = c.expected_total
    known = numbers_of(vocabulary, word >> 1)
    rarest = np.zeros(len(rows), np.float32)
    for q in range(len(rows)):
        own, unexpected = 0.0, 0.0
        for i in range(start[q], start[q + 1]):
            seen[known[i]] = 1 + (word[i] & 1)
            unexpected += weights[known[i], 1]
            if word[i] & 1:
                own += weights[known[i], 3]
                rarest[q] = max(rarest[q], weights[known[i], 3])
        for j in range(rows.shape[1]):
            row = rows[q, j]
            if row < 0:
                continue
            expected, named, told, shared = 0.0, 0.0, 0.0, 0.0
            for i in range(item_start[row], item_start[row + 1]):
                w = item_word[i] >> 1
                if seen[w]:
                    expected += weights[w, 0]
                    named += weights[w, 1]
                    told += weights[w, 2]
                    if item_word[i] & 1 and seen[w] == 2:
                        shared += weights[w, 3]
            out[q, j, 0] = shared / max(item_total[row], 1e-6)
            out[q, j, 1] = shared / max(own, 1e-6)
            out[q, j, 2] = item_total[row] - shared
            out[q, j, 3] = own - shared
            out[q, j, 4] = expected_total[row] - expected
            out[q, j, 5] = unexpected - named
            out[q, j, 6] = told
        for i in range(start[q], start[q + 1]):
            seen[known[i]] = 0
    return rarest


@compiled
def base_features(rows: Any, scores: Any, counts: Any, out: Any) -> None:
    """The score of each candidate, and the logarithm of its item's training pairs.

    Args:
        rows: candidates [Q, k].
        scores: of them [Q, k].
        counts: ln(1 + training pairs) of each item.
        out: zeros [Q, k, F], of which two columns are filled.
    """
    for q in range(len(rows)):
        for j in range(rows.shape[1]):
            if rows[q, j] >= 0:
                out[q, j, 0], out[q, j, 1] = scores[q, j], counts[rows[q, j]]


@compiled
def text_features(
    query: Texts, items: Texts, c: Catalogue, rows: Any, room: Any, out: Any, at: int
) -> None:
    """What two texts say of each other, and at the end what the query says alone.

    Args:
        query: texts of the queries.
        items: texts of the items.
        c: see `Catalogue`.
        rows: candidates [Q, k].
        room: `slot` and `seen`.
        out: zeros [Q, k, F] to be filled.
        at: the first column to fill.
    """
    slot, seen = room
    end = out.shape[2]
    token_features(query, items, c, rows, slot, out[:, :, at : at + 4])
    rarest = word_features(query, items, c, rows, seen, out[:, :, at + 4 : at + 11])
    code_features(query, items, rows, out[:, :, at + 11 : at + 20])
    for q in range(len(rows)):
        for j in range(rows.shape[1]):
            out[q, j, end - 3], out[q, j, end - 2] = query.length[q, 0], query.length[q, 1]
            out[q, j, end - 1] = rarest[q]


@compiled
def numbers_of(vocabulary: Any, word: Any) -> Any:
    """The place of each word in an ascending vocabulary; its length for one that is not in it."""
    found = np.searchsorted(vocabulary, word)
    for i in range(len(word)):
        if found[i] < len(vocabulary) and vocabulary[found[i]] != word[i]:
            found[i] = len(vocabulary)
    return found


@compiled
def longest_prefix(a: Any, begin: int, end: int, b: Any, b_begin: int, b_end: int) -> int:
    """The bytes of the longest prefix of `a[begin:end]` that stands anywhere in `b`."""
    best = 0
    for at in range(b_begin, b_end):
        if b[at] != a[begin]:
            continue
        size = 1
        while begin + size < end and at + size < b_end and a[begin + size] == b[at + size]:
            size += 1
        best = max(best, size)
        if begin + best == end:
            break
    # A prefix of bytes may end inside a character.
    while best and begin + best < end and a[begin + best] & 0xC0 == 0x80:
        best -= 1
    return best


@compiled
def _codes_found(
    first: int, last: int, start: Any, code: Any, letter: Any, begin: int, end: int
) -> tuple[float, int, int]:
    """Of some codes in a text: the largest share found, the longest found, the longest missed."""
    share, found, missed = 0.0, 0, 0
    for i in range(first, last):
        size = characters(code, start[i], start[i + 1])
        same = longest_prefix(code, start[i], start[i + 1], letter, begin, end)
        prefix = characters(code, start[i], start[i] + same)
        if prefix > 2:
            share = max(share, prefix / size)
        if prefix == size:
            found = max(found, size)
        else:
            missed = max(missed, size)
    return share, found, missed


@compiled
def code_features(query: Texts, items: Texts, rows: Any, out: Any) -> None:
    """How codes, numbers and units agree.

    Args:
        query: texts of the queries.
        items: texts of the items.
        rows: candidates [Q, k].
        out: [Q, k, 9] to be filled.
    """
    letters, letter, codes, code_at, code, numbers, number, units, unit = query[4:13]
    letters_i, letter_i, codes_i, code_at_i, code_i = items[4:9]
    numbers_i, number_i, units_i, unit_i = items[9:13]
    for q in range(len(rows)):
        for j in range(rows.shape[1]):
            row = rows[q, j]
            if row < 0:
                continue
            first, last = codes_i[row], codes_i[row + 1]
            begin, end = letters[q], letters[q + 1]
            share, out[q, j, 1], _ = _codes_found(
                first, last, code_at_i, code_i, letter, begin, end
            )
            out[q, j, 0] = share if first < last else -1.0
            first, last, begin, end = codes[q], codes[q + 1], letters_i[row], letters_i[row + 1]
            _, out[q, j, 2], out[q, j, 3] = _codes_found(
                first, last, code_at, code, letter_i, begin, end
            )
            both = 0
            for i in range(numbers_i[row], numbers_i[row + 1]):
                for n in range(numbers[q], numbers[q + 1]):
                    both += number_i[i] == number[n]
            out[q, j, 4] = numbers_i[row + 1] - numbers_i[row] - both
            out[q, j, 5] = numbers[q + 1] - numbers[q] - both
            out[q, j, 6] = both
            out[q, j, 7], out[q, j, 8] = _units(
                unit, units[q], units[q + 1], unit_i, units_i[row], units_i[row + 1]
            )


@compiled
def _units(
    unit: Any, begin: int, end: int, unit_i: Any, begin_i: int, end_i: int
) -> tuple[int, int]:
    """How many units of two texts have a number in common, and how many have none."""
    same, differ = 0, 0
    for i in range(begin_i, end_i):
        again = False
        for other in range(begin_i, i):
            again |= unit_i[other, 0] == unit_i[i, 0]
        if again:
            continue
        both, agree = False, False
        for n in range(begin, end):
            if unit[n, 0] == unit_i[i, 0]:
                both = True
                for other in range(i, end_i):
                    agree |= unit_i[other, 0] == unit[n, 0] and unit_i[other, 1] == unit[n, 1]
        same += agree
        differ += both and not agree
    return same, differ


@compiled_sums
def best_dense(vectors: Any, aliases: Any, scale: Any, start: Any, rows: Any, out: Any) -> None:
    """The highest inner product of each query with the aliases of each candidate; 0 without any.

    Args:
        vectors: of the queries, float32 [Q, D].
        aliases: int8 [M, D], to be multiplied by the scale of each row.
        scale: of each row.
        start: where each item's aliases begin.
        rows: candidates [Q, k].
        out: [Q, k] to be filled.
    """
    for q in range(len(rows)):
        for j in range(rows.shape[1]):
            row = rows[q, j]
            if row < 0 or start[row] == start[row + 1]:
                continue
            best = np.float32(-np.inf)
            for a in range(start[row], start[row + 1]):
                dot = np.float32(0)
                for d in range(vectors.shape[1]):
                    dot += vectors[q, d] * np.float32(aliases[a, d])
                best = max(best, scale[a] * dot)
            out[q, j] = best


@compiled
def best_sparse(queries: Any, aliases: Any, start: Any, rows: Any, weight: Any, out: Any) -> None:
    """The same for sparse vectors, each side as (indptr, indices, data)."""
    indptr, indices, data = queries
    for q in range(len(rows)):
        for i in range(indptr[q], indptr[q + 1]):
            weight[indices[i]] = data[i]
        for j in range(rows.shape[1]):
            row = rows[q, j]
            if row < 0 or start[row] == start[row + 1]:
                continue
            best = -np.inf
            for a in range(start[row], start[row + 1]):
                dot = 0.0
                for i in range(aliases[0][a], aliases[0][a + 1]):
                    dot += weight[aliases[1][i]] * aliases[2][i]
                best = max(best, dot)
            out[q, j] = best
        for i in range(indptr[q], indptr[q + 1]):
            weight[indices[i]] = 0.0


@compiled
def history_features(histories: Any, rows: Any, out: Any) -> None:
    """ln(1 + times in the history), and 1 / (1 + events since the last time), 0 for never.

    Args:
        histories: rows of the events of all; where those of each query begin; where they end.
        rows: candidates [Q, k].
        out: [Q, k, 2] to be filled.
    """
    items, first, last = histories
    for q in range(len(rows)):
        for j in range(rows.shape[1]):
            times = 0
            for at in range(first[q], last[q]):
                if items[at] == rows[q, j] and rows[q, j] >= 0:
                    times += 1
                    out[q, j, 1] = 1.0 / (last[q] - at)
            out[q, j, 0] = np.log(1.0 + times)


@compiled
def number_features(query: Any, item: Any, rows: Any, out: Any) -> None:
    """Equal, the relative difference, near, contradicting, missing.

    Args:
        query: numbers of the queries, NaN for none.
        item: numbers of the items.
        rows: candidates [Q, k].
        out: zeros [Q, k, 5] to be filled.
    """
    for q in range(len(rows)):
        for j in range(rows.shape[1]):
            if rows[q, j] < 0:
                continue
            a, b = query[q], item[rows[q, j]]
            if np.isnan(a) or np.isnan(b):
                out[q, j, 4] = 1
                continue
            difference = min(abs(a - b) / max(abs(a), abs(b), 1e-9), 1.0)
            out[q, j, 0] = difference < 1e-6
            out[q, j, 1] = difference
            out[q, j, 2] = difference <= NEAR
            out[q, j, 3] = difference > FAR


@compiled
def shared_words(query: Any, item: Any, rows: Any, out: Any) -> None:
    """Shares of the idf of a value's words that the other has, and whether one is empty.

    Args:
        query: where the words of each value begin, and the words as `Texts.word`.
        item: where the words of each value begin, their numbers in the vocabulary, the vocabulary,
            the idf of its words, and last that of any other word.
        rows: candidates [Q, k].
        out: zeros [Q, k, 3] to be filled.
    """
    start, word = query
    item_start, item_word, vocabulary, idf = item
    for q in range(len(rows)):
        found = numbers_of(vocabulary, word[start[q] : start[q + 1]])
        own = 0.0
        for i in range(len(found)):
            own += idf[found[i]] * (word[start[q] + i] & 1)
        for j in range(rows.shape[1]):
            row = rows[q, j]
            if row < 0:
                continue
            total, shared = 0.0, 0.0
            for i in range(item_start[row], item_start[row + 1]):
                total += idf[item_word[i]]
                for n in range(len(found)):
                    if found[n] == item_word[i]:
                        shared += idf[found[n]]
            if total == 0.0 or own == 0.0:
                out[q, j, 2] = 1
            else:
                out[q, j, 0] = shared / total
                out[q, j, 1] = shared / own


@compiled
def _one_apart(a: Any, a_begin: int, a_end: int, b: Any, b_begin: int, b_end: int) -> bool:
    """Whether one insertion, deletion or substitution of a byte makes one of the other."""
    size, other = a_end - a_begin, b_end - b_begin
    if abs(size - other) > 1:
        return False
    head = 0
    while head < min(size, other) and a[a_begin + head] == b[b_begin + head]:
        head += 1
    tail = 0
    while tail < min(size, other) - head and a[a_end - 1 - tail] == b[b_end - 1 - tail]:
        tail += 1
    return max(size, other) - head - tail == 1


@compiled
def _within(a: Any, begin: int, end: int, start: Any, b: Any, row: int) -> bool:
    """Whether a value of at least MIN_NAME bytes stands in a text."""
    if end - begin < MIN_NAME:
        return False
    return longest_prefix(a, begin, end, b, start[row], start[row + 1]) == end - begin


@compiled
def name_features(own: Any, values: Any, query: Texts, items: Texts, rows: Any, out: Any) -> None:
    """Equal, one begins the other, in the other's text, contradicting, missing, one apart.

    Args:
        own: where the values of queries begin, and their bytes.
        values: the same of items.
        query: texts of the queries.
        items: texts of the items.
        rows: candidates [Q, k].
        out: zeros [Q, k, 7] to be filled; six columns are filled of [Q, k, 6].
    """
    start, letter = own
    item_start, item_letter = values
    text_start, text = query.letter_start, query.letter
    item_text_start, item_text = items.letter_start, items.letter
    for q in range(len(rows)):
        a, a_end = start[q], start[q + 1]
        for j in range(rows.shape[1]):
            row = rows[q, j]
            if row < 0:
                continue
            b, b_end = item_start[row], item_start[row + 1]
            out[q, j, 2] = _within(item_letter, b, b_end, text_start, text, q)
            out[q, j, 3] = _within(letter, a, a_end, item_text_start, item_text, row)
            shorter = min(a_end - a, b_end - b)
            if shorter == 0:
                out[q, j, 5] = 1
                continue
            same = 0
            while same < shorter and letter[a + same] == item_letter[b + same]:
                same += 1
            equal = same == shorter and a_end - a == b_end - b
            begins = not equal and same == shorter and shorter >= MIN_NAME
            near = False
            if out.shape[2] == 7 and not equal and not begins and shorter >= MIN_CODE:
                near = _one_apart(letter, a, a_end, item_letter, b, b_end)
                out[q, j, 6] = near
            out[q, j, 0], out[q, j, 1] = equal, begins
            out[q, j, 4] = not (equal or begins or near)


@compiled
def compare_candidates(
    out: Any, missing: Any, columns: Any, sign: Any, second: int, leads: int, close: int
) -> None:
    """See `pair_features.compare_candidates`.

    Args:
        out: features [Q, k, F].
        missing: places without a candidate [Q, k].
        columns: of the features that lead.
        sign: -1 for features of which the lowest leads, 1 for others.
        second: the column of tf-idf; -1 for none.
        leads: where the leads are written.
        close: where the counts of close candidates are written, and their spread.
    """
    for q in range(len(out)):
        for s in range(len(columns)):
            _lead(out[q], missing[q], columns[s], sign[s], leads + s)
        _closeness(out[q], missing[q], second, close)


@compiled
def _lead(out: Any, missing: Any, column: int, sign: float, at: int) -> None:
    best, other = -np.inf, -np.inf
    for j in range(len(out)):
        if not missing[j]:
            value = sign * out[j, column]
            other = max(other, min(best, value))
            best = max(best, value)
    for j in range(len(out)):
        value = sign * out[j, column]
        rival = other if value == best else best
        out[j, at] = value - rival if not missing[j] and rival > -np.inf else 0.0


@compiled
def _closeness(out: Any, missing: Any, second: int, at: int) -> None:
    mixed = out[:, 0].copy()
    if second >= 0:
        mixed = np.float32(0.6) * out[:, 0] + np.float32(0.4) * out[:, second]
    best, there = -np.inf, 0
    for j in range(len(out)):
        if not missing[j]:
            best, there = max(best, mixed[j]), there + 1
    within, spread = np.zeros(len(GAPS), np.float32), 0.0
    for j in range(len(out)):
        if not missing[j]:
            spread += best - mixed[j]
            for g in range(len(GAPS)):
                within[g] += mixed[j] > np.float32(best) - GAPS[g]
    out[:, at : at + len(GAPS)] = within
    out[:, at + len(GAPS)] = spread / max(there, 1)


@compiled
def by_words(query: Texts, c: Catalogue, most: int, sums: Any, touched: Any, out: Any) -> None:
    """The items that share the rarest words with each query; see `PairFeatures.by_words`.

    Args:
        query: texts of the queries, `word` as hashed.
        c: see `Catalogue`.
        most: words that stand in more items are not looked at.
        sums: a zero for each item; zeros again when done.
        touched: room for a number of each item.
        out: [Q, k] of -1, to be filled; of equal items the lower rows come first.
    """
    start, known = query.word_start, numbers_of(c.vocabulary, query.word >> 1)
    posting_start, posting, rarity, norm = c.posting_start, c.posting, c.rarity, c.rarity_norm
    k = out.shape[1]
    best = np.zeros(k, np.float32)
    for q in range(len(out)):
        many, found = 0, 0
        for i in range(start[q], start[q + 1]):
            w = known[i]
            if posting_start[w + 1] - posting_start[w] > most:
                continue
            for at in range(posting_start[w], posting_start[w + 1]):
                row = posting[at]
                if sums[row] == 0:
                    touched[many] = row
                    many += 1
                sums[row] += rarity[w]
        for i in range(many):
            row = touched[i]
            score = sums[row] / norm[row]
            sums[row] = 0
            at = min(found, k - 1)
            if found == k and not _before(score, row, best[at], out[q, at]):
                continue
            found = min(found + 1, k)
            while at > 0 and _before(score, row, best[at - 1], out[q, at - 1]):
                best[at], out[q, at] = best[at - 1], out[q, at - 1]
                at -= 1
            best[at], out[q, at] = score, row


@compiled
def _before(score: float, row: int, other: float, other_row: int) -> bool:
    """Whether one item comes before another."""
    return score > other or (score == other and row < other_row)


@compiled_sums
def score_new(vectors: Any, items: Any, found: Any, rows: Any) -> Any:
    """Drops the rows that were found already, and scores the others.

    Args:
        vectors: of the queries, float32 [Q, L, D]; of several interests the best score counts.
        items: float32 [N, D].
        found: rows of items [Q, k].
        rows: of further items [Q, m]; -1 for none, as for those in `found` when done.

    Returns:
        Their scores; -inf for none.
    """
    scores = np.full(rows.shape, -np.inf, np.float32)
    for q in range(len(rows)):
        for j in range(rows.shape[1]):
            row = rows[q, j]
            for i in range(found.shape[1]):
                if found[q, i] == row:
                    row = -1
            rows[q, j] = row
            if row < 0:
                continue
            for one in range(vectors.shape[1]):
                dot = np.float32(0)
                for d in range(vectors.shape[2]):
                    dot += vectors[q, one, d] * items[row, d]
                scores[q, j] = max(scores[q, j], dot)
    return scores
