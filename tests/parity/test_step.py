import pytest
import torch
from torch.nn import functional as F

from parity.scenario import Towers, objective, parameters, whole
from thresher.losses import Softmax
from thresher.objective import Objective, Term
from thresher.training.step import cached_step, plain_step
from thresher.types import Batch


def run(step, *, dropout=0.0, **options):
    towers, goal = Towers(dropout), objective(**options)
    torch.manual_seed(11)
    logs = step(towers, whole(), goal)
    return logs, [p.grad for p in parameters(towers, goal)]


def cached(chunk):
    return lambda *args: cached_step(*args, mini_batch_size=chunk)


def assert_same(a, b):
    (logs, gradients), (other_logs, other_gradients) = a, b
    assert logs == pytest.approx(other_logs)
    for x, y in zip(gradients, other_gradients, strict=True):
        torch.testing.assert_close(x, y)


def test_the_plain_step_reaches_every_parameter_and_logs_every_part():
    logs, gradients = run(plain_step)
    assert set(logs) == {
        "main", "tcm/pos", "tcm/neg", "alc/query_label", "alc/query_batch",
        "pool/query_label", "pool/query_batch", "ssl", "total",
    }  # fmt: skip
    assert all(value > 0 for value in logs.values())
    assert all(g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_the_cached_step_equals_the_plain_step(chunk):
    assert_same(run(plain_step), run(cached(chunk)))


@pytest.mark.parametrize("block", [1, 5, 12])
@pytest.mark.parametrize("step", [plain_step, cached(5)], ids=["plain", "cached"])
def test_scoring_in_blocks_equals_scoring_at_once(block, step):
    assert_same(run(plain_step), run(step, block=block))


def test_with_dropout_one_chunk_of_everything_equals_the_plain_step():
    with_dropout = run(plain_step, dropout=0.5)
    assert_same(with_dropout, run(cached(100), dropout=0.5))
    # Dropout is active, or this would show nothing.
    assert with_dropout[0]["total"] != pytest.approx(run(plain_step)[0]["total"], rel=1e-3)


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_dropout_is_replayed(chunk):
    towers, seen = Towers(dropout=0.5), []

    def spy(name, rows):
        vectors = towers(name, rows)
        seen.append((name, vectors.detach().clone()))
        return vectors

    cached_step(spy, whole(), objective(), mini_batch_size=chunk)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert [name for name, _ in first] == [name for name, _ in second]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))
    # Dropout is active: another draw differs.
    queries = torch.cat([vectors for name, vectors in first if name == "query"])
    assert not torch.equal(queries, towers("query", whole().inputs["query"]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_dropout_is_replayed_on_a_gpu():
    x = torch.randn(8, 16, device="cuda")
    seen = []

    def encode(name, rows):
        vectors = F.dropout(rows.clone().requires_grad_(), 0.5)
        seen.append(vectors.detach())
        return vectors

    batch = whole()
    link = batch.links["same_item"]
    link = type(link)("a", "b", link.pos.cuda(), link.ignored.cuda())
    goal = Objective([Term("main", Softmax(), "l")])
    cached_step(encode, Batch({"a": x, "b": x}, {"l": link}), goal, mini_batch_size=3)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[3])


def test_two_cached_steps_draw_different_random_numbers():
    # Replaying must not set the generator back for what comes after; nor may an input that no
    # term reads, which is not replayed.
    towers = Towers(dropout=0.5)
    goal = Objective([Term("main", Softmax(), "bought")])
    torch.manual_seed(0)
    a, b = (cached_step(towers, whole(), goal, mini_batch_size=5) for _ in range(2))
    assert a["main"] != pytest.approx(b["main"], rel=1e-6)
    torch.manual_seed(0)
    plain_step(towers, whole(), goal)
    expected = torch.rand(1)
    torch.manual_seed(0)
    cached_step(towers, whole(), goal, mini_batch_size=100)
    assert torch.equal(torch.rand(1), expected)


def test_gradients_add_up_over_steps():
    towers, goal = Towers(), objective()
    plain_step(towers, whole(), goal)
    cached_step(towers, whole(), goal, mini_batch_size=5)
    for p, once in zip(parameters(towers, goal), run(plain_step)[1], strict=True):
        torch.testing.assert_close(p.grad, 2 * once)


def test_a_frozen_tower_and_an_input_that_no_term_reads_are_left_alone():
    goal = Objective([Term("main", Softmax(), "bought")])
    for step in (plain_step, cached(5)):
        towers = Towers()
        towers.item.requires_grad_(False)
        step(towers, whole(), goal)
        assert towers.item.weight.grad is None
        assert towers.query.weight.grad.abs().sum() > 0


def test_an_input_without_rows_is_encoded():
    batch = whole()
    link = batch.links["same_item"]
    empty = type(link)("view_a", "view_b", link.pos[:0], link.ignored)
    inputs = {**batch.inputs, "view_a": batch.inputs["view_a"][:0]}
    goal = Objective([Term("ssl", Softmax(), "same_item")])
    logs = cached_step(Towers(), Batch(inputs, {"same_item": empty}), goal, mini_batch_size=5)
    assert logs == {"ssl": 0, "total": 0}


def test_mixed_precision_reaches_the_weights_in_both_steps():
    gradients = []
    for step in (plain_step, cached(100)):
        towers, goal = Towers().float(), objective().float()
        batch = whole()
        inputs = {name: x.float() for name, x in batch.inputs.items()}
        log_q = batch.links["bought"].log_q.float()
        bought = type(batch.links["bought"])(
            "query", "item", batch.links["bought"].pos, batch.links["bought"].ignored, log_q
        )
        batch = Batch(inputs, {**batch.links, "bought": bought})
        with torch.autocast("cpu", dtype=torch.bfloat16):
            step(towers, batch, goal)
        gradients.append([p.grad for p in parameters(towers, goal)])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.005)
