"""What queries name and what they leave out."""

import numpy as np
from scipy import sparse

from thresher.decide.habits import HABITS, Habits

# Words: phone, plus, tray, cheap. Items: 0 phone, 1 phone plus, 2 phone tray.
ITEMS = sparse.csr_matrix(np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0]], np.float32))
KNOWN = sparse.csr_matrix(
    np.array([[1, 1, 0, 0], [1, 1, 0, 1], [1, 0, 0, 0], [1, 0, 0, 1]], np.float32)
)
OF = np.array([1, 1, 2, 2])


def test_rates_by_hand():
    habits = Habits.learn(ITEMS, KNOWN, OF)
    # Item words of the pairs: phone 4, plus 2, tray 2, in both: phone 4, plus 2: 6 of 8.
    # named: plus (2 + 2 * .75) / (2 + 2) = .875; tray (0 + 1.5) / 4 = .375; cheap 1.5 / 2
    named = np.array([(4 + 1.5) / 6, 0.875, 0.375, 0.75])
    np.testing.assert_allclose(habits.weights[:, 0], -np.log(1 - named), rtol=1e-5)
    # Query words: phone 4, plus 2, cheap 2, in both 6 of 8: cheap (0 + 1.5) / 4
    meant = np.array([(4 + 1.5) / 6, 0.875, 0.75, 0.375])
    np.testing.assert_allclose(habits.weights[:, 1], -np.log(1 - meant), rtol=1e-5)
    # told: plus ln(.875 / ((2 + .5) / 5)); tray ln(.375 / (.5 / 5))
    np.testing.assert_allclose(habits.weights[1, 2], np.log(0.875 / 0.5), rtol=1e-5)
    np.testing.assert_allclose(habits.weights[2, 2], np.log(0.375 / 0.1), rtol=1e-5)


def test_a_word_that_queries_name_is_missed_more_than_one_they_leave_out():
    habits = Habits.learn(ITEMS, KNOWN, OF)
    asked = sparse.csr_matrix(np.array([[1, 0, 0, 0]], np.float32))  # "phone"
    signs = habits.signs(asked, np.array([0, 0, 0]), np.array([0, 1, 2]))
    assert len(signs) == len(HABITS)
    named, meant, both = signs
    np.testing.assert_allclose(named, [0, -np.log(0.125), -np.log(0.625)], atol=1e-5)
    np.testing.assert_allclose(meant, 0, atol=1e-5)
    assert both[0] == both[1] == both[2]


def test_without_known_queries_words_weigh_the_same():
    habits = Habits.learn(ITEMS, sparse.csr_matrix((0, 4), dtype=np.float32), np.zeros(0, np.int64))
    # (0 + 2 * .5) / 2 = .5 for every word, and the chance is .5 / 1
    np.testing.assert_allclose(habits.weights, np.tile([np.log(2), np.log(2), 0], (4, 1)))
