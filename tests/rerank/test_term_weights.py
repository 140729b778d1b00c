"""What queries name and what they leave out."""

import numpy as np

from thresher.rerank.term_weights import TermWeights

# Words: phone, plus, tray, cheap. Items: 0 phone, 1 phone plus, 2 phone tray.
ITEMS = np.array([0, 1, 3, 5]), np.array([0, 0, 1, 0, 2])
QUERIES = np.array([0, 2, 5, 6, 8]), np.array([0, 1, 0, 1, 3, 0, 0, 3])
ITEM_OF = np.array([1, 1, 2, 2])


def test_rates_by_hand():
    weights = TermWeights.learn(ITEMS, QUERIES, ITEM_OF, 4).values
    # Item words of the pairs: phone 4, plus 2, tray 2, in both: phone 4, plus 2: 6 of 8.
    # named: plus (2 + 2 * .75) / (2 + 2) = .875; tray (0 + 1.5) / 4 = .375; cheap 1.5 / 2
    named = np.array([(4 + 1.5) / 6, 0.875, 0.375, 0.75])
    np.testing.assert_allclose(weights[:, 0], -np.log(1 - named), rtol=1e-5)
    # Query words: phone 4, plus 2, cheap 2, in both 6 of 8: cheap (0 + 1.5) / 4
    meant = np.array([(4 + 1.5) / 6, 0.875, 0.75, 0.375])
    np.testing.assert_allclose(weights[:, 1], -np.log(1 - meant), rtol=1e-5)
    # chance: plus ln(.875 / ((2 + .5) / 5)); tray ln(.375 / (.5 / 5))
    np.testing.assert_allclose(weights[1, 2], np.log(0.875 / 0.5), rtol=1e-5)
    np.testing.assert_allclose(weights[2, 2], np.log(0.375 / 0.1), rtol=1e-5)


def test_without_pairs_words_weigh_the_same():
    none = np.zeros(1, int), np.zeros(0, int)
    weights = TermWeights.learn(ITEMS, none, np.zeros(0, int), 4).values
    # (0 + 2 * .5) / 2 = .5 for every word, and the chance is .5 / 1
    np.testing.assert_allclose(weights, np.tile([np.log(2), np.log(2), 0], (4, 1)), atol=1e-7)
