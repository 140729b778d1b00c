import json
import socket

import pytest
import torch

from parity.scenario import (
    Featured,
    Read,
    Towers,
    adapted,
    featured_objective,
    featured_share,
    mined_objective,
    mined_share,
    objective,
    parameters,
    read_share,
    sampled_objective,
    sampled_share,
    share,
    whole,
)
from parity.worker import work
from thresher.losses import ThresholdConsistentMargin
from thresher.training.step import plain_step
from thresher.types import Matching


@pytest.fixture(scope="module", params=[2, 3], ids=["two processes", "three processes"])
def found(request, tmp_path_factory):
    """What each real process wrote."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = request.param
    # A server that has imported torch forks the workers, which saves seconds for each.
    torch.multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["thresher.training.step", "torch._dynamo"]  # the second for torch.utils.checkpoint
    )
    torch.multiprocessing.start_processes(
        work, args=(world, port, folder), nprocs=world, start_method="forkserver"
    )
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world)]


@pytest.fixture(scope="module")
def one_process():
    towers, goal = Towers(), objective()
    logs = plain_step(towers, whole(), goal)
    return logs, [p.grad for p in parameters(towers, goal)]


@pytest.mark.parametrize("step", ["plain", "cached"])
def test_several_processes_equal_one(found, one_process, step):
    logs, gradients = one_process
    for process in found:
        assert process[step]["logs"] == pytest.approx(logs)
        for got, want in zip(process[step]["gradients"], gradients, strict=True):
            torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), want)


def test_mined_columns_and_text_query_links_of_several_processes_equal_those_of_one(found):
    # One process has its mined columns behind all own ones, several have theirs in between.
    towers, goal, batch = Towers(), mined_objective(), mined_share(0, 1)
    logs = plain_step(towers, batch, goal)
    assert min(logs.values()) > 0.01
    assert all(len(links.ignored) > 10 for links in batch.links.values())
    for process in found:
        assert process["mined"]["logs"] == pytest.approx(logs)
        for got, want in zip(process["mined"]["gradients"], parameters(towers, goal), strict=True):
            torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), want.grad)


@pytest.mark.parametrize("in_batch", [True, False])
def test_sampled_columns_and_how_often_they_are_drawn_equal_those_of_one(found, in_batch):
    towers, goal = Towers(), sampled_objective()
    batch = sampled_share(0, 1, in_batch=in_batch)
    log_q = batch.links["query_item"].log_q
    assert len(log_q) == len(batch.inputs["item"]) == 36
    assert len(log_q.unique()) > 5  # a factor of all would have no effect
    logs = plain_step(towers, batch, goal)
    assert min(logs.values()) > 0.01
    for process in found:
        got = process[f"sampled, in_batch {in_batch}"]
        assert got["logs"] == pytest.approx(logs, rel=1e-6)
        for one, want in zip(got["gradients"], parameters(towers, goal), strict=True):
            torch.testing.assert_close(torch.tensor(one, dtype=torch.float64), want.grad)


@pytest.mark.parametrize("step", ["plain", "cached"])
def test_views_of_features_of_several_processes_equal_those_of_one(found, step):
    # Which items are drawn and what of them is hidden is the same, whoever has them.
    towers, goal = Featured(), featured_objective()
    logs = plain_step(towers, featured_share(), goal)
    assert set(logs) == {"main", "ssl", "so", "total"}
    assert min(logs.values()) > 0.01
    for process in found:
        got = process[f"featured, {step}"]
        assert got["logs"] == pytest.approx(logs, rel=1e-5)
        for one, want in zip(got["gradients"], parameters(towers, goal), strict=True):
            assert want.grad.to_dense().abs().sum() > 0
            torch.testing.assert_close(
                torch.tensor(one), want.grad.to_dense(), rtol=1e-4, atol=1e-6
            )


def test_positions_of_histories_of_several_processes_equal_those_of_one(found):
    # A user's runs lie on several processes; groups and blocks reach over all of them.
    towers, goal, batch = Read(), sampled_objective().float(), read_share()
    assert batch.links["query_item"].blocks == 2
    assert len(batch.links["query_item"].ignored) >= 10
    logs = plain_step(towers, batch, goal)
    for process in found:
        assert process["read"]["logs"] == pytest.approx(logs, rel=1e-5)
        for one, want in zip(process["read"]["gradients"], parameters(towers, goal), strict=True):
            assert want.grad.to_dense().abs().sum() > 0
            torch.testing.assert_close(
                torch.tensor(one), want.grad.to_dense(), rtol=1e-4, atol=1e-6
            )


def test_an_adapter_on_several_processes_equals_one(found):
    # Labels and columns of the other processes count, and heads, which no trainer wraps, agree.
    want = adapted(0, 1)
    for process in found:
        assert process["adapted"]["logs"] == pytest.approx(want["logs"], rel=1e-5)
        for got, one in zip(process["adapted"]["gradients"], want["gradients"], strict=True):
            torch.testing.assert_close(torch.tensor(got), torch.tensor(one), rtol=1e-4, atol=1e-6)


def test_rows_are_gathered_in_the_order_of_the_processes(found):
    want = [[rank, i] for rank in range(len(found)) for i in range(2)]
    assert all(process["gathered"] == want for process in found)


def test_sums_are_over_all_processes_and_leave_what_was_added_alone(found):
    world = len(found)
    assert [process["own"] for process in found] == [[1, rank] for rank in range(world)]
    assert all(process["summed"] == [world, sum(range(world))] for process in found)


def test_a_parameter_that_some_processes_use_is_averaged_and_an_unused_one_has_no_gradient(found):
    want = [[6 / len(found)] * 2, None, None]
    assert all(process["partial"] == want for process in found)


def test_every_process_stops_when_one_has_a_number_that_is_none(found):
    for process in found:
        assert "{'main': nan}" in process["nan"]
        assert "'ssl': " in process["nan"]


@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_can_tell_right_from_wrong(world):
    # Otherwise dividing before adding, or links that stay within a process, would go unseen.
    batch, towers = whole(), Towers()
    counts = []
    for rank in range(world):
        part = share(batch, rank, world)
        columns = part.links["bought"].pos[:, 1]
        assert ((columns < 0) | (columns >= len(part.inputs["item"]))).any()
        left, right = towers("query", part.inputs["query"]), towers("item", batch.inputs["item"])
        wide = part.links["bought"].shift(rank * len(part.inputs["item"]))
        parts = ThresholdConsistentMargin(margin_neg=0.3).ratios(Matching(left, right, wide))
        counts.append([float(ratio.den) for ratio in parts.values()])
    assert all(len(set(of_part)) > 1 for of_part in zip(*counts, strict=True))
