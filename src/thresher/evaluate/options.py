"""How lists of next items are ranked and counted: the keys of the `[ranking]` table."""

from dataclasses import dataclass

from thresher.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """How lists of next items are made and measured.

    Args:
        remove_history: leave out of a customer's list what is in the history.
        repeats: count a target that comes several times as often as it comes; else once.
        depths: lengths of the lists that are measured, ascending.
    """

    remove_history: bool = False
    repeats: bool = False
    depths: tuple[int, ...] = (20, 50, 100, 200, 500)

    def __post_init__(self) -> None:
        if not self.depths or min(self.depths) < 1 or sorted(set(self.depths)) != [*self.depths]:
            raise InputError(
                f"ranking.depths must be whole numbers of 1 or more, ascending, got "
                f"{list(self.depths)}"
            )
