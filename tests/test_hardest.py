import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from thresher.hardest import hardest


def found(scores, left_out, count):
    """Through the loop; `left_out` are pairs (row, column)."""
    scores = np.asarray(scores, np.float32)
    pairs = np.array(sorted(left_out), np.int64).reshape(-1, 2)
    starts = np.searchsorted(pairs[:, 0], np.arange(len(scores) + 1))
    skipped = np.zeros(scores.shape[1], np.bool_)
    top = np.full((len(scores), count), -np.inf, np.float32)
    columns = np.zeros(top.shape, np.int64)
    hardest(scores, pairs[:, 1].copy(), starts, skipped, top, columns)
    assert not skipped.any()
    return top.tolist(), columns.tolist()


@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=6, max_size=6), min_size=1),
    st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))),
    st.integers(1, 6),
)
def test_they_are_the_first_of_the_sorted_ones(scores, pairs, count):
    left_out = {(i, j) for i, j in pairs if i < len(scores)}
    top, columns = found(scores, left_out, count)
    for i, row in enumerate(scores):
        kept = [j for j in range(6) if (i, j) not in left_out]
        order = sorted(kept, key=lambda j: -row[j])[:count]
        real = len(order)
        assert columns[i][:real] == order
        assert top[i][:real] == [row[j] for j in order]
        assert top[i][real:] == [-np.inf] * (count - real)


def test_what_is_no_number_is_never_among_them():
    assert found([[np.nan, 0.25, np.nan, 1.0]], [], 3)[0] == [[1.0, 0.25, -np.inf]]
