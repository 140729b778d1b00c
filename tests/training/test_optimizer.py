import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.errors import InputError
from thresher.training import checkpoint
from thresher.training.checkpoint import Position
from thresher.training.optimizer import RowAdagrad, rows_moved


def sparse_gradient(rows, values, shape):
    return torch.sparse_coo_tensor(
        torch.tensor([rows]), torch.tensor(values), shape, check_invariants=True
    )


def test_a_row_moves_against_its_gradient_by_its_own_step():
    table = torch.nn.Parameter(torch.tensor([[1.0, 1.0], [5.0, 5.0], [-1.0, 0.0]]))
    optimizer = RowAdagrad([table], lr=0.5, eps=0.0)
    table.grad = sparse_gradient([0, 2], [[3.0, 4.0], [0.0, -2.0]], (3, 2))
    optimizer.step()
    # Row 0: a = (9 + 16) / 2 = 12.5; 1 - 0.5 * 3 / sqrt(12.5), 1 - 0.5 * 4 / sqrt(12.5).
    # Row 2: a = 4 / 2 = 2; 0 + 0.5 * 2 / sqrt(2) = 0.7071.
    expected = torch.tensor([[0.575736, 0.434315], [5.0, 5.0], [-1.0, 0.707107]])
    torch.testing.assert_close(table.detach(), expected, atol=1e-6, rtol=0)
    table.grad = sparse_gradient([0], [[5.0, 0.0]], (3, 2))
    optimizer.step()
    # a = 12.5 + 12.5 = 25; 0.575736 - 0.5 * 5 / 5 = 0.075736.
    expected[0, 0] = 0.075736
    torch.testing.assert_close(table.detach(), expected, atol=1e-6, rtol=0)


def test_the_compiled_loop_moves_rows_as_torch_does():
    draw = torch.Generator().manual_seed(3)
    table, squares = torch.randn(50, 7, generator=draw), torch.rand(50, generator=draw)
    rows, values = torch.randperm(50, generator=draw)[:20].sort().values, torch.randn(20, 7)
    parameter = torch.nn.Parameter(table.clone())
    optimizer = RowAdagrad([parameter], lr=0.2)
    optimizer.state[parameter]["squares"] = squares.clone()
    parameter.grad = torch.sparse_coo_tensor(
        rows[None], values.clone(), (50, 7), is_coalesced=True, check_invariants=False
    )
    optimizer.step()
    rows_moved(table, squares, rows, values, 0.2, 1e-8)
    torch.testing.assert_close(parameter.detach(), table)
    torch.testing.assert_close(optimizer.state[parameter]["squares"], squares)


def test_an_accumulator_that_starts_high_keeps_a_row_of_small_gradients_near_its_start():
    table = torch.nn.Parameter(torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    optimizer = RowAdagrad([table], lr=0.5, eps=0.0, initial_accumulator=0.09)
    table.grad = sparse_gradient([0, 1], [[0.4, 0.4], [4.0, 4.0]], (2, 2))
    optimizer.step()
    # Row 0: a = .09 + .16 = .25; 1 - .5 * .4 / .5 = .6.
    # Row 1: a = .09 + 16 = 16.09; 1 - .5 * 4 / 4.01124 = .5014.
    expected = torch.tensor([[0.6, 0.6], [0.501401, 0.501401]])
    torch.testing.assert_close(table.detach(), expected, atol=1e-6, rtol=0)


def test_a_row_that_occurs_twice_in_a_gradient_has_their_sum():
    once, twice = (torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2))
    once.grad = sparse_gradient([1, 3], [[1.0, 2.0, 3.0], [4.0, 5.0, -6.0]], (4, 3))
    rows = [[0.5, 2.0, 0.0], [4.0, 5.0, -6.0], [0.5, 0.0, 3.0]]
    twice.grad = sparse_gradient([1, 3, 1], rows, (4, 3))
    for table in (once, twice):
        RowAdagrad([table], lr=0.1).step()
    torch.testing.assert_close(once, twice)


@given(st.integers(0, 2**32 - 1))
def test_rows_out_of_use_are_not_touched_and_zero_gradients_move_nothing(seed):
    draw = torch.Generator().manual_seed(seed)
    start = torch.randn(20, 4, generator=draw)
    table = torch.nn.Parameter(start.clone())
    optimizer = RowAdagrad([table], lr=0.3)
    used: set[int] = set()
    for _ in range(3):
        rows = torch.randperm(20, generator=draw)[:5].sort().values
        values = torch.randn(5, 4, generator=draw)
        values[0] = 0
        used |= set(rows[1:].tolist())
        table.grad = torch.sparse_coo_tensor(rows[None], values, (20, 4), check_invariants=True)
        optimizer.step()
    moved = (table.detach() != start).any(1).nonzero().squeeze(1).tolist()
    assert set(moved) == used


def test_a_dense_gradient_is_adams():
    ours, theirs = (torch.nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    optimizers = [
        RowAdagrad(ours.parameters(), lr=0.01),
        torch.optim.Adam(theirs.parameters(), 0.01),
    ]
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(4):
        for layer, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_a_checkpoint_holds_all_there_is(tmp_path):
    """Two steps, a checkpoint, two steps: bit for bit the four steps that nothing interrupted."""

    def model():
        torch.manual_seed(4)
        return torch.nn.ModuleDict(
            {
                "table": torch.nn.EmbeddingBag(30, 4, sparse=True, mode="sum"),
                "head": torch.nn.Linear(4, 2),
            }
        )

    def steps(parts, optimizer, numbers):
        for number in numbers:
            draw = torch.Generator().manual_seed(number)
            tokens = torch.randint(30, (6, 5), generator=draw)
            optimizer.zero_grad()
            parts["head"](parts["table"](tokens)).square().sum().backward()
            optimizer.step()

    with torch.random.fork_rng():
        whole, first, second = model(), model(), model()
    groups = [RowAdagrad(parts.parameters(), lr=0.05) for parts in (whole, first, second)]
    steps(whole, groups[0], range(4))
    steps(first, groups[1], range(2))
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, Position(0, 2, None, 0, ""), {"m": first}, groups[1])
    checkpoint.load(path, {"m": second}, groups[2])
    steps(second, groups[2], range(2, 4))
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    table, other = torch.nn.Embedding(5, 2), torch.nn.Embedding(6, 2)
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, Position(0, 0, None, 0, ""), {"m": table})
    with pytest.raises(InputError, match="no checkpoint of this model"):
        checkpoint.load(path, {"m": other})
