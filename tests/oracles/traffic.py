"""Made-up traffic whose precision at every threshold is known."""

import numpy as np

GRID = np.linspace(0, 1, 10_001)


class Traffic:
    """Scores uniform on [-.5, .5]; an answer with score u - .5 is right with probability right(u).

    The coverage of a threshold t is .5 - t, so that both signs of scores occur.
    """

    def __init__(self, right):
        self.right = right
        middle = right((GRID[:-1] + GRID[1:]) / 2)
        self.above = np.concatenate([np.cumsum(middle[::-1])[::-1] / np.arange(10_000, 0, -1), [1]])

    def draw(self, rows, rng):
        u = rng.random(rows)
        return u - 0.5, rng.random(rows) < self.right(u)

    def precision(self, threshold):
        return float(np.interp(threshold + 0.5, GRID, self.above))


def curve(top, bottom):
    """Right more often the higher the score."""
    return Traffic(lambda u: bottom + (top - bottom) * (1 - (1 - u) ** 2.2))


def flat(chance):
    """A score that says nothing."""
    return Traffic(lambda u: np.full_like(u, chance))


def overconfident(chance):
    """The highest scores are wrong more often than the middle ones."""
    return Traffic(lambda u: np.where(u > 0.93, chance, np.clip(0.5 + 0.6 * u, 0, 0.995)))
