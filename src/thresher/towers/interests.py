"""Several vectors a user: one for each of the things that a customer is after."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from thresher.towers.windows import ages


class Interests(nn.Module):
    """Makes K vectors of the events of a user, each a weighted mean of them.

    Equation:
        a_jk = softmax over the events j of  tanh((h_j + p_j) W + b) U_k
        v_k  = sum_j a_jk h_j
    where p_j is learnt for each place of an event, counted from the newest, up to `max_history`.

    **Source**: Cen et al., *Controllable multi-interest framework for recommendation* (ComiRec-SA),
    KDD 2020, equations 4 and 5, with positions as there; the pooling of Lin et al., *A structured
    self-attentive sentence embedding*, ICLR 2017. The hidden width 4 D is that of ComiRec's code.

    Memory:    n * L * 4 D floats.
    """

    def __init__(self, dim: int, *, interests: int, max_history: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.empty(max_history, dim))
        self.hidden = nn.Linear(dim, 4 * dim)
        self.weights = nn.Linear(4 * dim, interests, bias=False)

    def start(self, generator: torch.Generator) -> None:
        """Draws the weights."""
        nn.init.normal_(self.places, std=1 / math.sqrt(self.places.shape[1]), generator=generator)
        for linear in (self.hidden, self.weights):
            nn.init.xavier_uniform_(linear.weight, generator=generator)
        nn.init.zeros_(self.hidden.bias)

    def forward(
        self, states: Float[Tensor, "n L D"], lengths: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n K D"]:
        """The vectors of rows that have at least one event, not of unit length."""
        age = ages(lengths, states.shape[1])
        hidden = torch.tanh(self.hidden(states + F.embedding(age.clamp(min=0), self.places)))
        weights = self.weights(hidden).masked_fill((age < 0)[..., None], -torch.inf).softmax(1)
        return weights.mT @ states


def closest_interest(
    query: Float[Tensor, "n KD"], item_own: Float[Tensor, "n D"]
) -> Float[Tensor, "n D"]:
    """Of each user's vectors the one closest to the user's own item, which alone learns from it.

    `query` has K vectors of D numbers side by side, as a tower with several interests returns them;
    row i of `item_own` is the item that row i of it is to find.

    **Source**: Cen et al. (ComiRec), KDD 2020, equation 7.

    Example:
        >>> closest_interest(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.tensor([[0.6, 0.8]]))
        tensor([[0., 1.]])
    """
    vectors = query.unflatten(1, (-1, item_own.shape[1]))
    with torch.no_grad():
        best = (vectors @ item_own[..., None]).squeeze(2).argmax(1)
    return vectors[torch.arange(len(best), device=best.device), best]
