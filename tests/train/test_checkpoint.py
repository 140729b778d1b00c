"""A checkpoint is whole or the one before; anything else is refused in one sentence."""

from pathlib import Path

import pytest
import torch

from thresher.errors import InputError
from thresher.train import checkpoint
from thresher.train.checkpoint import Position

POSITION = Position(epoch=2, step=7, best=0.5, stale=1, fingerprint="f")


def made(seed=0, width=3):
    torch.manual_seed(seed)
    modules = {"tower": torch.nn.Linear(width, 2), "objective": torch.nn.Linear(2, 1)}
    parameters = [p for m in modules.values() for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        modules["objective"](modules["tower"](torch.ones(4, width))).sum().backward()
        optimizer.step()
    return modules, optimizer


def state(modules, optimizer):
    weights = {f"{n}.{k}": v for n, m in modules.items() for k, v in m.state_dict().items()}
    moments = optimizer.state_dict()["state"]
    return weights | {f"{i}.{k}": v for i, s in moments.items() for k, v in s.items()}


def test_everything_comes_back(tmp_path):
    modules, optimizer = made()
    order = torch.tensor([3, 1, 2, 0])
    checkpoint.save(tmp_path / "c.safetensors", POSITION, modules, optimizer, {"order": order})
    other, into = made(seed=1)
    position, extra = checkpoint.load(tmp_path / "c.safetensors", other, into)
    assert position == POSITION
    assert extra["order"].tolist() == [3, 1, 2, 0]
    want, got = state(modules, optimizer), state(other, into)
    assert want.keys() == got.keys()
    assert all(torch.equal(got[name], value) for name, value in want.items())
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_the_weights_alone(tmp_path):
    modules, _ = made()
    checkpoint.save(tmp_path / "c.safetensors", Position(0, 0, None, 0, ""), modules)
    other, _ = made(seed=1)
    position, extra = checkpoint.load(tmp_path / "c.safetensors", other)
    assert position.best is None
    assert extra == {}
    assert torch.equal(other["tower"].weight, modules["tower"].weight)


def test_two_names_of_one_tensor(tmp_path):
    modules, _ = made()
    modules["again"] = modules["tower"]
    checkpoint.save(tmp_path / "c.safetensors", POSITION, modules)
    other, _ = made(seed=1)
    checkpoint.load(tmp_path / "c.safetensors", {"again": other["tower"]})
    assert torch.equal(other["tower"].weight, modules["tower"].weight)


def test_a_save_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    modules, optimizer = made()
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, POSITION, modules, optimizer)
    before = path.read_bytes()

    def full_disk(tensors, name, metadata):
        Path(name).write_bytes(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(InputError, match="the disk is full"):
        checkpoint.save(path, POSITION, made(seed=1)[0], optimizer)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("size", [0, 4, 50, -1])
def test_a_truncated_file(tmp_path, size):
    modules, optimizer = made()
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, POSITION, modules, optimizer)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"c\.safetensors is no checkpoint of this model .*remove"):
        checkpoint.load(path, modules, optimizer)


def test_a_missing_file_one_of_another_model_and_one_of_another_program(tmp_path):
    modules, _ = made()
    path = tmp_path / "c.safetensors"
    with pytest.raises(InputError, match="no checkpoint of this model"):
        checkpoint.load(path, modules)
    checkpoint.save(path, POSITION, made(width=5)[0])
    with pytest.raises(InputError, match="no checkpoint of this model"):
        checkpoint.load(path, modules)
    checkpoint.save_file({"x": torch.ones(1)}, str(path))
    with pytest.raises(InputError, match="no checkpoint of this model"):
        checkpoint.load(path, modules)
