"""The whole loop: it learns, it logs, it stops, and a killed run ends as an unbroken one."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from oracles.synonyms import ITEMS, Watched, goal, made, precision
from oracles.training_process import KILLED, SHARED, shared
from thresher.errors import InputError
from thresher.training.loop import train
from thresher.training.options import TrainOptions

TESTS = Path(__file__).parents[1]
PLAIN = TrainOptions(epochs=2, batch_size=24, cluster_from_epoch=-1)
STEPS = 240 // 24  # 40 items, 6 training queries each


def weights(tower):
    return {name: value.clone() for name, value in tower.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def trained(folder, options, **more):
    tower, pairs, _ = made(token_dropout=more.pop("token_dropout", 0.2))
    train(tower, more.pop("objective", goal()), pairs, options, folder, **more)
    return weights(tower)


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The weights of runs that nobody stopped, with the seed of the killed one and with another."""
    folder = tmp_path_factory.mktemp("ended")
    options = {"unbroken": KILLED, "other": replace(KILLED, seed=1)}
    return [trained(folder / name, one, fingerprint="f") for name, one in options.items()]


# The 17th step is in the second epoch, which draws its order anew; the 28th in the third, whose
# order was made from the weights of its start. Checkpoints come after every third step of an epoch.
@pytest.mark.parametrize("step", [17, 28])
def test_a_killed_run_ends_as_an_unbroken_one(tmp_path, ended, step):
    unbroken, other = ended
    folder = tmp_path / "killed"
    ran = subprocess.run(
        [sys.executable, "-m", "oracles.training_process", str(folder), str(step)],
        cwd=TESTS,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL
    last = trained(folder, KILLED, fingerprint="f", resume=True)
    assert same(last, unbroken)
    assert not same(other, unbroken)


def test_resuming_goes_on_and_does_not_begin_again(tmp_path):
    trained(tmp_path, PLAIN)
    watched = Watched()
    done = trained(tmp_path, PLAIN, objective=goal(watched), resume=True)
    assert watched.seen == []
    assert not same(done, weights(made()[0]))


def test_without_resume_nothing_of_the_run_before_is_left(tmp_path):
    first = trained(tmp_path, PLAIN)
    assert same(first, trained(tmp_path, PLAIN))
    assert [line["epoch"] for line in lines(tmp_path)] == [0, 1]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    trained(tmp_path, PLAIN, fingerprint="one")
    with pytest.raises(InputError, match=r"last\.safetensors was written by another config.*--res"):
        trained(tmp_path, PLAIN, fingerprint="two", resume=True)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    trained(tmp_path, PLAIN)
    last = tmp_path / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"last\.safetensors is no checkpoint.*remove it"):
        trained(tmp_path, PLAIN, resume=True)


def test_training_stops_when_the_metric_no_longer_rises_and_keeps_the_best(tmp_path):
    tower, pairs, _ = made()
    values, kept = iter([0.5, 0.7, 0.6, 0.7, 0.4, 0.9]), []

    def validate():
        kept.append(weights(tower))
        return {"P@1": next(values), "other": 9.0 - len(kept)}

    train(tower, goal(), pairs, replace(PLAIN, epochs=9, patience=2), tmp_path, validate=validate)
    # 0.5, 0.7, then twice no better than 0.7; the fifth is of the weights that are kept.
    assert len(kept) == 5
    assert same(weights(tower), kept[1])
    assert not same(kept[1], kept[3])


def test_another_metric_may_choose(tmp_path):
    tower, pairs, _ = made()
    kept = []

    def validate():
        kept.append(weights(tower))
        return {"P@1": len(kept) / 9, "other": -float(len(kept))}

    options = replace(PLAIN, epochs=3, metric="other")
    found = train(tower, goal(), pairs, options, tmp_path, validate=validate)
    assert same(weights(tower), kept[0])
    assert found == {"P@1": 4 / 9, "other": -4.0}


def test_a_metric_that_is_not_measured_is_named(tmp_path):
    with pytest.raises(InputError, match=r"train\.metric is 'P@3'; validation measures P@1, r@2"):
        trained(tmp_path, replace(PLAIN, metric="P@3"), validate=lambda: {"r@2": 0.1, "P@1": 0.2})


def test_the_log_has_a_line_every_ten_steps_and_one_a_validation(tmp_path):
    trained(tmp_path, replace(PLAIN, batch_size=20), validate=lambda: {"P@1": 0.25})
    log = lines(tmp_path)  # 12 steps an epoch: a line at 10 and at 12
    places = [(0, 10), (0, 12), (0, 12), (1, 10), (1, 12), (1, 12)]
    assert [(line["epoch"], line["step"]) for line in log] == places
    assert log[2] == {"epoch": 0, "step": 12, "validation/P@1": 0.25}
    assert log[0]["pairs_per_second"] > 0
    assert log[0]["total"] == pytest.approx(log[0]["main"])
    assert log[4]["total"] < log[0]["total"]


