import math
from dataclasses import dataclass, replace

import pytest
import torch

from oracles.matchings import links, unit, values
from oracles.memory import Largest, kept_for_backward
from thresher.errors import InputError
from thresher.losses import LOSSES, HardestPairs, Softmax, ThresholdConsistentMargin
from thresher.objective import Objective, Term
from thresher.types import Links, Matching, Ratio


@dataclass(frozen=True)
class Given:
    """A loss of given ratios, each part times the sum of the left vectors."""

    parts: dict

    def ratios(self, m: Matching):
        one = m.left.sum()
        return {
            name: Ratio(one * num, one.new_full((), den)) for name, (num, den) in self.parts.items()
        }


def ones():
    """Vectors whose left side sums to 1."""
    left = torch.tensor([[1.0]], dtype=torch.float64, requires_grad=True)
    return {"query": left, "item": torch.ones(2, 1, dtype=torch.float64)}


def batch(rows=9, columns=14, dim=5, seed=0):
    vectors = {
        "query": unit(rows, dim, seed=seed).requires_grad_(),
        "item": unit(columns, dim, seed=seed + 1).requires_grad_(),
    }
    pos = [*((i, i) for i in range(rows)), (0, 9), (4, 11)]
    # The dropped pairs would be the hardest negatives, so that losing them shows.
    scores = (vectors["query"] @ vectors["item"].T).detach()
    scores[tuple(zip(*pos, strict=True))] = -1
    drop = [(i, int(scores[i].argmax())) for i in (0, 4, 8)]
    return vectors, {"query_item": links(pos, drop)}


def test_the_total_is_the_weighted_sum_of_the_ratios():
    goal = Objective(
        [
            Term("a", Given({"": (6.0, 4.0)}), "query_item", weight=0.5),
            Term("b", Given({"x": (1.0, 5.0), "y": (-3.0, 2.0)}), "query_item", weight=2.0),
        ]
    )
    vectors = ones()
    total, logs = goal.reduce(vectors, {"query_item": links([])})
    # .5 * 6/4 + 2 * 1/5 + 2 * -3/2 = .75 + .4 - 3 = -1.85; the logs are without the weights
    assert total.item() == pytest.approx(-1.85)
    assert logs == pytest.approx({"a": 1.5, "b/x": 0.2, "b/y": -1.5, "total": -1.85})
    total.backward()
    assert vectors["query"].grad.item() == pytest.approx(-1.85)


@pytest.mark.parametrize("block", [None, 2])
@pytest.mark.parametrize("name", ["softmax", "croloss"])
def test_a_row_is_compared_with_its_own_block_alone(name, block):
    left, right = unit(12, 5, seed=0), unit(24, 5, seed=1)
    log_q = -torch.rand(24, generator=torch.Generator().manual_seed(2), dtype=left.dtype)
    pos = [(i, (5 * i) % 12) for i in range(12)]  # of both the remainder by 4 is the same
    dropped = [(0, 8), (3, 23), (6, 2), (7, 11)]
    loss, expected, grads = LOSSES[name](), 0.0, []
    # Slowly: each row alone against the columns of its block.
    slow = [x.clone().requires_grad_() for x in (left, right)]
    for i, own in pos:
        columns = [j for j in range(24) if j % 4 == i % 4]
        out = [columns.index(j) for row, j in dropped if row == i]
        m = Matching(
            slow[0][i : i + 1],
            slow[1][columns],
            links([(0, columns.index(own))], [(0, j) for j in out], log_q[columns]),
        )
        expected = expected + loss.ratios(m)[""].num / 12
    expected.backward()
    fast = {"query": left.clone().requires_grad_(), "item": right.clone().requires_grad_()}
    goal = Objective([Term("main", loss, "query_item")], block=block)
    blocks = replace(links(pos, dropped, log_q), blocks=4)
    total, _ = goal.reduce(fast, {"query_item": blocks})
    total.backward()
    torch.testing.assert_close(total, expected)
    grads = zip(fast.values(), slow, strict=True)
    assert all(b.grad.abs().sum() > 0.01 for _, b in grads)
    for got, want in zip(fast.values(), slow, strict=True):
        torch.testing.assert_close(got.grad, want.grad)


