"""The loop on a CUDA device: the same weights as on the CPU, and finite ones in half precision."""

from dataclasses import replace

import pytest
import torch

from oracles.synonyms import goal, made
from thresher.losses import HardestHinge, HardestPairs, Softmax, ThresholdConsistentMargin
from thresher.objective import Objective, Term
from thresher.train.loop import train
from thresher.train.options import TrainOptions

OPTIONS = TrainOptions(
    epochs=2, batch_size=24, cluster_from_epoch=1, cluster_size=6, hard_negatives=1
)
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def trained(folder, device, labels="text", objective=None, options=OPTIONS):
    model, pairs, _ = made(labels=labels, token_dropout=0.0)
    objective = goal(None, labels) if objective is None else objective()
    train(model.to(device), objective.to(device), pairs, options, folder)
    return {name: value.float().cpu() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("labels", ["text", "shared", "prototype"])
def test_weights_are_those_of_the_cpu(tmp_path, labels):
    options = replace(
        OPTIONS, hard_negatives=0, cluster_from_epoch=-1
    )  # neither follows a rounding
    want = trained(tmp_path / "cpu", "cpu", labels, options=options)
    got = trained(tmp_path / "cuda", "cuda", labels, options=options)
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, atol=2e-3, rtol=2e-3)


def every_loss():
    terms = (Softmax(), HardestHinge(), ThresholdConsistentMargin(), HardestPairs(16, hardest=3))
    return Objective([Term(str(i), loss, "query_item") for i, loss in enumerate(terms)])


@pytest.mark.parametrize("chunk", [0, 7])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_loss_trains(tmp_path, chunk, precision):
    options = replace(OPTIONS, mini_batch_size=chunk, precision=precision)
    weights = trained(tmp_path, "cuda", objective=every_loss, options=options)
    assert all(value.isfinite().all() for value in weights.values())