def test_too_few_pairs_for_a_batch(tmp_path):
    with pytest.raises(InputError, match="240 training pairs, fewer than one batch of 241"):
        trained(tmp_path, replace(PLAIN, batch_size=241))


def test_what_is_true_is_learnt(tmp_path):
    tower, pairs, held_out = made(dim=32)
    assert precision(tower, pairs, held_out) < 0.15  # the texts alone say nothing
    options = TrainOptions(epochs=10, batch_size=40, learning_rate=0.3, cluster_from_epoch=-1)
    train(tower, goal(), pairs, options, tmp_path)
    assert precision(tower, pairs, held_out) > 0.85


def test_what_is_shuffled_is_not_learnt(tmp_path):
    tower, pairs, held_out = made(shuffled=True, dim=32)
    options = TrainOptions(epochs=10, batch_size=40, learning_rate=0.3, cluster_from_epoch=-1)
    train(tower, goal(), pairs, options, tmp_path)
    # 80 held-out queries, each right with probability 1/40: more than 12 never in practice
    assert precision(tower, pairs, held_out) < 0.15


def test_clustered_batches_learn_too(tmp_path):
    tower, pairs, held_out = made(dim=32)
    options = TrainOptions(
        epochs=10, batch_size=40, learning_rate=0.3, cluster_from_epoch=3, cluster_size=6
    )
    train(tower, goal(), pairs, options, tmp_path)
    assert precision(tower, pairs, held_out) > 0.85


def test_logq_puts_the_frequency_of_each_column_into_the_links(tmp_path):
    plain, corrected = Watched(), Watched()
    trained(tmp_path / "a", PLAIN, objective=goal(plain))
    trained(tmp_path / "b", replace(PLAIN, logq=True), objective=goal(corrected))
    assert all(links.log_q is None for links in plain.seen)
    # every item has 6 of the 240 pairs, and of 24 columns .6 on average
    want = torch.full((24,), 24 * 6 / 240).log()
    assert all(torch.allclose(links.log_q, want) for links in corrected.seen)
    assert len(corrected.seen) == 2 * STEPS


def test_other_true_columns_are_dropped_never_negative(tmp_path):
    watched = Watched()
    trained(tmp_path, replace(PLAIN, batch_size=120, epochs=1), objective=goal(watched))
    for links in watched.seen:
        assert links.pos.tolist() == [[i, i] for i in range(120)]
        # 120 columns of 40 items: every batch holds copies
        assert len(links.ignored) > 0
        assert (links.ignored[:, 0] != links.ignored[:, 1]).all()


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_encoding_in_chunks_gives_the_same_weights(tmp_path, chunk):
    whole = trained(tmp_path / "whole", PLAIN, token_dropout=0.0)
    parts = trained(tmp_path / "parts", replace(PLAIN, mini_batch_size=chunk), token_dropout=0.0)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=1e-5, rtol=1e-5)


def test_two_processes_end_as_one(tmp_path):
    one = trained(
        tmp_path / "one", SHARED, token_dropout=0.0, validate=lambda: {"P@1": 0.5}, quiet=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "two"
    folder.mkdir()
    torch.multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["thresher.training.loop", "torch._dynamo"]
    )
    torch.multiprocessing.start_processes(
        shared, args=(2, port, folder), nprocs=2, start_method="forkserver"
    )
    for rank in range(2):
        found = torch.load(folder / f"{rank}.pt", weights_only=True)
        for name, value in one.items():
            torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)
    assert [line["step"] for line in lines(folder)] == [STEPS, STEPS] * 2


def test_a_batch_that_two_processes_cannot_share_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("thresher.distributed.world", lambda: 2)
    with pytest.raises(InputError, match=r"batch_size 25 .* 2 processes; choose a multiple of 2"):
        trained(tmp_path, replace(PLAIN, batch_size=25))


def test_random_numbers_of_the_caller_are_left_alone(tmp_path):
    torch.manual_seed(5)
    want = torch.rand(3)
    tower, pairs, _ = made()
    torch.manual_seed(5)
    train(tower, goal(), pairs, replace(PLAIN, epochs=1), tmp_path)
    assert torch.equal(torch.rand(3), want)
    assert pairs.relation.columns == ITEMS