def test_an_empty_part_is_zero_and_a_count_below_one_divides_as_it_is():
    goal = Objective([Term("t", Given({"none": (0.0, 0.0), "half": (1.0, 0.5)}), "query_item")])
    total, logs = goal.reduce(ones(), {"query_item": links([])})
    assert total.item() == pytest.approx(2)
    assert logs == pytest.approx({"t/none": 0, "t/half": 2, "total": 2})


def test_a_weight_of_zero_only_logs():
    vectors, truth = batch()
    goal = Objective(
        [
            Term("main", Softmax(), "query_item"),
            Term("watched", ThresholdConsistentMargin(margin_neg=0.0), "query_item", weight=0.0),
        ]
    )
    total, logs = goal.reduce(vectors, truth)
    assert total.item() == pytest.approx(logs["main"])
    assert logs["watched/pos"] > 0


def test_terms_read_their_own_links_and_a_side_may_be_either():
    query, item = unit(3, 4, seed=0), unit(5, 4, seed=1)
    there = links([(i, i) for i in range(3)])
    back = Links("item", "query", there.pos.flip(1), there.ignored)
    loss = Softmax(temperature=0.3)
    goal = Objective([Term("there", loss, "there"), Term("back", loss, "back")])
    _, logs = goal.reduce({"query": query, "item": item}, {"there": there, "back": back})
    assert logs["there"] == pytest.approx(values(loss.ratios(Matching(query, item, there)))[""])
    assert logs["back"] == pytest.approx(values(loss.ratios(Matching(item, query, back)))[""])
    assert logs["there"] != pytest.approx(logs["back"], rel=1e-3)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("block", [1, 4, 9, 100])
def test_blocks_of_rows_give_the_same_total_and_gradients(name, block):
    def run(block):
        loss = HardestPairs(5, hardest=3).double() if name == "alc" else LOSSES[name]()
        goal = Objective([Term("t", loss, "query_item")], block=block)
        vectors, truth = batch()
        total, logs = goal.reduce(vectors, truth)
        total.backward()
        return logs, [*vectors.values(), *goal.parameters()]

    (logs, dense), (tiled_logs, tiled) = run(None), run(block)
    assert tiled_logs == pytest.approx(logs)
    for a, b in zip(dense, tiled, strict=True):
        assert a.grad.abs().sum() > 0
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("name", LOSSES)
def test_blocks_hold_block_times_columns_scores(name):
    rows, columns, dim = 64, 512, 4
    loss = HardestPairs(dim, hardest=2) if name == "alc" else LOSSES[name]()
    truth = {"query_item": links([(i, i) for i in range(rows)])}

    def measured(block):
        vectors = {
            "query": unit(rows, dim, seed=0, dtype=torch.float32).requires_grad_(),
            "item": unit(columns, dim, seed=1, dtype=torch.float32).requires_grad_(),
        }
        with Largest() as largest:
            with kept_for_backward() as kept:
                total, _ = Objective([Term("t", loss, "query_item")], block=block).reduce(
                    vectors, truth
                )
            total.backward()
        return largest.numbers, sum(kept.values())

    # Q x C = 32,768; with blocks of 8 rows 4,096. The columns themselves are 2,048 numbers.
    vectors = (rows + columns) * dim
    largest, kept = measured(None)
    assert largest >= rows * columns
    # All others keep the gradients of the vectors, and a few links, with or without blocks.
    assert (kept > 2 * vectors) == (name == "alc")
    largest, kept = measured(8)
    assert largest <= 8 * columns
    # Between forward and backward no scores are kept at all: the vectors, and a few links.
    assert kept <= 2 * vectors


def test_half_precision_is_compared_in_float32():
    vectors = {name: x.detach().bfloat16() for name, x in batch()[0].items()}
    goal = Objective([Term("main", Softmax(), "query_item")])
    truth = batch()[1]
    exact = goal.reduce({name: x.float() for name, x in vectors.items()}, truth)[1]["main"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, logs = goal.reduce(vectors, truth)
    assert total.dtype == torch.float32
    assert logs["main"] == pytest.approx(exact, rel=1e-6)


def test_parameters_of_losses_are_the_objectives_own():
    head = HardestPairs(5, hardest=3)
    goal = Objective([Term("main", Softmax(), "query_item"), Term("alc", head, "query_item")])
    assert {id(p) for p in goal.parameters()} == {id(p) for p in head.parameters()}
    assert next(goal.double().parameters()).dtype == torch.float64


def test_a_total_that_is_not_a_number_names_the_term():
    goal = Objective(
        [
            Term("fine", Given({"": (1.0, 2.0)}), "query_item"),
            Term("bad", Given({"x": (math.nan, 1.0), "y": (math.inf, 1.0)}), "query_item"),
        ]
    )
    with pytest.raises(
        FloatingPointError, match=r"'bad/x': nan, 'bad/y': inf.*'fine': 0\.5.*learning rate"
    ):
        goal.reduce(ones(), {"query_item": links([])})


def test_missing_links_and_inputs_say_what_the_batch_has():
    goal = Objective([Term("main", Softmax(), "query_item")])
    vectors, truth = batch()
    with pytest.raises(InputError, match=r"'main' reads links 'query_item'.*\['bought', 'same'\]"):
        goal.reduce(vectors, {"same": truth["query_item"], "bought": truth["query_item"]})
    with pytest.raises(InputError, match=r"'query' and 'item'.*\['query'\].*add 'item'"):
        goal.reduce({"query": vectors["query"]}, truth)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["total"]])
