"""The tokens of a text, one by one, and their hashes by scikit-learn."""

import re
from itertools import pairwise

import numpy as np
from sklearn.utils import murmurhash3_32

from thresher.data.tokens import words


def tokens_of(tokens, text):
    """The tokens of one text, repeated as often as they occur."""
    found = words(text)
    for word in found:
        yield "=" + word
        marked = f"<{word}>"
        shortest, longest = tokens.ngram_range
        for n in range(max(shortest, 1), min(longest, len(marked)) + 1):
            for i in range(len(marked) - n + 1):
                yield marked[i : i + n]
        if tokens.parts and not (word.isalpha() or word.isdigit()):
            for part in re.findall(r"[^\W\d_]+|\d+", word):
                yield "=" + part
    if tokens.pairs:
        for left, right in pairwise(found):
            yield "=" + left + right


def counts_of(tokens, texts):
    """How often each hashed token stands in each text, dense."""
    counts = np.zeros((len(texts), 2**tokens.bits), np.float32)
    for row, text in enumerate(texts):
        for token in tokens_of(tokens, text):
            counts[row, abs(murmurhash3_32(token)) % 2**tokens.bits] += 1
    return counts
