import math

import numpy as np
import torch

from thresher.towers.interests import Interests, closest_interest


def test_the_pooling_of_a_worked_example():
    """Two interests that look at the first number of tanh, in opposite directions."""
    pooling = Interests(1, interests=2, max_history=3)
    with torch.no_grad():
        for parameter in pooling.parameters():
            parameter.zero_()
        pooling.places.copy_(torch.tensor([[0.5], [0.0], [9.0]]))
        pooling.hidden.weight[0] = 1
        pooling.weights.weight[0, 0], pooling.weights.weight[1, 0] = 1, -2
    states = torch.tensor([[[1.0], [-1.0], [100.0]]])
    found = pooling(states, torch.tensor([2]))
    # Of two events the last stands at place 0: tanh(-1 + .5), and the one before it tanh(1 + 0).
    older, newer = math.tanh(1.0), math.tanh(-0.5)
    expected = []
    for u in (1, -2):
        a, b = math.exp(u * older), math.exp(u * newer)
        expected.append((a * 1.0 + b * -1.0) / (a + b))
    np.testing.assert_allclose(found.detach().numpy()[0, :, 0], expected, atol=1e-6)


def test_interests_start_apart():
    pooling = Interests(8, interests=3, max_history=5)
    pooling.start(torch.Generator().manual_seed(0))
    states = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(1))
    found = pooling(states, torch.tensor([5, 5, 5, 5])).detach()
    assert (torch.pdist(found[0]) > 1e-3).all()


def test_the_interest_closest_to_the_own_item():
    # Users with (1, 0) and (0, 1). The first wants (.6, .8): the second interest, .8 over .6.
    # The second user wants (-1, -.5): -1 below -.5, the second again; the third (2, 0).
    query = torch.tensor([[1.0, 0.0, 0.0, 1.0]]).repeat(3, 1).requires_grad_()
    own = torch.tensor([[0.6, 0.8], [-1.0, -0.5], [2.0, 0.0]])
    found = closest_interest(query, own)
    assert found.tolist() == [[0, 1], [0, 1], [1, 0]]
    (found * torch.tensor([[3.0, 5.0]])).sum().backward()
    # Only the chosen one learns.
    assert query.grad.tolist() == [[0, 0, 3, 5], [0, 0, 3, 5], [3, 5, 0, 0]]


def test_one_interest_is_itself():
    query = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(closest_interest(query, torch.zeros(3, 4)), query)