def test_names_of_terms_are_unique_and_free(names):
    with pytest.raises(InputError, match="each its own name"):
        Objective([Term(name, Softmax(), "query_item") for name in names])


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_weight_below_zero_or_not_finite_is_refused(weight):
    with pytest.raises(InputError, match=r"'main'.*finite number >= 0"):
        Term("main", Softmax(), "query_item", weight=weight)


def test_a_block_below_one_is_refused():
    with pytest.raises(InputError, match="1 or more"):
        Objective([Term("main", Softmax(), "query_item")], block=0)


def test_plain_tensors_are_compared_by_every_loss_of_a_list():
    vectors, truth = batch()
    link = truth["query_item"]
    losses = [Softmax(), HardestPairs(5, hardest=3).double(), Softmax(temperature=0.2)]
    goal = Objective([losses[0], (losses[1], 0.5), losses[2], Term("t", Softmax(), weight=0.0)])
    given = {"positives": link.pos, "ignored": link.ignored}
    total = goal(vectors["query"], vectors["item"], **given)
    parts = [loss(vectors["query"], vectors["item"], **given).item() for loss in losses]
    assert total.item() == pytest.approx(parts[0] + 0.5 * parts[1] + parts[2])
    assert list(goal.logs) == [
        *("softmax", "alc/query_label", "alc/query_batch", "softmax_2", "t", "total")
    ]
    assert goal.logs["softmax_2"] == pytest.approx(parts[2])
    assert goal.logs["total"] == pytest.approx(total.item())
    total.backward()
    assert all(x.grad.abs().sum() > 0 for x in (*vectors.values(), *goal.parameters()))


def test_a_loss_of_ones_own_is_named_after_its_class():
    goal = Objective([Given({"": (6.0, 4.0)})])
    vectors = ones()
    assert goal(*vectors.values()).item() == pytest.approx(1.5)
    assert goal.logs == {"Given": 1.5, "total": 1.5}


def test_a_satisfied_margin_is_zero_not_nan():
    goal = Objective([ThresholdConsistentMargin()])
    assert goal(torch.eye(3), torch.eye(3)).item() == 0
    assert goal.logs == {"tcm/pos": 0, "tcm/neg": 0, "total": 0}


def test_terms_of_other_links_are_refused_with_plain_tensors():
    with pytest.raises(InputError, match=r"'t' reads links 'views'.*\['query_item'\]"):
        Objective([Term("t", Softmax(), "views")])(torch.eye(2), torch.eye(2))


def test_one_loss_is_an_objective():
    for terms in (Softmax(), Term("softmax", Softmax()), HardestPairs(3)):
        goal = Objective(terms)
        want = Objective([terms])(torch.eye(3), torch.eye(3))
        assert goal(torch.eye(3), torch.eye(3)).item() == want.item()


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ("softmax", "the objective is 'softmax'; give a loss, or a list of losses"),
        (None, "the objective is None"),
        (["softmax"], r"'softmax' is no loss; give one such as losses\.Softmax"),
        ([Softmax], "is no loss"),
        ([(Softmax(), 1, 2)], "is no loss"),
        ([(Softmax(), "1")], "the weight of term 'softmax' is '1'"),
    ],
)
def test_what_is_no_loss_is_refused(terms, words):
    with pytest.raises(InputError, match=words):
        Objective(terms)


@pytest.mark.usefixtures("types_unchecked")
def test_a_block_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="block is '3' rows"):
        Objective([Softmax()], block="3")
